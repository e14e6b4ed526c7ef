/** `own-value`: exactly what we would write, and we have no record of it. */
const OTHER_LOCK_CAUSES = ['expired', 'not-yet-valid', 'too-many-failures', 'disabled', 'own-value'] as const
export type OtherLockCause = (typeof OTHER_LOCK_CAUSES)[number]

export function isOtherLockCause(text: string): text is OtherLockCause {
  return OTHER_LOCK_CAUSES.some((cause) => cause === text)
}

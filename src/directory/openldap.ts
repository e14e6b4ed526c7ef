import { EqualityFilter, PresenceFilter } from 'ldapts'
import type { LockObservation, LockSlot } from '../core/state.ts'
import type { AccountEntry, LockContext, LockDriver } from './driver.ts'
import { parseGeneralizedTime } from './generalized-time.ts'
import { lockEffect } from './lock-effect.ts'
import type { PasswordPolicy } from './password-policy.ts'

export const LOCK_ATTRIBUTE = 'pwdAccountLockedTime'
/** slapo-ppolicy(5): locked until an administrator says otherwise, whatever pwdLockoutDuration is. */
export const LOCKED_FOR_GOOD = '000001010000Z'
const POLICY_OF_ENTRY = 'pwdPolicySubentry'
const START = 'pwdStartTime'
const END = 'pwdEndTime'
const PASSWORD_CHANGED = 'pwdChangedTime'

/**
 * OpenLDAP with the password policy overlay. The lock is `pwdAccountLockedTime: 000001010000Z`. The overlay itself writes
 * a time stamp there after too many failures: while that is in effect the account is locked by somebody else;
 * before and after it is open, and the stamp is put back when our lock goes. `pwdStartTime` and `pwdEndTime` lock too.
 */
export const openldapDriver: LockDriver = {
  attributes: [LOCK_ATTRIBUTE, POLICY_OF_ENTRY, START, END, PASSWORD_CHANGED],
  lockAttributes: [LOCK_ATTRIBUTE],
  coverable: [],
  singleValued: [],
  needs: ['policies'],
  addressOf: (_id, dn) => dn,
  protects: () => null,
  placesElsewhere: () => [],
  readLock,
  marks: () => [new EqualityFilter({ attribute: LOCK_ATTRIBUTE, value: LOCKED_FOR_GOOD })],
  lockedMarks: () => [LOCK_ATTRIBUTE, START, END].map((attribute) => new PresenceFilter({ attribute })),
  markedElsewhere: () => [],
}

function readLock(account: AccountEntry, context: LockContext): LockObservation {
  const current = account.values(LOCK_ATTRIBUTE)
  const slot: LockSlot = {
    dn: account.dn,
    attribute: LOCK_ATTRIBUTE,
    mode: 'whole',
    current,
    locked: [LOCKED_FOR_GOOD],
  }
  const { effective, policy } = lockEffect(account, context, POLICY_OF_ENTRY)
  const passwordChangedMs = parseGeneralizedTime(account.text(PASSWORD_CHANGED) ?? '')
  const told = { slots: [slot], effective, passwordChangedMs }
  if (current.length === 1 && current[0] === LOCKED_FOR_GOOD) {
    return { state: 'as-ours', otherUntilUs: null, ...told }
  }
  const other = validityLock(account, context.nowMs) ?? stampLock(account, policy, context.nowMs)
  if (other === null) return { state: 'open', otherUntilUs: null, ...told }
  return { state: 'other', otherUntilUs: other.untilMs === null ? null : other.untilMs * 1000, ...told }
}

interface OtherLock {
  readonly untilMs: number | null
}

/** The account is not valid yet, or not any more; this holds whatever pwdLockout is. */
function validityLock(account: AccountEntry, nowMs: number): OtherLock | null {
  const endMs = parseGeneralizedTime(account.text(END) ?? '')
  if (endMs !== null && endMs <= nowMs) return { untilMs: null }
  const startMs = parseGeneralizedTime(account.text(START) ?? '')
  return startMs !== null && startMs > nowMs ? { untilMs: startMs } : null
}

/**
 * A time stamp of the overlay. Where the policy is not known it counts as open: our lock then takes its place and puts
 * it back, which locks in either case.
 */
function stampLock(account: AccountEntry, policy: PasswordPolicy | null, nowMs: number): OtherLock | null {
  const stamp = account.text(LOCK_ATTRIBUTE)
  if (stamp === null || policy === null || !policy.lockout) return null
  if (/^0{4}/.test(stamp)) return { untilMs: null }
  const sinceMs = parseGeneralizedTime(stamp)
  if (sinceMs === null || sinceMs > nowMs) return null
  const durationMs = policy.lockoutDurationMs
  if (durationMs === 0) return { untilMs: null }
  return sinceMs + durationMs > nowMs ? { untilMs: sinceMs + durationMs } : null
}

import { AppError, toAppError } from '../../core/error.ts'
import type { SourceSettings } from '../../core/settings/settings.ts'
import { systemClock } from '../../ports/clock.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { Client } from '../../privacyidea/http/client.ts'
import { enrollmentRights as rightsToEnroll, policyLine } from '../../privacyidea/setup/policies.ts'
import type { EnrollType } from '../../core/source/enrollment.ts'

/**
 * For commands that need rights in privacyIDEA: fails with `source-not-permitted` where one is missing, before anything
 * is on record or changed. A server that does not answer now is not waited for, and a fixed token does not list its
 * rights: a refusal then comes only with the change itself.
 */
export async function refuseWithoutRights(
  source: SourceSettings,
  readSecret: SecretReader,
  needed: readonly string[],
  what: string,
): Promise<void> {
  if (source.login.kind === 'token') return
  await using client = new Client(source, readSecret, systemClock)
  const login = await client.login().catch((thrown: unknown) => {
    const error = toAppError(thrown)
    if (error.code === 'source-login-refused') throw error
    return null
  })
  if (login === null || login.rights === null || login.rights.has('*')) return
  const { rights, user } = login
  const missing = needed.filter((right) => !rights.has(right))
  if (missing.length === 0) return
  throw new AppError(
    'source-not-permitted',
    `${what}: ${user} has no right ${missing.join(', ')} in privacyIDEA; nothing was done, and nothing is on record`,
    { hint: `The policy that gives it: ${policyLine(user, missing)}` },
  )
}

export function enrollmentRights(types: readonly EnrollType[]): string[] {
  return rightsToEnroll(types)
}

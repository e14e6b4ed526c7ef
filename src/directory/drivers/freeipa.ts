import { inactivationDriver } from './ds389.ts'
import { lockedBy, type AccountEntry, type LockDriver } from './driver.ts'
import { AndFilter, EqualityFilter, NotFilter, PresenceFilter, type Entry, type Filter } from 'ldapts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { OtherLock } from '../../core/account/state.ts'
import { normalDn } from '../../core/dn.ts'
import { parseGeneralizedTime } from '../protocol/generalized-time.ts'
import type { Reads } from '../ldap/reads.ts'
import { searchIfAllowed } from '../ldap/search-if-allowed.ts'
import { textsOf } from '../protocol/entry.ts'
import { namingContextOf, type ServerFacts } from '../pool/server-facts.ts'

/**
 * FreeIPA's lockout after failed logins. Each server counts by itself: the counters are not replicated, so a reading is
 * valid for that server only. How its plugin judges (FreeIPA's ipa-lockout): locked while the failures reach the
 * policy's limit and its time has not passed since the last one, unless an administrator unlocked the account after it.
 * A limit of 0 locks nobody; a time of 0 never ends.
 */

const KERBEROS_ATTRIBUTES = [
  'krbLoginFailedCount',
  'krbLastFailedAuth',
  'krbLastAdminUnlock',
  'krbPwdPolicyReference',
  'krbPrincipalExpiration',
]

const FAILURES = 'krbLoginFailedCount'
const LAST_FAILURE = 'krbLastFailedAuth'
const EXPIRATION = 'krbPrincipalExpiration'
/** Who failed since the last good login, and whose principal is to expire. */
const KERBEROS_MARKS: readonly Filter[] = [
  new AndFilter({
    filters: [
      new PresenceFilter({ attribute: FAILURES }),
      new NotFilter({ filter: new EqualityFilter({ attribute: FAILURES, value: '0' }) }),
    ],
  }),
  new PresenceFilter({ attribute: EXPIRATION }),
]

interface LockoutPolicy {
  readonly failuresMax: number
  /** 0: until an administrator ends it. */
  readonly durationMs: number
}

/** By DN in normal form; empty where they may not be read. */
type LockoutPolicies = ReadonlyMap<string, LockoutPolicy>

/**
 * FreeIPA: the lock is what `ipa user-disable` writes, so that its own tools show the account as disabled. Its lockout
 * after failed logins and an expired principal are locks by others.
 */
export const freeipaDriver: LockDriver<LockoutPolicies> = inactivationDriver({
  locked: 'TRUE',
  attributes: KERBEROS_ATTRIBUTES,
  readContext: readLockoutPolicies,
  otherMarks: KERBEROS_MARKS,
  restsOnPoliciesSince: failedSince,
  otherLock: (account, context) =>
    principalExpired(account, context.nowMs) ?? kerberosLockout(account, context.context, context.nowMs),
})

/**
 * Without a readable policy no lockout is reported: our lock is then written beside it, and is in effect in either
 * case.
 */
function kerberosLockout(account: AccountEntry, policies: LockoutPolicies, nowMs: number): OtherLock | null {
  const policy = policyOf(account, policies)
  const failures = failuresOf(account)
  const failedMs = parseGeneralizedTime(account.text(LAST_FAILURE) ?? '')
  if (policy === undefined || policy.failuresMax === 0 || failedMs === null) return null
  const unlockedMs = parseGeneralizedTime(account.text('krbLastAdminUnlock') ?? '')
  if (unlockedMs !== null && failedMs <= unlockedMs) return null
  if (!(failures >= policy.failuresMax)) return null
  if (policy.durationMs === 0) return lockedBy('too-many-failures', FAILURES)
  const untilMs = failedMs + policy.durationMs
  return untilMs > nowMs ? lockedBy('too-many-failures', FAILURES, untilMs) : null
}

function failuresOf(account: AccountEntry): number {
  return Number(account.text(FAILURES) ?? 0)
}

/** See LockDriver.restsOnPoliciesSince. */
function failedSince(account: AccountEntry): number | null {
  return failuresOf(account) > 0 ? parseGeneralizedTime(account.text(LAST_FAILURE) ?? '') : null
}

const GLOBAL_POLICY = /^cn=global_policy,/

/** The one that the account (or a class of service, for its group) names, else the global one. */
function policyOf(account: AccountEntry, policies: LockoutPolicies): LockoutPolicy | undefined {
  const own = account.text('krbPwdPolicyReference')
  if (own !== null) return policies.get(normalDn(own))
  return [...policies].find(([dn]) => GLOBAL_POLICY.test(dn))?.[1]
}

/** The principal has expired (`ipa user-mod --principal-expiration`): the KDC refuses it, and FreeIPA a bind as well (53). */
function principalExpired(account: AccountEntry, nowMs: number): OtherLock | null {
  const endMs = parseGeneralizedTime(account.text(EXPIRATION) ?? '')
  return endMs !== null && endMs <= nowMs ? lockedBy('expired', EXPIRATION) : null
}

/** One per group that has its own; more than any realm has. */
const POLICIES_MAX = 1000
const POLICY_ATTRIBUTES = ['krbPwdMaxFailure', 'krbPwdLockoutDuration']
const IS_POLICY = new EqualityFilter({ attribute: 'objectClass', value: 'krbPwdPolicy' })

/** Reads the lockout policies. Fails with `directory-*`. */
export async function readLockoutPolicies(
  reads: Reads,
  { base }: Pick<DirectorySettings, 'base'>,
  facts: ServerFacts,
): Promise<LockoutPolicies> {
  const context = namingContextOf(facts, base)
  if (context === null) return new Map()
  const entries = await searchIfAllowed(reads, `cn=kerberos,${context}`, IS_POLICY, POLICY_ATTRIBUTES, POLICIES_MAX)
  return new Map(entries.map((entry) => [normalDn(entry.dn), policyFrom(entry)]))
}

function policyFrom(entry: Entry): LockoutPolicy {
  const numberOf = (attribute: string): number => {
    const value = Number(textsOf(entry, attribute)[0] ?? 0)
    return Number.isSafeInteger(value) && value >= 0 ? value : 0
  }
  return { failuresMax: numberOf('krbPwdMaxFailure'), durationMs: numberOf('krbPwdLockoutDuration') * 1000 }
}

import { EqualityFilter } from 'ldapts'
import type { LockObservation, LockSlot } from '../core/state.ts'
import { normalDn } from './dn.ts'
import type { AccountEntry, LockContext, LockDriver } from './driver.ts'
import { parseGeneralizedTime } from './generalized-time.ts'
import type { PasswordPolicy } from './password-policy.ts'

export const LOCK_ATTRIBUTE = 'pwdAccountLockedTime'
/** slapo-ppolicy(5): locked until an administrator says otherwise, whatever pwdLockoutDuration is. */
export const LOCKED_FOR_GOOD = '000001010000Z'
const POLICY_OF_ENTRY = 'pwdPolicySubentry'
const START = 'pwdStartTime'
const END = 'pwdEndTime'

/**
 * OpenLDAP with the password policy overlay. The lock is `pwdAccountLockedTime: 000001010000Z`. The overlay itself writes
 * a time stamp there after too many failures: while that is in effect the account is locked by somebody else;
 * before and after it is open, and the stamp is put back when our lock goes. `pwdStartTime` and `pwdEndTime` lock too.
 */
export const openldapDriver: LockDriver = {
  attributes: [LOCK_ATTRIBUTE, POLICY_OF_ENTRY, START, END],
  needsPolicies: true,
  placesElsewhere: () => [],
  readLock,
  marks: () => [new EqualityFilter({ attribute: LOCK_ATTRIBUTE, value: LOCKED_FOR_GOOD })],
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
  const effective = effectivePolicy(account, context)
  const notEffective = effective.kind === 'none' ? effective.reason : null
  if (current.length === 1 && current[0] === LOCKED_FOR_GOOD) {
    return { state: 'as-ours', otherUntilUs: null, slots: [slot], notEffective }
  }
  const other = validityLock(account, context.nowMs) ?? stampLock(account, effective, context.nowMs)
  if (other === null) return { state: 'open', otherUntilUs: null, slots: [slot], notEffective }
  return {
    state: 'other',
    otherUntilUs: other.untilMs === null ? null : other.untilMs * 1000,
    slots: [slot],
    notEffective,
  }
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
function stampLock(account: AccountEntry, effective: Effective, nowMs: number): OtherLock | null {
  const stamp = account.text(LOCK_ATTRIBUTE)
  if (stamp === null || effective.kind !== 'policy' || !effective.policy.lockout) return null
  if (/^0{4}/.test(stamp)) return { untilMs: null }
  const sinceMs = parseGeneralizedTime(stamp)
  if (sinceMs === null || sinceMs > nowMs) return null
  const durationMs = effective.policy.lockoutDurationMs
  if (durationMs === 0) return { untilMs: null }
  return sinceMs + durationMs > nowMs ? { untilMs: sinceMs + durationMs } : null
}

export type Effective =
  | { readonly kind: 'policy'; readonly policy: PasswordPolicy }
  /** A lock would be written and keep nobody out. */
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'unknown' }

const NO_MODULE =
  'the server has no password policy module, so that pwdAccountLockedTime does nothing: load it (olcModuleLoad: ppolicy) and add the overlay to the database (olcOverlay: ppolicy)'
const NO_OVERLAY =
  'the password policy overlay is not active on the database, so that pwdAccountLockedTime does nothing: add it (olcOverlay: ppolicy) with a default policy'
const NO_POLICY =
  'no password policy applies to the account, so that pwdAccountLockedTime does nothing: set olcPPolicyDefault to a policy with pwdLockout: TRUE'

/** Which policy decides about the account. Claims that none does only where that is certain. */
export function effectivePolicy(
  account: AccountEntry,
  { facts, policies }: Pick<LockContext, 'facts' | 'policies'>,
): Effective {
  if (facts.hasPasswordPolicy === false) return { kind: 'none', reason: NO_MODULE }
  if (policies === null) return { kind: 'unknown' }
  const { fallback } = policies
  if (fallback.kind === 'no-overlay') return { kind: 'none', reason: NO_OVERLAY }
  const own = account.text(POLICY_OF_ENTRY)
  if (own !== null) return judged(policies.policies.get(normalDn(own)))
  if (fallback.kind === 'known') {
    return fallback.dn === null ? { kind: 'none', reason: NO_POLICY } : judged(policies.policies.get(fallback.dn))
  }
  return guessed([...policies.policies.values()])
}

/** Which policy is the default is not known: what all of them say holds in any case; the only one is taken for it. */
function guessed(all: readonly PasswordPolicy[]): Effective {
  const [first] = all
  if (first === undefined) return { kind: 'unknown' }
  if (all.every((policy) => !policy.lockout)) return judged(first)
  return all.length === 1 ? { kind: 'policy', policy: first } : { kind: 'unknown' }
}

function judged(policy: PasswordPolicy | undefined): Effective {
  if (policy === undefined) return { kind: 'unknown' }
  if (policy.lockout) return { kind: 'policy', policy }
  const reason = `the password policy ${policy.dn} has pwdLockout: FALSE, so that pwdAccountLockedTime does nothing: set pwdLockout: TRUE there`
  return { kind: 'none', reason }
}

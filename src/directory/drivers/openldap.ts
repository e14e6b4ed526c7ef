import { EqualityFilter, PresenceFilter } from 'ldapts'
import type { LockObservation, LockSlot, OtherLock } from '../../core/account/state.ts'
import { lockedBy, type AccountEntry, type LockContext, type LockDriver } from './driver.ts'
import { parseGeneralizedTime } from '../protocol/generalized-time.ts'
import { lockEffect } from './lock-effect.ts'
import { readPolicies, type PasswordPolicy, type PolicyView } from './password-policy.ts'

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
 * before and after it is open, and the stamp is put back when our lock goes. `pwdStartTime` and `pwdEndTime` lock too, also
 * beside ours.
 */
export const openldapDriver: LockDriver<PolicyView> = {
  attributes: [LOCK_ATTRIBUTE, POLICY_OF_ENTRY, START, END, PASSWORD_CHANGED],
  lockAttributes: [LOCK_ATTRIBUTE],
  coverable: [],
  singleValued: [],
  addressOf: (_id, dn) => dn,
  protects: () => null,
  restsOnPoliciesSince: (account) => {
    const since = account.text(LOCK_ATTRIBUTE)
    // Most are open, or locked by us: neither is a time.
    return since === null || since === LOCKED_FOR_GOOD ? null : parseGeneralizedTime(since)
  },
  placesElsewhere: () => [],
  readContext: readPolicies,
  readLock,
  marks: () => [new EqualityFilter({ attribute: LOCK_ATTRIBUTE, value: LOCKED_FOR_GOOD })],
  lockedMarks: () => [LOCK_ATTRIBUTE, START, END].map((attribute) => new PresenceFilter({ attribute })),
  markedElsewhere: () => [],
}

function readLock(account: AccountEntry, context: LockContext<PolicyView>): LockObservation {
  const current = account.values(LOCK_ATTRIBUTE)
  const slot: LockSlot = {
    dn: account.dn,
    attribute: LOCK_ATTRIBUTE,
    mode: 'whole',
    current,
    locked: [LOCKED_FOR_GOOD],
    unlocked: [],
  }
  const { effective, policies } = lockEffect(account, context, POLICY_OF_ENTRY)
  const passwordChangedMs = parseGeneralizedTime(account.text(PASSWORD_CHANGED) ?? '')
  const state = isOurs(current) ? 'as-ours' : 'open'
  const other = validityLock(account, context.nowMs) ?? stampLock(account, policies, context.nowMs)
  return { state, other, slots: [slot], effective, passwordChangedMs }
}

function isOurs(current: LockSlot['current']): boolean {
  return current.length === 1 && current[0] === LOCKED_FOR_GOOD
}

/** The account is not valid yet, or not any more; this holds whatever pwdLockout is. */
function validityLock(account: AccountEntry, nowMs: number): OtherLock | null {
  const endMs = parseGeneralizedTime(account.text(END) ?? '')
  if (endMs !== null && endMs <= nowMs) return lockedBy('expired', END)
  const startMs = parseGeneralizedTime(account.text(START) ?? '')
  return startMs !== null && startMs > nowMs ? lockedBy('not-yet-valid', START, startMs) : null
}

/**
 * A time stamp of the overlay, by each of the policies that may apply. Where they do not agree it is not known: our lock
 * then takes its place and puts it back, which locks in either case.
 */
function stampLock(account: AccountEntry, policies: readonly PasswordPolicy[] | null, nowMs: number): OtherLock | null {
  const stamp = account.text(LOCK_ATTRIBUTE)
  if (stamp === null || stamp === LOCKED_FOR_GOOD || policies?.length === 0) return null
  const sinceMs = parseGeneralizedTime(stamp)
  if (sinceMs !== null && sinceMs > nowMs) return null
  const untils = policies?.map((policy) => stampUntil(stamp, policy, nowMs)) ?? []
  if (policies !== null && untils.every((untilMs) => untilMs === null)) return null
  const ends = untils.filter((untilMs) => untilMs !== null)
  const unknown = { is: 'unknown', cause: 'too-many-failures', attribute: LOCK_ATTRIBUTE, untilUs: null } as const
  if (policies === null || ends.length < untils.length) return unknown
  const untilMs = Math.max(...ends)
  const cause = /^0{4}/.test(stamp) ? 'disabled' : 'too-many-failures'
  return lockedBy(cause, LOCK_ATTRIBUTE, untilMs === Infinity ? null : untilMs)
}

/** @returns when it ends; Infinity: not by itself; null: it does not lock */
function stampUntil(stamp: string, policy: PasswordPolicy, nowMs: number): number | null {
  if (!policy.lockout) return null
  if (/^0{4}/.test(stamp)) return Infinity
  const sinceMs = parseGeneralizedTime(stamp)
  if (sinceMs === null || sinceMs > nowMs) return null
  if (policy.lockoutDurationMs === 0) return Infinity
  const untilMs = sinceMs + policy.lockoutDurationMs
  return untilMs > nowMs ? untilMs : null
}

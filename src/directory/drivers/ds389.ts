import { EqualityFilter, PresenceFilter, type Filter } from 'ldapts'
import type { AttributeValue, LockObservation, LockSlot, OtherLock } from '../../core/account/state.ts'
import { lockedBy, NO_CONTEXT, type AccountEntry, type LockContext, type LockDriver } from './driver.ts'
import { parseGeneralizedTime } from '../protocol/generalized-time.ts'

/**
 * 389-DS's account inactivation, which FreeIPA uses as well: the attribute `nsAccountLock`. Measured on 389-DS 2.3.1:
 * the server looks at the first value alone, of any case, with nothing trimmed, and refuses a bind with 53 "Account
 * inactivated" where it is `true`. A class of service (usually of a role) may give the attribute to an account, and
 * then hides the stored value; so the effective value and the stored value are read separately.
 */

const LOCK_ATTRIBUTE = 'nsAccountLock'
const UNLOCK_TIME = 'accountUnlockTime'
const RETRY_COUNT = 'passwordRetryCount'
/** Locked by too many failures until an administrator resets it (passwordUnlock: off). */
const FOR_GOOD_MS = 0

const OVERRIDDEN =
  'a class of service (of a role, as a rule) gives the account another nsAccountLock, which hides the one in its entry: take the account out of that role, or take nsAccountLock out of the template'

interface InactivationKind<Context> extends Pick<LockDriver<Context>, 'restsOnPoliciesSince' | 'readContext'> {
  /** What is written; other spellings of it count as a lock by others. */
  readonly locked: string
  /** Attributes that `otherLock` looks at besides those of a password lockout. */
  readonly attributes: readonly string[]
  /** Filters of accounts that `otherLock` may find a lock at. */
  readonly otherMarks: readonly Filter[]
  /** Locks of this kind of server besides nsAccountLock and the password lockout of 389-DS; null: none. */
  otherLock(account: AccountEntry, context: LockContext<Context>): OtherLock | null
}

export function inactivationDriver<Context>(kind: InactivationKind<Context>): LockDriver<Context> {
  const isLocked = new EqualityFilter({ attribute: LOCK_ATTRIBUTE, value: kind.locked })
  return {
    attributes: [LOCK_ATTRIBUTE, UNLOCK_TIME, RETRY_COUNT, ...kind.attributes],
    lockAttributes: [LOCK_ATTRIBUTE],
    coverable: [LOCK_ATTRIBUTE],
    singleValued: [],
    addressOf: (_id, dn) => dn,
    protects: () => null,
    restsOnPoliciesSince: (account) => kind.restsOnPoliciesSince(account),
    readContext: (reads, settings, facts) => kind.readContext(reads, settings, facts),
    placesElsewhere: () => [],
    readLock: (account, context) => readLock(kind, account, context),
    // The server compares without regard to case and finds what roles give too: what is found is read again.
    marks: () => [isLocked],
    lockedMarks: () => [isLocked, new PresenceFilter({ attribute: UNLOCK_TIME }), ...kind.otherMarks],
    markedElsewhere: () => [],
  }
}

/** Written as `dsidm … account lock` does. */
export const ds389Driver: LockDriver<null> = inactivationDriver({
  ...NO_CONTEXT,
  locked: 'true',
  attributes: [],
  otherMarks: [],
  // The server writes the end of a lockout into the entry.
  restsOnPoliciesSince: () => null,
  otherLock: () => null,
})

function readLock<Context>(
  kind: InactivationKind<Context>,
  account: AccountEntry,
  context: LockContext<Context>,
): LockObservation {
  const effective = account.values(LOCK_ATTRIBUTE)
  const stored = context.stored(LOCK_ATTRIBUTE)
  const isCovered = effective.length > 0 && !isSameList(effective, stored)
  const slot: LockSlot = {
    dn: account.dn,
    attribute: LOCK_ATTRIBUTE,
    mode: 'whole',
    current: stored,
    locked: [kind.locked],
    unlocked: [],
  }
  const isOurs = stored.length === 1 && stored[0] === kind.locked
  // Beside ours only the value from a class of service counts as a lock by others.
  const theirs = isOurs ? context.given(LOCK_ATTRIBUTE) : effective
  const other = isInactivated(theirs)
    ? lockedBy('disabled', LOCK_ATTRIBUTE)
    : (passwordLockout(account, context.nowMs) ?? kind.otherLock(account, context))
  return { state: isOurs ? 'as-ours' : 'open', other, slots: [slot], effective: wouldBeEnforced(effective, isCovered) }
}

/** A value that covers the stored one decides; without one, ours would. */
function wouldBeEnforced(effective: readonly AttributeValue[], isCovered: boolean): LockObservation['effective'] {
  return isCovered && !isInactivated(effective) ? { is: 'no', reason: OVERRIDDEN } : { is: 'yes' }
}

/** As the server judges: `TRUE` locks. `banana`, `true` after another value, and `true` with a space behind do not. */
function isInactivated(values: readonly AttributeValue[]): boolean {
  const [first] = values
  return typeof first === 'string' && first.toLowerCase() === 'true'
}

/** Their order counts. */
function isSameList(a: readonly AttributeValue[], b: readonly AttributeValue[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index])
}

/**
 * Too many wrong passwords (passwordLockout): `accountUnlockTime` is when that ends, and 1970 where it does not. Both
 * attributes stay after the end; then the count is 0.
 */
export function passwordLockout(account: AccountEntry, nowMs: number): OtherLock | null {
  const failures = Number(account.text(RETRY_COUNT) ?? 0)
  const untilMs = parseGeneralizedTime(account.text(UNLOCK_TIME) ?? '')
  if (untilMs === null || !(failures > 0)) return null
  if (untilMs === FOR_GOOD_MS) return lockedBy('too-many-failures', UNLOCK_TIME)
  return untilMs > nowMs ? lockedBy('too-many-failures', UNLOCK_TIME, untilMs) : null
}

import type { Reason } from '../core/reasons/reason.ts'
import type { DesiredState, ObservedState } from '../core/account/state.ts'
import type { AdoptionOrder } from '../ports/store/store.ts'

/** The removal of our lock by somebody, or by an order. */

export const REMOVED_FIX =
  'The account is open, as after its file of unlock/ was applied. If that was meant: lockstep unlock LOGIN --reason TEXT ends this. Else lock it again with lockstep lock, or set policy.onForeignUnlock: relock so that such a lock is written again.'
/** Clocks of two machines differ; times in a directory are of whole seconds. */
const CLOCKS_DIFFER_MS = 2_000

/** The person or the cause is on record with the event. */
export const LOCK_REMOVED: Reason = { code: 'lock-removed', params: { passwordSetAt: null } }

/** OpenLDAP drops a lock, without a notice, when an administrator sets a new password. */
export function whyUnlocked({ lock }: ObservedState, lockObservedMs: number): Reason {
  const { passwordChangedMs = null } = lock
  if (passwordChangedMs === null || lockObservedMs === 0 || passwordChangedMs < lockObservedMs - CLOCKS_DIFFER_MS) {
    return LOCK_REMOVED
  }
  return { code: 'lock-removed', params: { passwordSetAt: new Date(passwordChangedMs).toISOString() } }
}

/** A lock that was adopted while nothing holds the account is released by that order, whatever ended a hold before. */
export function releasedBy(order: AdoptionOrder | null, desired: DesiredState): DesiredState {
  if (order === null || desired.holds.length > 0) return desired
  const { actor, reason: text } = order
  return { ...desired, ended: { reason: { code: 'manual', params: { text } }, actor } }
}

import type { ObservedState } from '../core/state.ts'

/** That somebody took our lock away, in words. */

export const REMOVED_FIX =
  'The account is open. Lock it again with lockstep lock, or set policy.onForeignUnlock: relock so that such a lock is written again.'
/** Clocks of two machines differ; times in a directory are of whole seconds. */
const CLOCKS_DIFFER_MS = 2_000

/** OpenLDAP drops a lock, and says nothing, when an administrator sets a new password. */
export function whyUnlocked({ lock }: ObservedState, lockSeenMs: number): string {
  const { passwordChangedMs = null } = lock
  if (passwordChangedMs === null || lockSeenMs === 0 || passwordChangedMs < lockSeenMs - CLOCKS_DIFFER_MS) {
    return 'somebody took the lock away in the directory'
  }
  return `a new password, set at ${new Date(passwordChangedMs).toISOString()}, took the lock away in the directory`
}

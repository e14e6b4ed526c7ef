import type { ChangeDraft } from '../../core/account/change.ts'
import { changesNamed } from '../../core/account/dry-run.ts'
import { retryDelayMs } from '../../core/error.ts'
import { dryRunReason } from '../../core/guards/guard.ts'
import type { Conclusion } from '../../core/account/outcome.ts'
import type { Refusal } from '../guards.ts'
import { allThatWaits } from './options.ts'
import type { Turn } from './turn.ts'

export const PAUSED_LOOK_MS = 60_000
/** A group that cannot be read is a person's affair: there is no hurry. */
const UNREAD_LOOK_MS = 5_000

/** @param change the one that the guard stopped */
export function heldBack(turn: Turn, refusal: Refusal, change: ChangeDraft): Conclusion {
  const { claim, desired, observed, ours, ports } = turn
  turn.concluded = { observed, ours }
  const would = allThatWaits(turn, change)
  const nowMs = ports.clock.nowMs()
  // A hold that ends by itself is not waited for any longer.
  const endMs = desired.nextExpiryUs === null ? Infinity : Math.max(nowMs, Math.ceil(desired.nextExpiryUs / 1000)) + 1
  const held = (status: Conclusion['standing'], againAtMs: number | null): Conclusion => {
    const dueMs = Math.min(againAtMs ?? Infinity, endMs)
    return {
      standing: status,
      reason: refusal.reason,
      errorCode: null,
      againAtMs: dueMs === Infinity ? null : dueMs,
      effective: claim.stood.effective,
      isLockObserved: false,
      would,
    }
  }
  switch (refusal.kind) {
    case 'paused':
      return held('paused', nowMs + PAUSED_LOOK_MS)
    case 'dry-run':
      return { ...held('dry-run', null), reason: dryRunReason(refusal.of, changesNamed(would)) }
    case 'breaker':
      return held('breaker', refusal.againAtMs)
    case 'unread': {
      const { code } = refusal
      const waitMs = Math.max(UNREAD_LOOK_MS, retryDelayMs(code, claim.attempts, ports.clock.random()))
      return { ...held('failed', nowMs + waitMs), errorCode: code, isProtectionUnread: true }
    }
  }
}

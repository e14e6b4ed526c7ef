import { AppError, backoffMs, retryDelayMs, retryOf } from '../../core/error.ts'
import { otherLockOf, otherLockReason } from '../../core/account/slot.ts'
import { failureReason, GONE_LOOK_MS, type Conclusion } from '../../core/account/outcome.ts'
import { plan, type Planned } from '../../core/account/plan.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { OtherLock } from '../../core/account/state.ts'
import { knownOf, serialsWait } from '../duplicate-serials.ts'
import { optionsOf, wantedOf, type FailedTurn, type Turn } from './turn.ts'
import type { ChangeDraft } from '../../core/account/change.ts'
import { changesNamed, dryRun } from '../../core/account/dry-run.ts'
import { dryRunReason } from '../../core/guards/guard.ts'
import type { Refusal } from '../guards.ts'

/** How a turn ends: with nothing more to do, held back by a guard, or failed. When the account is looked at again is decided here. */

type Final = Extract<Planned, { kind: 'in-step' | 'conflict' | 'foreign-lock' | 'not-effective' }>

/** Nothing depends on the end of somebody else's lock where nothing is held: it is only no longer shown. */
const OTHER_LOCK_LOOK_MS = 300_000
export const PAUSED_LOOK_MS = 60_000
/** A group that cannot be read needs a person: there is no hurry. */
const UNREAD_LOOK_MS = 5_000

/** There is no more to do, or it may not be done. Fails where serials wait for a directory that does not answer. */
export function conclude(turn: Turn, planned: Final): Promise<Conclusion> {
  const { desired, observed, ours, refused } = turn
  turn.concluded = { observed, ours }
  if (refused !== null) return Promise.resolve(heldBack(turn, refused.by, refused.change))
  if (observed.duplicatesUnknown) throw new AppError(observed.duplicatesUnknown.code, serialsWait(desired, observed))
  return Promise.resolve(conclusionOf(turn, planned))
}

function conclusionOf(turn: Turn, planned: Final): Conclusion {
  const { desired, observed, ours } = turn
  const isOurs = ours.lock !== null
  const isProtected = observed.protectedBy !== null && desired.holds.length > 0 && planned.kind !== 'conflict'
  const other = planned.kind === 'in-step' ? otherLockOf(observed.lock, isOurs) : null
  return {
    standing: isProtected ? 'protected' : planned.kind,
    reason: isProtected
      ? { code: 'account-protected', params: { rule: observed.protectedBy ?? '' } }
      : reasonOf(planned, other, isOurs),
    errorCode: planned.kind === 'conflict' ? (planned.code ?? 'serial-conflict') : null,
    againAtMs: nextLookMs(turn, planned, other),
    effective: isOurs || desired.holds.length > 0 ? observed.lock.effective.is : null,
    isLockObserved: isOurs,
    ...(isProtected && { would: sparedLock(turn) }),
  }
}

function reasonOf(planned: Final, other: OtherLock | null, isOurs: boolean): Reason | null {
  if (planned.kind !== 'in-step') return planned.reason
  return other === null ? null : otherLockReason(other, isOurs)
}

function nextLookMs({ desired, ports }: Turn, planned: Final, other: OtherLock | null): number | null {
  const nowMs = ports.clock.nowMs()
  const times = [desired.nextExpiryUs, planned.kind === 'foreign-lock' ? planned.untilUs : null]
  const due = times.flatMap((us) => (us === null ? [] : afterUs(us)))
  if (other?.untilUs) due.push(Math.max(nowMs + OTHER_LOCK_LOOK_MS, afterUs(other.untilUs)))
  return due.length === 0 ? null : Math.max(Math.min(...due), nowMs + 1)
}

function afterUs(us: number): number {
  return Math.ceil(us / 1000) + 1
}

/** The lock that would be written if the account were not protected; none where there is somebody else's. */
function sparedLock(turn: Turn): NonNullable<Conclusion['would']> {
  const { desired, observed, ours } = turn
  const planned = plan(knownOf(desired, observed), observed, ours, optionsOf(turn))
  return planned.kind === 'change' && planned.change.kind === 'lock' ? [planned.change] : []
}

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

/** All changes held back with the one that a guard stopped, that one first. */
function allThatWaits(turn: Turn, change: ChangeDraft): ChangeDraft[] {
  return dryRun(change, wantedOf(turn), turn.observed, turn.ours, optionsOf(turn))
}

export function failed(turn: Turn | FailedTurn, error: AppError): Conclusion {
  if (error.code === 'entry-not-found') return gone(turn, error)
  const { claim, ports } = turn
  const delayMs = retryDelayMs(error.code, claim.attempts, ports.clock.random())
  return {
    standing: 'failed',
    reason: failureReason('operation-failed', error),
    errorCode: error.code,
    againAtMs: retryOf(error.code) === 'never' ? null : ports.clock.nowMs() + delayMs,
    effective: claim.stood.effective,
    isLockObserved: false,
  }
}

function gone({ claim, desired, ports }: Turn | FailedTurn, { code }: AppError): Conclusion {
  const found = {
    reason: { code: 'account-gone', params: {} },
    isLockObserved: false,
    isGone: true,
    otherLock: null,
  } as const
  const isNothing = claim.ours.lock === null && claim.open === null && desired.holds.length === 0
  if (isNothing) return { ...found, standing: 'in-step', errorCode: null, againAtMs: null, effective: null }
  const againAtMs = ports.clock.nowMs() + GONE_LOOK_MS
  return { ...found, standing: 'failed', errorCode: code, againAtMs, effective: claim.stood.effective }
}

/** Another writer is faster each time. */
export function keepsChanging({ claim, ports }: Turn): Conclusion {
  return {
    standing: 'failed',
    reason: { code: 'keeps-changing', params: {} },
    errorCode: 'write-raced',
    againAtMs: ports.clock.nowMs() + backoffMs(claim.attempts, ports.clock.random()),
    effective: claim.stood.effective,
    isLockObserved: false,
  }
}

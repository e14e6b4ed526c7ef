import type { ChangeDraft } from '../core/change.ts'
import { changesText } from '../core/dry-run.ts'
import { backoffMs, retryDelayMs, retryOf, type AppError } from '../core/error.ts'
import type { Verdict } from '../core/guard.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Planned } from '../core/plan.ts'
import type { DesiredState, Hold, ObservedState, OurRecord } from '../core/state.ts'
import type { BreakerRefusal, Claim } from '../ports/store.ts'
import type { Ports } from './ports.ts'

/** Where an account stands after it was looked at, and when it is looked at again. */

const PAUSED_LOOK_MS = 60_000
/** An account that the directory no longer has. */
export const GONE_LOOK_MS = 3_600_000
/** A group that cannot be read is a person's affair: there is no hurry. */
const UNREAD_LOOK_MS = 5_000

type Settled = Extract<Planned, { kind: 'in-step' | 'conflict' | 'foreign-lock' | 'not-effective' }>

export function standing(
  planned: Settled,
  desired: DesiredState,
  observed: ObservedState,
  ours: OurRecord,
  ports: Ports,
  applied: number,
): Outcome {
  const isLockWanted = ours.lock !== null || desired.holds.length > 0
  const isProtected = observed.protectedBy !== null && desired.holds.length > 0 && planned.kind !== 'conflict'
  const times = [desired.nextExpiryUs, planned.kind === 'foreign-lock' ? planned.untilUs : null]
  const due = times.filter((us) => us !== null).map((us) => Math.ceil(us / 1000) + 1)
  return {
    standing: isProtected ? 'protected' : planned.kind,
    reason: isProtected
      ? `protected account, not locked: ${observed.protectedBy}`
      : planned.kind === 'in-step'
        ? ''
        : planned.reason,
    errorCode: planned.kind === 'conflict' ? 'serial-conflict' : null,
    againAtMs: due.length === 0 ? null : Math.max(Math.min(...due), ports.clock.nowMs() + 1),
    applied,
    effective: isLockWanted ? observed.lock.effective.is : null,
    isLockSeen: ours.lock !== null,
  }
}

/** A guard said no. */
export type HeldBack = Exclude<Verdict, { kind: 'go' }> | ({ readonly kind: 'breaker' } & BreakerRefusal)

export function heldBack(
  claim: Claim,
  verdict: HeldBack,
  { nextExpiryUs }: DesiredState,
  ports: Ports,
  applied: number,
): Outcome {
  const { reason } = verdict
  const { effective } = claim.stood
  const nowMs = ports.clock.nowMs()
  // A hold that ends by itself is not waited for any longer.
  const endMs = nextExpiryUs === null ? Infinity : Math.max(nowMs, Math.ceil(nextExpiryUs / 1000)) + 1
  const held = (stands: Outcome['standing'], againAtMs: number | null): Outcome => {
    const dueMs = Math.min(againAtMs ?? Infinity, endMs)
    const again = dueMs === Infinity ? null : dueMs
    return { standing: stands, reason, errorCode: null, againAtMs: again, applied, effective, isLockSeen: false }
  }
  switch (verdict.kind) {
    case 'paused':
      return held('paused', nowMs + PAUSED_LOOK_MS)
    case 'dry-run':
      return held('dry-run', null)
    case 'breaker':
      return held('breaker', verdict.againAtMs)
    case 'unread': {
      const { code } = verdict
      const waitMs = Math.max(UNREAD_LOOK_MS, retryDelayMs(code, claim.attempts, ports.clock.random()))
      return { ...held('failed', nowMs + waitMs), errorCode: code, isProtectionUnread: true }
    }
  }
}

/** On record are all the changes that would have been written. */
export function onDryRun(outcome: Outcome, would: readonly ChangeDraft[]): Outcome {
  return { ...outcome, reason: `${outcome.reason}, not written: ${changesText(would)}`, would }
}

/** A token's fail counter is to be reset in privacyIDEA, and changes are paused: the hint stays. */
export function resetWaiting(outcome: Outcome, { clock }: Pick<Ports, 'clock'>): Outcome {
  const againAtMs = Math.min(outcome.againAtMs ?? Infinity, clock.nowMs() + PAUSED_LOOK_MS)
  return { ...outcome, againAtMs, isUnread: true }
}

export function keepsChanging(claim: Claim, ports: Ports, applied: number): Outcome {
  return {
    standing: 'failed',
    reason: 'something else keeps changing the account in the directory',
    errorCode: 'write-raced',
    againAtMs: ports.clock.nowMs() + backoffMs(claim.attempts, ports.clock.random()),
    applied,
    effective: claim.stood.effective,
    isLockSeen: false,
  }
}

export function failed(
  claim: Claim,
  error: AppError,
  ports: Ports,
  seen: { readonly holds: readonly Hold[]; readonly applied: number },
): Outcome {
  const nowMs = ports.clock.nowMs()
  const { applied } = seen
  const { effective } = claim.stood
  if (error.code === 'entry-not-found') {
    const reason = 'the account no longer exists in the directory'
    const isNothing = claim.ours.lock === null && claim.open === null && seen.holds.length === 0
    if (isNothing)
      return {
        standing: 'in-step',
        reason,
        errorCode: null,
        againAtMs: null,
        applied,
        effective: null,
        isLockSeen: false,
        isGone: true,
      }
    return {
      standing: 'failed',
      reason,
      errorCode: error.code,
      againAtMs: nowMs + GONE_LOOK_MS,
      applied,
      effective,
      isLockSeen: false,
      isGone: true,
    }
  }
  const againAtMs =
    retryOf(error.code) === 'never' ? null : nowMs + retryDelayMs(error.code, claim.attempts, ports.clock.random())
  return {
    standing: 'failed',
    reason: error.message,
    errorCode: error.code,
    againAtMs,
    applied,
    effective,
    isLockSeen: false,
  }
}

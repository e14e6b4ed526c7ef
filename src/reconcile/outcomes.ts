import type { ChangeDraft } from '../core/change.ts'
import { changesNamed } from '../core/dry-run.ts'
import { backoffMs, retryDelayMs, retryOf, type AppError } from '../core/error.ts'
import { dryRunReason, type Verdict } from '../core/guard.ts'
import { otherLockOf, otherLockReason } from '../core/mirror.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Planned } from '../core/plan.ts'
import type { Reason } from '../core/reason.ts'
import type { DesiredState, Hold, ObservedState, OurRecord } from '../core/state.ts'
import type { BreakerRefusal, Claim } from '../ports/store.ts'
import type { Ports } from './ports.ts'

/** Where an account stands after it was looked at, and when it is looked at again. */

const PAUSED_LOOK_MS = 60_000
/** An account that the directory no longer has. */
export const GONE_LOOK_MS = 3_600_000
/** A group that cannot be read is a person's affair: there is no hurry. */
const UNREAD_LOOK_MS = 5_000
/** Nothing waits for the end of somebody else's lock where nothing is held: it is only no longer shown. */
const OTHER_LOCK_LOOK_MS = 300_000

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
  const nowMs = ports.clock.nowMs()
  const times = [desired.nextExpiryUs, planned.kind === 'foreign-lock' ? planned.untilUs : null]
  const due = times.filter((us) => us !== null).map((us) => Math.ceil(us / 1000) + 1)
  const other = planned.kind === 'in-step' ? otherLockOf(observed.lock, ours.lock !== null) : null
  if (other?.untilUs) due.push(Math.max(nowMs + OTHER_LOCK_LOOK_MS, Math.ceil(other.untilUs / 1000) + 1))
  return {
    standing: isProtected ? 'protected' : planned.kind,
    reason: isProtected
      ? { code: 'account-protected', params: { rule: observed.protectedBy ?? '' } }
      : planned.kind !== 'in-step'
        ? planned.reason
        : other === null
          ? null
          : otherLockReason(other, ours.lock !== null),
    errorCode: planned.kind === 'conflict' ? (planned.code ?? 'serial-conflict') : null,
    againAtMs: due.length === 0 ? null : Math.max(Math.min(...due), nowMs + 1),
    applied,
    effective: isLockWanted ? observed.lock.effective.is : null,
    isLockSeen: ours.lock !== null,
  }
}

/** @param unprotected what would be planned if the account were not protected; no lock where somebody else's stands */
export function withSparedLock(outcome: Outcome, unprotected: () => Planned): Outcome {
  if (outcome.standing !== 'protected') return outcome
  const planned = unprotected()
  const isSpared = planned.kind === 'change' && planned.change.kind === 'lock'
  return { ...outcome, would: isSpared ? [planned.change] : [] }
}

/** A guard said no. */
type Refusal = Exclude<Verdict, { kind: 'go' }> | ({ readonly kind: 'breaker' } & BreakerRefusal)
/** What stops a change in the last moment. */
export type HeldBack = Extract<Refusal, { kind: 'breaker' | 'paused' }>

/** @param would all that waits with the change that the guard stopped, that one first */
export function heldBack(
  claim: Claim,
  verdict: Refusal,
  would: readonly ChangeDraft[],
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
    const isLockSeen = false
    return { standing: stands, reason, errorCode: null, againAtMs: again, applied, effective, isLockSeen, would }
  }
  switch (verdict.kind) {
    case 'paused':
      return held('paused', nowMs + PAUSED_LOOK_MS)
    case 'dry-run':
      return { ...held('dry-run', null), reason: dryRunReason(verdict.of, changesNamed(would)) }
    case 'breaker':
      return held('breaker', verdict.againAtMs)
    case 'unread': {
      const { code } = verdict
      const waitMs = Math.max(UNREAD_LOOK_MS, retryDelayMs(code, claim.attempts, ports.clock.random()))
      return { ...held('failed', nowMs + waitMs), errorCode: code, isProtectionUnread: true }
    }
  }
}

/** A token's fail counter is to be reset in privacyIDEA, and changes are paused: the hint stays. */
export function resetWaiting(outcome: Outcome, { clock }: Pick<Ports, 'clock'>): Outcome {
  return readAgain(outcome, clock.nowMs() + PAUSED_LOOK_MS)
}

/** The hint stays: privacyIDEA is asked about the account again at that time. */
export function readAgain(outcome: Outcome, atMs: number): Outcome {
  return { ...outcome, againAtMs: Math.min(outcome.againAtMs ?? Infinity, atMs), isUnread: true }
}

export function keepsChanging(claim: Claim, ports: Ports, applied: number): Outcome {
  return {
    standing: 'failed',
    reason: { code: 'keeps-changing', params: {} },
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
    const reason: Reason = { code: 'account-gone', params: {} }
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
        otherLock: null,
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
      otherLock: null,
    }
  }
  const againAtMs =
    retryOf(error.code) === 'never' ? null : nowMs + retryDelayMs(error.code, claim.attempts, ports.clock.random())
  return {
    standing: 'failed',
    reason: failureReason('operation-failed', error),
    errorCode: error.code,
    againAtMs,
    applied,
    effective,
    isLockSeen: false,
  }
}

export function failureReason(
  code: 'operation-failed' | 'source-unread' | 'mirror-failed' | 'gave-up',
  { code: error, message: said }: AppError,
): Reason {
  return { code, params: { error, said } }
}

/** Null for a serial, and in a directory of one server. */
export function lockWriteOf(
  { kind }: ChangeDraft,
  { server }: ObservedState,
): NonNullable<Outcome['lockWrite']> | null {
  if (server === undefined || (kind !== 'lock' && kind !== 'unlock')) return null
  return { wanted: kind === 'lock' ? 'locked' : 'open', server }
}

/** A hint stays until it was followed; how the account stands otherwise is told first. */
export function stillUnread(claim: Claim, outcome: Outcome, unread: AppError, ports: Ports): Outcome {
  const retryAtMs = ports.clock.nowMs() + retryDelayMs(unread.code, claim.attempts, ports.clock.random())
  const againAtMs = Math.min(retryAtMs, outcome.againAtMs ?? Infinity)
  if (outcome.standing !== 'in-step') return { ...outcome, againAtMs, isUnread: true }
  const reason = failureReason('source-unread', unread)
  return { ...outcome, standing: 'failed', reason, errorCode: unread.code, againAtMs, isUnread: true }
}

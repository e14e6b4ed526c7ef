import { backoffMs, retryDelayMs, retryOf, type AppError } from '../../core/error.ts'
import { failureReason, GONE_LOOK_MS, type Conclusion } from '../../core/account/outcome.ts'
import type { FailedTurn, Turn } from './turn.ts'

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

/** Somebody else is faster each time. */
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

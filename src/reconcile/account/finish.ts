import { retryDelayMs } from '../../core/error.ts'
import { foreignLockOf } from '../../core/source/mirror.ts'
import { amended, failureReason, type Amendment, type Conclusion, type Outcome } from '../../core/account/outcome.ts'
import { mirrored, type Observed } from '../mirror/mirror.ts'
import { PAUSED_LOOK_MS } from './conclude.ts'
import { lateFindings, nextLateMs } from '../ledger/late.ts'
import type { FailedTurn, Turn } from './turn.ts'
import { otherLockOf } from '../../core/account/slot.ts'

/** Makes the outcome of a turn and puts it on record, which releases the claim. Fails with `lease-lost`. */
export async function finish(turn: Turn | FailedTurn, conclusion: Conclusion): Promise<Outcome> {
  const { claim, ports } = turn
  const outcome = outcomeOf(turn, conclusion, await amendmentsOf(turn, conclusion))
  await ports.ledger.recordOutcome(claim, outcome, turn.desired.holds)
  return outcome
}

async function amendmentsOf(turn: Turn | FailedTurn, conclusion: Conclusion): Promise<Amendment[]> {
  const { claim, ports, source } = turn
  const amendments: Amendment[] = []
  if (source.unread !== null) amendments.push(unreadSource(turn))
  else if (ports.mirror !== undefined) {
    amendments.push(await mirrored(claim, conclusion, observedByMirror(turn), ports.mirror))
  }
  if (source.resetWaits) amendments.push(askedAgain(ports.clock.nowMs() + PAUSED_LOOK_MS))
  if (source.lossesAgainAtMs !== null) amendments.push(askedAgain(source.lossesAgainAtMs))
  const lateMs = nextLateMs(turn.late, ports.clock.nowMs())
  if (lateMs !== null) amendments.push({ againAtMs: lateMs, isUnread: false, instead: null, beside: null })
  return amendments
}

/** The mark for refresh stays until it was followed; any other status of the account is reported first. */
function unreadSource({ claim, ports, source: { unread } }: Turn | FailedTurn): Amendment {
  if (unread === null) return askedAgain(ports.clock.nowMs())
  const againAtMs = ports.clock.nowMs() + retryDelayMs(unread.code, claim.attempts, ports.clock.random())
  const reason = failureReason('source-unread', unread)
  return { ...askedAgain(againAtMs), instead: { standing: 'failed', reason, errorCode: unread.code } }
}

/** A fail counter is still to be reset, or a loss is pending: privacyIDEA is then asked about the account once more. */
function askedAgain(againAtMs: number): Amendment {
  return { againAtMs, isUnread: true, instead: null, beside: null }
}

/** Null: the turn came to no conclusion. */
function observedByMirror({ concluded, isRetired }: Turn | FailedTurn): Observed | null {
  if (concluded === null) return null
  const { observed, ours } = concluded
  const foreign = isRetired ? null : foreignLockOf(observed, ours.lock !== null)
  return { foreign, protectedBy: observed.protectedBy, isRetired }
}

function outcomeOf(turn: Turn | FailedTurn, conclusion: Conclusion, amendments: readonly Amendment[]): Outcome {
  const { claim, concluded, late, lockWrite, lockRemoved, ports } = turn
  const isRemovalOver = turn.isRemovalOver && lockRemoved === null
  return {
    ...conclusion,
    ...amended(conclusion, amendments),
    applied: turn.applied,
    ...(concluded !== null && { otherLock: otherLockOf(concluded.observed.lock, concluded.ours.lock !== null) }),
    ...(conclusion.standing === 'in-step' && { isDirectoryInStep: true }),
    ...(lockWrite && { lockWrite }),
    ...(lockRemoved && { lockRemoved }),
    ...(isRemovalOver && { isRemovalOver }),
    ...lateFindings(claim, late, concluded, conclusion.isGone === true, ports.clock.nowMs()),
  }
}

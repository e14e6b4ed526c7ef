import { AppError } from '../../core/error.ts'
import { otherLockOf, otherLockReason } from '../../core/source/mirror.ts'
import type { Conclusion } from '../../core/account/outcome.ts'
import { plan, type Planned } from '../../core/account/plan.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { OtherLock } from '../../core/account/state.ts'
import { knownOf, serialsWait } from '../duplicate-serials.ts'
import { heldBack } from './held-back.ts'
import { optionsOf } from './options.ts'
import type { Turn } from './turn.ts'

type Settled = Extract<Planned, { kind: 'in-step' | 'conflict' | 'foreign-lock' | 'not-effective' }>

/** Nothing waits for the end of somebody else's lock where nothing is held: it is only no longer shown. */
const OTHER_LOCK_LOOK_MS = 300_000

/** There is no more to do, or it may not be done. Fails where serials wait for a directory that does not answer. */
export function settle(turn: Turn, planned: Settled): Promise<Conclusion> {
  const { desired, observed, ours, refused } = turn
  turn.concluded = { observed, ours }
  if (refused !== null) return Promise.resolve(heldBack(turn, refused.by, refused.change))
  if (observed.duplicatesUnknown) throw new AppError(observed.duplicatesUnknown.code, serialsWait(desired, observed))
  return Promise.resolve(conclusionOf(turn, planned))
}

function conclusionOf(turn: Turn, planned: Settled): Conclusion {
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

function reasonOf(planned: Settled, other: OtherLock | null, isOurs: boolean): Reason | null {
  if (planned.kind !== 'in-step') return planned.reason
  return other === null ? null : otherLockReason(other, isOurs)
}

function nextLookMs({ desired, ports }: Turn, planned: Settled, other: OtherLock | null): number | null {
  const nowMs = ports.clock.nowMs()
  const times = [desired.nextExpiryUs, planned.kind === 'foreign-lock' ? planned.untilUs : null]
  const due = times.flatMap((us) => (us === null ? [] : afterUs(us)))
  if (other?.untilUs) due.push(Math.max(nowMs + OTHER_LOCK_LOOK_MS, afterUs(other.untilUs)))
  return due.length === 0 ? null : Math.max(Math.min(...due), nowMs + 1)
}

function afterUs(us: number): number {
  return Math.ceil(us / 1000) + 1
}

/** The lock that would be written if the account were not protected; none where somebody else's stands. */
function sparedLock(turn: Turn): NonNullable<Conclusion['would']> {
  const { desired, observed, ours } = turn
  const planned = plan(knownOf(desired, observed), observed, ours, optionsOf(turn))
  return planned.kind === 'change' && planned.change.kind === 'lock' ? [planned.change] : []
}

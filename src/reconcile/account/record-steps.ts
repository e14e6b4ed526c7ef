import type { ResolvedEvent } from '../../core/events/event.ts'
import type { Arrival } from '../../core/account/late.ts'
import type { Planned } from '../../core/account/plan.ts'
import { isOpen } from '../../core/account/state.ts'
import { recordArrival } from '../ledger/late.ts'
import { wantReset } from '../source/fail-counter-resets.ts'
import { LOCK_REMOVED, REMOVED_FIX, whyUnlocked } from '../unlock-reasons.ts'
import type { Turn } from './turn.ts'

/** Steps that put on record what was found in the directory, and write nothing there. */

type Of<K extends Planned['kind']> = Extract<Planned, { kind: K }>

export async function recordFound(turn: Turn, found: Arrival | Of<'adopt'>): Promise<null> {
  turn.ours = await recordArrival(found, turn.claim, turn.ours, turn.late, turn.ports)
  return null
}

export async function relabel(turn: Turn, { lock, reason }: Of<'relabel'>): Promise<null> {
  const { claim, ours, ports } = turn
  if (ours.lock !== null) await ports.ledger.relabel(claim, ours.lock, lock, 'superseded', reason)
  turn.ours = { lock }
  return null
}

export async function forget(turn: Turn, { reason }: Of<'forget'>): Promise<null> {
  const { claim, observed, ours, ports } = turn
  if (ours.lock !== null) {
    const how = isOpen(observed.lock) ? 'applied' : 'superseded'
    await ports.ledger.relabel(claim, ours.lock, null, how, reason)
  }
  turn.ours = { lock: null }
  return null
}

/** Somebody removed our lock. What is left of it is ours; a hold that comes later locks anew. */
export async function followUnlock(turn: Turn, { left }: Of<'foreign-unlock'>): Promise<null> {
  const { claim, observed, ours, ports } = turn
  await ports.ledger.note(claim, directoryUnlock(turn))
  turn.lockRemoved = { reason: whyUnlocked(observed, turn.lockObservedMs), fix: REMOVED_FIX }
  await wantReset(claim, turn.desired, ports)
  turn.desired = await ports.desired.of(claim.key, ports.clock.nowMs())
  if (ours.lock !== null) await ports.ledger.relabel(claim, ours.lock, left, 'applied', LOCK_REMOVED)
  turn.ours = { lock: left }
  return null
}

/**
 * Newer than every event that the lock rested on when it was last observed; older than one that came since: which
 * of the two was first is not known, and an account that was locked anew is not left open. Our clock decides when an
 * event came: its own may be ahead.
 */
function directoryUnlock({ claim, desired, observed, lockObservedMs, ports }: Turn): ResolvedEvent {
  const seenUs = lockObservedMs * 1000 + 999
  const isHeldAnew = lockObservedMs > 0 && desired.heldKnownUs > seenUs
  return {
    id: `directory:${ports.newId()}`,
    kind: 'directory-unlock',
    serial: null,
    login: null,
    realm: null,
    actor: '',
    takenAtUs: isHeldAnew ? seenUs : Math.max(ports.clock.nowMs() * 1000, desired.heldAtUs + 1),
    source: 'directory',
    reason: whyUnlocked(observed, lockObservedMs),
    untilUs: null,
    accountKey: claim.key,
    attributeSerials: [],
    pinnedHold: null,
  }
}

import type { Change, ChangeDraft } from '../../core/account/change.ts'
import { toAppError } from '../../core/error.ts'
import type { Conclusion } from '../../core/account/outcome.ts'
import { ownedAfter } from '../../core/account/recover.ts'
import type { EntryVersion, ObservedState, OurRecord } from '../../core/account/state.ts'
import { verdictOn, type HeldBack } from '../guards.ts'
import { heldBack, keepsChanging } from './conclude.ts'
import { look, withDuplicates, type Turn } from './turn.ts'

const RACES_MAX = 5
/**
 * Writes that assert that the entry is as it was read, so that they fail where they come late. Each failed bind changes
 * the entry as well: an attacker who tries passwords must not delay the lock.
 */
const ASSERTING_MAX = 2

type Written =
  | { readonly kind: 'written'; readonly observed: ObservedState; readonly ours: OurRecord }
  /** Another writer was faster, nothing was written. */
  | { readonly kind: 'raced' }
  /** What held it back in the last moment: the breaker, which counts with the row, or a pause that came meanwhile. */
  | HeldBack

export async function applyChange(
  turn: Turn,
  { change }: { readonly change: ChangeDraft },
): Promise<Conclusion | null> {
  const { claim, observed, ports } = turn
  const verdict = await verdictOn(change, claim, ports, observed.protectionUnread)
  if (verdict.kind !== 'go') return heldBack(turn, verdict, change)
  const asRead = turn.asserted < ASSERTING_MAX ? observed.version : undefined
  const written = await write(turn, change, asRead)
  switch (written.kind) {
    case 'breaker':
      // Serials are written all the same.
      turn.refused = { change, by: written }
      return null
    case 'paused':
      return heldBack(turn, written, change)
    case 'raced':
      turn.asserted++
      if (asRead === undefined) turn.races++
      if (turn.races > RACES_MAX) return keepsChanging(turn)
      turn.observed = await look(turn, 0)
      break
    case 'written':
      noteWritten(turn, change, written.observed)
      turn.ours = written.ours
      turn.observed = await withDuplicates(turn, written.observed)
      break
  }
  turn.isFresh = true
  return null
}

function noteWritten(turn: Turn, { kind }: ChangeDraft, { server }: ObservedState): void {
  turn.applied++
  turn.lockObservedMs = turn.ports.clock.nowMs()
  // In a directory of one server there is nothing to follow, nor for a serial.
  if (server !== undefined && kind === 'lock') turn.lockWrite = { wanted: 'locked', server }
  if (server !== undefined && kind === 'unlock') turn.lockWrite = { wanted: 'open', server }
  if (kind === 'lock') turn.lockRemoved = null
}

/** Write ahead, apply, record. */
async function write(turn: Turn, draft: ChangeDraft, asRead: EntryVersion | undefined): Promise<Written> {
  const { claim, ours, ports } = turn
  const { login, realm } = claim
  const id = { id: ports.newId(), plannedAtMs: ports.clock.nowMs(), owner: { login, realm } }
  const change: Change = asRead === undefined ? { ...draft, ...id } : { ...draft, ...id, asRead }
  const refusal = await ports.ledger.writeAhead(claim, change)
  if (refusal !== null) return { kind: 'breaker', ...refusal }
  const verdict = await verdictOn(change, claim, ports)
  if (verdict.kind === 'paused') {
    await ports.ledger.close(claim, change, 'not-applied', ours.lock)
    return verdict
  }
  let observed: ObservedState
  try {
    // model: apply
    observed = await ports.directory.apply(change, asRead)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'outcome-unknown') throw error
    await ports.ledger.close(claim, change, 'not-applied', ours.lock)
    if (error.code === 'write-raced') return { kind: 'raced' }
    throw error
  }
  // A failure from here on leaves the change open: it was made.
  const owned = ownedAfter(change, ours)
  await ports.ledger.close(claim, change, 'applied', owned)
  return { kind: 'written', observed, ours: { lock: owned } }
}

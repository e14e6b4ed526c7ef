import type { ChangeDraft } from '../../core/account/change.ts'
import { toAppError, type AppError } from '../../core/error.ts'
import { directoryOf } from '../../core/names.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import type { DesiredState, ObservedState, OurRecord } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { HeldBack } from '../guards.ts'
import type { Ports } from '../ports.ts'
import { askSource, type SourceAnswer } from './ask-source.ts'
import type { Confirmed } from './confirm.ts'
import { canReuseReading, lateStateOf, type LateState } from '../ledger/late.ts'
import { look, READING_AGE_MAX_MS } from './look.ts'
import { recover } from '../ledger/recover.ts'
import { repairFiles } from '../ledger/repair.ts'
import { resetExpired } from './resets.ts'

/** What is known and was done in one turn at an account. */
interface Begun {
  readonly claim: Claim
  readonly ports: Ports
  readonly isRetired: boolean
  readonly source: SourceAnswer
  readonly late: LateState
  desired: DesiredState
  /** How many changes were applied. */
  applied: number
  /** See Claim.stood. */
  lockObservedMs: number
  /** See Outcome. */
  lockWrite: Outcome['lockWrite'] | null
  lockRemoved: Outcome['lockRemoved'] | null
  isRemovalOver: boolean
  /** What the conclusion rests on; null: the turn did not come to one. */
  concluded: { readonly observed: ObservedState; readonly ours: OurRecord } | null
}

export interface Turn extends Begun {
  readonly error: null
  observed: ObservedState
  ours: OurRecord
  /** `observed` was read after the claim. */
  isFresh: boolean
  /** That our lock is gone is believed of a server that had it; null: not asked yet. */
  gone: Confirmed['kind'] | null
  /** The lock that the breaker holds back; null: none. */
  refused: { readonly change: ChangeDraft; readonly by: HeldBack } | null
  /** Writes that somebody else was faster than, of those that compare values alone. */
  races: number
  /** Likewise of those that assert that the whole entry is as it was read. */
  asserted: number
}

/** The account could not be looked at. */
export interface FailedTurn extends Begun {
  readonly error: AppError
}

const NOTHING: DesiredState = {
  serials: [],
  gone: [],
  movedFrom: {},
  holds: [],
  nextExpiryUs: null,
  heldAtUs: 0,
  heldKnownUs: 0,
}

/**
 * Reads privacyIDEA where that is due, and the account; closes a change that a crash left open. Fails with `lease-lost`, and
 * where the record cannot be read.
 */
export async function beginTurn(claim: Claim, ports: Ports): Promise<Turn | FailedTurn> {
  const isRetired = (await ports.guards.retirementOf(directoryOf(claim.key), ports.clock.nowMs())) !== null
  const source = await askSource(claim, isRetired, ports)
  const { lockObservedMs } = claim.stood
  const nothing = { applied: 0, lockWrite: null, lockRemoved: null, isRemovalOver: false, concluded: null }
  const begun: Begun = {
    ...{ claim, ports, isRetired, source, late: lateStateOf(claim), desired: NOTHING, lockObservedMs },
    ...nothing,
  }
  try {
    const first = await firstLook(begun)
    return { ...begun, ...first, error: null, gone: null, refused: null, races: 0, asserted: 0 }
  } catch (thrown) {
    return { ...begun, error: unlessLost(thrown) }
  }
}

async function firstLook(turn: Begun): Promise<Pick<Turn, 'observed' | 'ours' | 'isFresh'>> {
  const { claim, ports } = turn
  const readingAgeMs = canReuseReading(claim) ? READING_AGE_MAX_MS : 0
  const startedMs = ports.clock.nowMs()
  await ports.queue.renew(claim)
  turn.desired = await ports.desired.of(claim.key, startedMs)
  turn.isRemovalOver = turn.desired.isRemovalOver === true
  await resetExpired(claim, turn.desired, ports)
  const observed = await look(turn, readingAgeMs)
  const ours = await recover(claim, observed, turn.late, ports)
  if (claim.isForRepair) await repairFiles(claim, turn.desired, observed, ours, ports)
  if (claim.open !== null) turn.lockObservedMs = ports.clock.nowMs()
  return { observed, ours, isFresh: readingAgeMs === 0 }
}

/** A lost claim ends the turn: it is no failure of the account. */
export function unlessLost(thrown: unknown): AppError {
  const error = toAppError(thrown)
  if (error.code === 'lease-lost') throw error
  return error
}

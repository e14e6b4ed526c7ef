import type { ChangeDraft } from '../../core/account/change.ts'
import { toAppError, type AppError } from '../../core/error.ts'
import { directoryOf } from '../../core/names.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import { underProtection, type DesiredState, type ObservedState, type OurRecord } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import { verdictOn, type HeldBack } from '../guards.ts'
import type { Ports } from '../ports.ts'
import type { Confirmed } from './confirm.ts'
import { canReuseReading, lateStateOf, type LateState } from '../ledger/late.ts'
import { recover } from '../ledger/recover.ts'
import { repairFiles } from '../ledger/repair.ts'
import { resetExpired } from '../source/fail-counter-resets.ts'
import { readSnapshot, type Read, type Resets } from '../source/snapshot.ts'
import { judgeDuplicates, knownOf, missingSerials } from '../duplicate-serials.ts'
import type { PlanOptions } from '../../core/account/plan.ts'
import { releasedBy } from '../unlock-reasons.ts'

/** A reading that was made while the account was being found is recent enough: compare and swap makes that safe. */
export const READING_AGE_MAX_MS = 1_000
/** Races after which places of ours that the configuration no longer names are left out of a release. */
const SKIP_UNSEEN_AFTER = 2

/** The input and the results of one turn at an account. */
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
  /** A missing lock of ours is proof only on a server that had it; null: not asked yet. */
  gone: Confirmed['kind'] | null
  /** The lock that the breaker holds back; null: none. */
  refused: { readonly change: ChangeDraft; readonly by: HeldBack } | null
  /** Lost races of writes that compare values alone. */
  races: number
  /** Likewise of those that assert that the whole entry is as it was read. */
  asserted: number
}

/** The account could not be read. */
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

/** `unread`: privacyIDEA could not be read, and the account is driven to its last known state. */
export interface SourceAnswer extends Read {
  readonly unread: AppError | null
}

const NOT_ASKED: SourceAnswer = { unread: null, resetWaits: false, lossesAgainAtMs: null }

/** Reads the owner in privacyIDEA, where the account is marked for refresh. Fails with `lease-lost` alone. */
async function askSource(claim: Claim, isRetired: boolean, ports: Ports): Promise<SourceAnswer> {
  // What is to be released is so whatever privacyIDEA reports, and where it is gone.
  if (!claim.isHinted || ports.snapshot === null || isRetired) return NOT_ASKED
  try {
    return { unread: null, ...(await readSnapshot(claim, ports.snapshot, await resetsOf(claim, ports))) }
  } catch (thrown) {
    const unread = toAppError(thrown)
    if (unread.code === 'lease-lost') throw unread
    return { ...NOT_ASKED, unread }
  }
}

/** The guards' verdict on a write to privacyIDEA. */
async function resetsOf(claim: Claim, ports: Ports): Promise<Resets> {
  const verdict = await verdictOn(null, claim, ports)
  if (verdict.kind === 'go') return 'made'
  return verdict.kind === 'paused' && !verdict.isDryRun ? 'wait' : 'dropped'
}

interface Looking {
  readonly claim: Claim
  readonly desired: DesiredState
  readonly ports: Ports
}

/** Reads the account, and which other accounts have the serials that it lacks. */
export async function look(turn: Looking, maxAgeMs: number): Promise<ObservedState> {
  return withDuplicates(turn, await turn.ports.directory.observe(turn.claim.key, [], maxAgeMs))
}

export async function withDuplicates(
  { claim, desired, ports }: Looking,
  observed: ObservedState,
): Promise<ObservedState> {
  const missing = missingSerials(desired, observed)
  if (missing.length === 0) return observed
  return judgeDuplicates(desired, await ports.directory.observe(claim.key, missing, READING_AGE_MAX_MS), ports)
}

/** The state that the account is driven to. */
export function wantedOf({ claim, desired, observed }: Turn): DesiredState {
  return underProtection(releasedBy(claim.adopts, knownOf(desired, observed)), observed)
}

/** A lock that no reachable server has, and whose server does not answer, is written again: nobody removed it. */
export function optionsOf({ races, gone, ports: { policy } }: Turn): PlanOptions {
  const options = { ...policy, skipUnseen: races >= SKIP_UNSEEN_AFTER }
  return gone === 'behind' ? { ...options, onForeignUnlock: 'relock' } : options
}

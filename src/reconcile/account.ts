import type { Change, ChangeDraft } from '../core/change.ts'
import { dryRun } from '../core/dry-run.ts'
import { AppError, toAppError } from '../core/error.ts'
import { dryRunOf, guard, pausedReason, type Verdict } from '../core/guard.ts'
import { foreignLockOf, otherLockOf } from '../core/mirror.ts'
import type { ResolvedEvent } from '../core/event.ts'
import { directoryOf } from '../core/names.ts'
import type { Outcome } from '../core/outcome.ts'
import { plan, type PlanOptions } from '../core/plan.ts'
import { underProtection } from '../core/protection.ts'
import { ownedAfter } from '../core/recover.ts'
import {
  isOpen,
  type DesiredState,
  type EntryVersion,
  type Hold,
  type ObservedState,
  type OtherLock,
  type OurRecord,
} from '../core/state.ts'
import type { Claim } from '../ports/store.ts'
import { knownOf, missingSerials, serialsWait, settleCarriers } from './carriers.ts'
import { confirmGone, waitsForHolder, type Confirmed } from './confirm.ts'
import {
  canReuseReading,
  lateOptions,
  lateStateOf,
  recordArrival,
  recover,
  saysGone,
  withLate,
  type LateState,
} from './late.ts'
import { mirrored, type Seen as SeenByMirror } from './mirror.ts'
import {
  failed,
  heldBack,
  keepsChanging,
  readAgain,
  resetWaiting,
  standing,
  stillUnread,
  type HeldBack,
  lockWriteOf,
  withSparedLock,
} from './outcomes.ts'
import type { Ports } from './ports.ts'
import { LOCK_REMOVED, releasedBy, REMOVED_FIX, whyUnlocked } from './taken-away.ts'
import { repairFiles } from './repair.ts'
import { resetExpired, wantReset } from './resets.ts'
import { readTruth, type Read, type Resets } from './truth.ts'

/**
 * One account, from observe to record: read what it should look like and what it does, and drive one to the other,
 * one change at a time, until the plan is empty or says why it cannot be. Read this first.
 */

/** A change makes way for the next; more than this in one go means that something else keeps changing the account. */
const ROUNDS_MAX = 200
const RACES_MAX = 5
/**
 * Writes that assert that the entry is as it was read, so that they fail where they come late. Each failed bind changes
 * the entry as well: whoever tries passwords must not hold off the lock.
 */
const ASSERTING_MAX = 2
/** Races after which places of ours that the configuration no longer names are left out of a release. */
const SKIP_UNSEEN_AFTER = 2
/** A reading that was made while the account was being found is young enough: compare and swap makes that safe. */
const READING_AGE_MAX_MS = 1_000

/** What a look at the account has brought so far. */
interface Seen {
  holds: readonly Hold[]
  applied: number
  /** See Claim.stood. */
  lockSeenMs: number
  /** What the last conclusion rests on; null: it did not come to one. */
  concluded: { readonly observed: ObservedState; readonly ours: OurRecord } | null
  late: LateState
  /** See Outcome. */
  lockWrite: Outcome['lockWrite'] | null
  lockRemoved: Outcome['lockRemoved'] | null
  isRemovalOver: boolean
}

/** Locks of somebody else's, as the last conclusion has them. */
interface OthersSeen extends SeenByMirror {
  readonly other: OtherLock | null
}

/**
 * Null where another worker took the account over meanwhile: nothing was written under this claim since, and the account is
 * marked, so that its waiting files are held against the record once more.
 */
export async function reconcileAccount(claim: Claim, ports: Ports): Promise<Outcome | null> {
  try {
    return await takeTurn(claim, ports)
  } catch (thrown) {
    if (toAppError(thrown).code !== 'lease-lost') throw thrown
    await ports.queue.markForRepair(claim.key, ports.clock.nowMs())
    return null
  }
}

async function takeTurn(claim: Claim, ports: Ports): Promise<Outcome> {
  const { lockSeenMs } = claim.stood
  const late = lateStateOf(claim)
  const nothing = { concluded: null, lockWrite: null, lockRemoved: null, isRemovalOver: false }
  const seen: Seen = { holds: [], applied: 0, lockSeenMs, late, ...nothing }
  let outcome: Outcome
  const isRetired = (await ports.guards.retirementOf(directoryOf(claim.key), ports.clock.nowMs())) !== null
  const { unread, resetWaits, lossesAgainAtMs } = await askSource(claim, ports, isRetired)
  try {
    outcome = await drive(claim, ports, seen)
  } catch (thrown) {
    outcome = failed(claim, unlessLost(thrown), ports, seen)
  }
  const others = othersIn(seen, isRetired)
  const isDirectoryInStep = outcome.standing === 'in-step'
  if (unread !== null) outcome = stillUnread(claim, outcome, unread, ports)
  else if (ports.mirror !== undefined) outcome = await mirrored(claim, outcome, others, ports.mirror)
  if (resetWaits) outcome = resetWaiting(outcome, ports)
  if (others !== null) outcome = { ...outcome, otherLock: others.other }
  if (lossesAgainAtMs !== null) outcome = readAgain(outcome, lossesAgainAtMs)
  if (isDirectoryInStep) outcome = { ...outcome, isDirectoryInStep }
  if (seen.lockWrite) outcome = { ...outcome, lockWrite: seen.lockWrite }
  if (seen.lockRemoved) outcome = { ...outcome, lockRemoved: seen.lockRemoved }
  else if (seen.isRemovalOver) outcome = { ...outcome, isRemovalOver: true }
  outcome = withLate(outcome, claim, late, seen.concluded, ports.clock.nowMs())
  await ports.ledger.settle(claim, outcome, seen.holds)
  return outcome
}

/** Where privacyIDEA could not be read (`unread`), the account is driven to what was known before. */
async function askSource(claim: Claim, ports: Ports, isRetired: boolean): Promise<Read & { unread: AppError | null }> {
  const nothing = { unread: null, resetWaits: false, lossesAgainAtMs: null }
  // What is to be released is so whatever privacyIDEA says, and where it is gone.
  if (!claim.isHinted || ports.truth === null || isRetired) return nothing
  try {
    return { unread: null, ...(await readTruth(claim, ports.truth, await resetsOf(claim, ports))) }
  } catch (thrown) {
    return { ...nothing, unread: unlessLost(thrown) }
  }
}

/** A lost claim ends the turn: it is no failure of the account. */
function unlessLost(thrown: unknown): AppError {
  const error = toAppError(thrown)
  if (error.code === 'lease-lost') throw error
  return error
}

/** What the guards say of a write to privacyIDEA. */
async function resetsOf(claim: Claim, ports: Ports): Promise<Resets> {
  const directory = directoryOf(claim.key)
  if (dryRunOf(ports.guardSettings.dryRun, directory, claim.realm) !== null) return 'dropped'
  return (await ports.guards.pauseOf(directory, ports.clock.nowMs())) === null ? 'made' : 'wait'
}

async function drive(claim: Claim, ports: Ports, seen: Seen): Promise<Outcome> {
  const readingAgeMs = canReuseReading(claim) ? READING_AGE_MAX_MS : 0
  const startedMs = ports.clock.nowMs()
  await ports.queue.renew(claim)
  let desired = await ports.desired.of(claim.key, startedMs)
  seen.holds = desired.holds
  seen.isRemovalOver = desired.isRemovalOver === true
  await resetExpired(claim, desired, ports)
  let observed = await observe(claim, desired, ports, readingAgeMs)
  let ours = await recover(claim, observed, seen.late, ports)
  if (claim.isForRepair) await repairFiles(claim, desired, observed, ours, ports)
  if (claim.open !== null) seen.lockSeenMs = ports.clock.nowMs()
  let [races, asserting] = [0, 0]
  let isFresh = readingAgeMs === 0
  // That our lock is gone is believed of a server that had it; null: not asked yet.
  let gone: Confirmed['kind'] | null = null
  let refused: { readonly change: ChangeDraft; readonly by: HeldBack } | null = null
  for (let round = 0; round < ROUNDS_MAX; round++) {
    // A slow directory must not cost the lease: another worker would take the account over in the middle of a change.
    await ports.queue.renew(claim)
    const late = await lateOptions(seen.late, observed, ours, gone === 'behind', ports)
    const options = { ...optionsOf(ports, races, gone), ...late, withoutLock: refused !== null }
    const wanted = underProtection(releasedBy(claim.adopts, knownOf(desired, observed)), observed)
    const planned = plan(wanted, observed, ours, options)
    // A write is safe on an older reading, by compare and swap; to conclude anything else takes a fresh one.
    if (!isFresh && planned.kind !== 'change') {
      observed = await observe(claim, desired, ports, 0)
      isFresh = true
      continue
    }
    if (gone === null && saysGone(planned)) {
      const confirmed = await confirmGone(claim, observed, seen.lockWrite?.server ?? null, ports)
      gone = confirmed.kind
      if (confirmed.kind === 'behind' && planned.kind === 'forget') throw waitsForHolder(confirmed.holders)
      if (confirmed.kind === 'elsewhere') observed = await withCarriers(claim, desired, confirmed.observed, ports)
      if (confirmed.kind !== 'sure') continue
    }
    switch (planned.kind) {
      case 'change': {
        const verdict = await askGuards(planned.change, claim, observed, ports)
        if (verdict.kind !== 'go') {
          conclude(seen, observed, ours)
          const would = dryRun(planned.change, wanted, observed, ours, optionsOf(ports, races, gone))
          return heldBack(claim, verdict, would, desired, ports, seen.applied)
        }
        const asRead = asserting < ASSERTING_MAX ? observed.version : undefined
        const written = await write(planned.change, asRead, claim, ours, ports)
        if (written !== 'raced' && 'kind' in written) {
          // Serials flow all the same.
          if (written.kind === 'breaker') {
            refused = { change: planned.change, by: written }
            break
          }
          conclude(seen, observed, ours)
          const would = dryRun(planned.change, wanted, observed, ours, optionsOf(ports, races, gone))
          return heldBack(claim, written, would, desired, ports, seen.applied)
        }
        if (written === 'raced' && asRead === undefined) races++
        if (written === 'raced') asserting++
        if (races > RACES_MAX) return keepsChanging(claim, ports, seen.applied)
        if (written !== 'raced') {
          seen.applied++
          seen.lockSeenMs = ports.clock.nowMs()
          ours = written.ours
          seen.lockWrite = lockWriteOf(planned.change, written.observed) ?? seen.lockWrite
          if (planned.change.kind === 'lock') seen.lockRemoved = null
        }
        observed = await withCarriers(claim, desired, written === 'raced' ? null : written.observed, ports)
        isFresh = true
        break
      }
      case 'arrived':
      case 'others':
      case 'adopt':
        ours = await recordArrival(planned, claim, ours, seen.late, ports)
        break
      case 'relabel':
        if (ours.lock !== null) await ports.ledger.relabel(claim, ours.lock, planned.lock, 'superseded', planned.reason)
        ours = { lock: planned.lock }
        break
      case 'forget':
        if (ours.lock !== null) {
          const how = isOpen(observed.lock) ? 'applied' : 'superseded'
          await ports.ledger.relabel(claim, ours.lock, null, how, planned.reason)
        }
        ours = { lock: null }
        break
      case 'foreign-unlock':
        await ports.ledger.note(claim, directoryUnlock(claim, desired, observed, seen.lockSeenMs, ports))
        seen.lockRemoved = { reason: whyUnlocked(observed, seen.lockSeenMs), fix: REMOVED_FIX }
        await wantReset(claim, desired, ports)
        desired = await ports.desired.of(claim.key, ports.clock.nowMs())
        seen.holds = desired.holds
        // What was taken away is no longer ours, so that a hold that came since locks it anew.
        if (ours.lock !== null) await ports.ledger.relabel(claim, ours.lock, planned.left, 'applied', LOCK_REMOVED)
        ours = { lock: planned.left }
        break
      case 'in-step':
      case 'conflict':
      case 'foreign-lock':
      case 'not-effective':
        conclude(seen, observed, ours)
        if (refused !== null) {
          const would = dryRun(refused.change, wanted, observed, ours, optionsOf(ports, races, gone))
          return heldBack(claim, refused.by, would, desired, ports, seen.applied)
        }
        if (observed.carriersUnknown) throw new AppError(observed.carriersUnknown.code, serialsWait(desired, observed))
        return withSparedLock(standing(planned, desired, observed, ours, ports, seen.applied), () =>
          plan(knownOf(desired, observed), observed, ours, optionsOf(ports, races, gone)),
        )
    }
  }
  return keepsChanging(claim, ports, seen.applied)
}

function conclude(seen: Seen, observed: ObservedState, ours: OurRecord): void {
  seen.concluded = { observed, ours }
}

/** What the mirror follows, which takes back what it did in a retired directory; null: the turn came to no conclusion. */
function othersIn({ concluded }: Seen, isRetired: boolean): OthersSeen | null {
  if (concluded === null) return null
  const { lock, protectedBy } = concluded.observed
  const isOurs = concluded.ours.lock !== null
  return {
    foreign: isRetired ? null : foreignLockOf(concluded.observed, isOurs),
    other: otherLockOf(lock, isOurs),
    protectedBy,
    isRetired,
  }
}

/** A lock that no server in reach has, and whose server does not answer, is written again: nobody took it away. */
function optionsOf(ports: Ports, races: number, gone: Confirmed['kind'] | null): PlanOptions {
  const options = { ...ports.policy, skipUnseen: races >= SKIP_UNSEEN_AFTER }
  return gone === 'behind' ? { ...options, onForeignUnlock: 'relock' } : options
}

/** Reads the account, and who else carries the serials that it lacks. */
async function observe(claim: Claim, desired: DesiredState, ports: Ports, maxAgeMs: number): Promise<ObservedState> {
  return withCarriers(claim, desired, await ports.directory.observe(claim.key, [], maxAgeMs), ports)
}

async function withCarriers(
  claim: Claim,
  desired: DesiredState,
  observed: ObservedState | null,
  ports: Ports,
): Promise<ObservedState> {
  const now = observed ?? (await ports.directory.observe(claim.key, [], 0))
  const missing = missingSerials(desired, now)
  if (missing.length === 0) return now
  return settleCarriers(desired, await ports.directory.observe(claim.key, missing, READING_AGE_MAX_MS), ports)
}

async function askGuards(change: ChangeDraft, claim: Claim, observed: ObservedState, ports: Ports): Promise<Verdict> {
  const directory = directoryOf(claim.key)
  return guard(change, {
    pause: await ports.guards.pauseOf(directory, ports.clock.nowMs()),
    dryRun: dryRunOf(ports.guardSettings.dryRun, directory, claim.realm),
    unread: observed.protectionUnread ?? null,
  })
}

/**
 * Write ahead, apply, record. `raced`: somebody else was faster, nothing was written. Or what held it back in the last
 * moment: the breaker, which counts with the row, or a pause that came meanwhile.
 */
async function write(
  draft: ChangeDraft,
  asRead: EntryVersion | undefined,
  claim: Claim,
  ours: OurRecord,
  ports: Ports,
): Promise<{ observed: ObservedState; ours: OurRecord } | 'raced' | HeldBack> {
  const { login, realm } = claim
  const id = { id: ports.newId(), plannedAtMs: ports.clock.nowMs(), owner: { login, realm } }
  const change: Change = asRead === undefined ? { ...draft, ...id } : { ...draft, ...id, asRead }
  const refusal = await ports.ledger.writeAhead(claim, change)
  if (refusal !== null) return { kind: 'breaker', ...refusal }
  const pause = await ports.guards.pauseOf(directoryOf(claim.key), ports.clock.nowMs())
  if (pause !== null) {
    await ports.ledger.close(claim, change, 'not-applied', ours.lock)
    return { kind: 'paused', reason: pausedReason(pause) }
  }
  let observed: ObservedState
  try {
    // model: apply
    observed = await ports.directory.apply(change, asRead)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'outcome-unknown') throw error
    await ports.ledger.close(claim, change, 'not-applied', ours.lock)
    if (error.code === 'write-raced') return 'raced'
    throw error
  }
  // What fails from here on leaves the change open: it was made.
  const owned = ownedAfter(change, ours)
  await ports.ledger.close(claim, change, 'applied', owned)
  return { observed, ours: { lock: owned } }
}

/**
 * Newer than every word that the lock rested on when it was last seen to stand; older than a word that came since: which
 * of the two was first nobody knows, and an account that was locked anew is not left open. When a word came is told by
 * our clock: its own may be ahead.
 */
function directoryUnlock(
  claim: Claim,
  desired: DesiredState,
  observed: ObservedState,
  lockSeenMs: number,
  ports: Ports,
): ResolvedEvent {
  const seenUs = lockSeenMs * 1000 + 999
  const isHeldAnew = lockSeenMs > 0 && desired.heldKnownUs > seenUs
  return {
    id: `directory:${ports.newId()}`,
    kind: 'directory-unlock',
    serial: null,
    login: null,
    realm: null,
    actor: '',
    takenAtUs: isHeldAnew ? seenUs : Math.max(ports.clock.nowMs() * 1000, desired.heldAtUs + 1),
    source: 'directory',
    reason: whyUnlocked(observed, lockSeenMs),
    untilUs: null,
    accountKey: claim.key,
    attributeSerials: [],
    pinnedHold: null,
  }
}

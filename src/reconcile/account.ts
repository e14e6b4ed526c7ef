import type { Change, ChangeDraft } from '../core/change.ts'
import { dryRun } from '../core/dry-run.ts'
import { AppError, retryDelayMs, toAppError } from '../core/error.ts'
import { dryRunOf, guard, pausedText, type Verdict } from '../core/guard.ts'
import { foreignLockOf, type ForeignLock } from '../core/mirror.ts'
import { directoryOf } from '../core/names.ts'
import type { Outcome } from '../core/outcome.ts'
import { plan, type PlanOptions } from '../core/plan.ts'
import { underProtection } from '../core/protection.ts'
import { ownedAfter, recoverChange } from '../core/recover.ts'
import type { DesiredState, Hold, ObservedState, OurRecord } from '../core/state.ts'
import type { Claim } from '../ports/store.ts'
import { knownOf, missingSerials, serialsWait } from './carriers.ts'
import { confirmGone, waitsForHolder, type Confirmed } from './confirm.ts'
import { mirrored } from './mirror.ts'
import { failed, heldBack, keepsChanging, onDryRun, resetWaiting, standing, type HeldBack } from './outcomes.ts'
import type { Ports } from './ports.ts'
import { REMOVED_FIX, whyUnlocked } from './taken-away.ts'
import { readTruth, type Resets } from './truth.ts'

/**
 * One account, from observe to record: read what it should look like and what it does, and drive one to the other,
 * one change at a time, until the plan is empty or says why it cannot be. Read this first.
 */

/** A change makes way for the next; more than this in one go means that something else keeps changing the account. */
const ROUNDS_MAX = 200
const RACES_MAX = 5
/** Races after which places of ours that the configuration no longer names are left out of a release. */
const SKIP_UNSEEN_AFTER = 2
/** A reading that was made while the account was being found is young enough: compare and swap makes that safe. */
const READING_AGE_MAX_MS = 1_000
/** A lease lasts 60 s, and no step takes longer than the directory's timeouts. */
const RENEW_AFTER_MS = 15_000

/** What a look at the account has brought so far. */
interface Seen {
  holds: readonly Hold[]
  applied: number
  /** See Claim.stood. */
  lockSeenMs: number
  /** What the last conclusion rests on; null: it did not come to one. */
  concluded: { readonly foreign: ForeignLock | null; readonly protectedBy: string | null } | null
  /** See Outcome. */
  lockWrite: Outcome['lockWrite'] | null
  lockRemoved: Outcome['lockRemoved'] | null
}

export async function reconcileAccount(claim: Claim, ports: Ports): Promise<Outcome> {
  const { lockSeenMs } = claim.stood
  const seen: Seen = { holds: [], applied: 0, lockSeenMs, concluded: null, lockWrite: null, lockRemoved: null }
  let outcome: Outcome
  const { unread, resetWaits } = await askSource(claim, ports)
  try {
    outcome = await drive(claim, ports, seen)
  } catch (thrown) {
    outcome = failed(claim, toAppError(thrown), ports, seen)
  }
  const isDirectoryInStep = outcome.standing === 'in-step'
  if (unread !== null) outcome = stillUnread(claim, outcome, unread, ports)
  else if (ports.mirror !== undefined) outcome = await mirrored(claim, outcome, seen.concluded, ports.mirror)
  if (resetWaits) outcome = resetWaiting(outcome, ports)
  if (isDirectoryInStep) outcome = { ...outcome, isDirectoryInStep }
  if (seen.lockWrite) outcome = { ...outcome, lockWrite: seen.lockWrite }
  if (seen.lockRemoved) outcome = { ...outcome, lockRemoved: seen.lockRemoved }
  await ports.ledger.settle(claim, outcome, seen.holds)
  return outcome
}

/** Where privacyIDEA could not be read (`unread`), the account is driven to what was known before. */
async function askSource(claim: Claim, ports: Ports): Promise<{ unread: AppError | null; resetWaits: boolean }> {
  if (!claim.isHinted || ports.truth === null) return { unread: null, resetWaits: false }
  try {
    return { unread: null, resetWaits: await readTruth(claim.key, ports.truth, await resetsOf(claim, ports)) }
  } catch (thrown) {
    return { unread: toAppError(thrown), resetWaits: false }
  }
}

/** What the guards say of a write to privacyIDEA. */
async function resetsOf(claim: Claim, ports: Ports): Promise<Resets> {
  const directory = directoryOf(claim.key)
  if (dryRunOf(ports.guardSettings.dryRun, directory, claim.realm) !== null) return 'dropped'
  return (await ports.guards.pauseOf(directory, ports.clock.nowMs())) === null ? 'made' : 'wait'
}

/** A hint stays until it was followed; how the account stands otherwise is told first. */
function stillUnread(claim: Claim, outcome: Outcome, unread: AppError, ports: Ports): Outcome {
  const retryAtMs = ports.clock.nowMs() + retryDelayMs(unread.code, claim.attempts, ports.clock.random())
  const againAtMs = Math.min(retryAtMs, outcome.againAtMs ?? Infinity)
  if (outcome.standing !== 'in-step') return { ...outcome, againAtMs, isUnread: true }
  const reason = `privacyIDEA could not be asked: ${unread.message}`
  return { ...outcome, standing: 'failed', reason, errorCode: unread.code, againAtMs, isUnread: true }
}

async function drive(claim: Claim, ports: Ports, seen: Seen): Promise<Outcome> {
  const readingAgeMs = claim.attempts === 0 && claim.open === null ? READING_AGE_MAX_MS : 0
  const startedMs = ports.clock.nowMs()
  let desired = await ports.desired.of(claim.key, startedMs)
  seen.holds = desired.holds
  await resetExpired(claim, desired, ports)
  let observed = await observe(claim, desired, ports, readingAgeMs)
  let ours = await recover(claim, observed, ports)
  if (claim.open !== null) seen.lockSeenMs = ports.clock.nowMs()
  let races = 0
  let isFresh = readingAgeMs === 0
  // That our lock is gone is believed of a server that had it; null: not asked yet.
  let gone: Confirmed['kind'] | null = null
  for (let round = 0, leasedMs = startedMs; round < ROUNDS_MAX; round++) {
    leasedMs = await keepLease(claim, leasedMs, ports)
    const options = optionsOf(ports, races, gone)
    const wanted = underProtection(knownOf(desired, observed), observed)
    const planned = plan(wanted, observed, ours, options)
    // A write is safe on an older reading, by compare and swap; to conclude anything else takes a fresh one.
    if (!isFresh && planned.kind !== 'change') {
      observed = await observe(claim, desired, ports, 0)
      isFresh = true
      continue
    }
    if (gone === null && (planned.kind === 'foreign-unlock' || planned.kind === 'forget')) {
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
          const outcome = heldBack(claim, verdict, desired, ports, seen.applied)
          if (verdict.kind !== 'dry-run') return outcome
          return onDryRun(outcome, dryRun(planned.change, wanted, observed, ours, options))
        }
        const written = await write(planned.change, claim, ours, ports)
        if (written !== 'raced' && 'kind' in written) {
          conclude(seen, observed, ours)
          return heldBack(claim, written, desired, ports, seen.applied)
        }
        if (written === 'raced' && ++races > RACES_MAX) return keepsChanging(claim, ports, seen.applied)
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
      case 'relabel':
        if (ours.lock !== null)
          await ports.ledger.relabel(claim.key, ours.lock, planned.lock, 'superseded', planned.reason)
        ours = { lock: planned.lock }
        break
      case 'forget':
        if (ours.lock !== null) {
          const how = observed.lock.state === 'open' ? 'applied' : 'superseded'
          await ports.ledger.relabel(claim.key, ours.lock, null, how, planned.reason)
        }
        ours = { lock: null }
        break
      case 'foreign-unlock':
        await ports.ledger.note(directoryUnlock(claim, desired, observed, seen.lockSeenMs, ports))
        seen.lockRemoved = { reason: whyUnlocked(observed, seen.lockSeenMs), fix: REMOVED_FIX }
        await wantReset(claim, desired, ports)
        desired = await ports.desired.of(claim.key, ports.clock.nowMs())
        seen.holds = desired.holds
        // What was taken away is no longer ours, so that a hold that came since locks it anew.
        if (ours.lock !== null)
          await ports.ledger.relabel(claim.key, ours.lock, planned.left, 'applied', 'lock taken away')
        ours = { lock: planned.left }
        break
      case 'in-step':
      case 'conflict':
      case 'foreign-lock':
      case 'not-effective':
        conclude(seen, observed, ours)
        if (observed.carriersUnknown) throw new AppError(observed.carriersUnknown.code, serialsWait(desired, observed))
        return standing(planned, desired, observed, ours, ports, seen.applied)
    }
  }
  return keepsChanging(claim, ports, seen.applied)
}

function conclude(seen: Seen, observed: ObservedState, ours: OurRecord): void {
  seen.concluded = { foreign: foreignLockOf(observed, ours), protectedBy: observed.protectedBy }
}

/** A lock that no server in reach has, and whose server does not answer, is written again: nobody took it away. */
function optionsOf(ports: Ports, races: number, gone: Confirmed['kind'] | null): PlanOptions {
  const options = { ...ports.policy, skipUnseen: races >= SKIP_UNSEEN_AFTER }
  return gone === 'behind' ? { ...options, onForeignUnlock: 'relock' } : options
}

/** Null for a serial, and in a directory of one server. */
function lockWriteOf({ kind }: ChangeDraft, { server }: ObservedState): NonNullable<Outcome['lockWrite']> | null {
  if (server === undefined || (kind !== 'lock' && kind !== 'unlock')) return null
  return { wanted: kind === 'lock' ? 'locked' : 'open', server }
}

/**
 * By policy a hold that ended by itself is no longer one in privacyIDEA either. A turn that reads privacyIDEA has just
 * done so: where the token is full even then, it is tried again at the next look.
 */
async function resetExpired(claim: Claim, { expired = [] }: DesiredState, ports: Ports): Promise<void> {
  if (ports.truth === null || ports.policy.resetsTokenOnTtl !== true || claim.isHinted || expired.length === 0) return
  const { truth } = ports.truth
  const recorded = await truth.tokensOf(expired)
  const full = expired.filter((serial) => recorded.get(serial)?.isLocked === true)
  if (full.length > 0) await truth.wantReset(claim.key, full)
}

/** By policy an unlock in the directory is one in privacyIDEA as well. */
async function wantReset(claim: Claim, desired: DesiredState, ports: Ports): Promise<void> {
  if (ports.truth === null || ports.policy.onForeignUnlock !== 'reset-token') return
  const serials = desired.holds.flatMap((hold) => (hold.serial === null ? [] : [hold.serial]))
  await ports.truth.truth.wantReset(claim.key, serials)
}

/** A slow directory must not cost the lease: another process would take the account over in the middle of a change. */
async function keepLease(claim: Claim, sinceMs: number, ports: Ports): Promise<number> {
  const nowMs = ports.clock.nowMs()
  if (nowMs - sinceMs < RENEW_AFTER_MS) return sinceMs
  await ports.queue.renew(claim, nowMs)
  return nowMs
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
  return ports.directory.observe(claim.key, missing, READING_AGE_MAX_MS)
}

/** A change whose outcome is not on record is closed by what the directory says now. */
async function recover(claim: Claim, observed: ObservedState, ports: Ports): Promise<OurRecord> {
  if (claim.open === null) return claim.ours
  const wasApplied = await ports.ledger.wasApplied(claim.open)
  const { result, owned } = recoverChange(claim.open, observed, claim.ours, wasApplied)
  await ports.ledger.recover(claim.open, result, owned)
  return { lock: owned }
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
  claim: Claim,
  ours: OurRecord,
  ports: Ports,
): Promise<{ observed: ObservedState; ours: OurRecord } | 'raced' | HeldBack> {
  const change: Change = { ...draft, id: ports.newId(), plannedAtMs: ports.clock.nowMs() }
  const refusal = await ports.ledger.writeAhead(change)
  if (refusal !== null) return { kind: 'breaker', ...refusal }
  const pause = await ports.guards.pauseOf(directoryOf(claim.key), ports.clock.nowMs())
  if (pause !== null) {
    await ports.ledger.close(change, 'not-applied', ours.lock)
    return { kind: 'paused', reason: pausedText(pause) }
  }
  try {
    const observed = await ports.directory.apply(change)
    const owned = ownedAfter(change, ours)
    await ports.ledger.close(change, 'applied', owned)
    return { observed, ours: { lock: owned } }
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'outcome-unknown') throw error
    await ports.ledger.close(change, 'not-applied', ours.lock)
    if (error.code === 'write-raced') return 'raced'
    throw error
  }
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
): Parameters<Ports['ledger']['note']>[0] {
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

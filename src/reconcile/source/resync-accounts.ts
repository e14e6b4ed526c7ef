import { inGroups, mapAtOnce, oneAhead } from '../../core/ahead.ts'
import { toAppError } from '../../core/error.ts'
import type { AccountKey, DirectoryName } from '../../core/names.ts'
import { HELD_BACK } from '../../core/account/outcome.ts'
import { plan, type Planned } from '../../core/account/plan.ts'
import { isOpen, underProtection, type ObservedState } from '../../core/account/state.ts'
import { spelledAmong } from '../../core/serials/serial-key.ts'
import { statusOf } from '../../core/account/slot.ts'
import type { RecordedAccount } from '../../ports/store/resync.ts'
import { knownOf, missingSerials } from '../duplicate-serials.ts'
import { carriedBy, DirectoryMarks, NOT_ON_RECORD } from './resync-marks.ts'
import type { Drift, ResyncPorts, ResyncRun } from './resync-ports.ts'
import { LOCK_REMOVED } from '../unlock-reasons.ts'

/**
 * The accounts of one directory against the record, both ways: serials that they have and should not, serials that they
 * lack, a lock of ours that somebody removed, and one that is left over. The walk shows the accounts with a mark of
 * ours; one that should have a mark and did not show is read alone. Each difference is read a second time before it is
 * reported, since others work at the same time.
 */

/** Accounts that are compared at a time. */
const GROUP = 250
/** Accounts that are read again at the same time. */
const LOOKS_AT_ONCE = 16

/** Fails with `directory-*`, `source-*`, `store-*`; what was found before is repaired. */
export async function compareAccounts(run: ResyncRun, directory: DirectoryName): Promise<void> {
  const { ports } = run
  const expected = await ports.record.countExpected(directory)
  const seen = run.newSet()
  let done = 0
  const marks = await DirectoryMarks.begin(run, directory)
  for await (const group of oneAhead(inGroups(ports.directory.walkMarked(directory), GROUP))) {
    for (const { key } of group) seen.add(key)
    const recorded = await ports.record.accountsOf(group.map(({ key }) => key))
    const suspects = group.filter((observed) => isSuspect(observed, recorded.get(observed.key) ?? NOT_ON_RECORD))
    await lookAgain(
      run,
      suspects.map(({ key }) => key),
    )
    await marks.compare(group, recorded)
    done += group.length
    run.sawAccounts(group.length, directory, done, Math.max(done, expected))
  }
  for await (const keys of ports.record.expected(directory)) {
    const unseen = keys.filter((key) => !seen.has(key))
    for (const key of unseen) seen.add(key)
    await lookAgain(run, unseen)
  }
  await marks.end()
}

/** Cheap, and wrong now and then: a reading of the account decides. */
function isSuspect(observed: ObservedState, recorded: RecordedAccount): boolean {
  const { ours, holdCount, standing: status } = recorded
  if (recorded.serials.length > 0) {
    const carried = carriedBy(observed)
    if (recorded.serials.some((serial) => spelledAmong(carried, serial) === null)) return true
  }
  if (ours.lock === null) return holdCount > 0 && status === 'in-step' && isOpen(observed.lock)
  return (
    holdCount === 0 ||
    observed.protectedBy !== null ||
    ours.lock.slots.some((slot) => statusOf(slot, observed) !== 'standing')
  )
}

async function lookAgain(run: ResyncRun, keys: readonly AccountKey[]): Promise<void> {
  if (keys.length === 0) return
  const found = await mapAtOnce(keys, LOOKS_AT_ONCE, (key) => driftOf(key, run.ports))
  const wrong = keys.filter((_, index) => (found[index] ?? []).length > 0)
  for (const drift of found.flat()) run.notify(drift)
  if (!run.options.isDryRun && wrong.length > 0) await run.ports.snapshots.markKeysForRefresh(wrong)
}

/**
 * What a repair of the account would change in the directory, by the very plan that it follows. An account that is no
 * longer there has nothing to repair.
 */
async function driftOf(key: AccountKey, ports: ResyncPorts): Promise<Drift[]> {
  // The record first: a lock that a worker writes meanwhile then looks like somebody else's, and nothing follows.
  const recorded = (await ports.record.accountsOf([key])).get(key) ?? NOT_ON_RECORD
  const desired = await ports.desired.of(key, ports.clock.nowMs())
  let observed: ObservedState
  try {
    observed = await ports.directory.observe(key, [], 0)
  } catch (thrown) {
    if (toAppError(thrown).code === 'entry-not-found') return []
    throw thrown
  }
  const missing = missingSerials(desired, observed)
  if (missing.length > 0) observed = await ports.directory.observe(key, missing, 0)
  const wanted = underProtection(knownOf(desired, observed), observed)
  const planned = plan(wanted, observed, recorded.ours, ports.policy)
  if (planned.kind !== 'change' && planned.kind !== 'foreign-unlock') return []
  if (isHeldBack(planned, recorded)) return []
  const account = observed.dn
  const drift: Drift[] = []
  const isLifted = planned.kind === 'foreign-unlock' || (planned.change.kind === 'lock' && recorded.ours.lock !== null)
  const serial = desired.holds.find((hold) => hold.serial !== null)?.serial ?? null
  if (isLifted) {
    const should = ports.policy.onForeignUnlock === 'relock' ? 'locked' : 'open, and its holds ended'
    drift.push({ account, serial, now: 'open', should, why: LOCK_REMOVED })
  } else if (planned.kind === 'change' && planned.change.kind === 'lock') {
    drift.push({ account, serial, now: 'open', should: 'locked', why: planned.change.reason })
  } else if (planned.kind === 'change' && planned.change.kind === 'unlock') {
    drift.push({ account, serial: null, now: 'locked by us', should: 'open', why: planned.change.reason })
  }
  for (const each of missing) {
    if ((observed.carriedElsewhere[each] ?? []).length > 0) continue
    drift.push({
      account,
      serial: each,
      now: 'not carried',
      should: 'carried',
      why: { code: 'serial-removed', params: { serial: each } },
    })
  }
  return drift
}

/** A guard holds the lock back: the status of the account reports that, and a repair would meet the same guard. */
function isHeldBack(planned: Planned, { ours, standing: status }: RecordedAccount): boolean {
  if (planned.kind !== 'change' || planned.change.kind !== 'lock' || ours.lock !== null) return false
  return HELD_BACK.some((each) => each === status)
}

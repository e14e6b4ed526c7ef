import { inGroups, mapAtOnce, oneAhead } from '../core/ahead.ts'
import { toAppError } from '../core/error.ts'
import type { AccountKey, DirectoryName, Serial } from '../core/names.ts'
import { HELD_BACK } from '../core/outcome.ts'
import { plan, type Planned } from '../core/plan.ts'
import { underProtection } from '../core/protection.ts'
import { serialsIn } from '../core/serial-values.ts'
import { standingOf } from '../core/slot.ts'
import { NOTHING_OF_OURS, type ObservedState } from '../core/state.ts'
import { deriveEvents } from '../core/truth.ts'
import type { RecordedAccount } from '../ports/resync.ts'
import { nameOf, Owners } from './resync-tokens.ts'
import { knownOf } from './carriers.ts'
import type { Drift, ResyncPorts, ResyncRun } from './resync-ports.ts'

/**
 * The accounts of one directory against the record, both ways: what they carry that is not theirs, what they should carry
 * and do not, a lock of ours that somebody took away, and one that is left over. The walk shows who carries a mark of
 * ours at all; who should and did not show is looked at by himself. What looks wrong is read again before it is told, since
 * others work at the same time.
 */

/** Accounts that are compared at a time. */
const GROUP = 250
/** Accounts that are read again at the same time. */
const LOOKS_AT_ONCE = 16

const NOT_ON_RECORD: RecordedAccount = { serials: [], ours: NOTHING_OF_OURS, holdCount: 0, standing: '' }

/** Fails with `directory-*`, `source-*`, `store-*`; what was found before is repaired. */
export async function compareAccounts(run: ResyncRun, directory: DirectoryName): Promise<void> {
  const { ports } = run
  const expected = await ports.record.countExpected(directory)
  const seen = run.newSet()
  let done = 0
  for await (const group of oneAhead(inGroups(ports.directory.walkMarked(directory), GROUP))) {
    for (const { key } of group) seen.add(key)
    const recorded = await ports.record.accountsOf(group.map(({ key }) => key))
    const suspects = group.filter((observed) => isSuspect(observed, recorded.get(observed.key) ?? NOT_ON_RECORD))
    await lookAgain(
      run,
      suspects.map(({ key }) => key),
    )
    await takeBackStrays(run, straysOf(run, group, recorded))
    done += group.length
    run.sawAccounts(group.length, directory, done, Math.max(done, expected))
  }
  for await (const keys of ports.record.expected(directory)) {
    const unseen = keys.filter((key) => !seen.has(key))
    for (const key of unseen) seen.add(key)
    await lookAgain(run, unseen)
  }
}

function carriedBy(observed: ObservedState): Serial[] {
  return serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues)
}

/** Cheap, and wrong now and then: a reading of the account decides. */
function isSuspect(observed: ObservedState, recorded: RecordedAccount): boolean {
  const { ours, holdCount, standing } = recorded
  if (recorded.serials.length > 0) {
    const carried = carriedBy(observed)
    if (recorded.serials.some((serial) => !carried.includes(serial))) return true
  }
  if (ours.lock === null) return holdCount > 0 && standing === 'in-step' && observed.lock.state === 'open'
  return (
    holdCount === 0 ||
    observed.protectedBy !== null ||
    ours.lock.slots.some((slot) => standingOf(slot, observed) !== 'standing')
  )
}

async function lookAgain(run: ResyncRun, keys: readonly AccountKey[]): Promise<void> {
  if (keys.length === 0) return
  const found = await mapAtOnce(keys, LOOKS_AT_ONCE, (key) => driftOf(key, run.ports))
  const wrong = keys.filter((_, index) => (found[index] ?? []).length > 0)
  for (const drift of found.flat()) run.tell(drift)
  if (!run.options.isDryRun && wrong.length > 0) await run.ports.truth.hintKeys(wrong)
}

/**
 * What a repair of the account would change in the directory, by the very plan that it follows. An account that is no longer
 * there has nothing to repair.
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
  const carried = carriedBy(observed)
  const missing = desired.serials.filter((serial) => !carried.includes(serial))
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
    const why = 'somebody took our lock away in the directory'
    drift.push({ account, serial, now: 'open', should, why })
  } else if (planned.kind === 'change' && planned.change.kind === 'lock') {
    drift.push({ account, serial, now: 'open', should: 'locked', why: desired.holds[0]?.reason ?? '' })
  } else if (planned.kind === 'change' && planned.change.kind === 'unlock') {
    drift.push({ account, serial: null, now: 'locked by us', should: 'open', why: whyOpen(observed) })
  }
  for (const each of missing) {
    if ((observed.carriedElsewhere[each] ?? []).length > 0) continue
    drift.push({
      account,
      serial: each,
      now: 'not carried',
      should: 'carried',
      why: 'somebody took the serial off the account',
    })
  }
  return drift
}

/** A guard keeps the lock from being written: the account says so itself, and a repair would meet the same guard. */
function isHeldBack(planned: Planned, { ours, standing }: RecordedAccount): boolean {
  if (planned.kind !== 'change' || planned.change.kind !== 'lock' || ours.lock !== null) return false
  return HELD_BACK.some((each) => each === standing)
}

function whyOpen({ protectedBy }: ObservedState): string {
  return protectedBy === null ? 'no hold is left' : `it is protected: ${protectedBy}`
}

interface Stray {
  readonly serial: Serial
  readonly observed: ObservedState
}

function straysOf(
  run: ResyncRun,
  accounts: readonly ObservedState[],
  recorded: ReadonlyMap<AccountKey, RecordedAccount>,
): Stray[] {
  return accounts.flatMap((observed) => {
    const own = recorded.get(observed.key)?.serials ?? []
    return carriedBy(observed)
      .filter((serial) => !own.includes(serial) && !run.isAnnounced(serial, observed.key))
      .map((serial) => ({ serial, observed }))
  })
}

/** Serials that stand at accounts which the record does not know as theirs: privacyIDEA says whose they are. */
async function takeBackStrays(run: ResyncRun, strays: readonly Stray[]): Promise<void> {
  if (strays.length === 0) return
  const { ports } = run
  // Whatever is read of these accounts meanwhile is newer.
  const atUs = ports.clock.nowMs() * 1000
  const tokens = await ports.source.tokensBySerial(strays.map(({ serial }) => serial))
  const owners = new Map(tokens.map((token) => [token.serial, token.owner]))
  const users = [...owners.values()].flatMap((owner) => (owner.kind === 'user' ? [owner] : []))
  const finder = new Owners(ports)
  const accounts = await finder.accountsOf(users)
  for (const { serial, observed } of strays) {
    const owner = owners.get(serial)
    if (owner !== undefined && owner.kind !== 'user' && owner.kind !== 'none') continue
    // A realm that is missing in the configuration is no reason to take anything away.
    if (owner?.kind === 'user' && finder.isUnmapped(owner.realm)) continue
    const account = owner?.kind === 'user' ? accounts.get(nameOf(owner)) : null
    if (account === undefined || account?.key === observed.key) continue
    const why = owner === undefined ? 'no such token exists' : `the token is not that of this account`
    run.tell({ account: observed.dn, serial, now: 'carried', should: 'not carried', why })
    if (!run.options.isDryRun) await takeBack(ports, { serial, observed }, atUs)
  }
}

async function takeBack(ports: ResyncPorts, { serial, observed }: Stray, atUs: number): Promise<void> {
  await ports.truth.hint([{ key: observed.key, dn: observed.dn, login: null, realm: null }])
  const before = { tokens: [{ serial, isLocked: false }], lockout: null }
  const truth = { tokens: [], gone: [serial], lockout: 'unknown' as const }
  const events = deriveEvents(observed.key, before, truth, atUs, () => ports.newId())
  await ports.truth.record(observed.key, { user: null, truth, reset: [], events })
}

import { parseChangeLdif, writeChangeLdif, type ChangeLdif } from '../core/ldif.ts'
import { toAppError } from '../core/error.ts'
import type { ResolvedEvent } from '../core/event.ts'
import {
  parseHoldName,
  parseSerial,
  splitAccountKey,
  type AccountKey,
  type Dn,
  type HoldName,
  type Serial,
} from '../core/names.ts'
import { releaseOf } from '../core/slot.ts'
import type { ObservedState, OwnedLock, OwnedSlot } from '../core/state.ts'
import { serialsIn } from '../core/serial-values.ts'
import { writePending } from '../reconcile/ledger.ts'
import { reclaim } from './reclaim.ts'
import type { System } from './system.ts'

/**
 * Restores holds and the serial map after the store was lost. The directory tells who carries which serial; a file of
 * `unlock/` tells that a lock is ours and what stood there before. What of a file still stands is ours; where nothing
 * does and the account is open, it was applied by hand and goes to history; where the account is locked in another way,
 * or it cannot be told, the file is kept and named. A lock without a file is somebody else's.
 */

export interface RebuildReport {
  readonly accounts: number
  readonly serials: number
  readonly holds: number
  /** Files whose lock no longer stands; they are history now. */
  readonly appliedByHand: number
  /** DNs of accounts whose lock no file claims: somebody else's, left alone. */
  readonly lockedByOthers: readonly string[]
  /** Names of files that were kept although nothing was restored from them; `problems` says why. */
  readonly leftAlone: readonly HoldName[]
  /** What could not be taken in, and why. */
  readonly problems: readonly string[]
}

interface Tally {
  accounts: number
  serials: number
  holds: number
  appliedByHand: number
  readonly lockedByOthers: string[]
  readonly leftAlone: HoldName[]
  readonly problems: string[]
}

const PROBLEMS_MAX = 1_000

interface WaitingUnlock extends ChangeLdif {
  readonly name: HoldName
  readonly takenAtUs: number
  /** When the hold ends by itself; null: it does not. */
  readonly untilUs: number | null
}

export async function rebuild(system: System, onProgress: (accounts: number) => void): Promise<RebuildReport> {
  const counted = { accounts: 0, serials: 0, holds: 0, appliedByHand: 0 }
  const tally: Tally = { ...counted, lockedByOthers: [], leftAlone: [], problems: [] }
  const unlocks = await readUnlocks(system, tally)
  const owners = new Map<Serial, AccountKey>()
  for (const directory of system.directory.names()) {
    for await (const observed of system.directory.walkMarked(directory)) {
      await restoreAccount(system, observed, unlocks.get(observed.key) ?? [], owners, tally)
      unlocks.delete(observed.key)
      onProgress(tally.accounts)
    }
  }
  for (const [key, waiting] of unlocks) await restoreUnmarked(system, key, waiting, owners, tally)
  const { problems, lockedByOthers, leftAlone, ...counts } = tally
  const lengths = {
    lockedByOthers: lockedByOthers.length,
    leftAlone: leftAlone.length,
    problems: problems.length,
  }
  await system.store.restore.note({ ...counts, ...lengths }, leftAlone)
  return tally
}

async function readUnlocks(system: System, tally: Tally): Promise<Map<AccountKey, WaitingUnlock[]>> {
  const unlocks = new Map<AccountKey, WaitingUnlock[]>()
  for (const text of await system.ldif.listPending('unlock')) {
    const name = parseHoldName(text)
    const ldif = await system.ldif.readPending('unlock', text)
    if (name === null || ldif === null) continue
    try {
      const { header, entries } = parseChangeLdif(ldif)
      const key = splitAccountKey(header.account)?.key
      if (key === undefined) throw new Error('its header names no account')
      const waiting = { name, header, entries, takenAtUs: timeUs(header.at) ?? 1, untilUs: timeUs(header.until) }
      unlocks.set(key, [...(unlocks.get(key) ?? []), waiting])
    } catch (thrown) {
      problem(tally, `unlock/${text}.ldif was left alone: ${toAppError(thrown).message}`)
    }
  }
  return unlocks
}

function timeUs(text: string): number | null {
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? null : ms * 1000
}

/** An account that has a waiting file and no mark in the directory any more. */
async function restoreUnmarked(
  system: System,
  key: AccountKey,
  waiting: readonly WaitingUnlock[],
  owners: Map<Serial, AccountKey>,
  tally: Tally,
): Promise<void> {
  try {
    const observed = await system.directory.observe(key, [], 0)
    await restoreAccount(system, observed, waiting, owners, tally)
  } catch (thrown) {
    problem(tally, `${filesOf(waiting)} left alone: ${toAppError(thrown).message}`)
    tally.leftAlone.push(...waiting.map(({ name }) => name))
  }
}

async function restoreAccount(
  system: System,
  observed: ObservedState,
  waiting: readonly WaitingUnlock[],
  owners: Map<Serial, AccountKey>,
  tally: Tally,
): Promise<void> {
  const events = restoredSerials(observed, owners, tally)
  const found = waiting.map(({ entries }) => reclaim(entries, observed))
  const best = found.toSorted((a, b) => b.slots.length - a.slots.length)[0]
  const { key, dn } = observed
  const isLocked = observed.lock.state !== 'open'
  if (best === undefined || best.slots.length === 0) {
    if (isLocked && tally.lockedByOthers.length < PROBLEMS_MAX) tally.lockedByOthers.push(dn)
    await closeOrKeep(system, observed, waiting, best?.unclear ?? null, tally)
    if (events.length === 0) return
    await system.store.restore.restore({ key, dn, login: null, events, owned: null })
    tally.accounts++
    return
  }
  for (const each of waiting) events.push(holdEvent(key, each))
  tally.holds += waiting.length
  if (best.unclear !== null) {
    problem(tally, `${filesOf(waiting)}: ${best.unclear}; the rest of the lock of ${dn} is restored`)
  }
  const owned = ownedLock(best.slots, dn, waiting)
  await system.store.restore.restore({ key, dn, login: null, events, owned })
  tally.accounts++
  for (const each of waiting) await fitFile(system, key, owned, each, best.unclear !== null)
}

function restoredSerials(observed: ObservedState, owners: Map<Serial, AccountKey>, tally: Tally): ResolvedEvent[] {
  const events: ResolvedEvent[] = []
  const standing = serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues)
  for (const serial of standing) {
    const other = owners.get(serial)
    if (other !== undefined) {
      problem(tally, `serial ${serial} stands at two accounts, ${other} and ${observed.key}: the first was taken`)
      continue
    }
    owners.set(serial, observed.key)
    events.push(restoredEvent('register', observed.key, serial, 1, null))
    tally.serials++
  }
  return events
}

/** Files of which nothing stands: history where the account is open, else kept for somebody to look at. */
async function closeOrKeep(
  system: System,
  observed: ObservedState,
  waiting: readonly WaitingUnlock[],
  unclear: string | null,
  tally: Tally,
): Promise<void> {
  if (waiting.length === 0) return
  if (observed.lock.state !== 'open' || unclear !== null) {
    const why = unclear ?? `${observed.dn} is locked, but not by what the file takes away`
    problem(tally, `${filesOf(waiting)} left alone: ${why}`)
    tally.leftAlone.push(...waiting.map(({ name }) => name))
    return
  }
  for (const { name } of waiting) {
    await system.ldif.dropPending('unlock', name, 'applied', observed.key)
    tally.appliedByHand++
  }
}

function ownedLock(slots: readonly OwnedSlot[], dn: Dn, waiting: readonly WaitingUnlock[]): OwnedLock {
  const ends = waiting.flatMap(({ name, untilUs }) => (untilUs === null ? [] : [[name, untilUs] as const]))
  const holds = waiting.map(({ name }) => name)
  return { slots, dn, holds, ...(ends.length === 0 ? {} : { ends: Object.fromEntries(ends) }) }
}

/** The file takes back what is ours now, by today's names: written anew where it does not. */
async function fitFile(
  { ldif }: System,
  key: AccountKey,
  owned: OwnedLock,
  { name, header, entries, takenAtUs }: WaitingUnlock,
  keepsOld: boolean,
): Promise<void> {
  if (writeChangeLdif(entries, header) === writeChangeLdif(releaseOf(owned.slots), header)) return
  if (keepsOld) await ldif.dropPending('unlock', name, 'applied', key)
  await writePending(ldif, key, { ...owned, holds: [name] }, takenAtUs / 1000, true)
}

function filesOf(waiting: readonly WaitingUnlock[]): string {
  return waiting.map(({ name }) => `unlock/${name}.ldif`).join(', ')
}

function holdEvent(key: AccountKey, waiting: WaitingUnlock): ResolvedEvent {
  const serial = parseSerial(waiting.name)
  const kind = waiting.name.startsWith('manual.') ? 'hold' : 'lock'
  return { ...restoredEvent(kind, key, serial, waiting.takenAtUs, waiting.name), untilUs: waiting.untilUs }
}

function restoredEvent(
  kind: ResolvedEvent['kind'],
  accountKey: AccountKey,
  serial: Serial | null,
  takenAtUs: number,
  pinnedHold: HoldName | null,
): ResolvedEvent {
  return {
    id: `rebuild:${kind}:${pinnedHold ?? serial ?? ''}:${accountKey}`,
    kind,
    serial,
    login: null,
    realm: null,
    actor: '',
    takenAtUs,
    source: 'rebuild',
    reason: kind === 'register' ? '' : 'restored from the LDIF folders',
    untilUs: null,
    accountKey,
    attributeSerials: [],
    pinnedHold,
  }
}

function problem(tally: Tally, text: string): void {
  if (tally.problems.length < PROBLEMS_MAX) tally.problems.push(text)
}

import type { EntryModification } from '../core/change.ts'
import { parseChangeLdif } from '../core/ldif.ts'
import { toAppError } from '../core/error.ts'
import type { ResolvedEvent } from '../core/event.ts'
import {
  parseHoldName,
  parseSerial,
  splitAccountKey,
  type AccountKey,
  type HoldName,
  type Serial,
} from '../core/names.ts'
import { sameValues, type ObservedState, type OwnedSlot } from '../core/state.ts'
import { serialsIn } from '../core/serial-values.ts'
import type { System } from './system.ts'

/**
 * Restores holds and the serial map after the store was lost. The directory tells who carries which serial; a file of
 * `unlock/` tells that a lock is ours and what stood there before. Both must agree: a file whose lock no longer stands
 * was applied by hand and goes to history, and a lock without a file is somebody else's.
 */

export interface RebuildReport {
  readonly accounts: number
  readonly serials: number
  readonly holds: number
  /** Files whose lock no longer stands; they are history now. */
  readonly appliedByHand: number
  /** DNs of accounts whose lock no file claims: somebody else's, left alone. */
  readonly lockedByOthers: readonly string[]
  /** What could not be taken in, and why. */
  readonly problems: readonly string[]
}

interface Tally {
  accounts: number
  serials: number
  holds: number
  appliedByHand: number
  readonly lockedByOthers: string[]
  readonly problems: string[]
}

const PROBLEMS_MAX = 1_000

interface WaitingUnlock {
  readonly name: HoldName
  readonly takenAtUs: number
  readonly entries: readonly EntryModification[]
}

export async function rebuild(system: System, onProgress: (accounts: number) => void): Promise<RebuildReport> {
  const tally: Tally = { accounts: 0, serials: 0, holds: 0, appliedByHand: 0, lockedByOthers: [], problems: [] }
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
  const { problems, lockedByOthers, ...counts } = tally
  const lengths = { lockedByOthers: lockedByOthers.length, problems: problems.length }
  await system.store.restore.note({ ...counts, ...lengths })
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
      const atMs = Date.parse(header.at)
      const waiting = { name, entries, takenAtUs: Number.isNaN(atMs) ? 1 : atMs * 1000 }
      unlocks.set(key, [...(unlocks.get(key) ?? []), waiting])
    } catch (thrown) {
      problem(tally, `unlock/${text}.ldif was left alone: ${toAppError(thrown).message}`)
    }
  }
  return unlocks
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
    const names = waiting.map((each) => `unlock/${each.name}.ldif`).join(', ')
    problem(tally, `${names} left alone: ${toAppError(thrown).message}`)
  }
}

async function restoreAccount(
  system: System,
  observed: ObservedState,
  waiting: readonly WaitingUnlock[],
  owners: Map<Serial, AccountKey>,
  tally: Tally,
): Promise<void> {
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
  const [first] = waiting
  const slots = first === undefined ? null : ownedSlots(first.entries, observed)
  if (slots === null) {
    for (const { name } of waiting) {
      await system.ldif.dropPending('unlock', name, 'applied', observed.key)
      tally.appliedByHand++
    }
    if (observed.lock.state !== 'open' && tally.lockedByOthers.length < PROBLEMS_MAX)
      tally.lockedByOthers.push(observed.dn)
  } else {
    for (const each of waiting) events.push(holdEvent(observed.key, each))
    tally.holds += waiting.length
  }
  if (events.length === 0 && slots === null) return
  const owned = slots === null ? null : { slots, dn: observed.dn, holds: waiting.map((each) => each.name) }
  await system.store.restore.restore({ key: observed.key, dn: observed.dn, login: null, events, owned })
  tally.accounts++
}

/**
 * What a waiting file would take back, as the slots that we wrote; null when that no longer stands in the directory.
 * A file deletes what we wrote and adds what stood before, so the two can be told apart.
 */
function ownedSlots(entries: readonly EntryModification[], observed: ObservedState): OwnedSlot[] | null {
  const slots: OwnedSlot[] = []
  for (const slot of observed.lock.slots) {
    const modifications = entries
      .filter((entry) => entry.dn.toLowerCase() === slot.dn.toLowerCase())
      .flatMap((entry) => entry.modifications)
      .filter((each) => each.attribute.toLowerCase() === slot.attribute.toLowerCase())
    if (modifications.length === 0) continue
    const deleted = modifications.filter((each) => each.op === 'delete').flatMap((each) => each.values)
    const added = modifications.filter((each) => each.op === 'add').flatMap((each) => each.values)
    const [before, after] = slot.mode === 'absent' ? [deleted, added] : [added, deleted]
    const stands =
      slot.mode === 'whole'
        ? sameValues(slot.current, after)
        : after.every((value) => slot.current.some((each) => sameValues([each], [value])) === (slot.mode === 'value'))
    if (!stands) return null
    slots.push({ dn: slot.dn, attribute: slot.attribute, mode: slot.mode, before, after })
  }
  return slots.length === 0 ? null : slots
}

function holdEvent(key: AccountKey, waiting: WaitingUnlock): ResolvedEvent {
  const serial = parseSerial(waiting.name)
  const kind = waiting.name.startsWith('manual.') ? 'hold' : 'lock'
  return restoredEvent(kind, key, serial, waiting.takenAtUs, waiting.name)
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

import { compareEvents, type ResolvedEvent } from '../events/event.ts'
import { foldEvents } from './fold.ts'
import type { AccountKey, HoldName } from '../names.ts'
import { serialKey, type SerialKey } from '../serials/serial-key.ts'

/**
 * Keeps the number of events per account small, without changing what the fold makes of them, now or after a late
 * event.
 */

/** A stream longer than this is compacted whatever its age. */
export const STREAM_EVENTS_MAX = 256

/** Ways to write a lock of which a run keeps one each; more than these are no spellings of people. */
const WRITINGS_MAX = 8

/** Locks with the same content, in their order. */
interface Run {
  readonly writings: Set<string>
  newest: ResolvedEvent | null
}

/**
 * privacyIDEA repeats `lock` on every attempt while a token is locked. Of a run of equal locks with nothing but locks
 * of the same account between them only the first (since when) and the newest (newest wins) matter. A lock without a
 * serial is read by the serials that the account had, so only those with the same ones are equal. One of each way to
 * write it stays: it decides which token a spelling means, and whether the user was named.
 * @returns the ids of the others
 */
export function redundantLocks(events: readonly ResolvedEvent[]): string[] {
  const redundant: string[] = []
  const runs = new Map<string, Run>()
  let account: AccountKey | null = null
  for (const event of events.toSorted(compareEvents)) {
    if (event.kind !== 'lock' || event.accountKey !== account) runs.clear()
    account = event.accountKey
    if (event.kind !== 'lock') continue
    const id = runOf(event)
    const run = runs.get(id)
    if (run === undefined) runs.set(id, { writings: new Set([writingOf(event)]), newest: null })
    else {
      if (run.newest !== null && !isKept(run, run.newest)) redundant.push(run.newest.id)
      run.newest = event
    }
  }
  return redundant
}

function isKept({ writings }: Run, event: ResolvedEvent): boolean {
  const writing = writingOf(event)
  if (writings.has(writing) || writings.size >= WRITINGS_MAX) return false
  writings.add(writing)
  return true
}

function writingOf({ serial, login }: ResolvedEvent): string {
  return `${serial ?? ''} ${login === null ? '' : 'named'}`
}

/** privacyIDEA's API gives each serial as it is stored; all others spell it as the request did. */
function runOf({ serial, source, attributeSerials, pinnedHold }: ResolvedEvent): string {
  if (serial === null) return ` ${attributeSerials.join(' ')} ${pinnedHold ?? ''}`
  return source === 'privacyidea' ? serial : ` ${serialKey(serial)}`
}

export interface Compaction {
  /** Events that can be dropped. */
  readonly drop: readonly string[]
  /** Lock events that stay and whose hold must be recorded, since the events that it was read from are dropped. */
  readonly pin: readonly { readonly id: string; readonly hold: HoldName }[]
}

/**
 * What can be dropped of the events taken before `horizonUs`: no event that old can still come in, so only what the
 * state at the horizon rests on is kept. What would change any account's state is not dropped; of serials that moved
 * between accounts only what is certainly the account's own is dropped.
 */
export function compactStream(key: AccountKey, events: readonly ResolvedEvent[], horizonUs: number): Compaction {
  const old = events.filter((event) => event.takenAtUs < horizonUs)
  const accounts = [...new Set([key, ...events.map((event) => event.accountKey)])]
  const states = accounts.map((account) => foldEvents(account, old, { nowUs: horizonUs, lockTtlUs: null }))
  const supporting = new Set(states.flatMap((state) => state.supportedBy))
  const tombstones = old.filter((event) => event.kind === 'unregister').map((event) => event.id)
  for (const id of tombstones) supporting.delete(id)
  const shared = new Set(events.filter((event) => event.accountKey !== key).map(keyOf))
  const all = old.filter((event) => event.accountKey === key && !supporting.has(event.id))
  const own = all.filter((event) => event.serial !== null && !shared.has(keyOf(event)))
  const pin = Object.entries(states[0]?.holdOf ?? {}).map(([id, hold]) => ({ id, hold }))
  for (const candidate of [all, own]) {
    const drop = candidate.map((event) => event.id)
    if (drop.length > 0 && saysTheSame(accounts, events, { drop, pin }, horizonUs)) return { drop, pin }
  }
  return { drop: [], pin: [] }
}

function keyOf({ serial }: ResolvedEvent): SerialKey | null {
  return serial === null ? null : serialKey(serial)
}

function saysTheSame(
  accounts: readonly AccountKey[],
  events: readonly ResolvedEvent[],
  { drop, pin }: Compaction,
  horizonUs: number,
): boolean {
  const dropped = new Set(drop)
  const pins = new Map(pin.map((each) => [each.id, each.hold]))
  const kept = events
    .filter((event) => !dropped.has(event.id))
    .map((event) => ({ ...event, pinnedHold: pins.get(event.id) ?? event.pinnedHold }))
  return accounts.every((account) => summary(account, events, horizonUs) === summary(account, kept, horizonUs))
}

/** Serials and holds; what is gone for good no longer matters. */
function summary(account: AccountKey, events: readonly ResolvedEvent[], nowUs: number): string {
  const { serials, holds } = foldEvents(account, events, { nowUs, lockTtlUs: null })
  return JSON.stringify([serials, holds.map((hold) => hold.name)])
}

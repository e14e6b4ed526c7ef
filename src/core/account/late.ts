import type { Change } from './change.ts'
import type { Dn } from '../names.ts'
import { isSameSlot, rebased, statusOf } from './slot.ts'
import type { ObservedState, OurRecord, OwnedLock, OwnedSlot } from './state.ts'

/**
 * Writes that may still arrive. A change whose outcome nobody reported, and that the directory did not show when it was
 * read, was written off as not applied. Its write may be on its way all the same (a process that was stopped, a
 * connection that hangs), and may succeed after others have locked and unlocked.
 */

/** So long after it was written off. */
export const MAY_ARRIVE_MS = 1_800_000
/** Of one account at most: the newest. */
export const LATE_CHANGES_MAX = 32
/** After these delays the account is read without an event, once a change of it was written off. */
const LOOKS_AFTER_MS = [5_000, 30_000, 120_000, 600_000, MAY_ARRIVE_MS]
/** While there is a lock that may be ours and beside which somebody else wrote. */
const UNCLEAR_LOOK_MS = 3_600_000

export interface LateChange {
  readonly change: Change
  /** In milliseconds since 1970. */
  readonly untilMs: number
  /** Its value was there, and somebody else had written to the entry last: it counts as theirs while it is there. */
  readonly isOthers: boolean
}

/**
 * Who wrote to an entry last. `policy`: the server itself, at a bind of the user, over the name of the last writer.
 * `unknown`: it cannot be read.
 */
export type LastWriter = 'us' | 'others' | 'policy' | 'unknown'

export interface LateWrites {
  readonly changes: readonly LateChange[]
  /** Of the entries of `placesInQuestion`; those that are left out are `unknown`. */
  readonly writers: ReadonlyMap<Dn, LastWriter>
}

/**
 * The outcome of a late write.
 * `arrived`: it is in the directory, and `lock` is what is ours now. `others`: its value is in the directory, and is
 * somebody else's.
 */
export type Arrival =
  | { readonly kind: 'arrived'; readonly late: LateChange; readonly lock: OwnedLock | null }
  | { readonly kind: 'others'; readonly late: LateChange }

/**
 * Whether one of the late writes is in the directory:
 *
 * | late   | the directory shows                      | wrote last          | then                                   |
 * | ------ | ---------------------------------------- | ------------------- | -------------------------------------- |
 * | lock   | a place has its value, not our record's  | us, unknown         | arrived: ours, with the earlier values |
 * | lock   | the same                                 | others, policy      | others: left alone while it is there   |
 * | unlock | places of our lock are gone, all are its | us, policy, unknown | arrived: the rest of the lock is ours  |
 * | unlock | the same                                 | others              | nothing: somebody else unlocked it     |
 *
 * While a lock of ours is there, no bind of the user writes anything; once it is gone each failed one does, and hides
 * who removed it.
 */
export function arrivalOf(late: LateWrites, observed: ObservedState, ours: OurRecord): Arrival | null {
  for (const each of late.changes) {
    const { kind } = each.change
    if (kind === 'lock' && !each.isOthers) {
      const slots = statusBeside(each, observed, ours)
      if (slots.length === 0) continue
      const writers = writersOf(slots, late)
      if (writers.includes('others') || writers.includes('policy')) return { kind: 'others', late: each }
      return { kind: 'arrived', late: each, lock: adopted(each.change, slots, observed, ours) }
    }
    if (kind === 'unlock' && ours.lock !== null) {
      const gone = releasedBy(each, observed, ours.lock)
      if (gone.length === 0 || writersOf(gone, late).includes('others')) continue
      return { kind: 'arrived', late: each, lock: leftAfter(ours.lock, observed) }
    }
  }
  return null
}

/** The entries of which it matters who wrote to them last. */
export function placesInQuestion(changes: readonly LateChange[], observed: ObservedState, ours: OurRecord): Dn[] {
  const slots = changes.flatMap((each) => {
    if (each.change.kind === 'lock') return each.isOthers ? [] : statusBeside(each, observed, ours)
    return each.change.kind === 'unlock' && ours.lock !== null ? releasedBy(each, observed, ours.lock) : []
  })
  return [...new Set(slots.map((slot) => slot.dn))]
}

/** The places of a late lock that hold its value although they are not on record as ours. */
export function statusBeside({ change }: LateChange, observed: ObservedState, ours: OurRecord): OwnedSlot[] {
  const recorded = ours.lock === null ? [] : rebased(ours.lock.slots, ours.lock.dn, observed)
  return rebased(change.slots, change.dn, observed).filter((slot) => {
    return statusOf(slot, observed) === 'standing' && !recorded.some((each) => isSameSlot(each, slot))
  })
}

/** The places of our lock that are gone, where the late unlock released all of them; else none. */
function releasedBy({ change }: LateChange, observed: ObservedState, lock: OwnedLock): OwnedSlot[] {
  const gone = rebased(lock.slots, lock.dn, observed).filter((slot) => statusOf(slot, observed) === 'gone')
  const released = rebased(change.slots, change.dn, observed)
  return gone.every((slot) => released.some((each) => isSameSlot(each, slot))) ? gone : []
}

function adopted(change: Change, slots: readonly OwnedSlot[], observed: ObservedState, ours: OurRecord): OwnedLock {
  const { holds, ends } = ours.lock ?? change
  const kept = ours.lock === null ? [] : rebased(ours.lock.slots, ours.lock.dn, observed)
  return { slots: [...kept, ...slots], dn: observed.dn, holds, ...(ends === undefined ? {} : { ends }) }
}

function leftAfter(lock: OwnedLock, observed: ObservedState): OwnedLock | null {
  const slots = rebased(lock.slots, lock.dn, observed).filter((slot) => statusOf(slot, observed) !== 'gone')
  return slots.length === 0 ? null : { ...lock, slots, dn: observed.dn }
}

function writersOf(slots: readonly OwnedSlot[], { writers }: LateWrites): LastWriter[] {
  return slots.map((slot) => writers.get(slot.dn) ?? 'unknown')
}

/** The result of a completed reading for the late changes; by the ids of the changes. */
export interface LateLook {
  /** They do not arrive any more. */
  readonly over: readonly string[]
  /** The value that was there is gone: what is found from now on is judged anew. */
  readonly cleared: readonly string[]
}

export function lateLook(
  changes: readonly LateChange[],
  observed: ObservedState | null,
  ours: OurRecord,
  nowMs: number,
): LateLook {
  const over: string[] = []
  const cleared: string[] = []
  for (const each of changes) {
    const stands = each.isOthers && observed !== null && statusBeside(each, observed, ours).length > 0
    if (stands) continue
    if (each.untilMs <= nowMs) over.push(each.change.id)
    else if (each.isOthers) cleared.push(each.change.id)
  }
  return { over, cleared }
}

/** When the account is next to be read because of them, in milliseconds since 1970; null: it is not. */
export function nextLateLookMs(
  late: readonly Pick<LateChange, 'untilMs' | 'isOthers'>[],
  nowMs: number,
): number | null {
  const times = late.flatMap(({ untilMs, isOthers }) => {
    const closedMs = untilMs - MAY_ARRIVE_MS
    const next = LOOKS_AFTER_MS.map((afterMs) => closedMs + afterMs).find((atMs) => atMs > nowMs)
    return next ?? (isOthers ? nowMs + UNCLEAR_LOOK_MS : [])
  })
  return times.length === 0 ? null : Math.min(...times)
}

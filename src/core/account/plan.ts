import type { ChangeDraft, EntryModification } from './change.ts'
import { holdName } from './fold.ts'
import { arrivalOf, statusBeside, type Arrival, type LateWrites } from './late.ts'
import { holdNameOfSerial } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'
import { holdKey, isSameSerial } from '../serials/serial-key.ts'
import { addSerial, removeSerial, serialsIn, spelledAt, type SerialEdit, type SerialPlace } from './serial-values.ts'
import type { HoldName, Serial } from '../names.ts'
import {
  adoptedOf,
  isLocked,
  lockOf,
  ownedOf,
  rebased,
  releaseOf,
  sameRelease,
  statusOf,
  otherLockOf,
  otherLockReason,
} from './slot.ts'
import {
  isOpen,
  sameValues,
  type Because,
  type DesiredState,
  type HoldEnds,
  type LockObservation,
  type ObservedState,
  type OurRecord,
  type OwnedLock,
  type OwnedSlot,
} from './state.ts'

/**
 * The difference between the desired and the observed state of an account, one change at a time: apply it, read the
 * entry, plan again, until nothing is left. Pure: equal states give an equal plan, and a plan after its own change was
 * applied is empty.
 *
 * The lock:
 *
 * | holds | our places have     | others' lock | our record   | plan                                                  |
 * | ----- | ------------------- | ------------ | ------------ | ----------------------------------------------------- |
 * | none  | something else      | any          | nothing      | in sync                                               |
 * | none  | something else      | none         | locked by us | forget: somebody removed it, and it was due anyway    |
 * | none  | something else      | present      | locked by us | forget: it was replaced by somebody else's lock       |
 * | none  | what we would write | any          | locked by us | unlock: restore the earlier values; theirs stays      |
 * | none  | what we would write | any          | nothing      | in sync: somebody else's lock is not ours to release  |
 * | some  | something else      | none         | nothing      | lock                                                  |
 * | some  | something else      | none         | locked by us | unlocked by others: by policy end holds, or relock    |
 * | some  | something else      | present      | nothing      | foreign lock: locked, not by us                       |
 * | some  | something else      | present      | locked by us | forget, then foreign lock                             |
 * | some  | what we would write | none         | locked by us | in sync; relabel where other holds than those on file |
 * | some  | what we would write | present      | locked by us | relabel likewise; else foreign lock, beside ours      |
 * | some  | what we would write | any          | nothing      | foreign lock: locked, not claimed                     |
 *
 * Others' lock `unknown` counts as none here: ours is written, which locks in either case; its release restores the
 * values before it. Where ours is there and is not enforced (not effective), that comes before a lock of others.
 *
 * Of an integer our bits alone count; where others have changed, the waiting files follow (relabel).
 *
 * A lock of several places is locked while all of them are, and open otherwise; what we wrote is ours place by place. A
 * place of ours that the configuration no longer names is not read: it neither proves an unlock by somebody else nor
 * is it forgotten, and it is released with the others.
 *
 * Before all that, a write of ours that came late is put on record (core/account/late.ts has the table), and a lock
 * that a person claims as ours is adopted where it equals what we would write:
 *
 * | late write, or order | the directory shows                 | plan                                               |
 * | -------------------- | ----------------------------------- | -------------------------------------------------- |
 * | a lock               | its value, not our record's         | arrived: ours from now on, then the rows above     |
 * | a lock               | the same, and others wrote it       | others: reported once, then the rows of `nothing`  |
 * | an unlock            | our lock is gone by it              | arrived: no longer ours, so that a hold locks anew |
 * | a person adopts      | as we would write it, not on record | adopt: ours from now on, then the rows above       |
 *
 * The serials: each of `gone` that is on the entry is removed; each of `serials` that is missing is added. It is a
 * conflict where another account has it (except an account that it is known to have moved from), or where the value
 * would be too long. A serial on the entry counts in any case of its letters; what is written keeps the spelling on
 * record. Of two tokens that differ by case only each is in conflict with its own spelling alone.
 */
export type Planned =
  | { readonly kind: 'in-step' }
  | { readonly kind: 'change'; readonly change: ChangeDraft }
  /** The waiting files no longer fit the holds, or the account was renamed. */
  | { readonly kind: 'relabel'; readonly lock: OwnedLock; readonly reason: Reason }
  | { readonly kind: 'conflict'; readonly reason: Reason; readonly code?: 'value-too-long' }
  | { readonly kind: 'foreign-lock'; readonly reason: Reason; readonly untilUs: number | null }
  | { readonly kind: 'not-effective'; readonly reason: Reason }
  /** Somebody removed our lock, or a part of it; `left` is the part that is still there. */
  | { readonly kind: 'foreign-unlock'; readonly left: OwnedLock | null }
  | { readonly kind: 'forget'; readonly reason: Reason }
  | Arrival
  /** By a person's order the lock there is ours; `change`: the late lock whose value it is, where there is one. */
  | { readonly kind: 'adopt'; readonly lock: OwnedLock; readonly change: string | null }

export type ForeignUnlockPolicy = 'respect' | 'relock' | 'reset-token'

export interface PlanOptions {
  readonly onForeignUnlock: ForeignUnlockPolicy
  /** Writes of ours that may still arrive; left out: there are none. */
  readonly late?: LateWrites
  /** A person states that a lock that equals what we would write is ours. */
  readonly adopts?: boolean
  /** The directory refused a release of places that cannot be read: the release leaves them out. */
  readonly skipUnseen?: boolean
  /** The breaker holds the lock back: plan the rest. */
  readonly withoutLock?: boolean
}

export function plan(desired: DesiredState, observed: ObservedState, ours: OurRecord, options: PlanOptions): Planned {
  const adopt = options.adopts === true ? adoption(desired, observed, ours, options.late) : null
  if (adopt !== null) return adopt
  const arrival = options.late === undefined ? null : arrivalOf(options.late, observed, ours)
  if (arrival !== null) return arrival
  const lock = ours.lock === null ? planUnowned(desired, observed) : planOwned(desired, observed, ours.lock, options)
  const isLeftOut = options.withoutLock === true && lock.kind === 'change' && lock.change.kind === 'lock'
  const isSettled = lock.kind === 'in-step' || lock.kind === 'foreign-lock' || lock.kind === 'not-effective'
  if (!isSettled && !isLeftOut) return lock
  const serials = planSerials(desired, observed)
  if (serials.kind !== 'in-step') return serials
  return isLeftOut ? serials : lock
}

/** Null where there is no value that equals our lock, or where the value before it is not known. */
function adoption(
  desired: DesiredState,
  observed: ObservedState,
  ours: OurRecord,
  late: LateWrites | undefined,
): Planned | null {
  if (ours.lock !== null) return null
  const { key, dn } = observed
  const held = desired.holds.map((hold) => hold.name)
  for (const each of late?.changes ?? []) {
    const { change, isOthers } = each
    // What an unlock without an outcome may have left; the unlock itself did not happen then, and stays recorded so.
    const isLeft = change.kind === 'unlock' && isOthers
    const slots = change.kind === 'lock' || isLeft ? statusBeside(each, observed, ours) : []
    if (slots.length === 0) continue
    const lock = { slots, dn, holds: held.length > 0 ? held : change.holds }
    return { kind: 'adopt', lock, change: isLeft ? null : change.id }
  }
  if (observed.lock.state !== 'as-ours') return null
  const slots = observed.lock.slots.map(adoptedOf)
  if (!slots.every((slot) => slot !== null)) return null
  const holds = held.length > 0 ? held : [holdName('account', key)]
  return { kind: 'adopt', lock: { slots, dn, holds }, change: null }
}

function planUnowned(desired: DesiredState, observed: ObservedState): Planned {
  if (desired.holds.length === 0) return { kind: 'in-step' }
  if (isOpen(observed.lock)) return { kind: 'change', change: lockChange(desired, observed) }
  // Ours written and not recorded as ours: without effect it is nobody's lock for privacyIDEA, and still not ours here.
  return foreignLock(observed, false) ?? { kind: 'foreign-lock', reason: NOT_OURS, untilUs: null }
}

const NOT_OURS: Reason = { code: 'lock-not-ours', params: {} }

function foreignLock({ lock }: ObservedState, isOurs: boolean): Planned | null {
  const other = otherLockOf(lock, isOurs)
  if (other?.is !== 'locked') return null
  return { kind: 'foreign-lock', reason: otherLockReason(other, isOurs), untilUs: other.untilUs }
}

function planOwned(desired: DesiredState, observed: ObservedState, owned: OwnedLock, options: PlanOptions): Planned {
  const slots = rebased(owned.slots, owned.dn, observed)
  const remaining = slots.filter((slot) => statusOf(slot, observed) !== 'gone')
  if (desired.holds.length === 0) {
    const skipped = options.skipUnseen === true ? remaining.filter(isUnseenIn(observed)) : []
    const left = remaining.filter((slot) => !skipped.includes(slot))
    if (left.length > 0) {
      const because = whyUnlocked(desired, skipped)
      return { kind: 'change', change: unlockChange(observed, { ...owned, slots: left }, because) }
    }
    return { kind: 'forget', reason: { code: 'lock-gone', params: { places: placesOf(skipped) } } }
  }
  if (remaining.length < slots.length) {
    if (observed.lock.other?.is === 'locked') return { kind: 'forget', reason: { code: 'lock-replaced', params: {} } }
    if (options.onForeignUnlock !== 'relock') {
      return { kind: 'foreign-unlock', left: leftOf(owned, remaining, desired, observed) }
    }
  }
  const names = labelsOf(desired.holds, owned)
  const ends = endsOf(desired.holds)
  const isFiled = owned.dn === observed.dn && sameRelease(slots, owned.slots)
  const isLabelled = isFiled && sameValues(owned.holds, names) && sameEnds(owned.ends, ends.ends)
  if (!isLabelled) {
    const reason = { code: 'holds-changed', params: {} } as const
    return { kind: 'relabel', lock: { slots, dn: observed.dn, holds: names, ...ends }, reason }
  }
  // Open again in part, by policy, or since a crash left the lock half written.
  if (isOpen(observed.lock)) return { kind: 'change', change: lockChange(desired, observed, names) }
  return notEffective(observed.lock) ?? foreignLock(observed, true) ?? { kind: 'in-step' }
}

/** A file keeps the spelling that it was written under: a token's hold may have got another one since. */
function labelsOf(holds: DesiredState['holds'], owned: OwnedLock): HoldName[] {
  const names = new Set(holds.map((hold) => hold.name))
  const filed = new Map(owned.holds.filter((name) => !names.has(name)).map((name) => [holdKey(name), name]))
  return [...names].map((name) => (owned.holds.includes(name) ? name : (filed.get(holdKey(name)) ?? name)))
}

/** What others left of our lock, with the files of the holds that are still this account's. */
function leftOf(
  owned: OwnedLock,
  slots: readonly OwnedSlot[],
  desired: DesiredState,
  observed: ObservedState,
): OwnedLock | null {
  if (slots.length === 0) return null
  const holds = owned.holds.filter((name) => labelsOf(desired.holds, owned).includes(name))
  return { ...owned, slots, dn: observed.dn, holds: holds.length === 0 ? owned.holds : holds }
}

function isUnseenIn(observed: ObservedState): (slot: OwnedSlot) => boolean {
  return (slot) => statusOf(slot, observed) === 'unseen'
}

function placesOf(slots: readonly OwnedSlot[]): string[] {
  return slots.map((slot) => `${slot.attribute} at ${slot.dn}`)
}

function whyUnlocked({ ended }: DesiredState, skipped: readonly OwnedSlot[]): Because {
  const because = ended ?? { reason: NONE_LEFT, actor: '' }
  if (skipped.length === 0) return because
  return { ...because, reason: { code: 'unlocked-in-part', params: { places: placesOf(skipped) } } }
}

const NONE_LEFT: Reason = { code: 'no-hold-left', params: {} }

/** Of manual holds alone: the end of a token's hold moves with each event, and follows from the settings. */
function endsOf(all: DesiredState['holds']): Pick<OwnedLock, 'ends'> {
  const ends: Record<string, number> = {}
  for (const { kind, name, untilUs } of all) if (kind === 'manual' && untilUs !== null) ends[name] = untilUs
  return Object.keys(ends).length === 0 ? {} : { ends }
}

export function sameEnds(a: HoldEnds = {}, b: HoldEnds = {}): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

/** A lock whose effect is not known is in sync: it is there, and each output shows what is not known. */
function notEffective({ effective }: LockObservation): Planned | null {
  if (effective.is !== 'no') return null
  return { kind: 'not-effective', reason: { code: 'lock-not-effective', params: { said: effective.reason } } }
}

function lockChange(
  desired: DesiredState,
  observed: ObservedState,
  names: readonly HoldName[] = desired.holds.map((hold) => hold.name),
): ChangeDraft {
  const slots = observed.lock.slots.filter((slot) => !isLocked(slot)).map(ownedOf)
  const first = desired.holds[0]
  return {
    kind: 'lock',
    key: observed.key,
    dn: observed.dn,
    serial: null,
    holds: names,
    ...endsOf(desired.holds),
    forward: lockOf(slots),
    inverse: releaseOf(slots),
    slots,
    reason: first?.reason ?? NONE_LEFT,
    actor: first?.actor ?? '',
  }
}

function unlockChange(observed: ObservedState, owned: OwnedLock, because: Because): ChangeDraft {
  return {
    kind: 'unlock',
    key: observed.key,
    dn: observed.dn,
    serial: null,
    holds: owned.holds,
    ...(owned.ends === undefined ? {} : { ends: owned.ends }),
    forward: withOnRelease(releaseOf(owned.slots), observed),
    inverse: lockOf(owned.slots),
    slots: owned.slots,
    ...because,
  }
}

/** What else has to be written so that the user can log in; it has no inverse. */
function withOnRelease(entries: readonly EntryModification[], observed: ObservedState): readonly EntryModification[] {
  const { onRelease } = observed.lock
  if (onRelease === undefined) return entries
  return entries.map(({ dn, modifications }) => {
    return { dn, modifications: dn === observed.dn ? [...modifications, ...onRelease] : modifications }
  })
}

function planSerials(desired: DesiredState, observed: ObservedState): Planned {
  const place: SerialPlace = {
    attribute: observed.serialAttribute,
    multiValued: observed.serialAttributeMultiValued,
    format: observed.serialFormat,
    values: observed.serialValues,
    ...(desired.twins === undefined ? {} : { twins: desired.twins }),
  }
  for (const serial of desired.gone) {
    const edit = isSharedValue(serial, desired, place) ? null : removeSerial(place, serial)
    // Under the spelling on the entry: its files are named for it.
    if (edit !== null)
      return serialChange('unregister', [serial, spelledAt(place, serial) ?? serial], edit, desired, observed)
  }
  let conflict: Planned = { kind: 'in-step' }
  for (const serial of desired.serials) {
    const edit = addSerial(place, serial)
    if (edit === null) continue
    const reason = conflictOver(serial, desired, observed)
    const tooLong = reason === null ? tooLongFor(serial, edit, observed) : null
    if (tooLong !== null) conflict = { kind: 'conflict', reason: tooLong, code: 'value-too-long' }
    else if (reason === null) return serialChange('register', [serial, serial], edit, desired, observed)
    else conflict = { kind: 'conflict', reason }
  }
  return conflict
}

/** Two spellings share a value, which belongs to a token that stays. Where each has its own, the other can go. */
function isSharedValue(serial: Serial, desired: DesiredState, place: SerialPlace): boolean {
  const [stays] = desired.serials.filter((each) => isSameSerial(each, serial))
  if (stays === undefined) return false
  const there = serialsIn(place.format, place.multiValued, place.values)
  return stays === serial || !there.includes(stays) || !there.includes(serial)
}

/** The server would refuse it each time, so it is not tried. */
function tooLongFor(
  serial: Serial,
  { forward }: SerialEdit,
  { serialLengthMax = Infinity, serialAttribute: attribute, dn }: ObservedState,
): Reason | null {
  const longest = Math.max(0, ...forward.flatMap(({ op, values }) => (op === 'delete' ? [] : values)).map(lengthOf))
  if (longest <= serialLengthMax) return null
  return { code: 'serial-too-long', params: { serial, attribute, dn, length: longest, max: serialLengthMax } }
}

function lengthOf({ length }: string | Uint8Array): number {
  return length
}

function conflictOver(serial: Serial, desired: DesiredState, observed: ObservedState): Reason | null {
  const movedFrom = desired.movedFrom[serial] ?? []
  const isTwin = desired.twins?.includes(serial) === true
  const duplicates = (observed.carriedElsewhere[serial] ?? []).filter(
    ({ key, spelled = serial }) => !movedFrom.includes(key) && (!isTwin || spelled === serial),
  )
  if (duplicates.length === 0) return null
  return { code: 'serial-carried-elsewhere', params: { serial, at: duplicates.map((duplicate) => duplicate.dn) } }
}

function serialChange(
  kind: 'register' | 'unregister',
  [recorded, serial]: readonly [recorded: Serial, spelled: Serial],
  edit: SerialEdit,
  { because = {} }: DesiredState,
  observed: ObservedState,
): { kind: 'change'; change: ChangeDraft } {
  const change: ChangeDraft = {
    kind,
    key: observed.key,
    dn: observed.dn,
    serial,
    holds: [holdNameOfSerial(serial)],
    forward: [{ dn: observed.dn, modifications: edit.forward }],
    inverse: [{ dn: observed.dn, modifications: edit.inverse }],
    slots: [],
    ...(because[recorded] ?? {
      reason: { code: `token-${kind === 'register' ? 'assigned' : 'unassigned'}`, params: { serial } },
      actor: '',
    }),
  }
  return { kind: 'change', change }
}

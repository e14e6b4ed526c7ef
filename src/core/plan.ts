import type { ChangeDraft, EntryModification, Modification } from './change.ts'
import { holdNameOfSerial } from './names.ts'
import { addSerial, removeSerial, type SerialEdit, type SerialPlace } from './serial-values.ts'
import type { Serial } from './names.ts'
import {
  hasValue,
  sameValues,
  type AttributeValue,
  type DesiredState,
  type Effectiveness,
  type LockSlot,
  type ObservedState,
  type OurRecord,
  type OwnedLock,
  type OwnedSlot,
} from './state.ts'

/**
 * The difference between what an account should look like and what it does, one change at a time: apply it, look
 * again, plan again, until nothing is left. Pure: equal states give an equal plan, and a plan after its own change
 * was applied is empty.
 *
 * The lock:
 *
 * | holds | the directory says   | our record       | plan                                                        |
 * | ----- | -------------------- | ---------------- | ----------------------------------------------------------- |
 * | none  | open                 | nothing          | in step                                                     |
 * | none  | open                 | locked by us     | forget: somebody took it away, and it was due anyway        |
 * | none  | as we would write it | locked by us     | unlock: put back what stood there before                    |
 * | none  | as we would write it | nothing          | in step: somebody else's lock is not ours to release        |
 * | none  | otherwise locked     | locked by us     | forget: it was replaced by somebody else's lock             |
 * | none  | otherwise locked     | nothing          | in step                                                     |
 * | some  | open                 | nothing          | lock                                                        |
 * | some  | open                 | locked by us     | somebody unlocked it: by policy, end the holds or lock again |
 * | some  | as we would write it | locked by us     | in step; relabel where other holds than those on file       |
 * | some  | as we would write it | nothing          | foreign lock: locked, not claimed                           |
 * | some  | otherwise locked     | either           | foreign lock; what we had is forgotten                      |
 *
 * The serials: each of `gone` that stands there is taken out; each of `serials` that is missing is put in, unless
 * another account carries it, which is a conflict (except an account that it is known to have moved from).
 */
export type Planned =
  | { readonly kind: 'in-step' }
  | { readonly kind: 'change'; readonly change: ChangeDraft }
  /** The waiting files no longer fit the holds, or the account was renamed. */
  | { readonly kind: 'relabel'; readonly lock: OwnedLock }
  | { readonly kind: 'conflict'; readonly reason: string }
  | { readonly kind: 'foreign-lock'; readonly reason: string; readonly untilUs: number | null }
  | { readonly kind: 'not-effective'; readonly reason: string }
  | { readonly kind: 'foreign-unlock' }
  | { readonly kind: 'forget'; readonly reason: string }

export interface PlanOptions {
  readonly onForeignUnlock: 'respect' | 'relock'
}

export function plan(desired: DesiredState, observed: ObservedState, ours: OurRecord, options: PlanOptions): Planned {
  const owned = ours.lock === null ? null : rebased(ours.lock, observed)
  const lock = owned === null ? planUnowned(desired, observed) : planOwned(desired, observed, owned, options)
  if (lock.kind !== 'in-step' && lock.kind !== 'foreign-lock' && lock.kind !== 'not-effective') return lock
  const serials = planSerials(desired, observed)
  return serials.kind === 'in-step' ? lock : serials
}

function planUnowned(desired: DesiredState, observed: ObservedState): Planned {
  if (desired.holds.length === 0) return { kind: 'in-step' }
  if (observed.lock.state === 'open') return { kind: 'change', change: lockChange(desired, observed) }
  return {
    kind: 'foreign-lock',
    reason: 'the account is locked by somebody else; that lock is left alone',
    untilUs: observed.lock.otherUntilUs,
  }
}

function planOwned(desired: DesiredState, observed: ObservedState, owned: OwnedLock, options: PlanOptions): Planned {
  const remaining = owned.slots.filter((slot) => isStillOurs(slot, observed))
  if (desired.holds.length === 0) {
    if (remaining.length > 0) return { kind: 'change', change: unlockChange(observed, { ...owned, slots: remaining }) }
    return { kind: 'forget', reason: 'our lock no longer stands in the directory' }
  }
  if (remaining.length < owned.slots.length) {
    if (observed.lock.state === 'other') return { kind: 'forget', reason: 'our lock was replaced by somebody else’s' }
    if (options.onForeignUnlock === 'respect') return { kind: 'foreign-unlock' }
  }
  const names = desired.holds.map((hold) => hold.name)
  const isLabelled = owned.dn === observed.dn && sameValues(owned.holds, names)
  if (!isLabelled) return { kind: 'relabel', lock: { slots: owned.slots, dn: observed.dn, holds: names } }
  // Open again in part, by policy, or since a crash left the lock half written.
  if (observed.lock.state === 'open') return { kind: 'change', change: lockChange(desired, observed) }
  return effective(observed.lock.effective)
}

/** The entry may have been renamed since: its own slots follow it. */
function rebased(lock: OwnedLock, observed: ObservedState): OwnedLock {
  if (lock.dn === observed.dn) return lock
  return { ...lock, slots: lock.slots.map((slot) => (slot.dn === lock.dn ? { ...slot, dn: observed.dn } : slot)) }
}

/** A lock whose effect is not known is in step: it stands, and whoever shows it says what is not known. */
function effective(effectiveness: Effectiveness): Planned {
  return effectiveness.is === 'no' ? { kind: 'not-effective', reason: effectiveness.reason } : { kind: 'in-step' }
}

/** True while a place that we wrote still holds what we wrote. */
export function isStillOurs(owned: OwnedSlot, observed: ObservedState): boolean {
  const slot = observed.lock.slots.find((each) => isSamePlace(each, owned))
  return slot !== undefined && holds(owned.mode, slot.current, owned.after)
}

export function isSamePlace(a: { dn: string; attribute: string }, b: { dn: string; attribute: string }): boolean {
  return a.attribute.toLowerCase() === b.attribute.toLowerCase() && a.dn.toLowerCase() === b.dn.toLowerCase()
}

function holds(mode: LockSlot['mode'], current: readonly AttributeValue[], locked: readonly AttributeValue[]): boolean {
  if (mode === 'whole') return sameValues(current, locked)
  return locked.every((value) => hasValue(current, value) === (mode === 'value'))
}

function lockChange(desired: DesiredState, observed: ObservedState): ChangeDraft {
  const open = observed.lock.slots.filter((slot) => !holds(slot.mode, slot.current, slot.locked))
  const first = desired.holds[0]
  return {
    kind: 'lock',
    key: observed.key,
    dn: observed.dn,
    serial: null,
    holds: desired.holds.map((hold) => hold.name),
    forward: entries(open, (slot) => lockSteps(slot)),
    inverse: entries(open, (slot) => unlockSteps(slot.mode, slot.attribute, slot.locked, slot.current)),
    slots: open.map(({ dn, attribute, mode, current, locked }) => ({
      dn,
      attribute,
      mode,
      before: mode === 'whole' ? current : [],
      after: mode === 'whole' ? locked : locked.filter((value) => hasValue(current, value) !== (mode === 'value')),
    })),
    reason: first?.reason ?? '',
    actor: first?.actor ?? '',
  }
}

function unlockChange(observed: ObservedState, owned: OwnedLock): ChangeDraft {
  return {
    kind: 'unlock',
    key: observed.key,
    dn: observed.dn,
    serial: null,
    holds: owned.holds,
    forward: releaseOf(owned.slots),
    inverse: entries(owned.slots, relockSteps),
    slots: owned.slots,
    reason: 'no hold is left',
    actor: '',
  }
}

/** What takes our lock away again, and nothing else: the text of the files that wait in `unlock/`. */
export function releaseOf(slots: readonly OwnedSlot[]): EntryModification[] {
  return entries(slots, (slot) => unlockSteps(slot.mode, slot.attribute, slot.after, slot.before))
}

function lockSteps(slot: LockSlot): Modification[] {
  const missing = slot.locked.filter((value) => hasValue(slot.current, value) !== (slot.mode === 'value'))
  switch (slot.mode) {
    case 'whole':
      return swap(slot.attribute, slot.current, slot.locked)
    case 'value':
      return [{ op: 'add', attribute: slot.attribute, values: missing }]
    case 'absent':
      return [{ op: 'delete', attribute: slot.attribute, values: missing }]
  }
}

function unlockSteps(
  mode: LockSlot['mode'],
  attribute: string,
  locked: readonly AttributeValue[],
  before: readonly AttributeValue[],
): Modification[] {
  switch (mode) {
    case 'whole':
      return swap(attribute, locked, before)
    case 'value':
      return [{ op: 'delete', attribute, values: locked.filter((value) => !hasValue(before, value)) }]
    case 'absent':
      return [
        {
          op: 'add',
          attribute,
          values: before.length > 0 ? before.filter((value) => hasValue(locked, value)) : locked,
        },
      ]
  }
}

function relockSteps(slot: OwnedSlot): Modification[] {
  if (slot.mode === 'whole') return swap(slot.attribute, slot.before, slot.after)
  return [{ op: slot.mode === 'value' ? 'add' : 'delete', attribute: slot.attribute, values: slot.after }]
}

/** Compare and swap: deleting the old values by name makes the write fail where they are no longer there. */
function swap(attribute: string, from: readonly AttributeValue[], to: readonly AttributeValue[]): Modification[] {
  const steps: Modification[] = []
  if (from.length > 0) steps.push({ op: 'delete', attribute, values: from })
  if (to.length > 0) steps.push({ op: 'add', attribute, values: to })
  return steps
}

/** Gathers the modifications of several places by entry, in their order. */
function entries<Place extends { dn: OwnedSlot['dn'] }>(
  places: readonly Place[],
  modificationsOf: (place: Place) => readonly Modification[],
): EntryModification[] {
  const byDn = new Map<OwnedSlot['dn'], Modification[]>()
  for (const place of places) {
    const modifications = byDn.get(place.dn) ?? []
    modifications.push(...modificationsOf(place))
    byDn.set(place.dn, modifications)
  }
  return [...byDn].map(([dn, modifications]) => ({ dn, modifications }))
}

function planSerials(desired: DesiredState, observed: ObservedState): Planned {
  const place: SerialPlace = {
    attribute: observed.serialAttribute,
    multiValued: observed.serialAttributeMultiValued,
    format: observed.serialFormat,
    values: observed.serialValues,
  }
  for (const serial of desired.gone) {
    const edit = removeSerial(place, serial)
    if (edit !== null) return serialChange('unregister', serial, edit, observed)
  }
  let conflict: Planned = { kind: 'in-step' }
  for (const serial of desired.serials) {
    const edit = addSerial(place, serial)
    if (edit === null) continue
    const reason = conflictOver(serial, desired, observed)
    if (reason === null) return serialChange('register', serial, edit, observed)
    conflict = { kind: 'conflict', reason }
  }
  return conflict
}

function conflictOver(serial: Serial, desired: DesiredState, observed: ObservedState): string | null {
  const movedFrom = desired.movedFrom[serial] ?? []
  const carriers = (observed.carriedElsewhere[serial] ?? []).filter((carrier) => !movedFrom.includes(carrier.key))
  if (carriers.length === 0) return null
  const where = carriers.map((carrier) => carrier.dn).join(' and ')
  return `serial ${serial} already stands at ${where}: nothing was written; take it away there, or register the token anew`
}

function serialChange(
  kind: 'register' | 'unregister',
  serial: Serial,
  edit: SerialEdit,
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
    reason: kind === 'register' ? `token ${serial} was assigned` : `token ${serial} was unassigned or deleted`,
    actor: '',
  }
  return { kind: 'change', change }
}

import { bitsGivenBack, bitsStand } from './bit.ts'
import type { EntryModification } from './change.ts'
import type { Dn } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'
import {
  type Modification,
  hasValue,
  sameValues,
  type AttributeValue,
  type LockObservation,
  type LockSlot,
  type ObservedState,
  type OtherLock,
  type OwnedSlot,
} from './state.ts'

/** The places of a lock: their values, and how they are written and reverted. */

interface Place {
  readonly dn: Dn
  readonly attribute: string
  readonly mode: LockSlot['mode']
}

/** An account as it was read, as far as its lock goes. */
export type LockObserved = Pick<ObservedState, 'dn' | 'lock'>

/**
 * The status of a place that we wrote. `unseen`: it is not among the places of the lock as it would be written now (the
 * configuration names others, or it had the account's former name), so that it was not read.
 */
export type SlotStatus = 'standing' | 'gone' | 'unseen'

export function statusOf(owned: OwnedSlot, observed: LockObserved): SlotStatus {
  const slot = slotNow(owned, observed)
  if (slot === undefined) return 'unseen'
  if (owned.mode === 'bit') return bitsStand(slot.current, owned.before, owned.after) ? 'standing' : 'gone'
  return holdsLocked(owned.mode, slot.current, owned.after) ? 'standing' : 'gone'
}

function slotNow(owned: OwnedSlot, observed: LockObserved): LockSlot | undefined {
  return observed.lock.slots.find((each) => isSamePlace(each, each.locked, owned, owned.after))
}

/** A slot of one value among others is a place of its own; one for the whole attribute is one, with any value. */
export function isSameSlot(a: OwnedSlot, b: OwnedSlot): boolean {
  return isSamePlace(a, a.after, b, b.after)
}

/** Whether their releases are the same text. */
export function sameRelease(a: readonly OwnedSlot[], b: readonly OwnedSlot[]): boolean {
  const isEqual = (x: OwnedSlot, y: OwnedSlot): boolean => {
    return isSameSlot(x, y) && sameValues(x.before, y.before) && sameValues(x.after, y.after)
  }
  return a.length === b.length && a.every((slot) => b.some((each) => isEqual(slot, each)))
}

export function sameSlots(a: readonly OwnedSlot[], b: readonly OwnedSlot[]): boolean {
  return a.length === b.length && a.every((slot) => b.some((each) => isSameSlot(each, slot)))
}

function isSamePlace(
  a: Place,
  valuesOfA: readonly AttributeValue[],
  b: Place,
  valuesOfB: readonly AttributeValue[],
): boolean {
  if (a.mode !== b.mode || a.attribute.toLowerCase() !== b.attribute.toLowerCase()) return false
  if (a.dn.toLowerCase() !== b.dn.toLowerCase()) return false
  return isAlone(a.mode) || sameValues(valuesOfA, valuesOfB)
}

/** Whether a place is the attribute as such, of which there is one. */
function isAlone(mode: LockSlot['mode']): boolean {
  return mode === 'whole' || mode === 'bit'
}

export function isLocked(slot: LockSlot): boolean {
  return holdsLocked(slot.mode, slot.current, slot.locked)
}

function holdsLocked(
  mode: LockSlot['mode'],
  current: readonly AttributeValue[],
  locked: readonly AttributeValue[],
): boolean {
  if (isAlone(mode)) return sameValues(current, locked)
  return locked.every((value) => hasValue(current, value) === (mode === 'value'))
}

/**
 * The slots with the values of now. Of an account that was renamed since they were written, at its new name: those of
 * its own entry, and those whose value was its name and that the server renamed with it. Of an integer, with the other
 * bits of now.
 */
export function rebased(slots: readonly OwnedSlot[], from: Dn, observed: LockObserved): OwnedSlot[] {
  return renamed(slots, from, observed).map((slot) => {
    const current = slot.mode === 'bit' ? slotNow(slot, observed)?.current : undefined
    if (current === undefined || !bitsStand(current, slot.before, slot.after)) return slot
    return { ...slot, before: bitsGivenBack(current, slot.before, slot.after), after: current }
  })
}

function renamed(slots: readonly OwnedSlot[], from: Dn, observed: LockObserved): readonly OwnedSlot[] {
  if (from === observed.dn) return slots
  return slots.map((slot) => {
    const dn = slot.dn === from ? observed.dn : slot.dn
    const isNamed = slot.mode === 'value' && slot.after.length === 1 && slot.after[0] === from
    const moved = { ...slot, dn, after: [observed.dn] }
    return isNamed && statusOf(moved, observed) === 'standing' ? moved : { ...slot, dn }
  })
}

/** What a lock writes into a place that is not locked yet. */
export function ownedOf(slot: LockSlot): OwnedSlot {
  const { dn, attribute, mode, current, locked } = slot
  return { dn, attribute, mode, before: isAlone(mode) ? current : [], after: locked }
}

/** A place that has the lock already, as if we had written it; null where the value before it is not known. */
export function adoptedOf(slot: LockSlot): OwnedSlot | null {
  const { dn, attribute, mode, locked, unlocked } = slot
  if (!isAlone(mode)) return { dn, attribute, mode, before: [], after: locked }
  return unlocked === undefined ? null : { dn, attribute, mode, before: unlocked, after: locked }
}

/** Writes our lock into these places. */
export function lockOf(slots: readonly OwnedSlot[]): EntryModification[] {
  return entries(slots, (slot) => {
    if (isAlone(slot.mode)) return swap(slot.attribute, slot.before, slot.after)
    return [{ op: slot.mode === 'value' ? 'add' : 'delete', attribute: slot.attribute, values: slot.after }]
  })
}

/** What removes our lock, and nothing else: the text of the waiting files in `unlock/`. */
export function releaseOf(slots: readonly OwnedSlot[]): EntryModification[] {
  return entries(slots, (slot) => {
    if (isAlone(slot.mode)) return swap(slot.attribute, slot.after, slot.before)
    return [{ op: slot.mode === 'value' ? 'delete' : 'add', attribute: slot.attribute, values: slot.after }]
  })
}

/** Compare and swap: deleting the old values by name makes the write fail where they are no longer there. */
function swap(attribute: string, from: readonly AttributeValue[], to: readonly AttributeValue[]): Modification[] {
  const steps: Modification[] = []
  if (from.length > 0) steps.push({ op: 'delete', attribute, values: from })
  if (to.length > 0) steps.push({ op: 'add', attribute, values: to })
  return steps
}

/** Gathers the modifications of several places by entry, in their order; equal steps on one attribute become one. */
function entries(
  slots: readonly OwnedSlot[],
  modificationsOf: (slot: OwnedSlot) => readonly Modification[],
): EntryModification[] {
  const byDn = new Map<Dn, Modification[]>()
  for (const slot of slots) {
    const modifications = byDn.get(slot.dn) ?? []
    for (const step of modificationsOf(slot)) append(modifications, step)
    byDn.set(slot.dn, modifications)
  }
  return [...byDn].map(([dn, modifications]) => ({ dn, modifications }))
}

function append(modifications: Modification[], step: Modification): void {
  const last = modifications.at(-1)
  if (last?.op === step.op && last.attribute === step.attribute) {
    modifications[modifications.length - 1] = { ...last, values: [...last.values, ...step.values] }
  } else modifications.push(step)
}

/** Somebody else's lock, or what may be one. One without an end comes before one that ends. */
export function otherLockOf(lock: LockObservation, isOurs: boolean): OtherLock | null {
  const { state, other, effective, slots } = lock
  if (state !== 'as-ours' || isOurs || effective.is === 'no') return other
  if (other?.is === 'locked' && other.untilUs === null) return other
  return { is: 'locked', cause: 'own-value', attribute: slots[0]?.attribute ?? '', untilUs: null }
}

/** Why somebody else's lock is reported. */
export function otherLockReason({ is, cause, attribute }: OtherLock, isOurs: boolean): Reason {
  return is === 'unknown'
    ? { code: 'other-lock-unclear', params: { attribute } }
    : { code: 'locked-by-others', params: { cause, attribute, besides: isOurs } }
}

import { bitsGivenBack, bitsStand } from '../../core/account/bit.ts'
import type { EntryModification } from '../../core/account/change.ts'
import {
  hasValue,
  sameValues,
  type AttributeValue,
  type LockSlot,
  type ObservedState,
  type OwnedSlot,
} from '../../core/account/state.ts'
import { normalDn } from '../../core/dn.ts'

/**
 * What a waiting file would revert, compared with the directory now. A file deletes what we wrote and adds the earlier
 * values, so the two can be distinguished. The account may have been renamed since: the file then has its own entry
 * under its former name.
 */
export interface Reclaimed {
  /** The places, or those of their values, that still hold what we wrote: ours, named as they are now. */
  readonly slots: readonly OwnedSlot[]
  /** What of the file cannot be compared with the directory, and why; null: all of it could. */
  readonly unclear: string | null
}

interface Written {
  readonly deleted: readonly AttributeValue[]
  readonly added: readonly AttributeValue[]
}

export function reclaim(entries: readonly EntryModification[], observed: ObservedState): Reclaimed {
  const written = writtenPlaces(entries, observed)
  const slots: OwnedSlot[] = []
  let unclear: string | null = null
  for (const [id, { where, ...values }] of written) {
    const places = observed.lock.slots.filter((slot) => placeOf(slot.dn, slot.attribute) === id)
    const [first] = places
    if (first === undefined) {
      unclear ??= `${where} is no part of a lock by the configuration of now`
      continue
    }
    if (first.mode === 'whole') {
      const [before, after] = [values.added, values.deleted]
      if (sameValues(first.current, after)) slots.push(slotAt(first, before, after))
      continue
    }
    if (first.mode === 'bit') {
      const [before, after, now] = [values.added, values.deleted, first.current]
      if (bitsStand(now, before, after)) slots.push(slotAt(first, bitsGivenBack(now, before, after), now))
      continue
    }
    const found = valuesAt(places, first.mode === 'value' ? values.deleted : values.added, observed)
    slots.push(...found.slots)
    if (found.isUnclear) unclear ??= `${where} may still hold a former name of the account`
  }
  return { slots, unclear }
}

/** By place, what the file deletes and adds there; the account's own entry under the name that it has now. */
function writtenPlaces(
  entries: readonly EntryModification[],
  observed: ObservedState,
): Map<string, Written & { where: string }> {
  const former = formerName(entries, observed)
  const places = new Map<string, { where: string; deleted: AttributeValue[]; added: AttributeValue[] }>()
  for (const { dn, modifications } of entries) {
    for (const { op, attribute, values } of modifications) {
      // An additional write of an unlock, for locks by others; no part of our lock.
      if (op === 'replace') continue
      const id = placeOf(normalDn(dn) === former ? observed.dn : dn, attribute)
      const place = places.get(id) ?? { where: `${attribute} of ${dn}`, deleted: [], added: [] }
      if (op === 'delete') place.deleted.push(...values)
      else place.added.push(...values)
      places.set(id, place)
    }
  }
  return places
}

/** The one entry of the file that is not among the lock's other entries: the account before it was renamed. */
function formerName(entries: readonly EntryModification[], observed: ObservedState): string | null {
  const known = new Set([observed.dn, ...observed.lock.slots.map((slot) => slot.dn)].map(normalDn))
  const own = normalDn(observed.dn)
  const ofOwn = new Set(
    observed.lock.slots.filter((slot) => normalDn(slot.dn) === own).map((slot) => slot.attribute.toLowerCase()),
  )
  if (entries.some((entry) => normalDn(entry.dn) === own)) return null
  const candidates = entries.filter(
    ({ dn, modifications }) =>
      !known.has(normalDn(dn)) && modifications.every((each) => ofOwn.has(each.attribute.toLowerCase())),
  )
  return candidates.length === 1 && candidates[0] !== undefined ? normalDn(candidates[0].dn) : null
}

/** A place that holds one value or several among others; each of the lock's slots takes its own values. */
function valuesAt(
  places: readonly LockSlot[],
  ours: readonly AttributeValue[],
  observed: ObservedState,
): { slots: OwnedSlot[]; isUnclear: boolean } {
  const left = new Set(ours)
  const taken = places.map((slot) => {
    const own = slot.locked.filter((value) => hasValue(ours, value))
    for (const value of left) if (hasValue(own, value)) left.delete(value)
    return own
  })
  const [stray, ...others] = left
  const isOwnEntry = places.every((slot) => normalDn(slot.dn) === normalDn(observed.dn))
  places.forEach((slot, at) => {
    const isName = (value: AttributeValue): boolean =>
      typeof value === 'string' && normalDn(value) === normalDn(observed.dn) && !hasValue(taken[at] ?? [], value)
    // The server renamed the value with the account.
    const renamed = slot.locked.find(isName)
    if (
      typeof stray === 'string' &&
      others.length === 0 &&
      stray.includes('=') &&
      renamed !== undefined &&
      stands(slot, renamed)
    ) {
      taken[at]?.push(renamed)
      left.delete(stray)
    }
  })
  // The present configuration may name other values: those that were read count all the same.
  if (isOwnEntry && places[0] !== undefined) taken[0]?.push(...left)
  const slots = places.flatMap((slot, at) => {
    const after = (taken[at] ?? []).filter((value) => stands(slot, value))
    return after.map((value) => slotAt(slot, [], [value]))
  })
  return { slots, isUnclear: !isOwnEntry && left.size > 0 }
}

function stands(slot: LockSlot, value: AttributeValue): boolean {
  return hasValue(slot.current, value) === (slot.mode === 'value')
}

function slotAt(slot: LockSlot, before: readonly AttributeValue[], after: readonly AttributeValue[]): OwnedSlot {
  return { dn: slot.dn, attribute: slot.attribute, mode: slot.mode, before, after }
}

function placeOf(dn: string, attribute: string): string {
  return `${attribute.toLowerCase()} ${normalDn(dn)}`
}

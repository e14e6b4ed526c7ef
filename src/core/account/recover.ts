import type { Change, ChangeDraft } from './change.ts'
import type { LastWriter } from './late.ts'
import type { Dn } from '../names.ts'
import { isSameSlot, rebased, statusOf } from './slot.ts'
import { hasValue, type ObservedState, type OurRecord, type OwnedLock, type OwnedSlot } from './state.ts'
import { spelledAmong } from '../serials/serial-key.ts'
import { formatSerial, serialsIn } from './serial-values.ts'

/**
 * A change whose outcome is not on record (the process or the connection died in between). What the directory shows
 * decides, unless the change is known to have been applied: then somebody else has written since.
 */
export interface Recovered {
  readonly result: 'applied' | 'not-applied'
  readonly owned: OwnedLock | null
}

/**
 * Whether the values after a change without an outcome may be somebody else's, by who wrote to the entries last. The
 * value of our lock is often a constant, so that it does not show it.
 *
 * A lock: it was written, and not by us. An unlock: our lock, or one that was set after it was released; where the
 * entry has not changed since it was read for the unlock, nothing happened at all, and where that is not known it
 * counts as ours.
 */
export function mayBeOthers(
  change: Change,
  { result }: Pick<Recovered, 'result'>,
  observed: ObservedState,
  writers: readonly LastWriter[],
): boolean {
  if (!writers.includes('others') && !writers.includes('policy')) return false
  if (change.kind === 'lock') return result === 'applied'
  return change.kind === 'unlock' && result === 'not-applied' && hasChangedSince(change, observed)
}

function hasChangedSince({ asRead }: Change, { version }: ObservedState): boolean {
  return asRead !== undefined && version !== undefined && asRead.url === version.url && asRead.value !== version.value
}

/** The entries in which a change may have left, or not have removed, our lock. */
export function placesLeft(change: Change, observed: ObservedState): Dn[] {
  if (change.kind !== 'lock' && change.kind !== 'unlock') return []
  return [...new Set(rebased(leftOf(change, observed), change.dn, observed).map((slot) => slot.dn))]
}

export function recoverChange(
  change: Change,
  observed: ObservedState,
  ours: OurRecord,
  wasApplied: boolean,
): Recovered {
  if (wasApplied) return { result: 'applied', owned: ownedAfter(change, ours) }
  switch (change.kind) {
    case 'lock': {
      const written = leftOf(change, observed)
      if (written.length === 0) return { result: 'not-applied', owned: ours.lock }
      return { result: 'applied', owned: ownedAfterLock({ ...change, slots: written }, ours) }
    }
    case 'unlock': {
      const remaining = leftOf(change, observed)
      if (remaining.length === change.slots.length) return { result: 'not-applied', owned: ours.lock }
      if (remaining.length === 0 || ours.lock === null) return { result: 'applied', owned: null }
      // The places are named as the change has them, and so by the name that the entry had then.
      return { result: 'applied', owned: { ...ours.lock, dn: change.dn, slots: remaining } }
    }
    case 'register':
    case 'unregister': {
      const isThere = change.serial !== null && carries(observed, change.serial)
      return { result: isThere === (change.kind === 'register') ? 'applied' : 'not-applied', owned: ours.lock }
    }
  }
}

/** What is ours once a change is in the directory. */
export function ownedAfter(change: Change | ChangeDraft, ours: OurRecord): OwnedLock | null {
  if (change.kind === 'lock') return ownedAfterLock(change, ours)
  return change.kind === 'unlock' ? null : ours.lock
}

/** A lock that was written again in part keeps what is still ours elsewhere. */
function ownedAfterLock(change: Change | ChangeDraft, ours: OurRecord): OwnedLock {
  const kept = (ours.lock?.slots ?? []).filter((slot) => !change.slots.some((each) => isSameSlot(each, slot)))
  const { dn, holds, ends } = change
  return { slots: [...kept, ...change.slots], dn, holds, ...(ends === undefined ? {} : { ends }) }
}

/**
 * The places of a change that have our lock, or of which that is not known. The entry may have been renamed since: then
 * they are looked for where it is now, and returned as the change has them.
 */
function leftOf(change: Change, observed: ObservedState): OwnedSlot[] {
  const now = rebased(change.slots, change.dn, observed)
  return change.slots.filter((_, index) => {
    const slot = now[index]
    return slot !== undefined && statusOf(slot, observed) !== 'gone'
  })
}

function carries(observed: ObservedState, serial: NonNullable<Change['serial']>): boolean {
  if (hasValue(observed.serialValues, formatSerial(observed.serialFormat, serial))) return true
  const there = serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues)
  return spelledAmong(there, serial) !== null
}

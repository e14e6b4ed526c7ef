import type { ChangeDraft, EntryModification } from './change.ts'
import { holdNameOfSerial } from './names.ts'
import type { ForeignUnlockPolicy } from './settings.ts'
import { addSerial, removeSerial, type SerialEdit, type SerialPlace } from './serial-values.ts'
import type { Serial } from './names.ts'
import { isLocked, lockOf, ownedOf, rebased, releaseOf, sameRelease, standingOf } from './slot.ts'
import {
  sameValues,
  type DesiredState,
  type Effectiveness,
  type HoldEnds,
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
 * | some  | open, all or in part | locked by us     | somebody unlocked it: by policy, end the holds or lock again |
 * | some  | as we would write it | locked by us     | in step; relabel where other holds than those on file       |
 * | some  | as we would write it | nothing          | foreign lock: locked, not claimed                           |
 * | some  | otherwise locked     | either           | foreign lock; what we had is forgotten                      |
 *
 * Where the server that answered may lack our own last write, a lock that is missing was taken away by nobody: it is written
 * there too, and one that is to be given back is waited for. Of an integer our bits alone count; where others have changed, the waiting files follow (relabel).
 *
 * A lock of several places is locked while all of them are, and open otherwise; what we wrote is ours place by place. A
 * place of ours that the configuration no longer names is not looked at: it neither proves an unlock by somebody else nor
 * is it forgotten, and it is given back with the others.
 *
 * The serials: each of `gone` that stands there is taken out; each of `serials` that is missing is put in, unless
 * another account carries it, which is a conflict (except an account that it is known to have moved from).
 */
export type Planned =
  | { readonly kind: 'in-step' }
  | { readonly kind: 'change'; readonly change: ChangeDraft }
  /** The waiting files no longer fit the holds, or the account was renamed. */
  | { readonly kind: 'relabel'; readonly lock: OwnedLock; readonly reason: string }
  | { readonly kind: 'conflict'; readonly reason: string }
  | { readonly kind: 'foreign-lock'; readonly reason: string; readonly untilUs: number | null }
  | { readonly kind: 'not-effective'; readonly reason: string }
  /** Somebody took our lock away, or a part of it; `left` is what of it still stands. */
  | { readonly kind: 'foreign-unlock'; readonly left: OwnedLock | null }
  | { readonly kind: 'forget'; readonly reason: string }

export interface PlanOptions {
  readonly onForeignUnlock: ForeignUnlockPolicy
  /** The directory refused a release of places that nobody can look at: without them, then. */
  readonly skipUnseen?: boolean
}

export function plan(desired: DesiredState, observed: ObservedState, ours: OurRecord, options: PlanOptions): Planned {
  const lock = ours.lock === null ? planUnowned(desired, observed) : planOwned(desired, observed, ours.lock, options)
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
  const slots = rebased(owned.slots, owned.dn, observed)
  const remaining = slots.filter((slot) => standingOf(slot, observed) !== 'gone')
  if (desired.holds.length === 0) {
    const skipped = options.skipUnseen === true ? remaining.filter(isUnseenIn(observed)) : []
    const left = remaining.filter((slot) => !skipped.includes(slot))
    if (left.length > 0) return { kind: 'change', change: unlockChange(observed, { ...owned, slots: left }, skipped) }
    if (observed.isBehind === true && skipped.length === 0) return waitForOurs(observed)
    return { kind: 'forget', reason: `our lock no longer stands in the directory${notGivenBack(skipped)}` }
  }
  if (remaining.length < slots.length) {
    if (observed.lock.state === 'other') return { kind: 'forget', reason: 'our lock was replaced by somebody else’s' }
    if (options.onForeignUnlock !== 'relock' && observed.isBehind !== true) {
      return { kind: 'foreign-unlock', left: leftOf(owned, remaining, desired, observed) }
    }
  }
  const names = desired.holds.map((hold) => hold.name)
  const ends = endsOf(desired.holds)
  const isFiled = owned.dn === observed.dn && sameRelease(slots, owned.slots)
  const isLabelled = isFiled && sameValues(owned.holds, names) && sameEnds(owned.ends, ends.ends)
  if (!isLabelled) {
    return { kind: 'relabel', lock: { slots, dn: observed.dn, holds: names, ...ends }, reason: 'holds changed' }
  }
  // Open again in part, by policy, or since a crash left the lock half written.
  if (observed.lock.state === 'open') return { kind: 'change', change: lockChange(desired, observed) }
  return effective(observed.lock.effective)
}

/** A lock of ours that is still to come there would be nobody's, were it forgotten now. */
function waitForOurs(observed: ObservedState): Planned {
  const reason = 'the server that answers may not have our lock yet; it is given back once it has'
  return { kind: 'foreign-lock', reason, untilUs: observed.lock.otherUntilUs }
}

/** What others left of our lock, with the files of the holds that are still this account's. */
function leftOf(
  owned: OwnedLock,
  slots: readonly OwnedSlot[],
  desired: DesiredState,
  observed: ObservedState,
): OwnedLock | null {
  if (slots.length === 0) return null
  const holds = owned.holds.filter((name) => desired.holds.some((hold) => hold.name === name))
  return { ...owned, slots, dn: observed.dn, holds: holds.length === 0 ? owned.holds : holds }
}

function isUnseenIn(observed: ObservedState): (slot: OwnedSlot) => boolean {
  return (slot) => standingOf(slot, observed) === 'unseen'
}

function notGivenBack(skipped: readonly OwnedSlot[]): string {
  if (skipped.length === 0) return ''
  const places = skipped.map((slot) => `${slot.attribute} at ${slot.dn}`).join(', ')
  return `; not given back, as it has changed and the configuration no longer names it: ${places}`
}

/** A person's word alone: the end of a token's hold moves with each event, and follows from the settings. */
function endsOf(all: DesiredState['holds']): Pick<OwnedLock, 'ends'> {
  const ends: Record<string, number> = {}
  for (const { kind, name, untilUs } of all) if (kind === 'manual' && untilUs !== null) ends[name] = untilUs
  return Object.keys(ends).length === 0 ? {} : { ends }
}

export function sameEnds(a: HoldEnds = {}, b: HoldEnds = {}): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

/** A lock whose effect is not known is in step: it stands, and whoever shows it says what is not known. */
function effective(effectiveness: Effectiveness): Planned {
  return effectiveness.is === 'no' ? { kind: 'not-effective', reason: effectiveness.reason } : { kind: 'in-step' }
}

function lockChange(desired: DesiredState, observed: ObservedState): ChangeDraft {
  const slots = observed.lock.slots.filter((slot) => !isLocked(slot)).map(ownedOf)
  const first = desired.holds[0]
  return {
    kind: 'lock',
    key: observed.key,
    dn: observed.dn,
    serial: null,
    holds: desired.holds.map((hold) => hold.name),
    ...endsOf(desired.holds),
    forward: lockOf(slots),
    inverse: releaseOf(slots),
    slots,
    reason: first?.reason ?? '',
    actor: first?.actor ?? '',
  }
}

function unlockChange(observed: ObservedState, owned: OwnedLock, skipped: readonly OwnedSlot[]): ChangeDraft {
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
    reason: `no hold is left${notGivenBack(skipped)}`,
    actor: '',
  }
}

/** What else has to be written so that the user comes in again; it has no inverse. */
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

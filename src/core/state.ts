import type { Modification } from './change.ts'
import type { ErrorCode } from './error.ts'
import type { AccountKey, Dn, HoldName, Serial } from './names.ts'

/** One value of an attribute: text where it is valid UTF-8, else the bytes. */
export type AttributeValue = string | Uint8Array

export type HoldKind = 'token' | 'account' | 'manual' | 'lockout'

/** One reason why an account must be locked. An account is locked while it has at least one hold. */
export interface Hold {
  readonly name: HoldName
  readonly kind: HoldKind
  /** The token, for a hold of kind `token`; null for all others. */
  readonly serial: Serial | null
  readonly sinceUs: number
  /** When it ends by itself, or null. */
  readonly untilUs: number | null
  readonly reason: string
  readonly actor: string
}

/** What an account should look like. Serials that are in neither list are nobody's business of ours. */
export interface DesiredState {
  readonly serials: readonly Serial[]
  /** Serials that must not stand at the account any more. */
  readonly gone: readonly Serial[]
  /** For a serial of `serials`: the accounts that carried it before, which may still carry it for a moment. */
  readonly movedFrom: Readonly<Record<string, readonly AccountKey[]>>
  readonly holds: readonly Hold[]
  /** Tokens whose holds have ended by themselves, and nothing else was said of them since. */
  readonly expired?: readonly Serial[]
  /** When the next hold ends by itself, or null. */
  readonly nextExpiryUs: number | null
  /** The newest word that one of the holds rests on, in microseconds since 1970; 0 without holds. */
  readonly heldAtUs: number
  /** The same by our clock: no later than when the word came in, whatever time it carries. */
  readonly heldKnownUs: number
}

/**
 * One place in the directory that a lock is made of. `whole`: the attribute holds exactly `locked` while locked, and
 * what stood there before is kept. `value`: `locked` is exactly one value, beside others (group membership); `absent`
 * likewise, but locked means that the value is not there. A lock of several values has a slot for each. `bit`: one
 * integer, of which some bits are the lock's and all others are other people's; `locked` is `current` with those bits.
 */
export interface LockSlot {
  readonly dn: Dn
  readonly attribute: string
  readonly mode: 'whole' | 'value' | 'absent' | 'bit'
  readonly current: readonly AttributeValue[]
  readonly locked: readonly AttributeValue[]
}

/**
 * The lock as the driver reads it.
 * `open`: nobody's lock is in effect. `as-ours`: every slot holds exactly what we would write. `other`: locked, but by
 * a value that we would not write (until `otherUntilUs`, when it ends by itself, if it does).
 */
export interface LockObservation {
  readonly state: 'open' | 'as-ours' | 'other'
  readonly otherUntilUs: number | null
  readonly slots: readonly LockSlot[]
  readonly effective: Effectiveness
  /** To be written to the account's own entry with a release of our lock, where others have shut the door as well. */
  readonly onRelease?: readonly Modification[]
  /** When the account's password was last set, where that takes a lock away and can be read; milliseconds since 1970. */
  readonly passwordChangedMs?: number | null
}

/**
 * Whether a lock in these slots keeps its user out. `no`: certainly not; what to do is part of the reason. `unknown`:
 * what decides about it may not be read, and a lock is written all the same.
 */
export type Effectiveness =
  | { readonly is: 'yes' }
  | { readonly is: 'no'; readonly reason: string }
  | { readonly is: 'unknown'; readonly reason: string }

/** What the directory says of one account now. */
export interface ObservedState {
  readonly key: AccountKey
  readonly dn: Dn
  readonly serialAttribute: string
  /** False where the schema allows one value only: the serials are then merged into it. */
  readonly serialAttributeMultiValued: boolean
  /** With exactly one `{serial}`. */
  readonly serialFormat: string
  readonly serialValues: readonly AttributeValue[]
  /** For serials that were asked about: other accounts that carry them. */
  readonly carriedElsewhere: Readonly<Record<string, readonly { key: AccountKey; dn: Dn }[]>>
  readonly lock: LockObservation
  /** Why the configuration forbids to lock this account, or null. */
  readonly protectedBy: string | null
  /** Why another directory could not be asked who carries the serials; left out where all were. */
  readonly carriersUnknown?: { readonly code: ErrorCode; readonly reason: string }
  /** The URL of the server that said so; left out where there are no several. */
  readonly server?: string
  /** Why nobody knows whether it does: what says so cannot be read. Left out where it is known. */
  readonly protectionUnread?: { readonly code: ErrorCode; readonly reason: string }
}

/**
 * What we wrote to an account and what stood there before, slot by slot. Of mode `bit`, ours are the bits in which the two
 * differ; the others are those of the last look.
 */
export interface OwnedSlot {
  readonly dn: Dn
  readonly attribute: string
  readonly mode: LockSlot['mode']
  readonly before: readonly AttributeValue[]
  readonly after: readonly AttributeValue[]
}

/** Our record of an account: only what stands in it may be undone. */
export interface OurRecord {
  /** Null when the account is not locked by us. */
  readonly lock: OwnedLock | null
}

/** A lock of ours: what was written, and the waiting files that would take it back. */
export interface OwnedLock {
  readonly slots: readonly OwnedSlot[]
  /** The account's DN then; the slots of its own entry carry the same one. */
  readonly dn: Dn
  /** The holds whose files wait in `unlock/`. */
  readonly holds: readonly HoldName[]
  /** For those of a person that end by themselves: when, in microseconds since 1970. Left out where none does. */
  readonly ends?: HoldEnds
}

export type HoldEnds = Readonly<Record<string, number>>

export const NOTHING_OF_OURS: OurRecord = { lock: null }

export function sameValue(a: AttributeValue, b: AttributeValue): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

/** Equal as sets: the order of an attribute's values means nothing. */
export function sameValues(a: readonly AttributeValue[], b: readonly AttributeValue[]): boolean {
  return a.length === b.length && a.every((value) => hasValue(b, value))
}

export function hasValue(values: readonly AttributeValue[], wanted: AttributeValue): boolean {
  return values.some((value) => sameValue(value, wanted))
}

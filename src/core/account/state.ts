import type { ErrorCode } from '../error.ts'
import type { AccountKey, DirectoryName, Dn, HoldName, Serial } from '../names.ts'
import type { OtherLockCause } from '../reasons/other-lock-cause.ts'
import type { Reason } from '../reasons/reason.ts'

/** One value of an attribute: text where it is valid UTF-8, else the bytes. */
export type AttributeValue = string | Uint8Array

/** One LDAP modification (RFC 4511, 4.6). `replace` without values clears the attribute, present or not. */
export interface Modification {
  readonly op: 'add' | 'delete' | 'replace'
  readonly attribute: string
  readonly values: readonly AttributeValue[]
}

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
  readonly reason: Reason
  readonly actor: string
}

/** A reason, and who caused it; '' where nobody is known. */
export interface Because {
  readonly reason: Reason
  readonly actor: string
}

/** The desired state of an account. Lockstep leaves serials alone that are in neither list. */
export interface DesiredState {
  readonly serials: readonly Serial[]
  /** Serials that the account must not have any more. */
  readonly gone: readonly Serial[]
  /** For a serial of `serials`: the accounts that had it before, which may still have it for a moment. */
  readonly movedFrom: Readonly<Record<string, readonly AccountKey[]>>
  readonly holds: readonly Hold[]
  /** Tokens whose holds have ended by themselves, and no later event names them. */
  readonly expired?: readonly Serial[]
  /** Serials of the account, or once its own, that differ by case only and are known to be two tokens: they compare exactly. */
  readonly twins?: readonly Serial[]
  /** Why a serial of `serials` or `gone` is there, or is not any more; left out: not known. */
  readonly because?: Readonly<Record<string, Because>>
  /** What ended the last hold; left out: not known. */
  readonly ended?: Because
  /** Somebody removed a lock in the directory; by now nothing would hold the account any more anyway. */
  readonly isRemovalOver?: true
  /** When the next hold ends by itself, or null. */
  readonly nextExpiryUs: number | null
  /** The newest event that one of the holds rests on, in microseconds since 1970; 0 without holds. */
  readonly heldAtUs: number
  /** The same by our clock: no later than when the event came in, whatever time it carries. */
  readonly heldKnownUs: number
}

/**
 * One place in the directory that a lock is made of. `whole`: the attribute has exactly `locked` while locked, and
 * its earlier values are kept. `value`: `locked` is exactly one value, beside others (group membership); `absent`
 * likewise, but locked means that the value is not there. A lock of several values has a slot for each. `bit`: one
 * integer, of which some bits are the lock's and all others belong to others; `locked` is `current` with those bits.
 */
export interface LockSlot {
  readonly dn: Dn
  readonly attribute: string
  readonly mode: 'whole' | 'value' | 'absent' | 'bit'
  readonly current: readonly AttributeValue[]
  readonly locked: readonly AttributeValue[]
  /** The value without anybody's lock, where the kind of directory defines it; for a mode that takes the whole. */
  readonly unlocked?: readonly AttributeValue[]
}

/**
 * Somebody else's lock, by something that we would not write. `unknown`: the value may be a lock, and what decides
 * about it cannot be read.
 */
export interface OtherLock {
  readonly is: 'locked' | 'unknown'
  readonly cause: OtherLockCause
  /** The attribute that shows it. */
  readonly attribute: string
  /** When it ends by itself, in microseconds since 1970; null: not by itself, or not known. */
  readonly untilUs: number | null
}

/**
 * The lock as the driver reads it: two answers, of which neither hides the other. `state` is about our places:
 * `as-ours` where every slot has exactly what we would write, else `open`. `other` is about everybody else.
 */
export interface LockObservation {
  readonly state: 'open' | 'as-ours'
  /** Null: no lock of somebody else is in effect. */
  readonly other: OtherLock | null
  readonly slots: readonly LockSlot[]
  readonly effective: Effectiveness
  /** To be written to the account's own entry with a release of our lock, where others have locked it as well. */
  readonly onRelease?: readonly Modification[]
  /** When the account's password was last set, where that removes a lock and can be read; milliseconds since 1970. */
  readonly passwordChangedMs?: number | null
}

/**
 * Whether a lock in these slots is enforced. `no`: certainly not; what to do is part of the reason. `unknown`:
 * what decides about it may not be read, and a lock is written all the same.
 */
export type Effectiveness =
  | { readonly is: 'yes' }
  | { readonly is: 'no'; readonly reason: string }
  | { readonly is: 'unknown'; readonly reason: string }

/** Nobody's lock locks the user out, as far as is known. */
export function isOpen({ state, other }: Pick<LockObservation, 'state' | 'other'>): boolean {
  return state === 'open' && other?.is !== 'locked'
}

/** No value there is a lock, or may be one. */
export function isOpenForSure({ state, other }: Pick<LockObservation, 'state' | 'other'>): boolean {
  return state === 'open' && other === null
}

/** Another account with a serial, in this case or another; `spelled`: as it is there. */
export interface DuplicateSerial {
  readonly key: AccountKey
  readonly dn: Dn
  readonly spelled?: Serial
}

/** The state of an entry on one server, for a write that is to fail where the entry was changed since. */
export interface EntryVersion {
  /** The server that it was read on, as in the configuration. */
  readonly url: string
  /** As the server reports it (entryCSN of OpenLDAP). */
  readonly value: string
}

/** The observed state of one account in the directory. */
export interface ObservedState {
  readonly key: AccountKey
  readonly dn: Dn
  readonly serialAttribute: string
  /** False where the schema allows one value only: the serials are then merged into it. */
  readonly serialAttributeMultiValued: boolean
  /** The most UTF-16 units that the server takes in one value; left out where it is not known. */
  readonly serialLengthMax?: number
  /** With exactly one `{serial}`. */
  readonly serialFormat: string
  readonly serialValues: readonly AttributeValue[]
  /** For serials that were asked about: other accounts that have them. */
  readonly carriedElsewhere: Readonly<Record<string, readonly DuplicateSerial[]>>
  readonly lock: LockObservation
  /** Why the configuration forbids to lock this account, or null. */
  readonly protectedBy: string | null
  /**
   * Why other directories could not be asked which accounts have the serials; left out where all were. Once that is
   * settled, `serials` are those that wait for it; left out: all that the account lacks.
   */
  readonly duplicatesUnknown?: {
    readonly code: ErrorCode
    readonly reason: string
    readonly directories: readonly DirectoryName[]
    readonly serials?: readonly Serial[]
  }
  /** The URL of the server that was read; left out where there are no several. */
  readonly server?: string
  /** Left out where the server has none that can be asserted. */
  readonly version?: EntryVersion
  /** Why it is not known whether it is protected: what decides that cannot be read. Left out where it is known. */
  readonly protectionUnread?: { readonly code: ErrorCode; readonly reason: string }
}

/**
 * What we wrote to an account and the values before it, slot by slot. Of mode `bit`, ours are the bits in which the two
 * differ; the others are those of the last reading.
 */
export interface OwnedSlot {
  readonly dn: Dn
  readonly attribute: string
  readonly mode: LockSlot['mode']
  readonly before: readonly AttributeValue[]
  readonly after: readonly AttributeValue[]
}

/** Our record of an account: only what is in it may be undone. */
export interface OurRecord {
  /** Null when the account is not locked by us. */
  readonly lock: OwnedLock | null
}

/** A lock of ours: what was written, and the waiting files that would revert it. */
export interface OwnedLock {
  readonly slots: readonly OwnedSlot[]
  /** The account's DN then; the slots of its own entry have the same one. */
  readonly dn: Dn
  /** The holds whose files wait in `unlock/`. */
  readonly holds: readonly HoldName[]
  /** For manual holds that end by themselves: when, in microseconds since 1970. Left out where none does. */
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

/**
 * The desired state with protection: a protected account is open whatever its holds are, so that an earlier lock of
 * ours is released. Its holds stay on record; where none is left, the end of the last one is why it is open. Where it
 * is not known whether it is protected, a lock that is there stays.
 */
export function underProtection(desired: DesiredState, observed: ObservedState): DesiredState {
  const { protectedBy } = observed
  if (protectedBy === null || desired.holds.length === 0) return desired
  const reason = { code: 'account-protected', params: { rule: protectedBy } } as const
  return { ...desired, holds: [], ended: { reason, actor: '' } }
}

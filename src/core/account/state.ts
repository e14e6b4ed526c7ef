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

/** Why something is so, and who caused it; '' where nobody is known. */
export interface Because {
  readonly reason: Reason
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
  /** Serials of the account, or once its own, that differ by case only and are known to be two tokens: they compare exactly. */
  readonly twins?: readonly Serial[]
  /** Why a serial of `serials` or `gone` is there, or is not any more; left out: not known. */
  readonly because?: Readonly<Record<string, Because>>
  /** What ended the last hold; left out: not known. */
  readonly ended?: Because
  /** Somebody took a lock away in the directory; nothing would hold the account any more if they had not. */
  readonly isRemovalOver?: true
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
  /** What stands there while nobody's lock does, where the kind of directory says so; for a mode that takes the whole. */
  readonly unlocked?: readonly AttributeValue[]
}

/**
 * Somebody else's lock, by something that we would not write. `unknown`: what stands there may be a lock, and what decides
 * about it cannot be read.
 */
export interface OtherLock {
  readonly is: 'locked' | 'unknown'
  readonly cause: OtherLockCause
  /** The attribute that says so. */
  readonly attribute: string
  /** When it ends by itself, in microseconds since 1970; null: not by itself, or not known. */
  readonly untilUs: number | null
}

/**
 * The lock as the driver reads it: two answers, of which neither hides the other. `state` is about our places: `as-ours`
 * where every slot holds exactly what we would write, else `open`. `other` is about everybody else.
 */
export interface LockObservation {
  readonly state: 'open' | 'as-ours'
  /** Null: no lock of somebody else's is in effect. */
  readonly other: OtherLock | null
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

/** Nobody's lock keeps the user out, as far as is known. */
export function isOpen({ state, other }: Pick<LockObservation, 'state' | 'other'>): boolean {
  return state === 'open' && other?.is !== 'locked'
}

/** Nothing stands there that is a lock, or may be one. */
export function isOpenForSure({ state, other }: Pick<LockObservation, 'state' | 'other'>): boolean {
  return state === 'open' && other === null
}

/** Another account that carries a serial, in this case or another; `spelled`: as it stands there. */
export interface DuplicateSerial {
  readonly key: AccountKey
  readonly dn: Dn
  readonly spelled?: Serial
}

/** The state of an entry on one server, for a write that is to fail where the entry was changed since. */
export interface EntryVersion {
  /** The server that it was read on, as in the configuration. */
  readonly url: string
  /** As the server gives it (entryCSN of OpenLDAP). */
  readonly value: string
}

/** What the directory says of one account now. */
export interface ObservedState {
  readonly key: AccountKey
  readonly dn: Dn
  readonly serialAttribute: string
  /** False where the schema allows one value only: the serials are then merged into it. */
  readonly serialAttributeMultiValued: boolean
  /** So many UTF-16 units the server takes in one value; left out where it is not known. */
  readonly serialLengthMax?: number
  /** With exactly one `{serial}`. */
  readonly serialFormat: string
  readonly serialValues: readonly AttributeValue[]
  /** For serials that were asked about: other accounts that carry them. */
  readonly carriedElsewhere: Readonly<Record<string, readonly DuplicateSerial[]>>
  readonly lock: LockObservation
  /** Why the configuration forbids to lock this account, or null. */
  readonly protectedBy: string | null
  /**
   * Why other directories could not be asked who carries the serials; left out where all were. Once that is settled,
   * `serials` are those that wait for it; left out: all that the account lacks.
   */
  readonly duplicatesUnknown?: {
    readonly code: ErrorCode
    readonly reason: string
    readonly directories: readonly DirectoryName[]
    readonly serials?: readonly Serial[]
  }
  /** The URL of the server that said so; left out where there are no several. */
  readonly server?: string
  /** Left out where the server has none that can be asserted. */
  readonly version?: EntryVersion
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

/**
 * What an account is driven to: one that is protected is open whatever holds it, so that a lock of ours from before is
 * given back. Its holds stay on record; where none is left, what ended the last one is why it is open. Where nobody knows whether it is protected, what stands is left.
 */
export function underProtection(desired: DesiredState, observed: ObservedState): DesiredState {
  const { protectedBy } = observed
  if (protectedBy === null || desired.holds.length === 0) return desired
  const reason = { code: 'account-protected', params: { rule: protectedBy } } as const
  return { ...desired, holds: [], ended: { reason, actor: '' } }
}

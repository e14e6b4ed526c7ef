import type { AccountKey, Dn, HoldName, Login, Realm, Serial } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'
import type { EntryVersion, HoldEnds, Modification, OwnedSlot } from './state.ts'

/** The modifications of one entry; applied by the server as a whole or not at all. */
export interface EntryModification {
  readonly dn: Dn
  readonly modifications: readonly Modification[]
}

export type ChangeKind = 'register' | 'unregister' | 'lock' | 'unlock'

/** What to write, and what reverts it. Pure data: the same inputs give the same draft. */
export interface ChangeDraft {
  readonly kind: ChangeKind
  readonly key: AccountKey
  readonly dn: Dn
  /** The serial that a register or unregister is about. */
  readonly serial: Serial | null
  /** The holds that a lock or unlock is for: each has its own file in the LDIF folders. */
  readonly holds: readonly HoldName[]
  /** See OwnedLock. */
  readonly ends?: HoldEnds
  readonly forward: readonly EntryModification[]
  readonly inverse: readonly EntryModification[]
  /** lock: what is ours once it is applied; unlock: what is restored. Empty for the other kinds. */
  readonly slots: readonly OwnedSlot[]
  readonly reason: Reason
  /** Who caused it: the person in the event, or the one at the CLI; '' where nobody is known. */
  readonly actor: string
}

/** The owner of the account, as far as that is on record; null: not known. */
export interface AccountOwner {
  readonly login: Login | null
  readonly realm: Realm | null
}

/** A draft that was given its identity and time, as it is in the ledger. */
export interface Change extends ChangeDraft {
  readonly id: string
  readonly plannedAtMs: number
  /** For the people who read its files; left out: older versions planned it. */
  readonly owner?: AccountOwner
  /** The entry as it was read before; left out: its server shows no number of changes, or older versions planned it. */
  readonly asRead?: EntryVersion
}

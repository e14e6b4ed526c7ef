import type { ResolvedEvent } from '../../core/events/event.ts'
import type { AccountKey, Dn, HoldName } from '../../core/names.ts'
import type { Hold, OwnedLock } from '../../core/account/state.ts'

/** A waiting file that is not on record. */
export interface EvidenceFile {
  readonly folder: 'unlock' | 'unregister'
  readonly name: HoldName
  readonly key: AccountKey
  /** When it was written, in milliseconds since 1970. */
  readonly atMs: number
  /** Its forward file was still in `lock/`: the lock was not observed in the directory. */
  readonly isUnseen: boolean
}

/** What the directory proved of an account's files. */
export interface AdoptedAccount {
  readonly key: AccountKey
  readonly dn: Dn
  /** The events that the files state, each at the time of its file. */
  readonly events: readonly ResolvedEvent[]
  /** The lock; ours from now on, unless the account has one of ours already. Null: none. */
  readonly owned: OwnedLock | null
  readonly holds: readonly Hold[]
}

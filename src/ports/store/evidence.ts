import type { FileKnowledge } from '../../core/events/evidence.ts'
import type { ResolvedEvent } from '../../core/events/event.ts'
import type { AccountKey, Dn, HoldName } from '../../core/names.ts'
import type { Hold, OwnedLock } from '../../core/account/state.ts'

/** A waiting file that the record has nothing of. */
export interface EvidenceFile {
  readonly folder: 'unlock' | 'unregister'
  readonly name: HoldName
  readonly key: AccountKey
  /** When it was written, in milliseconds since 1970. */
  readonly atMs: number
  /** Its forward file was still in `lock/`: nobody saw the lock in the directory. */
  readonly isUnseen: boolean
}

/** What the directory proved of an account's files. */
export interface AdoptedAccount {
  readonly key: AccountKey
  readonly dn: Dn
  /** What they say, each at the time of its file. */
  readonly events: readonly ResolvedEvent[]
  /** The lock; ours from now on, unless the account has one of ours already. Null: none. */
  readonly owned: OwnedLock | null
  readonly holds: readonly Hold[]
}

/** Files of the LDIF folders that are newer than the record, and what became of them. Fails with `store-unavailable`. */
export interface EvidencePort {
  /** @param change the id that the file's header names; '' for none */
  knownOf(folder: EvidenceFile['folder'], key: AccountKey, change: string): Promise<FileKnowledge>
  /**
   * The newest time of the record when it was opened, before anything new was written, in milliseconds since 1970; null once
   * the folder was held against it.
   */
  recordAgeMs(folder: EvidenceFile['folder']): Promise<number | null>
  /** All files of the folder were held against the record, and what is newer is noted. */
  compared(folder: EvidenceFile['folder']): Promise<void>
  note(files: readonly EvidenceFile[]): Promise<void>
  /** Those that were not held against the directory yet. */
  all(): Promise<readonly EvidenceFile[]>
  /**
   * The account's files are its own again.
   * @param hasSource privacyIDEA is asked about it next (mode `api`)
   */
  adopt(account: AdoptedAccount, files: readonly EvidenceFile[], hasSource: boolean): Promise<void>
  /** Files that prove nothing. */
  forget(files: readonly EvidenceFile[]): Promise<void>
  /** Holds that ended after the record was written. */
  release(key: AccountKey, events: readonly ResolvedEvent[], hasSource: boolean): Promise<void>
}

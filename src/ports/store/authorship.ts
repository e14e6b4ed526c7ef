import type { AccountKey, DirectoryName, Serial } from '../../core/names.ts'
import type { SerialKey } from '../../core/serials/serial-key.ts'

/**
 * The marks in the directories that Lockstep may remove: serials that this store wrote, or that privacyIDEA confirmed
 * at their owner, or that an unregistration or a person named. Kept for ever. (Locks of ours are on record by their
 * account.)
 */
export interface AuthorshipPort {
  /** By account, the serials there that are ours. */
  serialsAt(keys: readonly AccountKey[]): Promise<ReadonlyMap<AccountKey, ReadonlySet<SerialKey>>>
  /** Serials that an older store wrote, according to its files. */
  written(found: readonly OwnSerial[]): Promise<void>
  /** The store was made by a version that recorded none of this, and its files were not read yet. */
  areFilesDue(): Promise<boolean>
  filesAreTaken(): Promise<void>
  /** A person states that Lockstep may remove these serials; on record. */
  adopt(found: readonly OwnSerial[], by: string): Promise<void>
  /**
   * Accounts of a directory that were locked with our value when this store first read it, and by nobody on record.
   * Null: it was not read yet.
   */
  lockedBefore(directory: DirectoryName): Promise<readonly AccountKey[] | null>
  setLockedBefore(directory: DirectoryName, keys: readonly AccountKey[]): Promise<void>
}

export interface OwnSerial {
  readonly key: AccountKey
  readonly serial: Serial
}

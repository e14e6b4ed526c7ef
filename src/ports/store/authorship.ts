import type { AccountKey, DirectoryName, Serial } from '../../core/names.ts'
import type { SerialKey } from '../../core/serials/serial-key.ts'

/**
 * What of the marks in the directories is ours to take away: serials that this store wrote, or that privacyIDEA confirmed at
 * their owner, or that an unregistration or a person named. It is kept for ever. (Locks of ours are on record by their account.)
 */
export interface AuthorshipPort {
  /** By account, the serials there that are ours. */
  serialsAt(keys: readonly AccountKey[]): Promise<ReadonlyMap<AccountKey, ReadonlySet<SerialKey>>>
  /** Serials that an older store wrote, as its files say. */
  written(found: readonly OwnSerial[]): Promise<void>
  /** The store was made by a version that noted none of this, and its files were not read yet. */
  areFilesDue(): Promise<boolean>
  filesAreTaken(): Promise<void>
  /** A person says that these serials are ours to take away; on record. */
  adopt(found: readonly OwnSerial[], by: string): Promise<void>
  /**
   * Accounts of a directory that stood locked with the value of ours when this store met it, and by nobody on record. Null: it
   * was not met yet.
   */
  lockedBefore(directory: DirectoryName): Promise<readonly AccountKey[] | null>
  setLockedBefore(directory: DirectoryName, keys: readonly AccountKey[]): Promise<void>
}

export interface OwnSerial {
  readonly key: AccountKey
  readonly serial: Serial
}

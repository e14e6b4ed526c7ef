import type { DirectoryIdentity } from '../../core/settings/directory-identity.ts'
import type { DirectoryName } from '../../core/names.ts'

/** The directories that Lockstep works with, on record since each was first used. Fails with `store-*`. */
export interface IdentityPort {
  /** Null: it was never used. */
  known(directory: DirectoryName): Promise<DirectoryIdentity | null>
  /**
   * Puts it on record.
   * @param instead null: only where none is on record yet; else only where this one is on record
   * @returns what is on record now, which another process may have written
   */
  remember(
    directory: DirectoryName,
    identity: DirectoryIdentity,
    instead: DirectoryIdentity | null,
  ): Promise<DirectoryIdentity>
  /** A manual action: whatever is on record, it is this one from now on. @param reason '': none is given */
  accept(directory: DirectoryName, identity: DirectoryIdentity, by: string, reason?: string): Promise<void>
}

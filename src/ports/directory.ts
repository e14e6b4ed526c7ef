import type { Change, ChangeDraft } from '../core/change.ts'
import type { AppError } from '../core/error.ts'
import type { AccountKey, DirectoryName, Dn, Login, Realm, Serial } from '../core/names.ts'
import type { ObservedState } from '../core/state.ts'

/** An account that was found, with what it carries, so that the first look needs no second search. */
export interface FoundAccount {
  readonly key: AccountKey
  readonly dn: Dn
  readonly login: Login | null
  readonly serials: readonly Serial[]
}

/**
 * The directories. Every method may also fail with `directory-unreachable`, `-timeout`, `-tls`, `-bind-refused`,
 * `-identity-lost` (the bind was lost: an empty answer is not believed), `-busy`, `-not-permitted` and `-refused`.
 */
export interface DirectoryPort {
  /**
   * The account of a privacyIDEA user. `realm` null means: the only directory, where there is one.
   * Fails with `realm-unmapped`, `unknown-user`, `ambiguous-match`.
   */
  findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount>
  /**
   * The account of a user by the id that privacyIDEA's resolver calls him, where that is the directory's own, else by
   * his login. Fails as `findByLogin`.
   */
  findByUser(user: { login: Login; realm: Realm; userId: string }): Promise<FoundAccount>
  /**
   * As `findByUser` for each, by few searches. Never fails: what one of them failed with stands in its place, so that a
   * directory that does not answer takes nothing away from the others.
   */
  findByUsers(
    users: readonly { login: Login; realm: Realm; userId: string }[],
  ): Promise<readonly (FoundAccount | AppError)[]>
  /** The accounts that carry a serial in their serial attribute, over all directories (at most 10 a directory). */
  findBySerial(serial: Serial): Promise<readonly FoundAccount[]>
  /**
   * Every account that carries a serial of ours or a lock that looks like ours; for rebuild and resync. Paged.
   */
  walkMarked(directory: DirectoryName): AsyncIterable<ObservedState>
  /** Every account that a lock stands at, whoever's it is, as far as the directory can list them. Paged. */
  walkLocked(directory: DirectoryName): AsyncIterable<ObservedState>
  /**
   * Reads an account afresh, and who else carries the serials of `carriersOf`. `maxAgeMs` allows a reading that was
   * made by a find or an apply at most so long ago: compare and swap makes that safe. Fails with `entry-not-found`,
   * `write-raced` (it was renamed between two readings that belong together: look again).
   */
  observe(key: AccountKey, carriersOf: readonly Serial[], maxAgeMs: number): Promise<ObservedState>
  /**
   * Writes the change by compare and swap, and returns what the server says afterwards.
   * Fails with `write-raced` (what stood there is not what the change expected; nothing written),
   * `outcome-unknown` (the connection broke: look again), `entry-not-found`.
   */
  apply(change: Change | ChangeDraft): Promise<ObservedState>
  names(): readonly DirectoryName[]
  [Symbol.asyncDispose](): Promise<void>
}

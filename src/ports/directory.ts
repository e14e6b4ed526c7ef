import type { Change, ChangeDraft } from '../core/change.ts'
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
  /** The accounts that carry a serial in their serial attribute, over all directories (at most 10 a directory). */
  findBySerial(serial: Serial): Promise<readonly FoundAccount[]>
  /**
   * Every account that carries a serial of ours or a lock that looks like ours; for rebuild and resync. Paged.
   */
  walkMarked(directory: DirectoryName): AsyncIterable<ObservedState>
  /**
   * Reads an account afresh, and who else carries the serials of `carriersOf`. `maxAgeMs` allows a reading that was
   * made by a find or an apply at most so long ago: compare and swap makes that safe. Fails with `entry-not-found`.
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

/** Other attributes of an account, for those who write to its owner. */
export interface AttributePort {
  /**
   * The first value of each of these attributes, under the name that was asked for; what is not there is not in it.
   * Fails with `entry-not-found`, `realm-unmapped` and `directory-*`.
   */
  attributesOf(key: AccountKey, names: readonly string[]): Promise<ReadonlyMap<string, string>>
}

/** Who is in a group, for those who roll out tokens to it. */
export interface GroupPort {
  /**
   * The logins of all who are in it, directly or by groups in groups.
   * Fails with `entry-not-found`, `limit-exceeded`, `realm-unmapped` and `directory-*`.
   */
  loginsOfGroup(directory: DirectoryName, groupDn: string): Promise<readonly Login[]>
}

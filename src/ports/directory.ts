import type { Change, ChangeDraft } from '../core/account/change.ts'
import type { AppError } from '../core/error.ts'
import type { AccountKey, DirectoryName, Dn, Login, Realm, Serial } from '../core/names.ts'
import type { LastWriter } from '../core/account/late.ts'
import type { EntryVersion, LockObservation, ObservedState } from '../core/account/state.ts'

/** Accounts with the same login in the other directories of a realm. */
export interface FurtherPort {
  /** One entry for each other directory: the account there, none, or why it could not be asked. Never fails. */
  findElsewhere(key: AccountKey, login: Login, realm: Realm): Promise<readonly FurtherAnswer[]>
}

export interface FurtherAnswer {
  readonly directory: DirectoryName
  readonly found: FoundAccount | AppError | null
}

/** An account that was found, with its serials, so that the first reading needs no second search. */
export interface FoundAccount {
  readonly key: AccountKey
  readonly dn: Dn
  readonly login: Login | null
  readonly serials: readonly Serial[]
}

/**
 * The condition of one server of a directory. `untried`: it was not needed yet. `slow`: an operation or the connecting
 * to it got no answer in time, or several in a row took a quarter of that time. `refused`: it refuses our login.
 * `read-only`: it takes no writes. `other-identity`: its data are not those of the directory on record.
 */
export type ServerCondition = 'untried' | 'up' | 'down' | 'slow' | 'refused' | 'read-only' | 'other-identity'

export interface ServerState {
  readonly url: string
  readonly is: ServerCondition
  /** In milliseconds since 1970. */
  readonly sinceMs: number
  /** '' where there is no problem. */
  readonly reason: string
}

/** Accounts that `readLocks` takes at a time at most. */
export const READ_LOCKS_MAX = 100

/** The lock of an account as one server has it. */
export interface LockAtServer {
  readonly dn: Dn
  readonly lock: LockObservation
}

/** The answer of one server; where `error` is null, an account that is neither among `locks` nor `unread` is not there. */
export interface ServerReading {
  readonly url: string
  readonly error: AppError | null
  readonly locks: ReadonlyMap<AccountKey, LockAtServer>
  /** Accounts that are there, and whose lock we may not read. */
  readonly unread?: ReadonlyMap<AccountKey, AppError>
}

/**
 * The directories. Every method may also fail with `directory-unreachable`, `-timeout`, `-tls`, `-bind-refused`,
 * `-identity-lost` (the bind was lost: an empty answer is not accepted), `-busy`, `-not-permitted` and `-refused`.
 */
export interface DirectoryPort {
  /**
   * The account of a privacyIDEA user. `realm` null means: the only directory, where there is one.
   * Fails with `realm-unmapped`, `unknown-user`, `ambiguous-match`.
   */
  findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount>
  /**
   * The account of a user by the id in privacyIDEA's resolver, where that is the directory's own, else by the login.
   * Fails as `findByLogin`.
   */
  findByUser(user: { login: Login; realm: Realm; userId: string }): Promise<FoundAccount>
  /**
   * As `findByUser` for each, by few searches. Never fails: the error of a user is that user's result, so that a
   * directory that does not answer does not affect the others.
   */
  findByUsers(
    users: readonly { login: Login; realm: Realm; userId: string }[],
  ): Promise<readonly (FoundAccount | AppError)[]>
  /** The accounts with this serial in their serial attribute, over all directories (at most 10 a directory). */
  findBySerial(serial: Serial): Promise<readonly FoundAccount[]>
  /**
   * Every account with a serial of ours or a lock that looks like ours; for rebuild and resync. Paged.
   */
  walkMarked(directory: DirectoryName): AsyncIterable<ObservedState>
  /** Every account with a lock, ours or not, as far as the directory can list them. Paged. */
  walkLocked(directory: DirectoryName): AsyncIterable<ObservedState>
  /**
   * Reads an account afresh, and which other accounts have the serials of `duplicatesOf`. `maxAgeMs` allows a reading
   * that was made by a find or an apply at most so long ago: compare and swap makes that safe. Another directory that
   * cannot be asked about the serials is reported as `duplicatesUnknown`. Fails with `entry-not-found`, `write-raced`
   * (it was renamed between two readings that belong together: read it once more).
   */
  observe(key: AccountKey, duplicatesOf: readonly Serial[], maxAgeMs: number): Promise<ObservedState>
  /**
   * Writes the change by compare and swap, and returns what the server shows afterwards.
   * Fails with `write-raced` (the entry did not have the values that the change expected; nothing was written),
   * `outcome-unknown` (the connection broke: read the entry), `entry-not-found`.
   * @param asRead the write to the account's own entry fails with `write-raced` where the entry was changed since, on
   *   the server that this was read on, where the server can assert it (RFC 4528)
   */
  apply(change: Change | ChangeDraft, asRead?: EntryVersion): Promise<ObservedState>
  /** Who wrote to these entries last, each the account's own or one that its lock is made of. */
  lastWriters(key: AccountKey, dns: readonly Dn[]): Promise<ReadonlyMap<Dn, LastWriter>>
  /**
   * The account as the first of these servers that answers has it, even where the work uses another server. Null: none
   * of them answers. Fails with `entry-not-found`.
   */
  observeAt(key: AccountKey, urls: readonly string[]): Promise<ObservedState | null>
  /**
   * The locks of accounts of one directory on each of its servers; at most READ_LOCKS_MAX accounts. Never fails because
   * of a server.
   */
  readLocks(directory: DirectoryName, keys: readonly AccountKey[]): Promise<readonly ServerReading[]>
  /** The servers of a directory, by what was last observed of them. */
  servers(directory: DirectoryName): readonly ServerState[]
  /** Asks each server of a directory, in parallel and within the timeouts; one that failed just now is not asked. */
  lookAtServers(directory: DirectoryName): Promise<readonly ServerState[]>
  names(): readonly DirectoryName[]
  [Symbol.asyncDispose](): Promise<void>
}

/** Other attributes of an account, for mails to its owner. */
export interface AttributePort {
  /**
   * The first value of each of these attributes, under the name that was asked for; attributes without a value are left
   * out. Fails with `entry-not-found`, `realm-unmapped` and `directory-*`.
   */
  attributesOf(key: AccountKey, names: readonly string[]): Promise<ReadonlyMap<string, string>>
}

/** The members of a group, for the roll-out of tokens to it. */
export interface GroupPort {
  /**
   * The logins of all members, direct or by nested groups.
   * Fails with `entry-not-found`, `limit-exceeded`, `realm-unmapped` and `directory-*`.
   */
  loginsOfGroup(directory: DirectoryName, groupDn: string): Promise<readonly Login[]>
}

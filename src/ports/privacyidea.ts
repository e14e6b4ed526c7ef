import type { Login, Realm, ResolverName, Serial, UserId } from '../core/names.ts'
import type { Token, UserOfSource } from '../core/source/token.ts'

/**
 * privacyIDEA's API, as Lockstep uses it while it runs. Every method may fail with `source-unreachable`, `-timeout`,
 * `-tls`, `-login-refused`, `-not-permitted`, `-answer` (not what was expected: HTML, a status of 500, a missing field)
 * and `limit-exceeded` (too many pending calls). None of these states anything about a token: without an answer nothing
 * changes.
 */
export interface PrivacyIdeaPort extends AsyncDisposable {
  /** Of the server that answered last; asks when nothing was asked yet. */
  version(): Promise<SourceVersion>
  /**
   * Proves that the account sees tokens at all: the right `tokenlist` where the rights are known, and one visible
   * token. Calls that wait for a proof share one that begins after they asked. Fails with `source-unproven`,
   * `source-not-permitted`.
   */
  proveTokenList(): Promise<void>
  /**
   * True: the account has the right `tokenlist` by the answer to the login, and no token is visible. A policy that is
   * limited to a realm would look the same, so that this proves nothing about a token that was ever observed.
   */
  showsNoToken(): Promise<boolean>
  /**
   * Null where there is no such user, or where the user store does not answer: the answer is the same.
   * @param resolver null: the user that privacyIDEA itself takes for that login, where several resolvers of the realm
   *   have it
   */
  findUser(login: Login, realm: Realm, resolver: ResolverName | null): Promise<UserOfSource | null>
  /**
   * The mail address and the name of exactly this user, each '' where it is not known. Null as for `findUser`, and
   * where the login belongs to somebody else by now.
   */
  userDetails(user: NamedUser): Promise<{ readonly mail: string; readonly name: string } | null>
  /**
   * All tokens of a user. An empty answer is proven first (as `proveTokenList`) or fails with `source-unproven`. Fails
   * with `unknown-user` (the user store answers, and has no such login), `source-resolver`, `source-resolver-gone` (see
   * `isResolverGone`), `limit-exceeded` (over 1,000).
   */
  tokensOfOwner(owner: OwnerQuery): Promise<readonly Token[]>
  /**
   * The tokens with these serials, each as privacyIDEA spells it: in another case too, where its database compares so.
   * Asked for 200 at a time. What is missing from an answer is proven to be gone, unless the account may see only some
   * realms. An owner may be `resolver-error`: then the fail counter is correct and the owner is unknown.
   */
  tokensBySerial(serials: readonly Serial[]): Promise<readonly Token[]>
  /**
   * The tokens with the highest fail counters, down to `failCountMin` (the lowest max fail count that is known, 1 or
   * more), and every full one on the way. Tokens whose max fail count is 0 or less may be missing; and one may be
   * missed while counters change: the list is a mark for refresh, and nothing follows from a token's absence.
   * `isEmpty`: no token is visible at all, which is not proven here.
   */
  fullestTokens(
    failCountMin: number,
  ): Promise<{ readonly tokens: readonly Token[]; readonly isComplete: boolean; readonly isEmpty: boolean }>
  /**
   * All tokens, in pages, by id; holds one page. A run that completes saw every token that was there all the time,
   * unless one was deleted and another made between two pages. Otherwise it fails: `source-unproven` (no token is
   * visible, the end is missing, the order is broken, too many were deleted meanwhile), `source-resolver` (at the first
   * owner whose user store does not answer: each of them costs privacyIDEA up to 20 s). A resolver that is gone stops
   * nothing.
   */
  walkTokens(): AsyncIterable<TokenPage>
  /**
   * The resolver belongs to no realm, or was deleted: nobody can log in by it, and up to 3.13 its tokens are not
   * visible. False where that is not known. Kept for some seconds.
   */
  isResolverGone(resolver: ResolverName): Promise<boolean>
  /** The users that privacyIDEA (3.14) locks out now. Fails with `source-not-permitted`: then nothing is known. */
  userLockouts(): Promise<UserLockouts>
  /**
   * Rows of the authentication log (3.14) after a row, in order, at most 10,000. `after` null: none, and the number of the
   * newest. Read on from the last row's id and time.
   */
  authenticationLog(after: AuthenticationMark | null): Promise<AuthenticationTail>
  /** Rows of the audit log, oldest first, in pages; at most 100,000 pages. */
  auditRows(from: AuditStart): AsyncIterable<readonly AuditRow[]>
  /**
   * After how long a full fail counter is cleared by the next attempt; null: never. Fails with `source-not-permitted` where
   * a policy keeps the system's settings from the account (3.13 on).
   */
  failCounterClearTimeoutMs(): Promise<number | null>
  /** Fails with `unknown-serial`; `source-resolver` on versions before 3.14, where nothing was done. */
  resetFailCounter(serial: Serial): Promise<void>
  /** @param durationS null: until it is released. Fails with `unknown-user`, `source-resolver`. */
  setUserLockout(user: UserOfSource, durationS: number | null): Promise<void>
  /** Null: not locked out, or unknown. Fails with `source-resolver` where the user store does not answer. */
  userLockout(user: UserOfSource): Promise<UserLockout | null>
  /** @returns false where it was disabled already. Fails with `unknown-serial`; `source-resolver` before 3.14. */
  disableToken(serial: Serial): Promise<boolean>
  /** @returns false where it was enabled already, or revoked. Fails with `unknown-serial`; `source-resolver` before 3.14. */
  enableToken(serial: Serial): Promise<boolean>
  /** @returns false where there was none */
  releaseUserLockout(user: UserOfSource): Promise<boolean>
}

export interface SourceVersion {
  /** As the server reports it: `3.14`, `3.12.3`. */
  readonly text: string
  readonly major: number
  readonly minor: number
}

/** A user by login and realm, and by what distinguishes them from others of the same name, where that is known. */
export interface NamedUser extends OwnerQuery {
  readonly login: Login
  readonly realm: Realm
}

/** Whose tokens: by the id in the resolver where both are known (a renamed user keeps their tokens), else by login. */
export interface OwnerQuery {
  readonly login: Login | null
  readonly realm: Realm | null
  readonly resolver: ResolverName | null
  readonly userId: UserId | null
}

/** A row among privacyIDEA's tokens of which too little can be read. */
export interface OddToken {
  /** As the row has it; '' where it has none. */
  readonly serial: string
  readonly why: string
}

export interface TokenPage {
  readonly tokens: readonly Token[]
  readonly odd: readonly OddToken[]
  /** The number of all tokens, as reported with this page. */
  readonly count: number
}

export interface UserLockouts {
  readonly isSupported: boolean
  readonly lockouts: readonly UserLockout[]
  /** Rows of which too little can be read: somebody is locked out, and no more is known of them than this. */
  readonly odd: readonly OddLockout[]
}

/** Null is what cannot be read; such a row may be about any user that the rest fits. */
export type OddLockout = OwnerQuery

export interface UserLockout {
  readonly user: UserOfSource
  /** Null: until it is released. In milliseconds since 1970, by this machine's clock. */
  readonly untilMs: number | null
  /** From its beginning to its end, in whole seconds; null: until it is released. */
  readonly durationS: number | null
  readonly cause: 'policy' | 'manual'
}

/** Where a reading of the authentication log ended. */
export interface AuthenticationMark {
  readonly id: number
  readonly atMs: number
}

export interface AuthenticationTail {
  readonly isSupported: boolean
  readonly rows: readonly AuthenticationRow[]
  /** Where to read on; null: the log is empty. */
  readonly mark: AuthenticationMark | null
}

export interface AuthenticationRow extends AuthenticationMark {
  /** `MFA_FAIL`, `PIN_FAIL`, `TOKEN_FAILCOUNT_EXCEEDED`, …, as in privacyIDEA. */
  readonly type: string
  readonly serial: Serial | null
  readonly login: Login | null
  readonly realm: Realm | null
  readonly resolver: ResolverName | null
  readonly userId: UserId | null
}

export interface AuditStart {
  /** Rows of the last so many milliseconds, by privacyIDEA's clock. */
  readonly sinceMs: number
  /** Only rows with a higher number; 0: all. */
  readonly afterNumber: number
}

export interface AuditRow {
  readonly number: number
  /** The server's local time without a zone, as it reports it: `2026-11-24T13:36:19.968144`. */
  readonly date: string
  /** `POST /validate/check`, … */
  readonly action: string
  readonly isSuccess: boolean
  /** `ACCEPT`, `REJECT`, `CHALLENGE`, `''`, … */
  readonly authentication: string
  /** Perhaps several, with commas between; '' where it names none. */
  readonly serial: string
  readonly tokenType: string
  readonly user: string
  readonly realm: string
  readonly resolver: string
  readonly administrator: string
  readonly detail: string
  readonly info: string
}

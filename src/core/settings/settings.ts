import type { ConfigKeys } from './config-keys.ts'
import type { DirectoryType } from './directory-type.ts'
import type { ForeignUnlockPolicy } from '../account/plan.ts'
import type { BreakerSettings } from '../guards/breaker.ts'
import type { DryRunSettings } from '../guards/guard.ts'
import type { LossBreakerSettings } from '../guards/loss-breaker.ts'
import type { MailSettings } from './mail-settings.ts'
import type { DirectoryName, Dn, Realm, Serial, WindowsName } from '../names.ts'
import type { SecretSource } from './secret-source.ts'

/**
 * The configuration after parsing: what src/config makes of the YAML file. Every duration is in milliseconds. Files of
 * secrets are named here, and read each time the secret is needed: the next connection picks a changed file up.
 */
export interface Settings {
  /** The path of the file; error texts name it. */
  readonly file: string
  /** The values of its keys, to compare two configurations. */
  readonly keys: ConfigKeys
  /** Null: mode `events`; tokens are known by events alone. */
  readonly privacyidea: SourceSettings | null
  readonly directories: readonly DirectorySettings[]
  /**
   * Realm to its directories, the first one first; none: it has no directory on purpose. A realm that is missing here has
   * none either, unless `realms` is empty and there is one directory only.
   */
  readonly realms: Readonly<Record<Realm, readonly DirectoryName[]>>
  readonly policy: PolicySettings
  readonly guards: GuardSettings
  readonly intake: IntakeSettings
  readonly resync: ResyncSettings
  readonly store: StoreSettings
  readonly ldif: { readonly dir: string }
  readonly log: LogSettings
  /** `file`: where the daemon writes its health, for everybody to read. */
  readonly health: { readonly file: string }
  readonly recipes: { readonly dir: string }
  readonly retention: RetentionSettings
  /** Null: no mail. */
  readonly mail: MailSettings | null
}

/** How privacyIDEA is asked. */
export interface SourceSettings {
  /** `https://host`, perhaps with a path; without a slash at its end. */
  readonly url: string
  readonly login: SourceLogin
  /** PEM file of the certification authorities to trust; null: those of Node. */
  readonly caFile: string | null
  /** To connect and secure, together. */
  readonly connectTimeoutMs: number
  /** For one request, from its start to the end of its answer. */
  readonly timeoutMs: number
  readonly connectionsMax: number
  /** Tokens at most in a page of the full walk. */
  readonly pageSize: number
  /** The serial of a token that is always there; proves that an empty answer is empty. Null: any token does. */
  readonly knownToken: Serial | null
}

/** An administrator and their password, exchanged for a token of an hour; or a token that was made for good. */
export type SourceLogin =
  | {
      readonly kind: 'password'
      readonly user: string
      /** The realm of an administrator that is in none of privacyIDEA's own; null: a local one. */
      readonly realm: string | null
      readonly password: SecretSource
    }
  | { readonly kind: 'token'; readonly token: SecretSource }

export interface ResyncSettings {
  /** How often the fullest tokens, held tokens and user lockouts are looked at; only with privacyIDEA's API. */
  readonly scanMs: number
  /** How often everything is compared. */
  readonly fullMs: number
  /** A full resync that finds fewer tokens than the last one by more than this part (0 to 1) repairs nothing. */
  readonly shrinkLimit: number
}

export interface DirectorySettings {
  readonly name: DirectoryName
  readonly type: DirectoryType
  /** `ldap://` or `ldaps://`, tried in this order. */
  readonly urls: readonly string[]
  /** `required` (the default) on an `ldap://` URL that is not loopback; `off` only when the file sets it. */
  readonly startTls: 'required' | 'off'
  /** Another name than a DN for Active Directory alone. */
  readonly bindDn: Dn | WindowsName
  readonly bindPassword: SecretSource
  /** PEM file of the certification authorities to trust; null: those of Node. */
  readonly caFile: string | null
  /** Name to verify the certificate against, where it differs from the URL's host; null: the URL's host. */
  readonly tlsServerName: string | null
  readonly base: Dn
  /** With `{login}` and perhaps `{realm}`; values are escaped per RFC 4515. */
  readonly userFilter: string
  /** The attribute that holds the login, read to show it; derived from the filter where not given. */
  readonly loginAttribute: string
  /** The attribute that identifies an account for good, as in `entryUUID`; how its values are read: `directory/accounts/id-codec.ts`. */
  readonly idAttribute: string
  readonly serialAttribute: string
  /** With exactly one `{serial}`. */
  readonly serialFormat: string
  readonly connectTimeoutMs: number
  readonly operationTimeoutMs: number
  /** Connections at most, and operations in flight on each at most. */
  readonly connectionsMax: number
  readonly inFlightMax: number
  /** What locked means, for a type that takes it from the configuration. Empty for the other types. */
  readonly lock: readonly LockAssignment[]
  /** Active Directory: an unlock also ends a lockout after wrong passwords. */
  readonly clearLockout: boolean
  readonly protect: ProtectSettings
}

/**
 * One assignment of a custom lock. Without `dn` it is the account's own entry; `dn` names another one (a group).
 * `set`: the attribute holds exactly these values. `add` / `remove`: these values are there / are not there.
 * Values may hold `{dn}` and `{login}` of the account.
 */
export interface LockAssignment {
  readonly dn: Dn | null
  readonly op: 'set' | 'add' | 'remove'
  readonly attribute: string
  readonly values: readonly string[]
}

/** Accounts that are never locked; one reason is enough. Those for all directories and for one are combined. */
export interface ProtectSettings {
  /** LDAP filters. */
  readonly filters: readonly ProtectKey<string>[]
  /** Themselves; compared without regard to case and spaces. The bind account always is one. */
  readonly dns: readonly ProtectKey<string>[]
  /** All that lies below, and the entry itself. */
  readonly subtrees: readonly ProtectKey<string>[]
  /** DNs of groups: their members, and those of the groups in them. */
  readonly groups: readonly ProtectKey<string>[]
  /** An attribute has one of these values. */
  readonly attributes: readonly ProtectKey<ProtectedValues>[]
}

/** With its key of the configuration, to show why an account is protected. */
export interface ProtectKey<Value> {
  readonly key: string
  readonly value: Value
}

export interface ProtectedValues {
  readonly attribute: string
  readonly values: readonly string[]
}

/**
 * The effect in privacyIDEA of somebody else's lock in the directory: none; a lockout of the user (3.14); or their
 * tokens are disabled.
 */
export type MirrorPolicy = 'off' | 'user-lock' | 'disable-tokens'

/**
 * What a disabled or revoked token means for its account: nothing (`ignore`); by its fail counter, as any other
 * (`count`); or that it is locked (`lock`).
 */
export type TokenMeaning = 'ignore' | 'count' | 'lock'

export interface PolicySettings {
  /**
   * Somebody removes our lock in the directory: `respect` ends the holds, `relock` writes the lock again. `reset-token`
   * (only with privacyIDEA's API) ends the holds, and resets the fail counters of their tokens.
   */
  readonly onForeignUnlock: ForeignUnlockPolicy
  /** Only with privacyIDEA's API: which of an account's tokens must be locked for the account to be locked. */
  readonly lockWhen: 'any-token-locked' | 'all-tokens-locked'
  readonly disabledTokens: TokenMeaning
  readonly revokedTokens: TokenMeaning
  /** Only with privacyIDEA's API. */
  readonly mirrorDirectoryLocks: MirrorPolicy
  /** A token's hold ends by itself after this; null: never. */
  readonly lockTtlMs: number | null
  /** Null: each time after `lockTtlMs`. */
  readonly lockBackoff: LockBackoff | null
  /** Only with privacyIDEA's API: a hold that ends by itself resets the fail counter of its token. */
  readonly resetsTokenOnTtl: boolean
}

/** Whether the policy resets fail counters. */
export function needsReset({ onForeignUnlock, resetsTokenOnTtl }: PolicySettings): boolean {
  return onForeignUnlock === 'reset-token' || resetsTokenOnTtl
}

/** The n-th lock of an account lasts `lockTtlMs` times factor^(n-1), and no longer than `maxMs`. */
export interface LockBackoff {
  readonly factor: number
  readonly maxMs: number
  /** So long after its end a lock of ours no longer counts. */
  readonly resetAfterMs: number
}

export interface GuardSettings {
  readonly dryRun: DryRunSettings
  /** Null: no breaker. */
  readonly breaker: BreakerSettings | null
  /** Null: losses are not counted. Only with privacyIDEA's API. */
  readonly lossBreaker: LossBreakerSettings | null
}

export interface IntakeSettings {
  readonly spool: string
  readonly http: HttpSettings | null
}

export interface HttpSettings {
  readonly host: string
  readonly port: number
  readonly hookSecret: SecretSource
  /** CIDR blocks that may call; empty: loopback only. */
  readonly allow: readonly string[]
  readonly bodyBytesMax: number
  /** Requests at most in a second: with the right secret in all, and without it from one address. */
  readonly requestsPerSecondMax: number
}

/** Only SQLite so far; the seam for others is the dialect file. */
export interface StoreSettings {
  readonly kind: 'sqlite'
  readonly file: string
}

export interface LogSettings {
  readonly format: 'logfmt' | 'json'
  /** Lower levels are left out. */
  readonly level: 'info' | 'warn' | 'error'
  /** `account-id`: lines of accounts name no login. */
  readonly persons: 'login' | 'account-id'
}

export interface RetentionSettings {
  /** Events that no longer decide anything, and events that could never be resolved, are removed after this. */
  readonly eventsMs: number
  /** Journal records older than this are archived to files beside the store, still in the chain. */
  readonly journalMs: number
  /** Journal records in the store at most; the oldest are archived. */
  readonly journalRecordsMax: number
  /** Journal archives and LDIF history files older than this are removed. */
  readonly historyMs: number
}

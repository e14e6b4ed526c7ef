import type { Change } from '../core/change.ts'
import type { ErrorCode } from '../core/error.ts'
import type { Event, ResolvedEvent } from '../core/event.ts'
import type { AccountKey, DirectoryName, Dn, Login, Realm, ResolverName, Serial, UserId } from '../core/names.ts'
import type { Pause } from '../core/guard.ts'
import type { Outcome } from '../core/outcome.ts'
import type { DesiredState, Hold, OurRecord, OwnedLock } from '../core/state.ts'
import type { Lockout, KnownTruth, TokenTruth, Truth } from '../core/truth.ts'
import type { UserOfSource } from '../core/token.ts'
import type { IntakePort } from './intake.ts'
import type { OwnerQuery } from './privacyidea.ts'

/** All methods of the store may fail with `store-busy`, `store-unavailable`, `disk-full`. */

/** An event that has no account yet. */
export interface WaitingEvent extends Event {
  /** How often it was tried. */
  readonly attempts: number
  readonly receivedAtMs: number
}

/** An account as it is written down when it was found. */
export interface NotedAccount {
  readonly key: AccountKey
  readonly dn: Dn
  /** What a hint says of these does not overwrite what privacyIDEA itself said. */
  readonly login: Login | null
  readonly realm: Realm | null
  /** The user whose account it is, where privacyIDEA itself named him. */
  readonly user?: UserOfSource
}

/** What became of a waiting event. */
export type Resolution =
  /** Mode `api`: the event itself says nothing, it makes Lockstep ask about these accounts. */
  | { readonly kind: 'hinted'; readonly event: WaitingEvent; readonly accounts: readonly NotedAccount[] }
  | { readonly kind: 'ended'; readonly event: WaitingEvent; readonly reason: string }
  | {
      readonly kind: 'resolved'
      readonly event: Event
      readonly key: AccountKey
      readonly dn: Dn
      readonly login: Login | null
      readonly realm: Realm | null
      readonly attributeSerials: readonly Serial[]
    }
  | {
      readonly kind: 'waiting'
      readonly event: WaitingEvent
      readonly code: ErrorCode
      readonly reason: string
      readonly againAtMs: number
    }

/** Events on their way to an account. */
export interface InboxPort extends IntakePort {
  /** Waiting events whose time has come, oldest first. */
  due(nowMs: number, limit: number): Promise<readonly WaitingEvent[]>
  /**
   * Writes what became of them: holds nothing back, marks the accounts, wakes others that wait for the same serial.
   * @param claimMax claims at most so many due accounts with the same commit
   */
  settle(resolutions: readonly Resolution[], claimMax: number): Promise<readonly Claim[]>
  /** The account that a serial belonged to last, by the events that were resolved. */
  accountOfSerial(serial: Serial): Promise<{ key: AccountKey; dn: Dn; login: Login | null } | null>
  /** When the next waiting event is due, in milliseconds since 1970; null: none waits. */
  nextDueMs(): Promise<number | null>
}

/** One account handed out to one worker until its lease ends. */
export interface Claim {
  readonly key: AccountKey
  readonly generation: number
  readonly attempts: number
  /** What privacyIDEA says of the owner is to be read first. */
  readonly isHinted: boolean
  /** The owner's realm, where known. */
  readonly realm: Realm | null
  /** Its lock waits in the review queue, or was approved there. */
  readonly isInReview: boolean
  readonly ours: OurRecord
  /** A change that was planned and whose outcome is not on record: the process died, or the connection did. */
  readonly open: Change | null
  /** How the account stood when it was claimed. */
  readonly stood: {
    readonly standing: string
    readonly code: string | null
    readonly reason: string
    readonly holdCount: number
    /** Whether a lock keeps the user out, as it was last seen. */
    readonly effective: Outcome['effective']
    /** When our lock was last seen to stand in the directory, in milliseconds since 1970; 0: never. */
    readonly lockSeenMs: number
  }
}

/** The queue of dirty accounts. */
export interface QueuePort {
  claim(limit: number, nowMs: number): Promise<readonly Claim[]>
  /** Lengthens a lease; fails with `lease-lost` where somebody else has it. */
  renew(claim: Claim, nowMs: number): Promise<void>
  mark(keys: readonly AccountKey[], nowMs: number): Promise<void>
  nextDueMs(): Promise<number | null>
}

/** What an account should look like: privacyIDEA's word, or what the events said. */
export interface DesiredPort {
  of(key: AccountKey, nowMs: number): Promise<DesiredState>
}

/** The rows of the ledger; reconcile/ledger.ts keeps the LDIF folders in step with them. */
export interface RecordPort {
  /** There is a breaker: a lock may be refused. */
  readonly isLimited: boolean
  /**
   * The row of a change, durable, before the directory is touched; the account's `open` change from then on. A lock is
   * counted and decided with the row, so that no two workers and no two processes pass the breaker together.
   * @returns why not, where one of the breaker's limits is reached: then the lock waits in the review queue instead
   */
  plan(change: Change): Promise<BreakerRefusal | null>
  /** The outcome of a change, and what is ours of the account's lock from now on. */
  close(change: Change, result: 'applied' | 'not-applied', owned: OwnedLock | null): Promise<void>
  /** What is ours changed without a write to the directory. */
  own(key: AccountKey, owned: OwnedLock | null, why: string): Promise<void>
  /** Where the account stands, and its holds; gives the claim back. The mark goes only if nothing came since. */
  settle(claim: Claim, outcome: Outcome, holds: readonly Hold[]): Promise<void>
  /** A resolved event of our own making; marks its account. */
  note(event: ResolvedEvent): Promise<void>
}

/** Whose account it is in privacyIDEA, and what its API said when it was read last. */
export interface KnownOwner extends KnownTruth {
  readonly owner: OwnerQuery
  /** Further users whose account it is as well. */
  readonly others: readonly UserOfSource[]
  /** The newest event that the account's state rests on, in microseconds since 1970; 0: none. */
  readonly newestUs: number
  /** Tokens whose fail counters are to be reset. */
  readonly resetDue: readonly Serial[]
}

/** What is written down after a reading, in one transaction. */
export interface Reading {
  /** Null where no token told it. */
  readonly user: UserOfSource | null
  /** Further users whose account it is as well: those, and no others any more. Left out: as they were. */
  readonly others?: readonly UserOfSource[]
  /** Whose each token is, where that is known. */
  readonly owners?: ReadonlyMap<Serial, UserOfSource>
  readonly truth: Truth
  /** Tokens whose fail counters were reset before: nothing is due there any more. */
  readonly reset: readonly Serial[]
  readonly events: readonly ResolvedEvent[]
}

/** A token as it was read last. */
export interface RecordedToken extends TokenTruth {
  readonly accountKey: AccountKey
  /** Whose it was; null where that is not known. Two resolvers may call different users the same. */
  readonly resolver: ResolverName | null
  readonly userId: UserId | null
}

/** Mode `api`: what privacyIDEA said when it was read last. */
export interface TruthPort {
  knownOf(key: AccountKey): Promise<KnownOwner>
  /** The events, what they rest on, and marks for other accounts that one of the serials belonged to. */
  record(key: AccountKey, reading: Reading): Promise<void>
  tokensOf(serials: readonly Serial[]): Promise<ReadonlyMap<Serial, RecordedToken>>
  /** The serials that held an account when they were read last, in pages. */
  lockedTokens(): AsyncIterable<readonly RecordedToken[]>
  /** Accounts with a hold that events of mode `events` made and no reading has confirmed yet, in pages. */
  unreadHolds(): AsyncIterable<readonly AccountKey[]>
  lockouts(): Promise<ReadonlyMap<AccountKey, Lockout>>
  /** Notes the accounts and marks them: privacyIDEA is asked about each before it is looked at. */
  hint(accounts: readonly NotedAccount[]): Promise<void>
  /** As `hint`, for accounts that are on record. */
  hintKeys(keys: readonly AccountKey[]): Promise<void>
  /** The fail counters of these tokens are to be reset when the account is next looked at; it is marked where that is new. */
  wantReset(key: AccountKey, serials: readonly Serial[]): Promise<void>
}

/** A lock that the breaker holds back. */
export interface BreakerRefusal {
  /** For people. */
  readonly reason: string
  /** When there is room again by itself, in milliseconds since 1970; null: when a person says so. */
  readonly againAtMs: number | null
}

/** What the guards need to know. */
export interface GuardPort {
  /** The pause that is in force for this directory; seen at most 20 ms after it was written. */
  pauseOf(directory: DirectoryName, nowMs: number): Promise<Pause | null>
}

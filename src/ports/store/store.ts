import type { AccountOwner, Change } from '../../core/account/change.ts'
import type { ErrorCode } from '../../core/error.ts'
import type { Event, ResolvedEvent } from '../../core/events/event.ts'
import type { AccountKey, DirectoryName, Dn, Login, Realm, ResolverName, Serial, UserId } from '../../core/names.ts'
import type { Pause } from '../../core/guards/guard.ts'
import type { LateChange } from '../../core/account/late.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { Retirement } from '../../core/settings/retirement.ts'
import type { DesiredState, Hold, OtherLock, OurRecord, OwnedLock } from '../../core/account/state.ts'
import type {
  HeldLosses,
  Lockout,
  RecordedSnapshot,
  TokenSnapshot,
  SourceSnapshot,
} from '../../core/source/snapshot.ts'
import type { TokenReading, UserOfSource } from '../../core/source/token.ts'
import type { IntakePort } from '../intake.ts'
import type { OwnSerial } from './authorship.ts'
import type { OwnerQuery } from '../privacyidea.ts'
import type { LossCause } from '../../core/reasons/limits.ts'

/** All methods of the store may fail with `store-busy`, `store-unavailable`, `disk-full`. */

/** An event that has no account yet. */
export interface WaitingEvent extends Event {
  /** How often it was tried. */
  readonly attempts: number
  readonly counted: CountedWait
}

/** How long an event was pending because a person has to change something. */
export interface CountedWait {
  /** In milliseconds, without the time during which something could not be asked. */
  readonly ms: number
  /** The last reason why it was pending; null: it was not tried yet. */
  readonly whyCode: string | null
  /** In milliseconds since 1970; null: it was not tried yet, or by an older version. */
  readonly triedAtMs: number | null
}

/** An account as it is recorded when it was found. */
export interface NotedAccount {
  readonly key: AccountKey
  readonly dn: Dn
  /** The values of an event for these do not overwrite what privacyIDEA itself reported. */
  readonly login: Login | null
  readonly realm: Realm | null
  /** The user whose account it is, where privacyIDEA itself named them. */
  readonly user?: UserOfSource
}

/** The outcome for a waiting event. */
export type Resolution =
  /**
   * Mode `api`: the event itself decides nothing, it makes Lockstep ask about these accounts. `named`: serials that an
   * unregistration names and that are on the entry although no reading confirmed them: Lockstep may remove them from
   * now on.
   */
  | {
      readonly kind: 'hinted'
      readonly event: WaitingEvent
      readonly accounts: readonly NotedAccount[]
      readonly named: readonly OwnSerial[]
    }
  | { readonly kind: 'ended'; readonly event: WaitingEvent; readonly reason: Reason }
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
      /** See CountedWait.ms. */
      readonly countedMs: number
    }

/** Events on their way to an account. */
export interface InboxPort extends IntakePort {
  /** Waiting events whose time has come, oldest first. */
  due(nowMs: number, limit: number): Promise<readonly WaitingEvent[]>
  /**
   * Writes the outcomes: holds nothing back, marks the accounts, wakes others that wait for the same serial.
   * @param claimMax claims at most so many due accounts with the same commit
   */
  recordResolutions(resolutions: readonly Resolution[], claimMax: number): Promise<readonly Claim[]>
  /** The account that a serial belonged to last, by the events that were resolved. */
  accountOfSerial(serial: Serial): Promise<{ key: AccountKey; dn: Dn; login: Login | null } | null>
  /** The accounts that ever had each serial, as far as events are kept. */
  accountsOfSerials(serials: readonly Serial[]): Promise<ReadonlyMap<Serial, readonly AccountKey[]>>
  /** When the next waiting event is due, in milliseconds since 1970; null: none waits. */
  nextDueMs(): Promise<number | null>
}

/** Random, and another one for each claim. */
export type LeaseToken = string & { readonly brand: 'LeaseToken' }

/**
 * What each write under a claim names. Where the token is no longer the live one of its account, nothing is written and
 * the call fails with `lease-lost`: another worker took over, and there is nothing more to do.
 */
export interface Held {
  readonly key: AccountKey
  readonly token: LeaseToken
}

/** One account handed out to one worker until its lease ends. */
export interface Claim extends Held, AccountOwner {
  /** In milliseconds since the machine's boot, as it was when it was claimed. */
  readonly leaseUntilMs: number
  /** A turn at it was aborted: its waiting files are to be compared with the record. */
  readonly isForRepair: boolean
  readonly generation: number
  readonly attempts: number
  /** privacyIDEA's data of the owner are to be read first. */
  readonly isHinted: boolean
  /** Its lock is pending in the review queue, or was approved there. */
  readonly isInReview: boolean
  readonly ours: OurRecord
  /** A change that was planned and whose outcome is not on record: the process died, or the connection did. */
  readonly open: Change | null
  /** Writes of ours that may still arrive, the oldest first; at most LATE_CHANGES_MAX. */
  readonly late: readonly LateChange[]
  /** When the last of them has arrived or never will, and all findings about them are over; null: there are none. */
  readonly lateUntilMs: number | null
  /** A person states that the lock on the entry is ours, and why; null: nobody does. */
  readonly adopts: AdoptionOrder | null
  /** The status of the account when it was claimed. */
  readonly stood: {
    readonly standing: string
    readonly code: string | null
    readonly reason: Reason | null
    readonly holdCount: number
    /** Whether a lock is enforced, as it was last observed. */
    readonly effective: Outcome['effective']
    /** Somebody else's lock, as it was last observed. */
    readonly otherLock: OtherLock | null
    /** When our lock was last observed in the directory, in milliseconds since 1970; 0: never. */
    readonly lockObservedMs: number
  }
}

/** `lockstep unlock --adopt`. */
export interface AdoptionOrder {
  readonly actor: string
  readonly reason: string
}

/** The queue of dirty accounts. */
export interface QueuePort {
  claim(limit: number, nowMs: number): Promise<readonly Claim[]>
  /** How often the claims in work are to be renewed, in milliseconds; a part of a lease. */
  readonly renewEveryMs: number
  /** Extends a lease of which a good part is over; fails with `lease-lost`. Costs nothing before. */
  renew(claim: Claim): Promise<void>
  /** As `mark`; the next claim compares its waiting files with the record. */
  markForRepair(key: AccountKey, nowMs: number): Promise<void>
  mark(keys: readonly AccountKey[], nowMs: number): Promise<void>
  nextDueMs(): Promise<number | null>
}

/** The desired state of an account: by privacyIDEA's snapshot, or by the events. */
export interface DesiredPort {
  of(key: AccountKey, nowMs: number): Promise<DesiredState>
}

/** The rows of the ledger; reconcile/ledger/ledger.ts keeps the LDIF folders in sync with them. */
export interface RecordPort {
  /** There is a breaker: a lock may be refused. */
  readonly isLimited: boolean
  /**
   * The row of a change, durable, before the directory is touched; the account's `open` change from then on. A lock is
   * counted and decided with the row, so that no two workers and no two processes pass the breaker together. Like all
   * writes under a claim it fails with `lease-lost`; see Held.
   * @returns why not, where one of the breaker's limits is reached: then the lock is pending in the review queue
   *   instead
   */
  plan(claim: Held, change: Change): Promise<BreakerRefusal | null>
  /** The outcome of a change, and what is ours of the account's lock from now on. */
  close(claim: Held, change: Change, result: 'applied' | 'not-applied', owned: OwnedLock | null): Promise<void>
  /**
   * As `close`, of a change whose outcome nobody reported.
   * @param mayArriveUntilMs it may still arrive until then, in milliseconds since 1970; null: its outcome is known
   */
  closeUnseen(
    claim: Held,
    change: Change,
    result: 'applied' | 'not-applied',
    owned: OwnedLock | null,
    mayArriveUntilMs: number | null,
  ): Promise<void>
  /** A write that was written off is in the directory; `owned` is what is ours now. No effect where that is known. */
  arrived(claim: Held, late: Change, owned: OwnedLock | null): Promise<void>
  /** The value of a late write is on the entry and is somebody else's. */
  countAsOthers(claim: Held, late: Change): Promise<void>
  /** By a person's order the lock there is ours from now on. @param change the late one whose value it is, or null */
  adopt(claim: Held, owned: OwnedLock, change: string | null, order: AdoptionOrder): Promise<void>
  /** The account's next turn carries it out; marks it. */
  orderAdoption(key: AccountKey, order: AdoptionOrder): Promise<void>
  /** What is ours changed without a write to the directory. */
  own(claim: Held, owned: OwnedLock | null, why: Reason): Promise<void>
  /** The account's status, and its holds; releases the claim. The mark is removed only if nothing came since. */
  recordOutcome(claim: Claim, outcome: Outcome, holds: readonly Hold[]): Promise<void>
  /**
   * A resolved event of our own making; marks its account.
   * @param claim where it follows from what was observed under it; null: a person's command
   */
  note(event: ResolvedEvent, claim: Held | null): Promise<void>
}

/** The owner of an account in privacyIDEA, and what its API reported at the last reading. */
export interface KnownOwner extends RecordedSnapshot {
  readonly owner: OwnerQuery
  /** Further users whose account it is as well. */
  readonly others: readonly UserOfSource[]
  /** The newest event that the account's state rests on, in microseconds since 1970; 0: none. */
  readonly newestUs: number
  /** Tokens whose fail counters are to be reset. */
  readonly resetDue: readonly Serial[]
  /** Of `tokens`, those that events held and no reading has seen: spelled as in an event. */
  readonly unread: readonly Serial[]
  /** The loss of one of its tokens is pending or was allowed. */
  readonly hasLosses: boolean
}

/** A token of an account that privacyIDEA no longer lists as the account's. */
export interface Loss {
  readonly serial: Serial
  readonly cause: LossCause
}

/** Its tokens are to be left unchanged; all others are counted, or explained, and may be recorded. */
export interface LossVerdict extends HeldLosses {
  /** When there is room without a decision, in milliseconds since 1970; null: none is pending, or a person decides. */
  readonly againAtMs: number | null
}

/** What is recorded after a reading, in one transaction. */
export interface Reading {
  /** Null where no token named it. */
  readonly user: UserOfSource | null
  /** Further users whose account it is as well: those, and no others any more. Left out: unchanged. */
  readonly others?: readonly UserOfSource[]
  /** The owner of each token, where that is known. */
  readonly owners?: ReadonlyMap<Serial, UserOfSource>
  readonly snapshot: SourceSnapshot
  /** Of the tokens of `snapshot`, what people are shown of them; left out: unchanged. */
  readonly readings?: ReadonlyMap<Serial, TokenReading>
  /** Tokens whose fail counters were reset before: nothing is due there any more. */
  readonly reset: readonly Serial[]
  readonly events: readonly ResolvedEvent[]
  /**
   * Events that only marked the account for refresh since then, in microseconds since 1970, name who caused what is
   * new; left out: none is asked for. A reading is about all of an account, so that marks before the newest event are
   * covered already.
   */
  readonly marksAfterUs?: number
  /** A loss of the account was pending or was allowed: this reading may have ended the last one. */
  readonly hadLosses?: boolean
}

/** A token as it was read last. */
export interface RecordedToken extends TokenSnapshot {
  readonly accountKey: AccountKey
  /** The owner; null where that is not known. Two resolvers may give different users the same id. */
  readonly resolver: ResolverName | null
  readonly userId: UserId | null
  /** Its loss is on record, and is pending or was dismissed: its absence is nothing new. */
  readonly isLossHeld: boolean
}

/** A token that is on record for an account; null: it was not read since readings are kept. */
export interface ReadToken {
  readonly serial: Serial
  readonly reading: TokenReading | null
}

/** Mode `api`: what privacyIDEA reported at the last reading. */
export interface SnapshotPort {
  knownOf(key: AccountKey): Promise<KnownOwner>
  /**
   * The events, what they rest on, and marks for other accounts that one of the serials belonged to.
   * @param claim under which it was read; null: by a sweep
   */
  record(key: AccountKey, reading: Reading, claim: Held | null): Promise<void>
  /** In exactly this spelling, as in privacyIDEA's API. */
  /** The tokens of an account, each as it was read last. */
  readingsOf(key: AccountKey): Promise<readonly ReadToken[]>
  tokensOf(serials: readonly Serial[]): Promise<ReadonlyMap<Serial, RecordedToken>>
  /** In any spelling: as a rule one or none. */
  tokensLike(serial: Serial): Promise<readonly RecordedToken[]>
  /**
   * Counts losses, so that no two workers and no two processes pass the limit together; see store/decisions/loss-breaker.ts.
   * @param claim as `record`
   */
  passLosses(key: AccountKey, losses: readonly Loss[], claim: Held | null): Promise<LossVerdict>
  /** The loss of these tokens has a reason: a person's decision, or a deletion of our own. Nobody is asked about it. */
  allowLosses(serials: readonly Serial[]): Promise<void>
  /** The serials that held an account when they were read last, in pages. */
  lockedTokens(): AsyncIterable<readonly RecordedToken[]>
  /** Accounts with a hold that events of mode `events` made and no reading has confirmed yet, in pages. */
  unreadHolds(): AsyncIterable<readonly AccountKey[]>
  lockouts(): Promise<ReadonlyMap<AccountKey, Lockout>>
  /** Accounts on record whose user has that login in the realm (null: in any), at most 10. */
  accountsCalled(login: Login, realm: Realm | null): Promise<readonly AccountKey[]>
  /** Accounts on record that belong to exactly this user. */
  accountsOfUser(user: UserOfSource): Promise<readonly AccountKey[]>
  /** Puts the account on record. */
  note(account: NotedAccount): Promise<void>
  /** Notes the accounts and marks them: privacyIDEA is asked about each before it is looked at. */
  markForRefresh(accounts: readonly NotedAccount[]): Promise<void>
  /** As `markForRefresh`, for accounts that are on record. */
  markKeysForRefresh(keys: readonly AccountKey[]): Promise<void>
  /** The fail counters of these tokens are to be reset at the account's next turn; it is marked where that is new. */
  wantReset(key: AccountKey, serials: readonly Serial[]): Promise<void>
  /** None of this account's fail counters is to be reset any more. */
  dropResets(key: AccountKey): Promise<void>
}

/** A lock that the breaker holds back. */
export interface BreakerRefusal {
  readonly reason: Reason
  /** When there is room without a decision, in milliseconds since 1970; null: when a person decides. */
  readonly againAtMs: number | null
}

/** What the guards need as input. */
export interface GuardPort {
  /** The pause that is in force for this directory; observed at most 20 ms after it was written. */
  pauseOf(directory: DirectoryName, nowMs: number): Promise<Pause | null>
  /** A person's order to release everything of ours there, observed as fast as a pause; null: there is none. */
  retirementOf(directory: DirectoryName, nowMs: number): Promise<Retirement | null>
}

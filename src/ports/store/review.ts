import type { Change } from '../../core/account/change.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { AccountKey, DirectoryName, Dn, Login, Realm, Serial } from '../../core/names.ts'
import type { LossCause } from '../../core/reasons/limits.ts'

/** A lock that the breaker holds back until a person decides, or until there is room. */
export interface Review {
  readonly key: AccountKey
  readonly directory: DirectoryName
  readonly login: Login | null
  readonly realm: Realm | null
  /** When it was first held back, in milliseconds since 1970. */
  readonly sinceMs: number
  /** Which limit was reached. */
  readonly reason: Reason
  /** What would be written, and what would revert it, by the last plan. */
  readonly change: Change
  /** `approved`: it is being written. */
  readonly state: 'waiting' | 'approved'
  /** Who approved it so far. */
  readonly approvedBy: readonly string[]
}

export interface ReviewFilter {
  readonly directory?: DirectoryName
  readonly realm?: Realm
  readonly keys?: readonly AccountKey[]
  /** After this one, in the order of the keys. */
  readonly after?: AccountKey
  readonly limit: number
}

/** One person's decision on pending locks. */
export interface ReviewDecision {
  /** Identifies the person at their next decision: two approvals must be those of two people. */
  readonly person: string
  readonly reason: string
}

export interface ReviewCounts {
  readonly waiting: number
  readonly approved: number
  /** Since when the oldest is pending; null: none is. */
  readonly oldestMs: number | null
}

/** The outcome of an approval. */
export interface Approval {
  /** Locks that may be written now. */
  readonly approved: readonly AccountKey[]
  /** Those that another person has to approve as well. */
  readonly short: readonly AccountKey[]
  /** Those that the same person had approved before. */
  readonly again: readonly AccountKey[]
}

/** What a person decided about a lock, a loss of a token or marks of an account. */
export interface Decision {
  readonly atMs: number
  readonly what: 'lock approved' | 'loss approved' | 'loss dismissed' | 'lock adopted' | 'serial adopted'
  readonly serial: string | null
  readonly by: string
  /** The person's text. */
  readonly text: string
}

/** A loss that the breaker of losses holds back: the serial stays at the account, and its lock stays. */
export interface LossReview {
  readonly key: AccountKey
  readonly serial: Serial
  readonly directory: DirectoryName
  readonly dn: Dn
  readonly login: Login | null
  readonly realm: Realm | null
  /** Since when it is pending, or when it was approved, in milliseconds since 1970. */
  readonly sinceMs: number
  /** Null: it was not noticed yet when it was approved. */
  readonly cause: LossCause | null
  /** `approved`: it is recorded at the next reading. `dismissed`: a person decided that serial and lock stay. */
  readonly state: 'waiting' | 'approved' | 'dismissed'
  readonly approvedBy: readonly string[]
  /** The token holds the account locked: its loss ends that hold. */
  readonly isHold: boolean
}

export interface LossFilter {
  readonly directory?: DirectoryName
  readonly realm?: Realm
  readonly keys?: readonly AccountKey[]
  readonly serials?: readonly Serial[]
  /** After this one, in the order of the serials. */
  readonly after?: Serial
  readonly limit: number
}

/** The outcome of an approval, in tokens. */
export interface LossApproval {
  /** Accounts that are read anew: what was approved passes then. */
  readonly keys: readonly AccountKey[]
  readonly approved: number
  readonly short: number
  readonly again: number
}

export interface LossCounts {
  readonly waiting: number
  readonly approved: number
  readonly dismissed: number
  readonly oldestMs: number | null
}

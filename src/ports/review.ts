import type { Change } from '../core/change.ts'
import type { ResolvedEvent } from '../core/event.ts'
import type { AccountKey, DirectoryName, Login, Realm } from '../core/names.ts'

/** A lock that the breaker holds back until a person decides, or until there is room again. */
export interface Review {
  readonly key: AccountKey
  readonly directory: DirectoryName
  readonly login: Login | null
  readonly realm: Realm | null
  /** When it was held back first, in milliseconds since 1970. */
  readonly sinceMs: number
  /** Which limit was reached, for people. */
  readonly reason: string
  /** What would be written, and what would take it back, as it was planned last. */
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

/** One person's word on locks that wait. */
export interface ReviewWord {
  /** Known by it when the next one speaks: two approvals are those of two persons. */
  readonly person: string
  readonly reason: string
}

export interface ReviewCounts {
  readonly waiting: number
  readonly approved: number
  /** Since when the oldest waits; null: none does. */
  readonly oldestMs: number | null
}

/** What became of an approval. */
export interface Approval {
  /** Locks that may be written now. */
  readonly approved: readonly AccountKey[]
  /** Those that another person has to approve as well. */
  readonly short: readonly AccountKey[]
  /** Those that this very person had approved before. */
  readonly again: readonly AccountKey[]
}

export interface ReviewPort {
  /** How many different persons must approve. */
  readonly approvalsNeeded: number
  counts(): Promise<ReviewCounts>
  /** In the order of the keys. */
  list(filter: ReviewFilter): Promise<readonly Review[]>
  /** Those of the accounts that wait; marks what may be written now. */
  approve(keys: readonly AccountKey[], word: ReviewWord): Promise<Approval>
  /**
   * Ends the holds of the accounts that wait, each by an event of its own.
   * @returns those that did wait
   */
  reject(words: readonly ResolvedEvent[], word: ReviewWord): Promise<readonly AccountKey[]>
  /** Counts locks from nothing again, and lets what waits try. @returns how many waited */
  resume(word: ReviewWord): Promise<number>
}

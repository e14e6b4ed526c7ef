/** The tables of the guards; see schema.ts. */

/** A lock that counts for the breaker, once for each thing that it is counted under. */
export interface LockCountTable {
  /** See AppliedLimit.counted. */
  counted: string
  at_ms: number
  change_id: string
}

/** `waiting`: for a person, or for room. `approved`: the breaker lets it pass. */
export type ReviewState = 'waiting' | 'approved'

/** A lock that the breaker held back. */
export interface ReviewTable {
  account_key: string
  directory: string
  since_ms: number
  /** The limit that was reached; see AppliedLimit.id. */
  limit_id: string
  reason: string
  /** JSON of the change as it was planned last. */
  change: string
  state: ReviewState
}

export interface ApprovalTable {
  account_key: string
  /** Who it was, so that two approvals are those of two persons. */
  person: string
  at_ms: number
  reason: string
}

/** Something that the administrators are to know, once, however often it is seen. */
export interface FindingTable {
  kind: string
  subject: string
  reason: string
  first_ms: number
  /** When it was told in the log; null: not yet. */
  told_ms: number | null
  /** Null while it lasts. */
  ended_ms: number | null
}

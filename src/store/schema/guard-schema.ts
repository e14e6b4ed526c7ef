/** The tables of the guards; see schema.ts. */

/** A lock that counts for the breaker, once for each group that it is counted in. */
export interface LockCountTable {
  /** See AppliedLimit.counted. */
  counted: string
  at_ms: number
  change_id: string
}

/** A token that was lost without a reason, counted once. */
export interface LossCountTable {
  serial: string
  account_key: string
  at_ms: number
}

/**
 * `waiting`: for a person, or for room. `approved`: it may pass at the next reading. `dismissed`: a person decided that
 * serial and lock stay.
 */
export type LossState = 'waiting' | 'approved' | 'dismissed'

/** A lock that the breaker held back. */
export interface ReviewTable {
  account_key: string
  directory: string
  since_ms: number
  /** The limit that was reached; see AppliedLimit.id. */
  limit_id: string
  reason: string
  /** JSON of the change by the last plan. */
  change: string
  /** Of older versions, never read: whether it is approved follows from `approval`, and from how many are needed now. */
  state: 'waiting'
}

export interface ApprovalTable {
  account_key: string
  /** The person, so that two approvals are those of two people. */
  person: string
  at_ms: number
  reason: string
}

/** Something that needs an administrator's attention, once, however often it is observed. */
export interface FindingTable {
  kind: string
  subject: string
  /** As a sentence, for a version that does not have the code. */
  reason: string
  /** JSON of the parameters where the kind is a code of core/reasons/reason.ts; null: it has none. */
  params: string | null
  first_ms: number
  /** When it was reported in the log; null: not yet. */
  told_ms: number | null
  /** Null while it lasts. */
  ended_ms: number | null
}

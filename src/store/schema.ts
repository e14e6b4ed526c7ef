import type { ApprovalTable, FindingTable, LockCountTable, ReviewTable } from './guard-schema.ts'
import type { Generated, Insertable, Kysely, Selectable } from 'kysely'
import type { EnrolmentTable } from './enrolment-table.ts'
import type { MailTable } from './mail-table.ts'

/**
 * The tables. Times end in `_ms` or `_us` (since 1970); JSON is text; flags are 0 or 1. Plain SQL types only, so that
 * another database needs nothing but its dialect file.
 */
export interface Tables {
  event: EventTable
  account: AccountTable
  hold: HoldTable
  queue: QueueTable
  change: ChangeTable
  token: TokenTable
  lockout: LockoutTable
  owner: OwnerTable
  mirror: MirrorTable
  resync_account: ResyncAccountTable
  verification: VerificationTable
  lock_count: LockCountTable
  review: ReviewTable
  approval: ApprovalTable
  finding: FindingTable
  journal: JournalTable
  meta: MetaTable
  mail: MailTable
  enrolment: EnrolmentTable
}

export type Database = Kysely<Tables>

/** `waiting`: no account yet. `resolved`: belongs to one. `ended`: needs nothing. `refused`: was no event. */
export type EventState = 'waiting' | 'resolved' | 'ended' | 'refused'

export interface EventTable {
  id: string
  kind: string
  serial: string | null
  login: string | null
  realm: string | null
  actor: string
  taken_at_us: number
  received_ms: number
  source: string
  reason: string
  until_us: number | null
  state: EventState
  /** 1 while the desired state is folded from it. */
  live: number
  account_key: string | null
  /** JSON array of serials. */
  attribute_serials: string
  pinned_hold: string | null
  why_code: string | null
  why: string
  attempts: number
  next_try_ms: number | null
}

export interface AccountTable {
  key: string
  directory: string
  dn: string
  login: string | null
  realm: string | null
  /** privacyIDEA's resolver and the user's id in it, where known. */
  resolver: string | null
  user_id: string | null
  /** JSON of an OwnedLock; null: not locked by us. */
  owned_lock: string | null
  /** The change whose outcome is not on record. */
  open_change: string | null
  standing: string
  standing_code: string | null
  standing_reason: string
  hold_count: number
  /** Whether a lock keeps the user out: `yes`, `no`, `unknown`; null: neither a lock nor a hold, or not looked at yet. */
  effective: string | null
  /** When our lock was last seen to stand in the directory; 0: never. */
  seen_ms: number
  updated_ms: number
  /** When it came on record; 0: before this was noted. */
  known_ms: number
}

export interface HoldTable {
  account_key: string
  name: string
  kind: string
  serial: string | null
  since_us: number
  until_us: number | null
  reason: string
  actor: string
}

export interface QueueTable {
  account_key: string
  generation: number
  due_ms: number
  attempts: number
  lease_owner: string | null
  lease_until_ms: number | null
  /** 1: what privacyIDEA says of the account's owner is to be read before it is looked at. */
  hinted: number
}

/** What privacyIDEA's API said of a token when its owner was read last. */
export interface TokenTable {
  serial: string
  account_key: string
  is_locked: number
  /** 1: its fail counter is to be reset. */
  reset_due: number
  /** The full resync that missed it; 0: none did; -1: it came on record since the last one began. */
  run: number
  /** Whose it was; null: read by an older Lockstep, or its user could not be told. */
  resolver: string | null
  user_id: string | null
  /** privacyIDEA's own number of it, which rises with each new token; null: no full resync has seen it yet. */
  source_id: number | null
}

/** Further users of privacyIDEA whose account it is as well; the one on the account's own row is not among them. */
export interface OwnerTable {
  account_key: string
  resolver: string
  user_id: string
  login: string
  realm: string
}

/** What a full resync found until it is complete. */
export interface ResyncAccountTable {
  run: number
  account_key: string
  /** Null: it is on record. */
  dn: string | null
  login: string | null
  realm: string | null
}

/** Users that privacyIDEA keeps out, as read last. */
export interface LockoutTable {
  account_key: string
  until_us: number | null
}

/** What was done in privacyIDEA because somebody else locked the account in the directory. */
export interface MirrorTable {
  account_key: string
  /** A serial, or `@resolver/id` of the user who is kept out. */
  name: string
  kind: 'token' | 'lockout'
  state: string
  login: string | null
  realm: string | null
  resolver: string | null
  user_id: string | null
  duration_s: number | null
  until_us: number | null
  since_ms: number
}

/** How a lock or an unlock of ours stands on each server of its directory; or that somebody took a lock away. */
export interface VerificationTable {
  account_key: string
  directory: string
  wanted: 'locked' | 'open' | 'removed'
  /** URL of the server that took the write, where known. */
  writer: string | null
  written_ms: number
  due_ms: number | null
  tries: number
  checked_ms: number | null
  /** JSON of a LockVerdict; null: not looked at yet. */
  verdict: string | null
  /** JSON of a LockProblem that is to be told. */
  problem: string | null
  problem_ms: number | null
}

export type ChangeState = 'planned' | 'applied' | 'not-applied'

export interface ChangeTable {
  id: string
  account_key: string
  kind: string
  serial: string | null
  dn: string
  /** JSON: holds, their ends, forward, inverse, slots. */
  body: string
  reason: string
  actor: string
  planned_ms: number
  state: ChangeState
  closed_ms: number | null
}

export interface JournalTable {
  seq: Generated<number>
  at_ms: number
  kind: string
  /** The account key or event id that it is about; '' for none. */
  subject: string
  /** JSON. */
  body: string
  prev_hash: string
  hash: string
}

export interface MetaTable {
  key: string
  value: string
}

export type VerificationRow = Selectable<VerificationTable>
export type EventRow = Selectable<EventTable>
export type NewEventRow = Insertable<EventTable>
export type MirrorRow = Selectable<MirrorTable>
export type AccountRow = Selectable<AccountTable>
export type ChangeRow = Selectable<ChangeTable>
export type JournalRow = Selectable<JournalTable>

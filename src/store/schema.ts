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
  /** The full resync that saw it last. */
  run: number
}

/** Users that privacyIDEA keeps out, as read last. */
export interface LockoutTable {
  account_key: string
  until_us: number | null
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

export type EventRow = Selectable<EventTable>
export type NewEventRow = Insertable<EventTable>
export type AccountRow = Selectable<AccountTable>
export type ChangeRow = Selectable<ChangeTable>
export type JournalRow = Selectable<JournalTable>

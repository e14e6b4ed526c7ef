import { sql, type QueryExecutorProvider } from 'kysely'
import type { Step } from './steps-of-0-1.ts'

/**
 * The steps since version 0.1.0, in their order; a new one comes last. A step that was in the main branch is not changed any
 * more, and imports nothing that may change.
 */
export const STEPS_OF_0_2: readonly Step[] = [
  /** Findings whose reason is a code with parameters. */
  [`alter table finding add column params text`],
  /** For how long a waiting event has counted towards its being given up, and when it was tried last. */
  [`alter table event add column counted_ms bigint not null default 0`, `alter table event add column tried_ms bigint`],
  /**
   * Leases by token and in time since boot. Those of an older version have neither: they end with their process, or once
   * they were observed for their whole length.
   */
  [
    `alter table queue add column lease_token text`,
    `alter table queue add column lease_boot text`,
    `alter table queue add column lease_watch text`,
    `alter table mail add column lease_token text`,
    `alter table mail add column lease_boot text`,
    `alter table mail add column lease_watch text`,
    `alter table queue add column repair integer not null default 0`,
  ],
  /** Somebody else’s lock at an account, as it was last observed, beside ours or alone. */
  [
    `alter table account add column other_lock text`,
    `alter table account add column other_lock_is text`,
    `create index account_other_lock_unclear on account (directory) where other_lock_is = 'unknown'`,
  ],
  /**
   * Serials are found by their key, in any spelling of the row, and so are logins. The rows stay unchanged: an
   * index over the expression replaces the one over the column.
   */
  [
    `drop index if exists event_by_serial`,
    `create index event_by_serial_key on event (lower(serial)) where serial is not null`,
    `drop index if exists account_by_login`,
    `create index account_by_login_key on account (lower(login))`,
    `create index token_by_serial_key on token (lower(serial))`,
    `create table serial_twin (serial_key text primary key, spellings text not null)`,
  ],
  /** Losses that are pending in the review queue, beside the tokens, and the counts of their breaker: nothing yet. */
  [
    `alter table token add column loss text`,
    `alter table token add column loss_ms bigint`,
    `alter table token add column loss_why text`,
    `alter table token add column loss_by text`,
    `create index token_lost on token (account_key, serial) where loss is not null`,
    `create table loss_count (
      serial text not null, account_key text not null, at_ms bigint not null, primary key (serial, account_key))`,
    `create index loss_count_by_time on loss_count (at_ms)`,
  ],
  /** Which registrations name one serial alone. Those of older versions: not known; they end no hold, as before. */
  [`alter table event add column sole_serial integer not null default 0`],
  /** Waiting files that are not on record, until the directory proves or disproves them. */
  [
    `create table evidence (
      folder text not null, name text not null, account_key text not null, at_ms bigint not null,
      is_unseen integer not null, primary key (folder, name))`,
  ],
  /** Tokens whose owners have no account; and the exact owner of an account that a full resync found. */
  [
    `create table unplaced (
      serial text primary key, cause text not null, login text, realm text, resolver text, user_id text,
      is_full integer not null, since_ms bigint not null, run bigint not null)`,
    `alter table resync_account add column resolver text`,
    `alter table resync_account add column user_id text`,
    `create index unplaced_by_cause on unplaced (cause, is_full)`,
  ],
  authorship,
  /** Writes that were written off and may still arrive, and what a person states to be ours. */
  [
    `alter table change add column may_arrive_until_ms bigint`,
    `alter table change add column arrived_ms bigint`,
    `alter table change add column is_others integer not null default 0`,
    `create index change_late on change (account_key) where may_arrive_until_ms is not null`,
    `alter table account add column late_until_ms bigint`,
    `alter table account add column adoption text`,
    `create index account_late on account (key) where late_until_ms is not null or adoption is not null`,
  ],
  /** Mode `api`: the person in the event that made Lockstep ask privacyIDEA. Few events name anybody. */
  [
    `create index if not exists event_hint_actor on event (lower(serial), taken_at_us) where state = 'ended' and actor <> ''`,
  ],
  /** Tokens whose owners have no account: since when each has this cause, and whether it was observed a second time. */
  [
    `alter table unplaced add column cause_ms bigint not null default 0`,
    `alter table unplaced add column is_sure integer not null default 1`,
    `update unplaced set cause_ms = since_ms`,
    `create index unplaced_unsure on unplaced (serial) where is_sure = 0`,
  ],
  /** The answers of a mail server are on record with each mail. */
  [`alter table mail add column refusals text`],
  /** What people are shown of a token: unknown until it is read the next time. */
  [
    `alter table token add column type text`,
    `alter table token add column state text`,
    `alter table token add column fail_count integer`,
    `alter table token add column fail_count_max integer`,
    `alter table token add column read_ms bigint`,
  ],
]

/**
 * The serials that this store wrote or adopted, at which account. Older versions did not record it: it follows from the
 * tokens that privacyIDEA confirmed, from registrations among the events and the changes, and from the journal. The
 * files in `unregister/` are taken in at the next start.
 */
export async function authorship(db: QueryExecutorProvider): Promise<void> {
  for (const statement of AUTHORSHIP) await sql.raw(statement).execute(db)
  // The directories of a store that was in use were first read long ago.
  await sql`insert into meta (key, value) select distinct 'locked-before ' || directory, '[]' from account`.execute(db)
  await sql`insert into meta (key, value) select 'authorship-of-files', 'due' where exists (select 1 from account)`.execute(
    db,
  )
}

const RECORDED = `insert into authored_serial (account_key, serial, how, at_ms)`
/** An insert from a select needs a condition in front of its conflict clause. */
const ONCE = `on conflict (account_key, serial) do nothing`

const AUTHORSHIP = [
  `create table authored_serial (
    account_key text not null, serial text not null, how text not null, at_ms bigint not null,
    primary key (account_key, serial))`,
  `create index authored_serial_named on authored_serial (account_key) where how = 'named'`,
  `${RECORDED} select account_key, serial, 'confirmed', 0 from token where 1 = 1 ${ONCE}`,
  `${RECORDED} select account_key, serial, 'recorded', 0 from event
    where kind = 'register' and serial is not null and account_key is not null ${ONCE}`,
  `${RECORDED} select account_key, serial, 'written', min(planned_ms) from change
    where kind = 'register' and serial is not null and state <> 'not-applied' group by account_key, serial ${ONCE}`,
  `${RECORDED} select subject, json_extract(body, '$.serial'), 'written', min(at_ms) from
    (select subject, at_ms, case when json_valid(body) then body else '{}' end as body from journal where kind = 'planned')
    where json_extract(body, '$.kind') = 'register' and json_extract(body, '$.serial') is not null
    group by subject, json_extract(body, '$.serial') ${ONCE}`,
]

import { createHash } from 'node:crypto'
import { sql, type QueryExecutorProvider } from 'kysely'

/**
 * The steps of the schema up to version 0.1.0, in their order. They are frozen: nothing here is ever changed, and nothing is
 * imported that may change.
 */

/** Statements, or what needs more than those. */
export type Step = readonly string[] | ((db: QueryExecutorProvider, nowMs: number) => Promise<void>)

export const STEPS_OF_0_1: readonly Step[] = [
  [
    `create table event (
      id text primary key, kind text not null, serial text, login text, realm text, actor text not null,
      taken_at_us bigint not null, received_ms bigint not null, source text not null, reason text not null,
      until_us bigint, state text not null, live integer not null, account_key text, attribute_serials text not null,
      pinned_hold text, why_code text, why text not null, attempts integer not null, next_try_ms bigint)`,
    `create index event_by_account on event (account_key) where live = 1`,
    `create index event_by_serial on event (serial) where serial is not null`,
    `create index event_waiting on event (next_try_ms) where state = 'waiting'`,
    `create index event_by_time on event (received_ms)`,
    `create table account (
      key text primary key, directory text not null, dn text not null, login text, realm text, owned_lock text,
      open_change text, standing text not null, standing_code text, standing_reason text not null,
      hold_count integer not null, seen_ms bigint not null, updated_ms bigint not null)`,
    `create index account_by_login on account (login)`,
    `create index account_held on account (key) where hold_count > 0 or owned_lock is not null`,
    `create index account_unsettled on account (key) where standing <> 'in-step'`,
    `create index account_open on account (key) where open_change is not null`,
    `create table hold (
      account_key text not null, name text not null, kind text not null, serial text, since_us bigint not null,
      until_us bigint, reason text not null, actor text not null, primary key (account_key, name))`,
    `create index hold_by_serial on hold (serial) where serial is not null`,
    `create table queue (
      account_key text primary key, generation bigint not null, due_ms bigint not null, attempts integer not null,
      lease_owner text, lease_until_ms bigint)`,
    `create index queue_due on queue (due_ms)`,
    `create table change (
      id text primary key, account_key text not null, kind text not null, serial text, dn text not null,
      body text not null, reason text not null, actor text not null, planned_ms bigint not null, state text not null,
      closed_ms bigint)`,
    `create index change_by_account on change (account_key)`,
    `create index change_by_time on change (planned_ms)`,
    `create table journal (
      seq integer primary key, at_ms bigint not null, kind text not null, subject text not null, body text not null,
      prev_hash text not null, hash text not null)`,
    `create index journal_by_subject on journal (subject)`,
  ],
  /** Whether a lock is enforced. */
  [`alter table account add column effective text`],
  pruningOnRecord,
  /** What privacyIDEA’s API reported, beside what was done about it. */
  [
    `create table token (
      serial text primary key, account_key text not null, is_locked integer not null, reset_due integer not null,
      run bigint not null)`,
    `create index token_by_account on token (account_key)`,
    `create index token_locked on token (serial) where is_locked = 1`,
    `create table lockout (account_key text primary key, until_us bigint)`,
    `alter table account add column resolver text`,
    `alter table account add column user_id text`,
    `create index account_by_user on account (user_id) where user_id is not null`,
    `alter table queue add column hinted integer not null default 0`,
  ],
  /** The owner of a token at the last reading, and the other users of privacyIDEA that an account belongs to. */
  [
    `alter table token add column resolver text`,
    `alter table token add column user_id text`,
    `update token set
      resolver = (select resolver from account where account.key = token.account_key),
      user_id = (select user_id from account where account.key = token.account_key)`,
    `create table owner (
      account_key text not null, resolver text not null, user_id text not null, login text not null, realm text not null,
      primary key (account_key, resolver, user_id))`,
  ],
  /** What was done in privacyIDEA because of somebody else’s lock in the directory. */
  [
    `create table mirror (
      account_key text not null, name text not null, kind text not null, state text not null, login text, realm text,
      resolver text, user_id text, duration_s bigint, until_us bigint, since_ms bigint not null,
      primary key (account_key, name))`,
    `create index mirror_by_name on mirror (name)`,
    `create index mirror_by_time on mirror (since_ms)`,
  ],
  /** For a full resync by privacyIDEA’s ids. `run` was the run that saw a token last; now it is one that missed it. */
  [
    `alter table token add column source_id bigint`,
    `update token set run = 0`,
    `create index token_by_source on token (source_id)`,
    `create index token_unseen on token (run, serial) where run <> 0`,
    `create index token_unplaced on token (serial) where source_id is null`,
    `create table resync_account (
      run bigint not null, account_key text not null, dn text, login text, realm text, primary key (run, account_key))`,
  ],
  /** Since the servers of a directory are read one by one. */
  [
    `create table verification (
      account_key text primary key, directory text not null, wanted text not null, writer text, written_ms bigint not null,
      due_ms bigint, tries integer not null, checked_ms bigint, verdict text, problem text, problem_ms bigint)`,
    `create index verification_due on verification (due_ms) where due_ms is not null`,
    `create index verification_problem on verification (account_key) where problem is not null`,
  ],
  guardTables,
  /** The outbox. */
  [
    `create table mail (
      id text primary key, recipient text not null, state text not null, digest text not null,
      created_ms bigint not null, due_ms bigint not null, expires_ms bigint not null, sealed_ms bigint,
      attempts integer not null, address text, why_code text, why text not null, lease_owner text,
      lease_until_ms bigint, ended_ms bigint)`,
    `create index mail_due on mail (due_ms) where ended_ms is null`,
    `create index mail_of on mail (recipient, sealed_ms)`,
    `create index mail_ended on mail (ended_ms) where ended_ms is not null`,
  ],
  /** Users of roll-outs. */
  [
    `create table enrolment (
      rollout text not null, enrollee text not null, login text not null, realm text not null, state text not null,
      serial text, mail_id text, why text not null, owner text not null, changed_ms bigint not null,
      primary key (rollout, enrollee))`,
  ],
]

/** What the breaker counts, the review queue, and findings. Locks of the last day count as if they had been counted. */
async function guardTables(db: QueryExecutorProvider, nowMs: number): Promise<void> {
  for (const statement of GUARD_TABLES) await sql.raw(statement).execute(db)
  const sinceMs = nowMs - COUNT_BEFORE_MS
  await sql`insert into lock_count (counted, at_ms, change_id) select 'all', planned_ms, id from change
    where kind = 'lock' and state <> 'not-applied' and planned_ms > ${sinceMs}`.execute(db)
}

const COUNT_BEFORE_MS = 86_400_000

const GUARD_TABLES = [
  `create table lock_count (
    counted text not null, at_ms bigint not null, change_id text not null, primary key (counted, at_ms, change_id))`,
  `create index lock_count_by_change on lock_count (change_id)`,
  `create table review (
    account_key text primary key, directory text not null, since_ms bigint not null, limit_id text not null,
    reason text not null, change text not null, state text not null)`,
  `create index review_by_limit on review (limit_id)`,
  `create table approval (
    account_key text not null, person text not null, at_ms bigint not null, reason text not null,
    primary key (account_key, person))`,
  `create table finding (
    kind text not null, subject text not null, reason text not null, first_ms bigint not null, told_ms bigint,
    ended_ms bigint, primary key (kind, subject, first_ms))`,
  `create unique index finding_open on finding (kind, subject) where ended_ms is null`,
  `alter table account add column known_ms bigint not null default 0`,
  `create index account_known on account (directory, known_ms)`,
]

/**
 * The beginning of the chain was in a row beside it that anybody could edit; from now on the chain itself records it.
 * The value of the row is taken over once, marked as such, for `journal --verify` to judge. A journal whose end is
 * damaged is left unchanged.
 */
async function pruningOnRecord(db: QueryExecutorProvider, nowMs: number): Promise<void> {
  const start = await metaOf(db, 'journal-start')
  await sql`delete from meta where key = 'journal-start'`.execute(db)
  const [headSeq = '0', headHash = GENESIS] = ((await metaOf(db, 'journal-head')) ?? '').split(' ')
  const { rows } = await sql<{
    seq: number
    hash: string
  }>`select seq, hash from journal order by seq desc limit 1`.execute(db)
  const [last] = rows
  if (last === undefined || last.seq !== Number(headSeq) || last.hash !== headHash) return
  const [to = '0', hash = GENESIS] = start?.split(' ') ?? []
  const body = JSON.stringify({ to: Number(to), hash, adopted: true })
  const seq = last.seq + 1
  const text = JSON.stringify([seq, nowMs, 'pruned', '', body, last.hash])
  const own = createHash('sha256').update(text).digest('hex')
  await sql`insert into journal (seq, at_ms, kind, subject, body, prev_hash, hash)
    values (${seq}, ${nowMs}, 'pruned', '', ${body}, ${last.hash}, ${own})`.execute(db)
  await sql`update meta set value = ${`${seq} ${own}`} where key = 'journal-head'`.execute(db)
}

const GENESIS = '0'.repeat(64)

async function metaOf(db: QueryExecutorProvider, key: string): Promise<string | undefined> {
  const { rows } = await sql<{ value: string }>`select value from meta where key = ${key}`.execute(db)
  return rows[0]?.value
}

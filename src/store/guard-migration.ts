import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** What the breaker counts, the review queue, and findings. Locks of the last day count as if they had been counted. */
export async function guardTables(db: Kysely<Tables>, nowMs: number): Promise<void> {
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

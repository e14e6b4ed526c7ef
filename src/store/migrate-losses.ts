import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Losses that wait for review, beside the tokens themselves, and what the breaker of losses counts: nothing yet. */
export async function lossColumns(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `alter table token add column loss text`,
  `alter table token add column loss_ms bigint`,
  `alter table token add column loss_why text`,
  `alter table token add column loss_by text`,
  `create index token_lost on token (account_key, serial) where loss is not null`,
  `create table loss_count (
    serial text not null, account_key text not null, at_ms bigint not null, primary key (serial, account_key))`,
  `create index loss_count_by_time on loss_count (at_ms)`,
]

import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Writes that were written off and may still arrive, and what a person says is ours. */
export async function lateWrites(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `alter table change add column may_arrive_until_ms bigint`,
  `alter table change add column arrived_ms bigint`,
  `alter table change add column is_others integer not null default 0`,
  `create index change_late on change (account_key) where may_arrive_until_ms is not null`,
  `alter table account add column late_until_ms bigint`,
  `alter table account add column adoption text`,
  `create index account_late on account (key) where late_until_ms is not null or adoption is not null`,
]

import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Tokens whose owners have no account: since when each has been seen so, and whether it was seen so again. */
export async function seenAgain(db: Kysely<Tables>): Promise<void> {
  await sql.raw('alter table unplaced add column cause_ms bigint not null default 0').execute(db)
  await sql.raw('alter table unplaced add column is_sure integer not null default 1').execute(db)
  await sql.raw('update unplaced set cause_ms = since_ms').execute(db)
  await sql.raw('create index unplaced_unsure on unplaced (serial) where is_sure = 0').execute(db)
}

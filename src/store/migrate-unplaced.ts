import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Tokens whose owners have no account; and whose account exactly it is that a full resync found. */
export async function unplacedTable(db: Kysely<Tables>): Promise<void> {
  await sql
    .raw(
      `create table unplaced (
        serial text primary key, cause text not null, login text, realm text, resolver text, user_id text,
        is_full integer not null, since_ms bigint not null, run bigint not null)`,
    )
    .execute(db)
  await sql.raw('alter table resync_account add column resolver text').execute(db)
  await sql.raw('alter table resync_account add column user_id text').execute(db)
  await sql.raw('create index unplaced_by_cause on unplaced (cause, is_full)').execute(db)
}

export interface UnplacedTable {
  serial: string
  /** An UnplacedCause. */
  cause: string
  login: string | null
  realm: string | null
  resolver: string | null
  user_id: string | null
  /** 1: it would lock an account. */
  is_full: number
  since_ms: number
  /** The full resync that saw it last. */
  run: number
  /** Since when it has been seen with this cause and owner. */
  cause_ms: number
  /** 0: the cause has to be observed again before it is reported. */
  is_sure: number
}

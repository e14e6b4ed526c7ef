import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/**
 * For a full resync that walks both sides in the order of privacyIDEA's ids: the id of each token, and what a run found, until it is
 * complete. `run` said which run saw a token last; from now on it says which one missed it.
 */
export async function resyncTables(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `alter table token add column source_id bigint`,
  `update token set run = 0`,
  `create index token_by_source on token (source_id)`,
  `create index token_unseen on token (run, serial) where run <> 0`,
  `create index token_unplaced on token (serial) where source_id is null`,
  `create table resync_account (
    run bigint not null, account_key text not null, dn text, login text, realm text, primary key (run, account_key))`,
]

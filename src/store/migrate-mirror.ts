import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** What was done in privacyIDEA because of somebody else's lock in the directory. */
export async function mirrorTable(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `create table mirror (
    account_key text not null, name text not null, kind text not null, state text not null, login text, realm text,
    resolver text, user_id text, duration_s bigint, until_us bigint, since_ms bigint not null,
    primary key (account_key, name))`,
  `create index mirror_by_name on mirror (name)`,
  `create index mirror_by_time on mirror (since_ms)`,
]

import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/**
 * Serials are found by their key, in whatever spelling a row has them (serial-column.ts), and so are logins. The rows stay
 * as they are: an index over the expression takes the place of the one over the column.
 */
export async function serialKeys(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `drop index if exists event_by_serial`,
  `create index event_by_serial_key on event (lower(serial)) where serial is not null`,
  `drop index if exists account_by_login`,
  `create index account_by_login_key on account (lower(login))`,
  `create index token_by_serial_key on token (lower(serial))`,
  `create table serial_twin (serial_key text primary key, spellings text not null)`,
]

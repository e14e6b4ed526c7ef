import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** What people are shown of a token: unknown until it is read the next time. */
export async function tokenReadings(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `alter table token add column type text`,
  `alter table token add column state text`,
  `alter table token add column fail_count integer`,
  `alter table token add column fail_count_max integer`,
  `alter table token add column read_ms bigint`,
]

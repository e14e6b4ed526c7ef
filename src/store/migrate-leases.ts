import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/**
 * Leases by token and in time since boot. Those of an older version have neither: they end with their process, or once
 * they were observed for their whole length.
 */
export async function leaseTokens(db: Kysely<Tables>): Promise<void> {
  for (const table of ['queue', 'mail']) {
    for (const column of ['lease_token', 'lease_boot', 'lease_watch']) {
      await sql.raw(`alter table ${table} add column ${column} text`).execute(db)
    }
  }
  await sql.raw('alter table queue add column repair integer not null default 0').execute(db)
}

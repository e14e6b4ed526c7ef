import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Somebody else's lock at an account, as it was last seen, beside ours or alone. */
export async function otherLocks(db: Kysely<Tables>): Promise<void> {
  await sql.raw('alter table account add column other_lock text').execute(db)
  await sql.raw('alter table account add column other_lock_is text').execute(db)
  await sql
    .raw("create index account_other_lock_unclear on account (directory) where other_lock_is = 'unknown'")
    .execute(db)
}

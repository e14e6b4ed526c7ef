import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** For how long a waiting event has counted towards its being given up, and when it was tried last. */
export async function waitingEvents(db: Kysely<Tables>): Promise<void> {
  await sql.raw('alter table event add column counted_ms bigint not null default 0').execute(db)
  await sql.raw('alter table event add column tried_ms bigint').execute(db)
}

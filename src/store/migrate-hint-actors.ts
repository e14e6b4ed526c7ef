import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Mode `api`: who is named by the event that made privacyIDEA be asked. Few events name anybody. */
export async function hintActors(db: Kysely<Tables>): Promise<void> {
  await sql
    .raw(
      `create index if not exists event_hint_actor on event (lower(serial), taken_at_us) where state = 'ended' and actor <> ''`,
    )
    .execute(db)
}

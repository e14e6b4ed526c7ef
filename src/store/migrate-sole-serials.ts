import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Which registrations name one serial alone. Of those of older versions nobody knows: they end no hold, as before. */
export async function soleSerials(db: Kysely<Tables>): Promise<void> {
  await sql.raw('alter table event add column sole_serial integer not null default 0').execute(db)
}

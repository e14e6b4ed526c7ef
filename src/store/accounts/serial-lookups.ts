import { foldEvents } from '../../core/account/fold.ts'
import type { AccountKey, Serial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import { LIVE } from '../rows/literals.ts'
import { resolvedFromRow } from '../rows/rows.ts'
import { keyColumn } from '../rows/serial-column.ts'
import type { Database } from '../schema/schema.ts'
import { spellingsOf } from './serial-twins.ts'

/** Which account has which serial, by the events. */

/** In any spelling; where another token differs from it by case only, those of exactly this one. */
export async function accountsOfSerial(db: Database, serial: Serial, limit: number): Promise<Set<string>> {
  const twins = await db.selectFrom('serial_twin').selectAll().where('serial_key', '=', serialKey(serial)).execute()
  const isTwin = twins.some((row) => spellingsOf(row).includes(serial))
  const rows = await db
    .selectFrom('event')
    .select(['account_key', 'taken_at_us'])
    .where(keyColumn('serial'), '=', serialKey(serial))
    .where('serial', 'is not', null)
    .$if(isTwin, (query) => query.where('serial', '=', serial))
    .where('account_key', 'is not', null)
    .orderBy('taken_at_us', 'desc')
    .limit(limit)
    .execute()
  return new Set(rows.flatMap((row) => row.account_key ?? []))
}

/** Serials of the account by the events, in the spelling on record. */
export async function serialsOf(db: Database, key: AccountKey): Promise<string[]> {
  const rows = await db
    .selectFrom('event')
    .selectAll()
    .where('live', '=', LIVE)
    .where(keyColumn('serial'), 'in', (from) =>
      from
        .selectFrom('event')
        .select(keyColumn('serial').as('serial_key'))
        .where('account_key', '=', key)
        .where('live', '=', LIVE)
        .where('serial', 'is not', null),
    )
    .where('serial', 'is not', null)
    .execute()
  return [...foldEvents(key, rows.map(resolvedFromRow), { nowUs: 0, lockTtlUs: null }).serials]
}

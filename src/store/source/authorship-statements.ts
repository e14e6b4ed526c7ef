import { sql } from 'kysely'
import type { SerialKey } from '../../core/serials/serial-key.ts'
import { prepare } from '../engine/prepared.ts'
import type { AuthoredSerialTable, Database } from '../schema/schema.ts'
import { keyColumn } from '../rows/serial-column.ts'

/** The condition of the partial index. */
const NAMED = sql.lit('named' as const)

/** Which serials are ours to take away. */
export function authorshipStatements(db: Database) {
  return {
    authorSerial: prepare<{ account_key: string; serial: string; how: AuthoredSerialTable['how']; now_ms: number }>()(
      (place) =>
        db
          .insertInto('authored_serial')
          .values({
            account_key: place('account_key'),
            serial: place('serial'),
            how: place('how'),
            at_ms: place('now_ms'),
          })
          .onConflict((conflict) => conflict.columns(['account_key', 'serial']).doNothing()),
    ),
    nameSerial: prepare<{ account_key: string; serial: string; now_ms: number }>()((place) =>
      db
        .insertInto('authored_serial')
        .values({ account_key: place('account_key'), serial: place('serial'), how: NAMED, at_ms: place('now_ms') })
        .onConflict((conflict) => conflict.columns(['account_key', 'serial']).doUpdateSet({ how: NAMED })),
    ),
    namedSerials: prepare<{ account_key: string }>()((place) =>
      db
        .selectFrom('authored_serial')
        .select('serial')
        .where('account_key', '=', place('account_key'))
        .where('how', '=', NAMED),
    ),
    settleSerial: prepare<{ account_key: string; serial_key: SerialKey }>()((place) =>
      db
        .updateTable('authored_serial')
        .set({ how: 'settled' })
        .where('account_key', '=', place('account_key'))
        .where(keyColumn('serial'), '=', place('serial_key'))
        .where('how', '=', NAMED),
    ),
    authoredSerials: prepare<{ account_key: string }>()((place) =>
      db.selectFrom('authored_serial').select('serial').where('account_key', '=', place('account_key')),
    ),
  }
}

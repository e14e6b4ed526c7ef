import { sql } from 'kysely'
import type { SerialKey } from '../../core/serials/serial-key.ts'
import { prepare } from './prepared.ts'
import type { AuthoredSerialTable, Database } from '../schema/schema.ts'
import { keyColumn } from '../rows/serial-column.ts'

/** The condition of the partial index. */
const NAMED = sql.lit('named' as const)

/** Which serials Lockstep may remove. */
export function authorshipStatements(db: Database) {
  const ofAccount = (key: string) => db.selectFrom('authored_serial').select('serial').where('account_key', '=', key)
  return {
    authorSerial: prepare<AuthoredSerialTable>()((row) =>
      db
        .insertInto('authored_serial')
        .values(row)
        .onConflict((conflict) => conflict.columns(['account_key', 'serial']).doNothing()),
    ),
    nameSerial: prepare<Omit<AuthoredSerialTable, 'how'>>()((row) =>
      db
        .insertInto('authored_serial')
        .values({ ...row, how: NAMED })
        .onConflict((conflict) => conflict.columns(['account_key', 'serial']).doUpdateSet({ how: NAMED })),
    ),
    namedSerials: prepare<{ account_key: string }>()(({ account_key }) =>
      ofAccount(account_key).where('how', '=', NAMED),
    ),
    settleSerial: prepare<{ account_key: string; serial_key: SerialKey }>()(({ account_key, serial_key }) =>
      db
        .updateTable('authored_serial')
        .set({ how: 'settled' })
        .where('account_key', '=', account_key)
        .where(keyColumn('serial'), '=', serial_key)
        .where('how', '=', NAMED),
    ),
    authoredSerials: prepare<{ account_key: string }>()(({ account_key }) => ofAccount(account_key)),
  }
}

import { directoryOf, parseSerial } from '../../core/names.ts'
import type { Retirement } from '../../core/settings/retirement.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import { readRetirements } from './retirements.ts'
import { keyFromRow } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'

/**
 * The marks of ours in a retired directory. Its events continue to give the state of the tokens, so that the order can
 * be cancelled; the marks that are left are in the ledger, and after the proof there are none.
 */

/** A serial of an account, by the events. */
interface SerialRow {
  readonly account_key: string | null
  readonly serial: string | null
}

const PAGE = 500

/** Without the rows whose serial is no longer there, since the directory of the account is retired. */
export async function stillLocked<Row extends SerialRow>(db: Database, rows: readonly Row[]): Promise<readonly Row[]> {
  const orders = new Map((await readRetirements(db)).map((order) => [order.directory, order]))
  if (orders.size === 0) return rows
  const orderOf = ({ account_key: key }: SerialRow) =>
    key === null ? undefined : orders.get(directoryOf(keyFromRow(key)))
  const standing = await inLedger(
    db,
    [...orders.values()].filter(({ provenMs }) => provenMs === null),
    rows,
  )
  return rows.filter((row) => {
    const order = orderOf(row)
    return order === undefined || (order.provenMs === null && standing.has(idOf(row)))
  })
}

/** The serials at accounts of these directories that are ours, and that no release since the order has removed. */
async function inLedger(
  db: Database,
  orders: readonly Retirement[],
  rows: readonly SerialRow[],
): Promise<ReadonlySet<string>> {
  const standing = new Set<string>()
  for (const { directory, sinceMs } of orders) {
    const keys = [...new Set(rows.flatMap(({ account_key: key }) => key ?? []))]
    const own = keys.filter((key) => directoryOf(keyFromRow(key)) === directory)
    for (let at = 0; at < own.length; at += PAGE) {
      const page = own.slice(at, at + PAGE)
      const authored = await db
        .selectFrom('authored_serial')
        .select(['account_key', 'serial'])
        .where('account_key', 'in', page)
        .execute()
      for (const row of authored) standing.add(idOf(row))
      const removed = await db
        .selectFrom('change')
        .select(['account_key', 'serial'])
        .where('account_key', 'in', page)
        .where('kind', '=', 'unregister')
        .where('state', '=', 'applied')
        .where('planned_ms', '>=', sinceMs)
        .execute()
      for (const row of removed) standing.delete(idOf(row))
    }
  }
  return standing
}

function idOf({ account_key: key, serial: text }: SerialRow): string {
  const serial = parseSerial(text ?? '')
  return `${key ?? ''} ${serial === null ? '' : serialKey(serial)}`
}

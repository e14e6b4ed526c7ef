import { sql } from 'kysely'
import type { Database } from '../schema/schema.ts'
import { keyColumn } from '../rows/serial-column.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import { parseSerial } from '../../core/names.ts'
import { findsAny } from '../rows/queries.ts'

/** How many of the last locks that were read from privacyIDEA came with an event of its handlers. Mode `api`. */
export interface AnnouncedLocks {
  readonly locks: number
  readonly unannounced: number
  /** An event of a script or the webhook is on record, whatever it was about. */
  readonly hasEvents: boolean
}

const LOCKS_MAX = 10
const AGE_MAX_MS = 7 * 24 * 3_600_000
/** An event may come after the scan found its change, and before it was read. */
const AFTER_MS = 10_000
const BEFORE_MS = 120_000
/** A first reading of a large privacyIDEA takes its time between a token and what holds it. */
const FIRST_SEEN_MS = 30_000

export async function announcedLocks(db: Database, nowMs: number): Promise<AnnouncedLocks> {
  const locks = await db
    .selectFrom('event')
    .leftJoin('account', 'account.key', 'event.account_key')
    .select(['event.serial', 'event.received_ms', 'account.login'])
    .where('event.source', '=', 'privacyidea')
    .where('event.kind', '=', 'lock')
    .where('event.received_ms', '>', nowMs - AGE_MAX_MS)
    .where('event.received_ms', '<=', nowMs - AFTER_MS)
    // A token that was full at its first reading became so before Lockstep received events.
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('event as first')
            .select('first.id')
            .where('first.source', '=', 'privacyidea')
            .where('first.kind', '=', 'register')
            .where(keyColumn('first.serial'), '=', keyColumn('event.serial'))
            .where('first.serial', 'is not', null)
            .whereRef('first.received_ms', '<=', 'event.received_ms')
            .where(sql<boolean>`first.received_ms > event.received_ms - ${FIRST_SEEN_MS}`),
        ),
      ),
    )
    .orderBy('event.received_ms', 'desc')
    .limit(LOCKS_MAX)
    .execute()
  const announced = db.selectFrom('event').where('source', 'in', ['shim', 'webhook'])
  let unannounced = 0
  for (const { serial, login, received_ms: received } of locks) {
    const atMs = Number(received)
    const parsed = serial === null ? null : parseSerial(serial)
    const events = announced
      .where('kind', '=', 'lock')
      .where('received_ms', '>=', atMs - BEFORE_MS)
      .where('received_ms', '<=', atMs + AFTER_MS)
      .where((where) =>
        where.or([
          ...(parsed === null
            ? []
            : [where.and([where(keyColumn('serial'), '=', serialKey(parsed)), where('serial', 'is not', null)])]),
          ...(login === null ? [] : [where(sql`lower(login)`, '=', sql`lower(${login})`)]),
        ]),
      )
    if (!(await findsAny(events))) unannounced++
  }
  return { locks: locks.length, unannounced, hasEvents: await findsAny(announced.where('state', '<>', 'refused')) }
}

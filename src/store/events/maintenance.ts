import { sql } from 'kysely'
import type { AccountOwner, Change } from '../../core/account/change.ts'
import { compareEvents } from '../../core/events/event.ts'
import { parseSerial, type AccountKey, type Serial } from '../../core/names.ts'
import { serialKey, spelledAmong } from '../../core/serials/serial-key.ts'
import { oneSpelling } from '../../core/serials/serial-spelling.ts'
import type { Clock } from '../../ports/clock.ts'
import { compact, readStream } from '../accounts/desired.ts'
import { bringBackTimes } from './clock-step.ts'
import { newestReceivedMs } from './event-order.ts'
import { findsAny, inPages } from '../rows/queries.ts'
import { markAccounts } from '../accounts/queue.ts'
import { stillLocked } from '../decisions/retired-marks.ts'
import { whoseFromRow, changeFromRow, keyFromRow, ownedFromRow, resolvedFromRow } from '../rows/rows.ts'
import { keyColumn, keysOfRows } from '../rows/serial-column.ts'
import { checkTwins } from '../accounts/serial-twins.ts'
import type { OwnedLock } from '../../core/account/state.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { LIVE, WAITING, IN_STEP, NO_HOLDS } from '../rows/literals.ts'

/** Periodic work: reading again what may have drifted, and keeping every table bounded. */

const MARK_PAGE = 1_000
const DELETE_ROWS_MAX = 2_000
const COMPACT_ACCOUNTS_MAX = 500

export interface OwnedAccount extends AccountOwner {
  readonly key: AccountKey
  readonly owned: OwnedLock
  /** When its record was written last, in milliseconds since 1970. */
  readonly updatedMs: number
}

export function openMaintenance(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    /** Marks every account with a hold, a lock of ours, an open change or a status not in sync. @returns how many */
    markUnsettled: (nowMs: number) => markUnsettled(db, writer, nowMs),
    /** Marks the accounts with one of these statuses. @returns how many */
    markStatus: (standings: readonly string[], nowMs: number) => markStatus(db, writer, standings, nowMs),
    /** Makes every waiting event due now. */
    retryWaiting: (nowMs: number) =>
      writer.run(async ({ trx }) => {
        const [result] = await trx
          .updateTable('event')
          .set({ next_try_ms: nowMs })
          .where('state', '=', WAITING)
          .execute()
        return Number(result?.numUpdatedRows ?? 0)
      }),
    /** The accounts that are locked by us, page by page. */
    ownedAccounts: () => ownedAccounts(db),
    /** The serials that are assigned, each with the change that wrote it, while that is kept. */
    registrations: () => registrations(db),
    /** True while one of the accounts is pending or in work. */
    isAnyDue: (keys: readonly AccountKey[], nowMs: number) => isAnyDue(db, keys, nowMs),
    /** True while a worker of any process holds an account, or something that was not tried yet is pending. */
    isInWork: (nowMs: number) => isInWork(db, nowMs),
    hasAccount: (key: AccountKey) => findsAny(db.selectFrom('account').where('key', '=', key)),
    isEmpty: async () => !(await findsAny(db.selectFrom('account'))),
    /** Those of the serials that are assigned by their newest event. At most 1,000 at a time. */
    assignedOf: (serials: readonly string[]) => assignedOf(db, serials),
    /** The names of the files that may wait for an account now: its lock of ours, and its change in work. */
    pendingNamesOf: (key: AccountKey) => pendingNamesOf(db, key),
    /** Changes whose outcome is not on record. */
    openChanges: () => openChanges(db),
    /** Removes older events and closed changes that decide nothing any more. @returns how many rows were removed */
    forgetEvents: (beforeMs: number) => forgetEvents(writer, beforeMs),
    /** Removes locks and losses that no window of a breaker counts any more. */
    forgetCounts: (beforeMs: number) =>
      writer.run(async ({ trx }) => {
        await trx.deleteFrom('lock_count').where('at_ms', '<', beforeMs).execute()
        await trx.deleteFrom('loss_count').where('at_ms', '<', beforeMs).execute()
      }),
    /** Compacts the streams of accounts whose newest events are older. */
    compactStreams: (beforeMs: number) => compactStreams(db, writer, beforeMs, clock),
    /** Ends the finding of tokens that differ by case only, where there are none any more. @returns how many ended */
    checkTwins: () => checkTwins(db, writer, clock.nowMs()),
    /** The events that an account's state is folded from. */
    streamOf: (key: AccountKey) => readStream(db, writer.hot, key),
    /**
     * The time of the newest event on an account, in microseconds since 1970; 0: none. That is an event of its own or of
     * a serial of its stream, or one that still waits and names one of these serials or the login.
     */
    newestManualActionUs: (key: AccountKey, login: string | null) => newestManualActionUs(db, writer, key, login),
    /** Whether an event came that names this actor. */
    hasEventBy: (actor: string) => findsAny(db.selectFrom('event').where('actor', '=', actor)),
    /** The clock was set back: what would wait until then is due now. */
    bringBackTimes: (nowMs: number) => bringBackTimes(writer, nowMs),
    /** When the newest event came in, by the clock of that moment, in milliseconds since 1970; null: none did. */
    newestEventMs: () => newestReceivedMs(db),
  }
}

async function markUnsettled(db: Database, writer: StoreWriter, nowMs: number): Promise<number> {
  const query = db
    .selectFrom('account')
    .select('key')
    .where((where) =>
      where.or([
        where('hold_count', '>', NO_HOLDS),
        where('owned_lock', 'is not', null),
        where('open_change', 'is not', null),
        where('standing', '<>', IN_STEP),
        where('late_until_ms', 'is not', null),
        where('adoption', 'is not', null),
        where('key', 'in', db.selectFrom('mirror').select('account_key')),
      ]),
    )
  let marked = 0
  for await (const rows of inPages(query, 'key', MARK_PAGE)) {
    const keys = rows.map((row) => keyFromRow(row.key))
    await writer.run((scope) => markAccounts(scope, keys, nowMs))
    marked += keys.length
  }
  return marked
}

async function markStatus(
  db: Database,
  writer: StoreWriter,
  standings: readonly string[],
  nowMs: number,
): Promise<number> {
  const rows = await db.selectFrom('account').select('key').where('standing', 'in', standings).execute()
  const keys = rows.map((row) => keyFromRow(row.key))
  if (keys.length > 0) await writer.run((scope) => markAccounts(scope, keys, nowMs))
  return keys.length
}

async function* ownedAccounts(db: Database): AsyncGenerator<OwnedAccount> {
  const query = db
    .selectFrom('account')
    .select(['key', 'login', 'realm', 'owned_lock', 'updated_ms'])
    .where('owned_lock', 'is not', null)
  for await (const rows of inPages(query, 'key')) {
    for (const row of rows) {
      const owned = ownedFromRow(row)
      const whose = { key: keyFromRow(row.key), ...whoseFromRow(row) }
      if (owned !== null) yield { ...whose, owned, updatedMs: Number(row.updated_ms) }
    }
  }
}

async function* registrations(db: Database): AsyncGenerator<{ serial: Serial; change: Change | null }> {
  const query = db
    .selectFrom('event')
    .select('serial')
    .distinct()
    .where('live', '=', LIVE)
    .where('kind', '=', 'register')
  for await (const rows of inPages(query, 'serial', MARK_PAGE)) {
    const serials = rows.flatMap(({ serial }) => serial ?? [])
    const assigned = await assignedOf(db, serials)
    for (const text of serials) {
      if (!assigned.has(text)) continue
      const serial = parseSerial(text)
      if (serial === null) continue
      const owner = await registeredTo(db, serial)
      const isThere = (await stillLocked(db, [{ account_key: owner, serial }])).length > 0
      if (isThere) yield { serial, change: await registrationOf(db, serial, owner) }
    }
  }
}

async function registeredTo(db: Database, serial: Serial): Promise<string | null> {
  const newest = await db
    .selectFrom('event')
    .select('account_key')
    .where(keyColumn('serial'), '=', serialKey(serial))
    .where('serial', 'is not', null)
    .where('live', '=', LIVE)
    .where('kind', '=', 'register')
    .orderBy('taken_at_us', 'desc')
    .limit(1)
    .executeTakeFirst()
  return newest?.account_key ?? null
}

/** The newest change that wrote the serial to the account that has it now. */
async function registrationOf(db: Database, serial: Serial, owner: string | null): Promise<Change | null> {
  const row = await db
    .selectFrom('change')
    .selectAll()
    .where('account_key', '=', owner ?? '')
    .where(keyColumn('serial'), '=', serialKey(serial))
    .where('kind', '=', 'register')
    .where('state', '=', 'applied')
    .orderBy('planned_ms', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : changeFromRow(row)
}

async function isAnyDue(db: Database, keys: readonly AccountKey[], nowMs: number): Promise<boolean> {
  for (let at = 0; at < keys.length; at += MARK_PAGE) {
    const isDue = db
      .selectFrom('queue')
      .where('account_key', 'in', keys.slice(at, at + MARK_PAGE))
      .where((where) => where.or([where('due_ms', '<=', nowMs), where('lease_owner', 'is not', null)]))
    if (await findsAny(isDue)) return true
  }
  return false
}

async function isInWork(db: Database, nowMs: number): Promise<boolean> {
  const accounts = db
    .selectFrom('queue')
    .where((w) => w.or([w('lease_owner', 'is not', null), w.and([w('due_ms', '<=', nowMs), w('attempts', '=', 0)])]))
  if (await findsAny(accounts)) return true
  return findsAny(db.selectFrom('event').where('state', '=', WAITING).where('attempts', '=', 0))
}

export async function assignedOf(db: Database, serials: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('event')
    .selectAll()
    .where(keyColumn('serial'), 'in', keysOfRows(serials.map((serial) => ({ serial }))))
    .where('serial', 'is not', null)
    .where('live', '=', LIVE)
    .where('kind', 'in', ['register', 'unregister'])
    .execute()
  const asked = rows.map(resolvedFromRow).toSorted(compareEvents)
  const { events } = oneSpelling(asked)
  const newest = new Map(events.map(({ serial, kind }) => [serial, kind]))
  // In the spelling that was asked for: the same token may have another one by now.
  const assigned = events.flatMap(({ serial }, at): Serial[] => {
    return newest.get(serial) === 'register' ? [serial, asked[at]?.serial ?? null].filter((each) => each !== null) : []
  })
  return new Set(
    serials.filter((text) => {
      const serial = parseSerial(text)
      return serial !== null && spelledAmong(assigned, serial) !== null
    }),
  )
}

async function pendingNamesOf(db: Database, key: AccountKey): Promise<readonly string[]> {
  const row = await db.selectFrom('account').selectAll().where('key', '=', key).executeTakeFirst()
  if (row === undefined) return []
  const owned = ownedFromRow(row)?.holds ?? []
  const open = row.open_change === null ? undefined : await readChange(db, row.open_change)
  return [...owned, ...(open === undefined ? [] : namesOf(open))]
}

/** The names under which a change has files. */
export function namesOf(change: Change): readonly string[] {
  return change.serial === null ? change.holds : [change.serial]
}

async function readChange(db: Database, id: string): Promise<Change | undefined> {
  const row = await db.selectFrom('change').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? undefined : changeFromRow(row)
}

async function openChanges(db: Database): Promise<Change[]> {
  const rows = await db
    .selectFrom('account')
    .innerJoin('change', 'change.id', 'account.open_change')
    .selectAll('change')
    .where('account.open_change', 'is not', null)
    .execute()
  return rows.map(changeFromRow)
}

/** A bounded number at a time, so that nobody waits long for the store. */
async function forgetEvents(writer: StoreWriter, beforeMs: number): Promise<number> {
  return writer.run(async ({ trx }) => {
    const events = await trx
      .deleteFrom('event')
      .where('id', 'in', (from) =>
        from
          .selectFrom('event')
          .select('id')
          .where('received_ms', '<', beforeMs)
          .where('live', '=', 0)
          .where('state', '<>', 'waiting')
          .limit(DELETE_ROWS_MAX),
      )
      .executeTakeFirst()
    const changes = await trx
      .deleteFrom('change')
      .where('id', 'in', (from) =>
        from
          .selectFrom('change')
          .select('id')
          .where('planned_ms', '<', beforeMs)
          .where('state', '<>', 'planned')
          .where('may_arrive_until_ms', 'is', null)
          .limit(DELETE_ROWS_MAX),
      )
      .executeTakeFirst()
    await trx.deleteFrom('finding').where('ended_ms', '<', beforeMs).execute()
    return Number(events.numDeletedRows) + Number(changes.numDeletedRows)
  })
}

async function compactStreams(db: Database, writer: StoreWriter, beforeMs: number, clock: Clock): Promise<number> {
  const rows = await db
    .selectFrom('event')
    .select('account_key')
    .distinct()
    .where('live', '=', LIVE)
    .where('received_ms', '<', Math.min(beforeMs, clock.nowMs()))
    .where('kind', '<>', 'register')
    .limit(COMPACT_ACCOUNTS_MAX)
    .execute()
  let dropped = 0
  for (const row of rows) {
    if (row.account_key === null) continue
    const key = keyFromRow(row.account_key)
    dropped += await compact(writer, key, await readStream(db, writer.hot, key), beforeMs * 1000)
  }
  return dropped
}

async function newestManualActionUs(
  db: Database,
  writer: StoreWriter,
  key: AccountKey,
  login: string | null,
): Promise<number> {
  const stream = await readStream(db, writer.hot, key)
  const serials = keysOfRows(stream)
  const waiting = await db
    .selectFrom('event')
    .select((select) => select.fn.max('taken_at_us').as('newest'))
    .where('state', '=', WAITING)
    .where((where) =>
      where.or([
        ...(login === null ? [] : [where(sql`lower(login)`, '=', sql`lower(${login})`)]),
        ...(serials.length === 0
          ? []
          : [where.and([where(keyColumn('serial'), 'in', serials), where('serial', 'is not', null)])]),
      ]),
    )
    .executeTakeFirst()
  return stream.reduce((newest, { takenAtUs }) => Math.max(newest, takenAtUs), Number(waiting?.newest ?? 0))
}

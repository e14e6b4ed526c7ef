import type { Change } from '../core/change.ts'
import type { ResolvedEvent } from '../core/event.ts'
import type { AccountKey } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import { compact, readStream } from './desired.ts'
import { markAccounts } from './queue.ts'
import { changeFromRow, keyFromRow, ownedFromRow } from './rows.ts'
import type { OwnedLock } from '../core/state.ts'
import type { Database } from './schema.ts'
import type { Writer } from './writer.ts'
import { LIVE, WAITING, IN_STEP, NO_HOLDS } from './literals.ts'

/** What is done from time to time: looking again at what may have drifted, and keeping every table bounded. */

const MARK_PAGE = 1_000
const DELETE_ROWS_MAX = 2_000
const COMPACT_ACCOUNTS_MAX = 500

export interface OwnedAccount {
  readonly key: AccountKey
  readonly owned: OwnedLock
}

export interface UpkeepPort {
  /** Marks every account with a hold, a lock of ours, an open change or a standing that is not in step. @returns how many */
  markUnsettled(nowMs: number): Promise<number>
  /** Marks the accounts that stand so. @returns how many */
  markStanding(standings: readonly string[], nowMs: number): Promise<number>
  /** Makes every waiting event due now. */
  retryWaiting(nowMs: number): Promise<number>
  /** The accounts that are locked by us, page by page. */
  ownedAccounts(): AsyncIterable<OwnedAccount>
  /** True while one of the accounts waits for its turn or is in work. */
  isAnyDue(keys: readonly AccountKey[], nowMs: number): Promise<boolean>
  /** True while a worker of any process holds an account, or something that was not tried yet waits for its turn. */
  isInWork(nowMs: number): Promise<boolean>
  hasAccount(key: AccountKey): Promise<boolean>
  isEmpty(): Promise<boolean>
  /** Those of the serials whose newest word is that they are assigned. At most 1,000 at a time. */
  assignedOf(serials: readonly string[]): Promise<ReadonlySet<string>>
  /** The names of the files that may wait for an account now: its lock of ours, and its change in work. */
  pendingNamesOf(key: AccountKey): Promise<readonly string[]>
  /** Changes whose outcome is not on record. */
  openChanges(): Promise<readonly Change[]>
  /** Removes events and closed changes that decide nothing any more and are older. @returns how many rows went */
  forgetEvents(beforeMs: number): Promise<number>
  /** Removes locks that no window of the breaker counts any more. */
  forgetCounts(beforeMs: number): Promise<void>
  /** Compacts the streams of accounts whose newest events are older. */
  compactStreams(beforeMs: number): Promise<number>
  /** The events that an account's state is folded from. */
  streamOf(key: AccountKey): Promise<readonly ResolvedEvent[]>
  /**
   * The time of the newest word on an account, in microseconds since 1970; 0: none. That is an event of its own or of a
   * serial of its stream, or one that still waits and names one of these serials or the login.
   */
  newestWordUs(key: AccountKey, login: string | null): Promise<number>
}

export function openUpkeep(db: Database, writer: Writer, clock: Clock): UpkeepPort {
  return {
    markUnsettled: (nowMs) => markUnsettled(db, writer, nowMs),
    markStanding: (standings, nowMs) => markStanding(db, writer, standings, nowMs),
    retryWaiting: (nowMs) =>
      writer.run(async ({ trx }) => {
        const [result] = await trx
          .updateTable('event')
          .set({ next_try_ms: nowMs })
          .where('state', '=', WAITING)
          .execute()
        return Number(result?.numUpdatedRows ?? 0)
      }),
    ownedAccounts: () => ownedAccounts(db),
    isAnyDue: (keys, nowMs) => isAnyDue(db, keys, nowMs),
    isInWork: (nowMs) => isInWork(db, nowMs),
    async hasAccount(key) {
      return (await db.selectFrom('account').select('key').where('key', '=', key).executeTakeFirst()) !== undefined
    },
    async isEmpty() {
      return (await db.selectFrom('account').select('key').limit(1).executeTakeFirst()) === undefined
    },
    assignedOf: (serials) => assignedOf(db, serials),
    pendingNamesOf: (key) => pendingNamesOf(db, key),
    openChanges: () => openChanges(db),
    forgetEvents: (beforeMs) => forgetEvents(writer, beforeMs),
    forgetCounts: (beforeMs) =>
      writer.run(async ({ trx }) => {
        await trx.deleteFrom('lock_count').where('at_ms', '<', beforeMs).execute()
      }),
    compactStreams: (beforeMs) => compactStreams(db, writer, beforeMs, clock),
    streamOf: (key) => readStream(db, writer.hot, key),
    newestWordUs: (key, login) => newestWordUs(db, writer, key, login),
  }
}

async function markUnsettled(db: Database, writer: Writer, nowMs: number): Promise<number> {
  let marked = 0
  for (let after = ''; ;) {
    const rows = await db
      .selectFrom('account')
      .select('key')
      .where('key', '>', after)
      .where((where) =>
        where.or([
          where('hold_count', '>', NO_HOLDS),
          where('owned_lock', 'is not', null),
          where('open_change', 'is not', null),
          where('standing', '<>', IN_STEP),
          where('key', 'in', db.selectFrom('mirror').select('account_key')),
        ]),
      )
      .orderBy('key')
      .limit(MARK_PAGE)
      .execute()
    if (rows.length > 0)
      await writer.run((scope) =>
        markAccounts(
          scope,
          rows.map((row) => keyFromRow(row.key)),
          nowMs,
        ),
      )
    marked += rows.length
    const last = rows.at(-1)
    if (last === undefined || rows.length < MARK_PAGE) return marked
    after = last.key
  }
}

async function markStanding(
  db: Database,
  writer: Writer,
  standings: readonly string[],
  nowMs: number,
): Promise<number> {
  const rows = await db.selectFrom('account').select('key').where('standing', 'in', standings).execute()
  const keys = rows.map((row) => keyFromRow(row.key))
  if (keys.length > 0) await writer.run((scope) => markAccounts(scope, keys, nowMs))
  return keys.length
}

async function* ownedAccounts(db: Database): AsyncGenerator<OwnedAccount> {
  for (let after = ''; ;) {
    const rows = await db
      .selectFrom('account')
      .select(['key', 'owned_lock'])
      .where('key', '>', after)
      .where('owned_lock', 'is not', null)
      .orderBy('key')
      .limit(MARK_PAGE)
      .execute()
    for (const row of rows) {
      const owned = ownedFromRow(row)
      if (owned !== null) yield { key: keyFromRow(row.key), owned }
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < MARK_PAGE) return
    after = last.key
  }
}

async function isAnyDue(db: Database, keys: readonly AccountKey[], nowMs: number): Promise<boolean> {
  for (let at = 0; at < keys.length; at += MARK_PAGE) {
    const row = await db
      .selectFrom('queue')
      .select('account_key')
      .where('account_key', 'in', keys.slice(at, at + MARK_PAGE))
      .where((where) => where.or([where('due_ms', '<=', nowMs), where('lease_until_ms', '>', nowMs)]))
      .limit(1)
      .executeTakeFirst()
    if (row !== undefined) return true
  }
  return false
}

async function isInWork(db: Database, nowMs: number): Promise<boolean> {
  const account = await db
    .selectFrom('queue')
    .select('account_key')
    .where((w) => w.or([w('lease_until_ms', '>', nowMs), w.and([w('due_ms', '<=', nowMs), w('attempts', '=', 0)])]))
    .limit(1)
    .executeTakeFirst()
  if (account !== undefined) return true
  const event = await db
    .selectFrom('event')
    .select('id')
    .where('state', '=', WAITING)
    .where('attempts', '=', 0)
    .limit(1)
    .executeTakeFirst()
  return event !== undefined
}

async function assignedOf(db: Database, serials: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('event')
    .select(['serial', 'kind', 'taken_at_us'])
    .where('serial', 'in', serials)
    .where('live', '=', LIVE)
    .where('kind', 'in', ['register', 'unregister'])
    .orderBy('taken_at_us')
    .execute()
  const newest = new Map(rows.map((row) => [row.serial ?? '', row.kind]))
  return new Set([...newest].flatMap(([serial, kind]) => (kind === 'register' ? [serial] : [])))
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
async function forgetEvents(writer: Writer, beforeMs: number): Promise<number> {
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
          .limit(DELETE_ROWS_MAX),
      )
      .executeTakeFirst()
    await trx.deleteFrom('finding').where('ended_ms', '<', beforeMs).execute()
    return Number(events.numDeletedRows) + Number(changes.numDeletedRows)
  })
}

async function compactStreams(db: Database, writer: Writer, beforeMs: number, clock: Clock): Promise<number> {
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

async function newestWordUs(db: Database, writer: Writer, key: AccountKey, login: string | null): Promise<number> {
  const stream = await readStream(db, writer.hot, key)
  const serials = [...new Set(stream.flatMap(({ serial }) => (serial === null ? [] : [serial])))]
  const waiting = await db
    .selectFrom('event')
    .select((select) => select.fn.max('taken_at_us').as('newest'))
    .where('state', '=', WAITING)
    .where((where) =>
      where.or([
        ...(login === null ? [] : [where('login', '=', login)]),
        ...(serials.length === 0 ? [] : [where('serial', 'in', serials)]),
      ]),
    )
    .executeTakeFirst()
  return stream.reduce((newest, { takenAtUs }) => Math.max(newest, takenAtUs), Number(waiting?.newest ?? 0))
}

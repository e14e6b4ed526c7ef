import { parseDirectoryName, type AccountKey, type DirectoryName } from '../../core/names.ts'
import type { Retirement } from '../../core/settings/retirement.ts'
import type { Clock } from '../../ports/clock.ts'
import type { GuardPort } from '../../ports/store/store.ts'
import { LIVE } from '../rows/literals.ts'
import { orderBody } from '../journal/orders.ts'
import { markAccounts } from '../accounts/queue.ts'
import { recentLook } from '../rows/recent-look.ts'
import { keyFromRow } from '../rows/rows.ts'
import type { Database, MetaTable } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { inPages } from '../rows/queries.ts'
import { dropMeta, writeMeta } from '../engine/meta.ts'

/** Retired directories: a row of `meta` each, which every process that works on accounts follows. */

const KEY = 'retired '

/** The key of `meta` that exists while a full resync is ordered. */
export const RESYNC_ORDERED = 'resync-ordered'
const PAGE = 1_000
/** The next turn of an account observes an order after so long at most. */
const LOOK_MS = 20

export function openRetirements(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    all: () => readRetirements(db),
    /** Marks every account there that has something of ours. A repeated order marks them again, and its proof is void. */
    order: async (directory: DirectoryName, by: string, reason = '') => {
      await writer.run(async (scope) => {
        const before = (await readRetirements(scope.trx)).find((each) => each.directory === directory)
        const value = { sinceMs: before?.sinceMs ?? clock.nowMs(), by: before?.by ?? by, provenMs: null }
        await writeMeta(scope, KEY + directory, value)
        if (before !== undefined) return
        scope.log({ atMs: clock.nowMs(), kind: 'retired', subject: directory, body: orderBody(by, reason) })
      })
      await markAll(writer, clock, await accountsIn(db, directory))
    },
    /** A search found nothing of ours. */
    proven: (directory: DirectoryName) =>
      writer.run(async (scope) => {
        const order = (await readRetirements(scope.trx)).find((each) => each.directory === directory)
        if (order === undefined) return
        await writeMeta(scope, KEY + directory, { sinceMs: order.sinceMs, by: order.by, provenMs: clock.nowMs() })
      }),
    /** The events count there again; a full resync is due, for changes without an event. @returns false: no order */
    async cancel(directory: DirectoryName, by: string, reason = '') {
      const wasOrdered = await writer.run(async (scope) => {
        const isOrdered = (await readRetirements(scope.trx)).some((each) => each.directory === directory)
        if (!isOrdered) return false
        await dropMeta(scope, KEY + directory)
        await writeMeta(scope, RESYNC_ORDERED, clock.nowMs())
        scope.log({ atMs: clock.nowMs(), kind: 'retirement-ended', subject: directory, body: orderBody(by, reason) })
        return true
      })
      if (wasOrdered) await markAll(writer, clock, await accountsIn(db, directory))
      return wasOrdered
    },
    /** It is in the configuration no more: nothing that is on record about its accounts is followed. */
    forget: (directory: DirectoryName) => writer.run((scope) => forget(scope, directory)),
    /** The accounts there that have a hold, a lock, an open change, or a serial that we may remove. */
    accountsIn: (directory: DirectoryName) => accountsIn(db, directory),
    /** Until when a write of ours that was written off may still arrive there, in milliseconds since 1970; null: none may. */
    async mayArriveUntilMs(directory: DirectoryName) {
      const row = await db
        .selectFrom('account')
        .select((select) => select.fn.max('late_until_ms').as('until'))
        .where('directory', '=', directory)
        .executeTakeFirst()
      const untilMs = Number(row?.until ?? 0)
      return untilMs > clock.nowMs() ? untilMs : null
    },
  }
}

async function markAll(writer: StoreWriter, clock: Clock, keys: readonly AccountKey[]): Promise<void> {
  for (let at = 0; at < keys.length; at += PAGE) {
    await writer.run((scope) => markAccounts(scope, keys.slice(at, at + PAGE), clock.nowMs()))
  }
}

function selectRetirements(db: Pick<Database, 'selectFrom'>) {
  // As a range: `like` would look at every row. The character after a blank is an exclamation mark.
  return db.selectFrom('meta').selectAll().where('key', '>=', KEY).where('key', '<', `${KEY.trimEnd()}!`).orderBy('key')
}

export async function readRetirements(db: Pick<Database, 'selectFrom'>): Promise<Retirement[]> {
  return (await selectRetirements(db).execute()).flatMap(retirementFromRow)
}

function retirementFromRow({ key, value }: MetaTable): Retirement[] {
  const directory = parseDirectoryName(key.slice(KEY.length))
  return directory === null ? [] : [{ directory, ...(JSON.parse(value) as Omit<Retirement, 'directory'>) }]
}

/** Whether a directory is retired, at each turn of an account. */
export function retirementLook(db: Database): GuardPort['retirementOf'] {
  // Compiled once: each look at an account asks.
  const query = selectRetirements(db).compile()
  const orders = recentLook(async () => {
    const found = (await db.executeQuery(query)).rows.flatMap(retirementFromRow)
    return new Map(found.map((order) => [order.directory, order]))
  }, LOOK_MS)
  return async (directory, nowMs) => (await orders(nowMs)).get(directory) ?? null
}

async function accountsIn(db: Database, directory: DirectoryName): Promise<AccountKey[]> {
  const withEvents = db
    .selectFrom('event')
    .select('account_key')
    .where('live', '=', LIVE)
    .where('account_key', 'is not', null)
    .$castTo<{ account_key: string }>()
  const query = db
    .selectFrom('account')
    .select('key')
    .where('directory', '=', directory)
    .where((where) =>
      where.or([
        where('hold_count', '>', 0),
        where('owned_lock', 'is not', null),
        where('open_change', 'is not', null),
        where('late_until_ms', 'is not', null),
        where('key', 'in', db.selectFrom('authored_serial').select('account_key')),
        where('key', 'in', db.selectFrom('mirror').select('account_key')),
        where('key', 'in', withEvents),
      ]),
    )
  const found: AccountKey[] = []
  for await (const rows of inPages(query, 'key', PAGE)) found.push(...rows.map(({ key }) => keyFromRow(key)))
  return found
}

async function forget({ trx }: WriteScope, directory: DirectoryName): Promise<void> {
  const keys = trx.selectFrom('account').select('key').where('directory', '=', directory)
  await trx.updateTable('event').set({ live: 0 }).where('account_key', 'in', keys).execute()
  for (const table of ['token', 'lockout', 'owner', 'queue', 'hold'] as const) {
    await trx.deleteFrom(table).where('account_key', 'in', keys).execute()
  }
  const over = {
    owned_lock: null,
    open_change: null,
    hold_count: 0,
    standing: 'in-step',
    standing_code: null,
    standing_reason: '',
  }
  await trx.updateTable('account').set(over).where('directory', '=', directory).execute()
  await dropMeta({ trx }, KEY + directory)
}

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
import { RESYNC_ORDERED } from '../source/source-state.ts'
import type { StoreWriter } from '../engine/store-writer.ts'

/** Directories that are given up: a row of `meta` each, which every process that works on accounts goes by. */

const KEY = 'retired '
const PAGE = 1_000
/** An order is seen by the next look at an account after so long at most. */
const LOOK_MS = 20

export interface RetirementPort {
  all(): Promise<readonly Retirement[]>
  /** Marks every account there that has something of ours. Given again it marks them again, and its proof is void. */
  order(directory: DirectoryName, by: string, reason?: string): Promise<void>
  /** A search found nothing of ours. */
  proven(directory: DirectoryName): Promise<void>
  /** What the events say counts there again; a full resync is due, for what no event said. @returns false: nothing was ordered */
  cancel(directory: DirectoryName, by: string, reason?: string): Promise<boolean>
  /** It is in the configuration no more: nothing that is on record about its accounts is followed. */
  forget(directory: DirectoryName): Promise<void>
  /** The accounts there that have a hold, a lock, an open change, or a serial that is ours to take off. */
  accountsIn(directory: DirectoryName): Promise<readonly AccountKey[]>
  /** Until when a write of ours that was written off may still arrive there, in milliseconds since 1970; null: none may. */
  mayArriveUntilMs(directory: DirectoryName): Promise<number | null>
}

export function openRetirements(db: Database, writer: StoreWriter, clock: Clock): RetirementPort {
  return {
    all: () => readRetirements(db),
    order: async (directory, by, reason = '') => {
      await writer.run(async (scope) => {
        const before = (await readRetirements(scope.trx)).find((each) => each.directory === directory)
        const value = { sinceMs: before?.sinceMs ?? clock.nowMs(), by: before?.by ?? by, provenMs: null }
        await scope.hot.writeMeta.run(scope.on, { key: KEY + directory, value: JSON.stringify(value) })
        if (before !== undefined) return
        scope.log({ atMs: clock.nowMs(), kind: 'retired', subject: directory, body: orderBody(by, reason) })
      })
      await markAll(writer, clock, await accountsIn(db, directory))
    },
    proven: (directory) =>
      writer.run(async (scope) => {
        const order = (await readRetirements(scope.trx)).find((each) => each.directory === directory)
        if (order === undefined) return
        const value = { sinceMs: order.sinceMs, by: order.by, provenMs: clock.nowMs() }
        await scope.hot.writeMeta.run(scope.on, { key: KEY + directory, value: JSON.stringify(value) })
      }),
    async cancel(directory, by, reason = '') {
      const wasOrdered = await writer.run(async (scope) => {
        const isOrdered = (await readRetirements(scope.trx)).some((each) => each.directory === directory)
        if (!isOrdered) return false
        await scope.trx
          .deleteFrom('meta')
          .where('key', '=', KEY + directory)
          .execute()
        await scope.hot.writeMeta.run(scope.on, { key: RESYNC_ORDERED, value: String(clock.nowMs()) })
        scope.log({ atMs: clock.nowMs(), kind: 'retirement-ended', subject: directory, body: orderBody(by, reason) })
        return true
      })
      if (wasOrdered) await markAll(writer, clock, await accountsIn(db, directory))
      return wasOrdered
    },
    forget: (directory) => writer.run(({ trx }) => forget(trx, directory)),
    accountsIn: (directory) => accountsIn(db, directory),
    async mayArriveUntilMs(directory) {
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

/** Whether a directory is given up, at each look at an account. */
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
  const found: AccountKey[] = []
  for (let after = ''; ;) {
    const rows = await db
      .selectFrom('account')
      .select('key')
      .where('directory', '=', directory)
      .where('key', '>', after)
      .where((where) =>
        where.or([
          where('hold_count', '>', 0),
          where('owned_lock', 'is not', null),
          where('open_change', 'is not', null),
          where('late_until_ms', 'is not', null),
          where('key', 'in', db.selectFrom('authored_serial').select('account_key')),
          where('key', 'in', db.selectFrom('mirror').select('account_key')),
          where(
            'key',
            'in',
            db
              .selectFrom('event')
              .select('account_key')
              .where('live', '=', LIVE)
              .where('account_key', 'is not', null)
              .$castTo<{ account_key: string }>(),
          ),
        ]),
      )
      .orderBy('key')
      .limit(PAGE)
      .execute()
    for (const { key } of rows) found.push(keyFromRow(key))
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return found
    after = last.key
  }
}

async function forget(trx: Database, directory: DirectoryName): Promise<void> {
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
  await trx
    .deleteFrom('meta')
    .where('key', '=', KEY + directory)
    .execute()
}

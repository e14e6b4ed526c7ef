import { sql } from 'kysely'
import {
  asDn,
  parseLogin,
  parseRealm,
  parseResolverName,
  parseUserId,
  type AccountKey,
  type DirectoryName,
  type Serial,
} from '../../core/names.ts'
import { NOTHING_OF_OURS } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PlacedToken, RecordedAccount, ResyncRecordPort } from '../../ports/store/resync.ts'
import type { NotedAccount, RecordedToken } from '../../ports/store/store.ts'
import { noteUser } from '../accounts/account-users.ts'
import { noteAccount } from '../events/inbox.ts'
import { NOTHING, SEEN } from '../rows/literals.ts'
import { countOf, inPages, PAGE } from '../rows/queries.ts'
import { markAccounts } from '../accounts/queue.ts'
import { chunksOf, prepareResync, type ResyncStatements } from './resync-statements.ts'
import { keyFromRow, ownedFromRow, serialFromRow } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import { selectTokens, tokenFromRow } from './snapshots.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

/** The queries of a full resync to the record (mode `api`), page by page, by statements that are compiled once. */

/** In meta: the number of the newest run. */
export const RUN_KEY = 'resync-run'
/** A loss that is pending in the review queue, or was dismissed, is nothing new. */
const IS_NOT_HELD = sql<boolean>`(loss is null or loss = 'approved')`

export function openResyncRecord(db: Database, writer: StoreWriter, clock: Clock): ResyncRecordPort {
  const hot = prepareResync(db)
  return {
    begin: () => writer.run(begin),
    countTokens: () => countTokens(db, hot),
    resolvers: () => resolvers(db),
    countExpected: async (directory) => Number((await hot.countWithTokens.run(db, rangeOf(directory))).rows[0]?.n ?? 0),
    between: (after, upTo) => between(db, hot, after, upTo ?? Number.MAX_SAFE_INTEGER),
    tokensOf: (serials) => tokensOf(db, hot, serials),
    place: async (tokens) => {
      if (tokens.length > 0) await writer.runSoon((scope) => place(scope, hot, tokens))
    },
    miss: async (run, serials) => {
      if (serials.length > 0) await writer.runSoon((scope) => miss(scope, hot, run, serials))
    },
    unseen: (run, options) => unseen(db, run, options.withHeldLosses),
    countUnseen: (run) => countUnseen(db, run),
    stage: async (run, accounts, keys) => {
      if (accounts.length + keys.length > 0) await writer.runSoon((scope) => stage(scope, hot, run, accounts, keys))
    },
    release: (run) => release(writer, hot, run, clock),
    accountsOf: (keys) => accountsOf(db, hot, keys),
    expected: (directory) => expected(db, hot, directory),
  }
}

async function countTokens(db: Database, hot: ResyncStatements): Promise<number> {
  const all = (await hot.countTokens.run(db, {})).rows[0]?.n ?? 0
  const held = (await hot.countHeldLosses.run(db, {})).rows[0]?.n ?? 0
  return Number(all) - Number(held)
}

async function begin(scope: WriteScope): Promise<number> {
  const { trx } = scope
  const run = ((await readMeta<number>(trx, RUN_KEY)) ?? 0) + 1
  await writeMeta(scope, RUN_KEY, run)
  await trx.updateTable('token').set({ run: 0 }).where('run', '<>', SEEN).execute()
  await trx.deleteFrom('resync_account').where('run', '<', run).execute()
  return run
}

async function resolvers(db: Database): ReturnType<ResyncRecordPort['resolvers']> {
  const rows = await db
    .selectFrom('token')
    .select((s) => ['resolver', s.fn.countAll<number>().as('n')])
    .where('resolver', 'is not', null)
    .where(IS_NOT_HELD)
    .groupBy('resolver')
    .execute()
  return rows.flatMap(({ resolver, n }) => {
    const name = parseResolverName(resolver ?? '')
    return name === null ? [] : [{ resolver: name, tokens: Number(n) }]
  })
}

async function* between(
  db: Database,
  hot: ResyncStatements,
  after: number,
  upTo: number,
): AsyncGenerator<readonly RecordedToken[]> {
  for (let from = after; ;) {
    const { rows } = await hot.between.run(db, { after: from, up_to: upTo, limit: PAGE })
    if (rows.length > 0) yield rows.map(tokenFromRow)
    const last = rows.at(-1)?.source_id ?? null
    if (last === null || rows.length < PAGE) return
    from = Number(last)
  }
}

async function tokensOf(
  db: Database,
  hot: ResyncStatements,
  serials: readonly Serial[],
): Promise<Map<Serial, RecordedToken>> {
  const found = new Map<Serial, RecordedToken>()
  for (const chunk of chunksOf(serials)) {
    for (const row of (await hot.tokensBySerial.run(db, chunk)).rows) {
      const token = tokenFromRow(row)
      found.set(token.serial, token)
    }
  }
  return found
}

async function place({ on }: WriteScope, hot: ResyncStatements, tokens: readonly PlacedToken[]): Promise<void> {
  for (const { serial, id } of tokens) await hot.place.run(on, { serial, id })
}

async function miss({ on }: WriteScope, hot: ResyncStatements, run: number, serials: readonly Serial[]): Promise<void> {
  for (const serial of serials) await hot.miss.run(on, { serial, run })
}

async function* unseen(db: Database, run: number, withHeldLosses: boolean): AsyncGenerator<readonly RecordedToken[]> {
  for (const query of [
    selectTokens(db).where('token.run', '=', run).where('token.run', '<>', SEEN),
    selectTokens(db).where('token.source_id', 'is', NOTHING).where('token.run', '=', SEEN),
  ]) {
    const wanted = withHeldLosses ? query : query.where(IS_NOT_HELD)
    for await (const rows of inPages(wanted, 'token.serial')) yield rows.map(tokenFromRow)
  }
}

async function countUnseen(db: Database, run: number): Promise<number> {
  const tokens = db.selectFrom('token').where(IS_NOT_HELD)
  const missed = await countOf(tokens.where('run', '=', run).where('run', '<>', SEEN))
  return missed + (await countOf(tokens.where('source_id', 'is', NOTHING).where('run', '=', SEEN)))
}

async function stage(
  { on }: WriteScope,
  hot: ResyncStatements,
  run: number,
  accounts: readonly NotedAccount[],
  keys: readonly AccountKey[],
): Promise<void> {
  for (const { key, dn, login, realm, user } of accounts) {
    const whose = { resolver: user?.resolver ?? null, user_id: user?.userId ?? null }
    await hot.stage.run(on, { run, account_key: key, dn, login, realm, ...whose })
  }
  const nothing = { dn: null, login: null, realm: null, resolver: null, user_id: null }
  for (const key of keys) await hot.stage.run(on, { run, account_key: key, ...nothing })
}

/** Page by page, so that no other write waits long. The next run finds again what a crash leaves staged. */
async function release(writer: StoreWriter, hot: ResyncStatements, run: number, clock: Clock): Promise<void> {
  const releasePage = async (scope: WriteScope): Promise<number> => {
    const { rows } = await hot.staged.run(scope.on, { run, limit: PAGE })
    for (const row of rows) {
      const key = keyFromRow(row.account_key)
      if (row.dn !== null) {
        const [login, realm] = [parseLogin(row.login ?? ''), parseRealm(row.realm ?? '')]
        await noteAccount(scope, { key, dn: asDn(row.dn), login, realm }, clock.nowMs())
        const [resolver, userId] = [parseResolverName(row.resolver ?? ''), parseUserId(row.user_id ?? '')]
        if (login !== null && realm !== null && resolver !== null && userId !== null) {
          await noteUser(scope, key, { login, realm, resolver, userId })
        }
      }
      await markAccounts(scope, [key], clock.nowMs(), true)
    }
    const last = rows.at(-1)
    if (last !== undefined) await hot.unstage.run(scope.on, { run, key: last.account_key })
    return rows.length
  }
  while ((await writer.run(releasePage)) === PAGE);
}

async function accountsOf(
  db: Database,
  hot: ResyncStatements,
  keys: readonly AccountKey[],
): Promise<Map<AccountKey, RecordedAccount>> {
  const found = new Map<AccountKey, RecordedAccount & { serials: Serial[] }>()
  const accountOf = (key: AccountKey): RecordedAccount & { serials: Serial[] } => {
    const known = found.get(key) ?? { serials: [], ours: NOTHING_OF_OURS, holdCount: 0, standing: '' }
    found.set(key, known)
    return known
  }
  for (const chunk of chunksOf(keys)) {
    for (const { account_key, serial } of (await hot.serialsOfAccounts.run(db, chunk)).rows) {
      accountOf(keyFromRow(account_key)).serials.push(serialFromRow(serial))
    }
    for (const row of (await hot.heldByKey.run(db, chunk)).rows) {
      const key = keyFromRow(row.key)
      const { serials } = accountOf(key)
      const lock = row.owned_lock === null ? null : ownedFromRow({ ...row, key })
      found.set(key, { serials, ours: { lock }, holdCount: row.hold_count, standing: row.standing })
    }
  }
  return found
}

async function* expected(
  db: Database,
  hot: ResyncStatements,
  directory: DirectoryName,
): AsyncGenerator<readonly AccountKey[]> {
  const range = rangeOf(directory)
  for (const statement of [hot.withTokens, hot.withLocks]) {
    for (let after = range.after; ;) {
      const { rows } = await statement.run(db, { ...range, after, limit: PAGE })
      if (rows.length > 0) yield rows.map((row) => keyFromRow(row.account_key))
      const last = rows.at(-1)
      if (last === undefined || rows.length < PAGE) break
      after = last.account_key
    }
  }
}

/** The keys of a directory's accounts: `corp/…` lies between `corp/` and `corp0`. */
function rangeOf(directory: DirectoryName): { after: string; before: string } {
  return { after: `${directory}/`, before: `${directory}0` }
}

import type { Lockout } from '../core/truth.ts'
import { parseUserId, type AccountKey, type Serial } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { KnownOwner, NotedAccount, Reading, RecordedToken, TruthPort } from '../ports/store.ts'
import { noteAccount } from './inbox.ts'
import { LOCKED } from './literals.ts'
import { markAccounts } from './queue.ts'
import { insertResolved } from './records.ts'
import { keyFromRow, ownerFromRow, serialFromRow } from './rows.ts'
import type { Database } from './schema.ts'
import type { Writer, WriteScope } from './writer.ts'

/** Mode `api`: what privacyIDEA said when it was read last. */

const PAGE = 500
/** The run of a token that came on record since the last full resync began: that one could not see it. */
const NEW = -1

export function openTruth(db: Database, writer: Writer, clock: Clock): TruthPort {
  return {
    knownOf: (key) => knownOf(db, key),
    record: (key, reading) => writer.run((scope) => recordReading(scope, key, reading, clock.nowMs())),
    tokensOf: (serials) => tokensOf(db, serials),
    lockedTokens: () => tokenPages(selectTokens(db).where('token.is_locked', '=', LOCKED)),
    unreadHolds: () => unreadHolds(db),
    async countTokens() {
      const row = await db
        .selectFrom('token')
        .select((s) => s.fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow()
      return Number(row.n)
    },
    nextRun: () => writer.run((scope) => nextRun(scope)),
    see: (run, serials) => writer.run((scope) => see(scope, run, serials)),
    unseen: (run) => tokenPages(selectTokens(db).where('token.run', '<', run).where('token.run', '!=', NEW)),
    lockouts: () => readLockouts(db),
    hint: (accounts) => writer.run((scope) => hint(scope, accounts, clock.nowMs())),
    hintKeys: (keys) => writer.run((scope) => markAccounts(scope, keys, clock.nowMs(), true)),
    wantReset: (key, serials) => writer.run((scope) => wantReset(scope, key, serials, clock.nowMs())),
  }
}

async function knownOf(db: Database, key: AccountKey): Promise<KnownOwner> {
  const account = await db
    .selectFrom('account')
    .select(['login', 'realm', 'resolver', 'user_id'])
    .where('key', '=', key)
    .executeTakeFirst()
  const tokens = await db
    .selectFrom('token')
    .select(['serial', 'is_locked', 'reset_due'])
    .where('account_key', '=', key)
    .execute()
  const read = new Set(tokens.map((row) => row.serial))
  // What events held before privacyIDEA was asked: it says whether that is so.
  const held = await db.selectFrom('hold').select(['kind', 'serial']).where('account_key', '=', key).execute()
  const unread = held.flatMap(({ serial }) => (serial === null || read.has(serial) ? [] : [serial]))
  const lockout = await db.selectFrom('lockout').select('until_us').where('account_key', '=', key).executeTakeFirst()
  return {
    owner: ownerFromRow(account ?? { login: null, realm: null, resolver: null, user_id: null }, key),
    tokens: [
      ...tokens.map((row) => ({ serial: serialFromRow(row.serial), isLocked: row.is_locked === 1 })),
      ...unread.map((serial) => ({ serial: serialFromRow(serial), isLocked: true })),
    ],
    resetDue: tokens.filter((row) => row.reset_due === 1).map((row) => serialFromRow(row.serial)),
    lockout: lockout === undefined ? null : lockoutFromRow(lockout),
    isHeldWithoutSerial: held.some((row) => row.kind === 'account'),
  }
}

function lockoutFromRow(row: { until_us: number | null }): Lockout {
  return { untilUs: row.until_us === null ? null : Number(row.until_us) }
}

async function recordReading(scope: WriteScope, key: AccountKey, reading: Reading, nowMs: number): Promise<void> {
  const { trx } = scope
  const { user, truth, events, reset } = reading
  const others = new Set<AccountKey>()
  for (const event of events) {
    await insertResolved(scope, event, nowMs)
    if (event.serial === null) continue
    const { rows } = await scope.hot.ofSerial.run(scope.on, { serial: event.serial })
    for (const row of rows) if (row.account_key !== null) others.add(keyFromRow(row.account_key))
  }
  others.delete(key)
  await markAccounts(scope, [...others], nowMs)
  for (const { serial, isLocked } of truth.tokens) {
    const is_locked = isLocked ? 1 : 0
    await trx
      .insertInto('token')
      .values({ serial, account_key: key, is_locked, reset_due: 0, run: NEW })
      .onConflict((conflict) => conflict.column('serial').doUpdateSet({ account_key: key, is_locked }))
      .execute()
  }
  if (reset.length > 0) {
    await trx
      .updateTable('token')
      .set({ reset_due: 0 })
      .where('serial', 'in', reset)
      .where('account_key', '=', key)
      .execute()
  }
  if (truth.gone.length > 0) {
    await trx.deleteFrom('token').where('serial', 'in', truth.gone).where('account_key', '=', key).execute()
  }
  if (truth.lockout !== 'unknown') await writeLockout(scope, key, truth.lockout)
  if (user !== null) {
    const { login, realm, resolver, userId } = user
    await trx.updateTable('account').set({ login, realm, resolver, user_id: userId }).where('key', '=', key).execute()
  }
}

async function writeLockout({ trx }: WriteScope, key: AccountKey, lockout: Lockout | null): Promise<void> {
  if (lockout === null) {
    await trx.deleteFrom('lockout').where('account_key', '=', key).execute()
    return
  }
  const until_us = lockout.untilUs
  await trx
    .insertInto('lockout')
    .values({ account_key: key, until_us })
    .onConflict((conflict) => conflict.column('account_key').doUpdateSet({ until_us }))
    .execute()
}

async function tokensOf(db: Database, serials: readonly Serial[]): Promise<Map<Serial, RecordedToken>> {
  const found = new Map<Serial, RecordedToken>()
  for (let at = 0; at < serials.length; at += PAGE) {
    const rows = await selectTokens(db)
      .where('token.serial', 'in', serials.slice(at, at + PAGE))
      .execute()
    for (const token of rows.map(tokenFromRow)) found.set(token.serial, token)
  }
  return found
}

function selectTokens(db: Database) {
  return db
    .selectFrom('token')
    .leftJoin('account', 'account.key', 'token.account_key')
    .select(['token.serial', 'token.account_key', 'token.is_locked', 'account.user_id'])
}

async function nextRun({ trx }: WriteScope): Promise<number> {
  await trx.updateTable('token').set({ run: 0 }).where('run', '=', NEW).execute()
  const row = await trx
    .selectFrom('token')
    .select((s) => s.fn.max('run').as('n'))
    .executeTakeFirst()
  return Number(row?.n ?? 0) + 1
}

async function see({ trx }: WriteScope, run: number, serials: readonly Serial[]): Promise<void> {
  for (let at = 0; at < serials.length; at += PAGE) {
    const part = serials.slice(at, at + PAGE)
    await trx.updateTable('token').set({ run }).where('serial', 'in', part).execute()
  }
}

/** @param read a page of rows in the order of their keys, after the key that is given */
async function* inPages<Row>(
  read: (after: string) => Promise<readonly Row[]>,
  keyOf: (row: Row) => string,
): AsyncGenerator<readonly Row[]> {
  for (let after = ''; ;) {
    const rows = await read(after)
    if (rows.length > 0) yield rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    after = keyOf(last)
  }
}

async function* tokenPages(query: ReturnType<typeof selectTokens>): AsyncGenerator<readonly RecordedToken[]> {
  const ordered = query.orderBy('token.serial').limit(PAGE)
  const pages = inPages(
    (after) => ordered.where('token.serial', '>', after).execute(),
    (row) => row.serial,
  )
  for await (const rows of pages) yield rows.map(tokenFromRow)
}

function tokenFromRow(row: {
  serial: string
  account_key: string
  is_locked: number
  user_id: string | null
}): RecordedToken {
  return {
    serial: serialFromRow(row.serial),
    accountKey: keyFromRow(row.account_key),
    isLocked: row.is_locked === 1,
    userId: row.user_id === null ? null : parseUserId(row.user_id),
  }
}

/** Accounts that a token holds by what events said, before privacyIDEA was asked about any of them. */
async function* unreadHolds(db: Database): AsyncGenerator<readonly AccountKey[]> {
  const query = db
    .selectFrom('hold')
    .leftJoin('token', 'token.serial', 'hold.serial')
    .select('hold.account_key')
    .distinct()
    .where('hold.kind', 'in', ['token', 'account'])
    .where('token.serial', 'is', null)
    .orderBy('hold.account_key')
    .limit(PAGE)
  const pages = inPages(
    (after) => query.where('hold.account_key', '>', after).execute(),
    (row) => row.account_key,
  )
  for await (const rows of pages) yield rows.map((row) => keyFromRow(row.account_key))
}

async function readLockouts(db: Database): Promise<Map<AccountKey, Lockout>> {
  const rows = await db.selectFrom('lockout').selectAll().execute()
  return new Map(rows.map((row) => [keyFromRow(row.account_key), lockoutFromRow(row)]))
}

async function hint(scope: WriteScope, accounts: readonly NotedAccount[], nowMs: number): Promise<void> {
  for (const account of accounts) await noteAccount(scope, account, nowMs)
  const keys = accounts.map((account) => account.key)
  await markAccounts(scope, keys, nowMs, true)
}

async function wantReset(scope: WriteScope, key: AccountKey, serials: readonly Serial[], nowMs: number): Promise<void> {
  if (serials.length === 0) return
  const { numUpdatedRows } = await scope.trx
    .updateTable('token')
    .set({ reset_due: 1 })
    .where('account_key', '=', key)
    .where('serial', 'in', serials)
    .where('reset_due', '=', 0)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows > 0n) await markAccounts(scope, [key], nowMs, true)
}

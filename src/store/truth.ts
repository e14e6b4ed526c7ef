import type { Lockout } from '../core/truth.ts'
import { parseResolverName, parseUserId, type AccountKey, type Serial } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { KnownOwner, NotedAccount, Reading, RecordedToken, TruthPort } from '../ports/store.ts'
import { newestUs, noteUser, readOthers, writeOther, writeUser } from './account-users.ts'
import { noteAccount } from './inbox.ts'
import { LOCKED } from './literals.ts'
import { inPages, PAGE } from './pages.ts'
import { markAccounts } from './queue.ts'
import { insertResolved } from './records.ts'
import { keyFromRow, ownerFromRow, serialFromRow } from './rows.ts'
import type { Database } from './schema.ts'
import type { Writer, WriteScope } from './writer.ts'

/** Mode `api`: what privacyIDEA said when it was read last. */

/** The run of a token that came on record since the last full resync began: that one could not see it. */
const NEW = -1

export function openTruth(db: Database, writer: Writer, clock: Clock): TruthPort {
  return {
    knownOf: (key) => knownOf(db, key),
    record: (key, reading) => writer.run((scope) => recordReading(scope, key, reading, clock.nowMs())),
    tokensOf: (serials) => tokensOf(db, serials),
    lockedTokens: () => tokenPages(selectTokens(db).where('token.is_locked', '=', LOCKED)),
    unreadHolds: () => unreadHolds(db),
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
    others: await readOthers(db, key),
    newestUs: await newestUs(db, key),
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
  const { user, truth, events, reset, owners } = reading
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
    const owner = owners?.get(serial)
    const read = {
      account_key: key,
      is_locked: isLocked ? 1 : 0,
      resolver: owner?.resolver ?? null,
      user_id: owner?.userId ?? null,
    }
    await trx
      .insertInto('token')
      .values({ serial, ...read, reset_due: 0, run: NEW })
      .onConflict((conflict) => conflict.column('serial').doUpdateSet(read))
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
  if (user !== null) await writeUser(scope, key, user)
  if (reading.others !== undefined) {
    await trx.deleteFrom('owner').where('account_key', '=', key).execute()
    for (const other of reading.others) await writeOther(scope, key, other)
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

export function selectTokens(db: Database) {
  return db
    .selectFrom('token')
    .select(['token.serial', 'token.account_key', 'token.is_locked', 'token.resolver', 'token.user_id'])
}

async function* tokenPages(query: ReturnType<typeof selectTokens>): AsyncGenerator<readonly RecordedToken[]> {
  const ordered = query.orderBy('token.serial').limit(PAGE)
  const pages = inPages(
    (after) => ordered.where('token.serial', '>', after).execute(),
    (row) => row.serial,
  )
  for await (const rows of pages) yield rows.map(tokenFromRow)
}

export function tokenFromRow(row: {
  serial: string
  account_key: string
  is_locked: number
  resolver: string | null
  user_id: string | null
}): RecordedToken {
  return {
    serial: serialFromRow(row.serial),
    accountKey: keyFromRow(row.account_key),
    isLocked: row.is_locked === 1,
    resolver: row.resolver === null ? null : parseResolverName(row.resolver),
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
  for (const account of accounts) {
    await noteAccount(scope, account, nowMs)
    if (account.user !== undefined) await noteUser(scope, account.key, account.user)
  }
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

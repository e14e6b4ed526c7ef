import type { ResolvedEvent } from '../../core/events/event.ts'
import type { HeldFor, Lockout } from '../../core/source/snapshot.ts'
import { parseResolverName, parseUserId, type AccountKey, type Serial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Held, KnownOwner, NotedAccount, Reading, RecordedToken, SnapshotPort } from '../../ports/store/store.ts'
import { newestUs, noteUser, readOthers, writeOther, writeUser } from '../accounts/account-users.ts'
import { authorSerial } from '../accounts/author-serial.ts'
import { readingsOf, readingToRow } from './token-readings.ts'
import { endFinding } from '../guards/findings.ts'
import { noteAccount } from '../events/inbox.ts'
import { LOCKED } from '../rows/literals.ts'
import { endLossFinding, NOT_LOST, type LossBreaker } from '../decisions/loss-breaker.ts'
import { inPages, PAGE } from '../rows/queries.ts'
import { checkHeld, markAccounts } from '../accounts/queue.ts'
import { reasonFromRow } from '../rows/reasons.ts'
import { insertResolved } from '../accounts/records.ts'
import { keyFromRow, ownerFromRow, serialFromRow } from '../rows/rows.ts'
import { keyColumn } from '../rows/serial-column.ts'
import type { Database } from '../schema/schema.ts'
import type { Statements } from '../engine/statements.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

/** Mode `api`: what privacyIDEA reported at the last reading. */

/** The run of a token that came on record since the last full resync began: that one could not see it. */
const NEW = -1

export function openSnapshots(db: Database, writer: StoreWriter, clock: Clock, losses: LossBreaker): SnapshotPort {
  return {
    knownOf: (key) => knownOf(db, writer.hot, key),
    record: (key, reading, claim) => writer.run((scope) => recordReading(scope, key, reading, claim, clock.nowMs())),
    passLosses: (key, lost, claim) => writer.run((scope) => losses.pass(scope, key, lost, claim, clock.nowMs())),
    allowLosses: (serials) => writer.run((scope) => allowLosses(scope, serials, clock.nowMs())),
    readingsOf: (key) => readingsOf(db, key),
    tokensOf: (serials) => tokensOf(db, serials),
    tokensLike: (serial) => tokensLike(db, serial),
    lockedTokens: () => tokenPages(selectTokens(db).where('token.is_locked', '=', LOCKED)),
    unreadHolds: () => unreadHolds(db),
    lockouts: () => readLockouts(db),
    accountsCalled: (login, realm) => accountsWith(db, { login, ...(realm === null ? {} : { realm }) }),
    accountsOfUser: ({ resolver, userId }) => accountsWith(db, { resolver, user_id: userId }),
    note: (account) => writer.run((scope) => noteAccount(scope, account, clock.nowMs())),
    markForRefresh: (accounts) => writer.run((scope) => hint(scope, accounts, clock.nowMs())),
    markKeysForRefresh: (keys) => writer.run((scope) => markAccounts(scope, keys, clock.nowMs(), true)),
    wantReset: (key, serials) => writer.run((scope) => wantReset(scope, key, serials, clock.nowMs())),
    dropResets: (key) => writer.run((scope) => dropResets(scope, key, clock.nowMs())),
  }
}

async function knownOf(db: Database, hot: Statements, key: AccountKey): Promise<KnownOwner> {
  const account = await db
    .selectFrom('account')
    .select(['login', 'realm', 'resolver', 'user_id'])
    .where('key', '=', key)
    .executeTakeFirst()
  const tokens = await db
    .selectFrom('token')
    .select(['serial', 'is_locked', 'reset_due', 'loss'])
    .where('account_key', '=', key)
    .execute()
  const read = new Set(tokens.map((row) => row.serial))
  // What events held before privacyIDEA was asked: its answer decides whether that is so.
  const held = await db.selectFrom('hold').select(['kind', 'serial', 'reason']).where('account_key', '=', key).execute()
  const unread = held.flatMap(({ serial }) => (serial === null || read.has(serial) ? [] : [serial]))
  for (const serial of unread) read.add(serial)
  // What an event reported to have left, though privacyIDEA never showed it here.
  const named = (await hot.namedSerials.run(db, { account_key: key })).rows.filter((row) => !read.has(row.serial))
  const lockout = await db.selectFrom('lockout').select('until_us').where('account_key', '=', key).executeTakeFirst()
  return {
    owner: ownerFromRow(account ?? { login: null, realm: null, resolver: null, user_id: null }, key),
    others: await readOthers(db, key),
    newestUs: await newestUs(db, key),
    tokens: [
      ...tokens.map((row) => ({
        serial: serialFromRow(row.serial),
        isLocked: row.is_locked === 1,
        ...heldFor(held.find(({ serial }) => serial === row.serial)?.reason),
      })),
      ...unread.map((serial) => ({ serial: serialFromRow(serial), isLocked: true })),
      ...named.map(({ serial }) => ({ serial: serialFromRow(serial), isLocked: false })),
    ],
    unread: [...unread, ...named.map(({ serial }) => serial)].map(serialFromRow),
    resetDue: tokens.filter((row) => row.reset_due === 1).map((row) => serialFromRow(row.serial)),
    hasLosses: tokens.some((row) => row.loss !== null),
    lockout: lockout === undefined ? null : lockoutFromRow(lockout),
    isHeldWithoutSerial: held.some((row) => row.kind === 'account'),
  }
}

const HELD_FOR: readonly HeldFor[] = ['token-max-fail', 'token-disabled', 'token-revoked']

function heldFor(reason: string | undefined): { heldFor?: HeldFor } {
  const code = reason === undefined ? undefined : reasonFromRow(reason)?.code
  const found = HELD_FOR.find((each) => each === code)
  return found === undefined ? {} : { heldFor: found }
}

/** Accounts of one name; more would add nothing. */
const NAMED_MAX = 10

async function accountsWith(
  db: Database,
  named: Readonly<Partial<Record<'login' | 'realm' | 'resolver' | 'user_id', string>>>,
): Promise<readonly AccountKey[]> {
  let accounts = db.selectFrom('account').select('key as account_key').limit(NAMED_MAX)
  let others = db.selectFrom('owner').select('account_key').limit(NAMED_MAX)
  for (const [column, value] of Object.entries(named)) {
    accounts = accounts.where(column as keyof typeof named, '=', value)
    others = others.where(column as keyof typeof named, '=', value)
  }
  const rows = [...(await accounts.execute()), ...(await others.execute())]
  return [...new Set(rows.map((row) => keyFromRow(row.account_key)))]
}

function lockoutFromRow(row: { until_us: number | null }): Lockout {
  return { untilUs: row.until_us === null ? null : Number(row.until_us) }
}

/** model: read */
async function recordReading(
  scope: WriteScope,
  key: AccountKey,
  reading: Reading,
  claim: Held | null,
  nowMs: number,
): Promise<void> {
  if (claim !== null) await checkHeld(scope, claim)
  const { trx } = scope
  const { user, snapshot, events, reset, owners } = reading
  const others = new Set<AccountKey>()
  let hadLosses = reading.hadLosses === true
  for (const event of await withActors(scope, events, reading.marksAfterUs)) {
    await insertResolved(scope, event, nowMs)
    if (event.serial === null) continue
    // One that another account lost is this one's now.
    if (event.kind === 'register') hadLosses ||= await isLost(scope, event.serial)
    const { rows } = await scope.hot.ofSerial.run(scope.on, { serial_key: serialKey(event.serial) })
    for (const row of rows) if (row.account_key !== null) others.add(keyFromRow(row.account_key))
  }
  others.delete(key)
  await markAccounts(scope, [...others], nowMs)
  for (const { serial, isLocked } of snapshot.tokens) {
    const owner = owners?.get(serial)
    const read = {
      account_key: key,
      is_locked: isLocked ? 1 : 0,
      resolver: owner?.resolver ?? null,
      user_id: owner?.userId ?? null,
      ...NOT_LOST,
      ...readingToRow(reading.readings?.get(serial)),
    }
    await trx
      .insertInto('token')
      .values({ serial, ...read, reset_due: 0, run: NEW })
      .onConflict((conflict) => conflict.column('serial').doUpdateSet(read))
      .execute()
    await authorSerial(scope, key, serial, 'confirmed', nowMs)
  }
  for (const serial of [...snapshot.gone, ...snapshot.tokens.map((token) => token.serial)]) {
    await scope.hot.settleSerial.run(scope.on, { account_key: key, serial_key: serialKey(serial) })
  }
  if (reset.length > 0) {
    await trx
      .updateTable('token')
      .set({ reset_due: 0 })
      .where('serial', 'in', reset)
      .where('account_key', '=', key)
      .execute()
  }
  if (snapshot.gone.length > 0) {
    await trx.deleteFrom('token').where('serial', 'in', snapshot.gone).where('account_key', '=', key).execute()
  }
  if (hadLosses) await endLossFinding(scope, nowMs)
  if (snapshot.lockout !== 'unknown') await writeLockout(scope, key, snapshot.lockout)
  if (user !== null) await writeUser(scope, key, user)
  if (reading.others !== undefined) {
    await trx.deleteFrom('owner').where('account_key', '=', key).execute()
    for (const other of reading.others) await writeOther(scope, key, other)
  }
}

/** The people in the events that made Lockstep ask privacyIDEA: what they caused is theirs. */
async function withActors(
  { hot, on }: WriteScope,
  events: readonly ResolvedEvent[],
  afterUs: number | undefined,
): Promise<readonly ResolvedEvent[]> {
  if (afterUs === undefined) return events
  const named: ResolvedEvent[] = []
  for (const event of events) {
    const { serial, kind, actor } = event
    if (serial === null || actor !== '') named.push(event)
    else {
      const { rows } = await hot.refreshActor.run(on, { serial_key: serialKey(serial), kind, after_us: afterUs })
      named.push({ ...event, actor: rows[0]?.actor ?? '' })
    }
  }
  return named
}

async function isLost({ trx }: WriteScope, serial: Serial): Promise<boolean> {
  const row = await trx.selectFrom('token').select('loss').where('serial', '=', serial).executeTakeFirst()
  return (row?.loss ?? null) !== null
}

async function allowLosses({ trx }: WriteScope, serials: readonly Serial[], nowMs: number): Promise<void> {
  for (let at = 0; at < serials.length; at += PAGE) {
    await trx
      .updateTable('token')
      .set({ loss: 'approved', loss_ms: nowMs, loss_by: null })
      .where('serial', 'in', serials.slice(at, at + PAGE))
      .execute()
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

async function tokensLike(db: Database, serial: Serial): Promise<RecordedToken[]> {
  const rows = await selectTokens(db).where(keyColumn('token.serial'), '=', serialKey(serial)).limit(PAGE).execute()
  return rows.map(tokenFromRow)
}

export function selectTokens(db: Database) {
  return db
    .selectFrom('token')
    .select(['token.serial', 'token.account_key', 'token.is_locked', 'token.resolver', 'token.user_id', 'token.loss'])
}

async function* tokenPages(query: ReturnType<typeof selectTokens>): AsyncGenerator<readonly RecordedToken[]> {
  for await (const rows of inPages(query, 'token.serial')) yield rows.map(tokenFromRow)
}

export function tokenFromRow(row: {
  serial: string
  account_key: string
  is_locked: number
  resolver: string | null
  user_id: string | null
  loss: string | null
}): RecordedToken {
  return {
    serial: serialFromRow(row.serial),
    accountKey: keyFromRow(row.account_key),
    isLocked: row.is_locked === 1,
    resolver: row.resolver === null ? null : parseResolverName(row.resolver),
    userId: row.user_id === null ? null : parseUserId(row.user_id),
    isLossHeld: row.loss === 'waiting' || row.loss === 'dismissed',
  }
}

/** Accounts that a token holds by events, before privacyIDEA was asked about any of them. */
async function* unreadHolds(db: Database): AsyncGenerator<readonly AccountKey[]> {
  const query = db
    .selectFrom('hold')
    .leftJoin('token', (join) => join.on(keyColumn('token.serial'), '=', keyColumn('hold.serial')))
    .select('hold.account_key')
    .distinct()
    .where('hold.kind', 'in', ['token', 'account'])
    .where('token.serial', 'is', null)
  for await (const rows of inPages(query, 'hold.account_key')) yield rows.map((row) => keyFromRow(row.account_key))
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

async function dropResets(scope: WriteScope, key: AccountKey, nowMs: number): Promise<void> {
  await scope.trx
    .updateTable('token')
    .set({ reset_due: 0 })
    .where('account_key', '=', key)
    .where('reset_due', '=', 1)
    .execute()
  await endFinding(scope, 'reset-refused', key, nowMs)
}

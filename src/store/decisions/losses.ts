import { asDn, directoryOf, type AccountKey, type Serial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LossApproval, LossCounts, LossFilter, LossReview, ReviewDecision } from '../../ports/store/review.ts'
import { parseLogin } from '../../core/names.ts'
import {
  endLossFinding,
  IS_LOST,
  LOSS_FINDING,
  lossStateOf,
  NOT_LOST,
  personsOf,
  type LossBreaker,
} from './loss-breaker.ts'
import { endFinding } from '../guards/findings.ts'
import { markAccounts } from '../accounts/queue.ts'
import { keyFromRow, realmFromRow, serialFromRow } from '../rows/rows.ts'
import { keyColumn, keysOfRows } from '../rows/serial-column.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import type { LossCause } from '../../core/reasons/limits.ts'

/** The losses that the breaker held back, and people's decisions on them. */

const MARK_PAGE = 1_000

/** Fails as the store does. */
export function openLosses(db: Database, writer: StoreWriter, clock: Clock, breaker: LossBreaker) {
  return {
    counts: () => readCounts(db, breaker.approvals),
    /** In the order of the serials. */
    list: (filter: LossFilter) => listLosses(db, filter, breaker.approvals),
    /** Those that are pending or were dismissed. */
    approve: (serials: readonly Serial[], word: ReviewDecision) =>
      writer.run((scope) => approve(scope, serials, word, breaker.approvals, clock.nowMs())),
    /** Serials and locks of the pending ones stay unchanged, until the token is listed again. @returns how many */
    dismiss: (serials: readonly Serial[], word: ReviewDecision) =>
      writer.run((scope) => dismiss(scope, serials, word, breaker.approvals, clock.nowMs())),
    /** Starts the count of losses from zero, and lets pending ones try. @returns how many were pending */
    resume: (word: ReviewDecision) => resume(writer, word, clock),
  }
}

async function readCounts(db: Database, needed: number): Promise<LossCounts> {
  const rows = await db
    .selectFrom('token')
    .select((s) => ['loss', 'loss_by', s.fn.countAll<number>().as('n'), s.fn.min('loss_ms').as('oldest')])
    .where(IS_LOST)
    .groupBy(['loss', 'loss_by'])
    .execute()
  const counts = { waiting: 0, approved: 0, dismissed: 0 }
  let oldestMs: number | null = null
  for (const row of rows) {
    const state = lossStateOf(row, needed)
    if (state === null) continue
    counts[state] += Number(row.n)
    if (state === 'waiting') oldestMs = Math.min(oldestMs ?? Infinity, Number(row.oldest ?? 0))
  }
  return { ...counts, oldestMs }
}

async function listLosses(db: Database, filter: LossFilter, needed: number): Promise<readonly LossReview[]> {
  let query = db
    .selectFrom('token')
    .leftJoin('account', 'account.key', 'token.account_key')
    .select(['token.serial', 'token.account_key', 'loss', 'loss_ms', 'loss_why', 'loss_by'])
    .select(['account.login', 'account.realm', 'account.dn', 'account.directory'])
    .where(IS_LOST)
    .orderBy('token.serial')
    .limit(filter.limit)
  if (filter.after !== undefined) query = query.where('token.serial', '>', filter.after)
  if (filter.directory !== undefined) query = query.where('account.directory', '=', filter.directory)
  if (filter.realm !== undefined) query = query.where('account.realm', '=', filter.realm)
  if (filter.keys !== undefined) query = query.where('token.account_key', 'in', filter.keys)
  if (filter.serials !== undefined) {
    query = query.where(keyColumn('token.serial'), 'in', filter.serials.map(serialKey))
  }
  const rows = await query.execute()
  const keys = [...new Set(rows.map((row) => row.account_key))]
  const holds =
    keys.length === 0
      ? []
      : await db.selectFrom('hold').select(['account_key', 'serial']).where('account_key', 'in', keys).execute()
  return rows.flatMap((row) => {
    const state = lossStateOf(row, needed)
    if (state === null) return []
    const key = keyFromRow(row.account_key)
    return {
      key,
      serial: serialFromRow(row.serial),
      directory: directoryOf(key),
      dn: asDn(row.dn ?? ''),
      login: row.login === null ? null : parseLogin(row.login),
      realm: realmFromRow(row.realm),
      sinceMs: Number(row.loss_ms ?? 0),
      cause: row.loss_why as LossCause | null,
      state,
      approvedBy: personsOf(row.loss_by),
      isHold: keysOfRows(holds.filter((hold) => hold.account_key === key)).includes(
        serialKey(serialFromRow(row.serial)),
      ),
    }
  })
}

async function approve(
  scope: WriteScope,
  serials: readonly Serial[],
  { person, reason }: ReviewDecision,
  needed: number,
  nowMs: number,
): Promise<LossApproval> {
  const { trx, log } = scope
  const keys = new Set<AccountKey>()
  let [approved, short, again] = [0, 0, 0]
  for (const { serial, key, by } of await undecided(scope, serials, needed)) {
    if (by.includes(person)) {
      again++
      continue
    }
    const persons = [...by, person]
    const isEnough = persons.length >= needed
    const decided = isEnough ? ({ loss: 'approved', loss_ms: nowMs } as const) : ({ loss: 'waiting' } as const)
    const change = { ...decided, loss_by: JSON.stringify(persons) }
    await trx.updateTable('token').set(change).where('serial', '=', serial).execute()
    log({ atMs: nowMs, kind: 'approved', subject: key, body: { by: person, reason, isEnough, serial } })
    if (isEnough) {
      approved++
      keys.add(key)
    } else short++
  }
  await markAccounts(scope, [...keys], nowMs, true)
  if (keys.size > 0) await endLossFinding(scope, nowMs)
  return { keys: [...keys], approved, short, again }
}

async function dismiss(
  scope: WriteScope,
  serials: readonly Serial[],
  { person, reason }: ReviewDecision,
  needed: number,
  nowMs: number,
): Promise<number> {
  const dismissed = (await undecided(scope, serials, needed)).filter(({ state }) => state === 'waiting')
  for (const { serial, key } of dismissed) {
    const change = { loss: 'dismissed', loss_by: '[]' } as const
    await scope.trx.updateTable('token').set(change).where('serial', '=', serial).execute()
    scope.log({ atMs: nowMs, kind: 'rejected', subject: key, body: { by: person, reason, serial } })
  }
  // What it kept from the other tokens of its account is decided anew.
  await markAccounts(scope, [...new Set(dismissed.map(({ key }) => key))], nowMs, true)
  if (dismissed.length > 0) await endLossFinding(scope, nowMs)
  return dismissed.length
}

interface Undecided {
  readonly serial: Serial
  readonly key: AccountKey
  readonly state: LossReview['state']
  readonly by: readonly string[]
}

async function undecided({ trx }: WriteScope, serials: readonly Serial[], needed: number): Promise<Undecided[]> {
  if (serials.length === 0) return []
  const rows = await trx
    .selectFrom('token')
    .select(['serial', 'account_key', 'loss', 'loss_by'])
    .where('serial', 'in', serials)
    .where(IS_LOST)
    .execute()
  return rows.flatMap((row) => {
    const state = lossStateOf(row, needed)
    if (state === null || state === 'approved') return []
    return [{ serial: serialFromRow(row.serial), key: keyFromRow(row.account_key), state, by: personsOf(row.loss_by) }]
  })
}

/** Pending losses are counted anew at the next reading of their account: the first of them pass. */
async function resume(writer: StoreWriter, { person, reason }: ReviewDecision, clock: Clock): Promise<number> {
  await writer.run(async (scope) => {
    const nowMs = clock.nowMs()
    await scope.trx.deleteFrom('loss_count').execute()
    await endFinding(scope, LOSS_FINDING, '', nowMs)
    scope.log({ atMs: nowMs, kind: 'loss-breaker-resumed', subject: '', body: { by: person, reason } })
  })
  let released = 0
  for (;;) {
    const page = await writer.run((scope) => releasePage(scope, clock.nowMs()))
    released += page
    if (page < MARK_PAGE) return released
  }
}

async function releasePage(scope: WriteScope, nowMs: number): Promise<number> {
  const rows = await scope.trx
    .selectFrom('token')
    .select(['serial', 'account_key'])
    .where(IS_LOST)
    .where('loss', '=', 'waiting')
    .where('loss_ms', '<=', nowMs)
    .limit(MARK_PAGE)
    .execute()
  for (const { serial } of rows) {
    await scope.trx.updateTable('token').set(NOT_LOST).where('serial', '=', serial).execute()
  }
  await markAccounts(scope, [...new Set(rows.map((row) => keyFromRow(row.account_key)))], nowMs, true)
  return rows.length
}

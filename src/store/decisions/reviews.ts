import type { ExpressionBuilder } from 'kysely'
import type { ResolvedEvent } from '../../core/events/event.ts'
import { parseDirectoryName, parseLogin, type AccountKey } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Approval, Review, ReviewCounts, ReviewFilter, ReviewDecision } from '../../ports/store/review.ts'
import type { Breaker } from '../guards/breaker.ts'
import { readDecisions } from './decisions.ts'
import { markAccounts } from '../accounts/queue.ts'
import { requiredReason } from '../rows/reasons.ts'
import { insertResolved } from '../accounts/records.ts'
import { changeFromRow, keyFromRow, realmFromRow } from '../rows/rows.ts'
import type { ChangeRow, Database, Tables } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { countOf, inPages } from '../rows/queries.ts'

/** The review queue: locks that the breaker held back, and people's decisions on them. */

const MARK_PAGE = 1_000

export function openReviews(db: Database, writer: StoreWriter, clock: Clock, breaker: Breaker) {
  return {
    /** How many different people must approve. */
    get approvalsNeeded() {
      return breaker.approvals
    },
    counts: () => readCounts(db, breaker.approvals),
    /** In the order of the keys. */
    list: (filter: ReviewFilter) => listReviews(db, filter, breaker.approvals),
    /** Those of the accounts that are pending; marks what may be written now. */
    approve: (keys: readonly AccountKey[], word: ReviewDecision) =>
      writer.run((scope) => approve(scope, keys, word, breaker.approvals, clock.nowMs())),
    /**
     * Ends the holds of the pending accounts, each by an event of its own.
     * @returns those that were pending
     */
    reject: (words: readonly ResolvedEvent[], word: ReviewDecision) =>
      writer.run((scope) => reject(scope, words, word, breaker, clock.nowMs())),
    /** The newest first, as far as the journal is kept in the store. */
    decisionsOf: (key: AccountKey, limit: number) => readDecisions(db, key, limit),
    /** Starts the count of locks from zero, and lets pending ones try. @returns how many were pending */
    resume: (word: ReviewDecision) => resume(db, writer, word, breaker, clock),
  }
}

async function readCounts(db: Database, needed: number): Promise<ReviewCounts> {
  const all = await countOf(db.selectFrom('review'))
  const waiting = await db
    .selectFrom('review')
    .where(isUndecided(needed))
    .select((s) => [s.fn.countAll<number>().as('n'), s.fn.min('since_ms').as('oldest')])
    .executeTakeFirstOrThrow()
  return {
    waiting: Number(waiting.n),
    approved: all - Number(waiting.n),
    oldestMs: waiting.oldest === null ? null : Number(waiting.oldest),
  }
}

/** Fewer persons have approved it than have to. */
export function isUndecided(needed: number) {
  return (review: ExpressionBuilder<Tables, 'account' | 'review'>) => {
    const approvals = review
      .selectFrom('approval')
      .select((approval) => approval.fn.countAll<number>().as('n'))
      .whereRef('approval.account_key', '=', 'review.account_key')
    return review(approvals, '<', needed)
  }
}

async function listReviews(db: Database, filter: ReviewFilter, needed: number): Promise<readonly Review[]> {
  let query = db
    .selectFrom('review')
    .leftJoin('account', 'account.key', 'review.account_key')
    .selectAll('review')
    .select(['account.login', 'account.realm'])
    .where('review.account_key', '>', filter.after ?? '')
    .orderBy('review.account_key')
    .limit(filter.limit)
  if (filter.directory !== undefined) query = query.where('review.directory', '=', filter.directory)
  if (filter.realm !== undefined) query = query.where('account.realm', '=', filter.realm)
  if (filter.keys !== undefined) query = query.where('review.account_key', 'in', filter.keys)
  const rows = await query.execute()
  const keys = rows.map((row) => row.account_key)
  const approvals =
    keys.length === 0
      ? []
      : await db.selectFrom('approval').select(['account_key', 'person']).where('account_key', 'in', keys).execute()
  return rows.map((row) => {
    const key = keyFromRow(row.account_key)
    const directory = parseDirectoryName(row.directory)
    if (directory === null) throw new TypeError(`a review of no directory: ${key}`)
    const approvedBy = approvals.filter((each) => each.account_key === key).map((each) => each.person)
    return {
      key,
      directory,
      login: row.login === null ? null : parseLogin(row.login),
      realm: realmFromRow(row.realm),
      sinceMs: Number(row.since_ms),
      reason: requiredReason(row.reason),
      change: changeFromRow(JSON.parse(row.change) as ChangeRow),
      state: approvedBy.length >= needed ? 'approved' : 'waiting',
      approvedBy,
    }
  })
}

async function approve(
  scope: WriteScope,
  keys: readonly AccountKey[],
  { person, reason }: ReviewDecision,
  needed: number,
  nowMs: number,
): Promise<Approval> {
  const { trx } = scope
  const approved: AccountKey[] = []
  const short: AccountKey[] = []
  const again: AccountKey[] = []
  for (const key of await waitingOf(scope, keys, needed)) {
    const before = await trx.selectFrom('approval').select('person').where('account_key', '=', key).execute()
    if (before.some((row) => row.person === person)) {
      again.push(key)
      continue
    }
    await trx.insertInto('approval').values({ account_key: key, person, at_ms: nowMs, reason }).execute()
    const isEnough = before.length + 1 >= needed
    ;(isEnough ? approved : short).push(key)
    scope.log({ atMs: nowMs, kind: 'approved', subject: key, body: { by: person, reason, isEnough } })
  }
  await markAccounts(scope, approved, nowMs)
  return { approved, short, again }
}

async function reject(
  scope: WriteScope,
  words: readonly ResolvedEvent[],
  { person, reason }: ReviewDecision,
  breaker: Breaker,
  nowMs: number,
): Promise<readonly AccountKey[]> {
  const keys = words.map((word) => word.accountKey)
  const waiting = new Set(await waitingOf(scope, keys, breaker.approvals))
  for (const word of words) {
    if (!waiting.has(word.accountKey)) continue
    await insertResolved(scope, word, nowMs)
    await breaker.leave(scope, word.accountKey, nowMs)
    scope.log({ atMs: nowMs, kind: 'rejected', subject: word.accountKey, body: { by: person, reason } })
  }
  await markAccounts(scope, [...waiting], nowMs)
  return [...waiting]
}

async function waitingOf({ trx }: WriteScope, keys: readonly AccountKey[], needed: number): Promise<AccountKey[]> {
  if (keys.length === 0) return []
  const rows = await trx
    .selectFrom('review')
    .where(isUndecided(needed))
    .select('account_key')
    .where('account_key', 'in', keys)
    .execute()
  return rows.map((row) => keyFromRow(row.account_key))
}

async function resume(
  db: Database,
  writer: StoreWriter,
  { person, reason }: ReviewDecision,
  breaker: Breaker,
  clock: Clock,
): Promise<number> {
  await writer.run((scope) => breaker.reset(scope, person, reason, clock.nowMs()))
  const waiting = db.selectFrom('review').where(isUndecided(breaker.approvals)).select('review.account_key')
  let marked = 0
  for await (const rows of inPages(waiting, 'review.account_key', MARK_PAGE)) {
    const keys = rows.map((row) => keyFromRow(row.account_key))
    await writer.run((scope) => markAccounts(scope, keys, clock.nowMs()))
    marked += keys.length
  }
  return marked
}

import type { ResolvedEvent } from '../../core/events/event.ts'
import { parseDirectoryName, parseLogin, type AccountKey } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Approval, Review, ReviewFilter, ReviewPort, ReviewDecision } from '../../ports/store/review.ts'
import type { Breaker } from './breaker.ts'
import { readDecisions } from './decisions.ts'
import { markAccounts } from '../accounts/queue.ts'
import { requiredReason } from '../rows/reasons.ts'
import { insertResolved } from '../accounts/records.ts'
import { changeFromRow, keyFromRow, realmFromRow } from '../rows/rows.ts'
import type { ChangeRow, Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

/** The review queue: locks that the breaker held back, and what persons say of them. */

const MARK_PAGE = 1_000

export function openReviews(db: Database, writer: StoreWriter, clock: Clock, breaker: Breaker): ReviewPort {
  return {
    get approvalsNeeded() {
      return breaker.approvals
    },
    counts: () => readCounts(db, breaker.approvals),
    list: (filter) => listReviews(db, filter, breaker.approvals),
    approve: (keys, decision) =>
      writer.run((scope) => approve(scope, keys, decision, breaker.approvals, clock.nowMs())),
    reject: (words, decision) => writer.run((scope) => reject(scope, words, decision, breaker, clock.nowMs())),
    decisionsOf: (key, limit) => readDecisions(db, key, limit),
    resume: (decision) => resume(db, writer, decision, breaker, clock),
  }
}

async function readCounts(db: Database, needed: number): ReturnType<ReviewPort['counts']> {
  const all = await db
    .selectFrom('review')
    .select((s) => s.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow()
  const waiting = await selectWaiting(db, needed)
    .select((s) => [s.fn.countAll<number>().as('n'), s.fn.min('since_ms').as('oldest')])
    .executeTakeFirstOrThrow()
  return {
    waiting: Number(waiting.n),
    approved: Number(all.n) - Number(waiting.n),
    oldestMs: waiting.oldest === null ? null : Number(waiting.oldest),
  }
}

/** Those that fewer persons have approved than have to. */
function selectWaiting(db: Pick<Database, 'selectFrom'>, needed: number) {
  return db.selectFrom('review').where(
    (review) =>
      review
        .selectFrom('approval')
        .select((approval) => approval.fn.countAll<number>().as('n'))
        .whereRef('approval.account_key', '=', 'review.account_key'),
    '<',
    needed,
  )
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
  const keys = words.map((decision) => decision.accountKey)
  const waiting = new Set(await waitingOf(scope, keys, breaker.approvals))
  for (const decision of words) {
    if (!waiting.has(decision.accountKey)) continue
    await insertResolved(scope, decision, nowMs)
    await breaker.leave(scope, decision.accountKey, nowMs)
    scope.log({ atMs: nowMs, kind: 'rejected', subject: decision.accountKey, body: { by: person, reason } })
  }
  await markAccounts(scope, [...waiting], nowMs)
  return [...waiting]
}

async function waitingOf({ trx }: WriteScope, keys: readonly AccountKey[], needed: number): Promise<AccountKey[]> {
  if (keys.length === 0) return []
  const rows = await selectWaiting(trx, needed).select('account_key').where('account_key', 'in', keys).execute()
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
  let marked = 0
  for (let after = ''; ;) {
    const rows = await selectWaiting(db, breaker.approvals)
      .select('account_key')
      .where('account_key', '>', after)
      .orderBy('account_key')
      .limit(MARK_PAGE)
      .execute()
    const keys = rows.map((row) => keyFromRow(row.account_key))
    if (keys.length > 0) await writer.run((scope) => markAccounts(scope, keys, clock.nowMs()))
    marked += keys.length
    const last = keys.at(-1)
    if (last === undefined || keys.length < MARK_PAGE) return marked
    after = last
  }
}

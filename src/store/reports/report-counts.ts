import type { AccountStatus } from '../../core/account/outcome.ts'
import type { ExpressionBuilder, ExpressionWrapper, SqlBool } from 'kysely'
import { IN_STEP, NO_HOLDS, WAITING } from '../rows/literals.ts'
import { IS_LOST } from '../decisions/loss-breaker.ts'
import type { Database, Tables } from '../schema/schema.ts'
import { countOf } from '../rows/queries.ts'
import { isUndecided } from '../decisions/reviews.ts'

/** The counts of `lockstep status`. */

export type StoreCounts = Awaited<ReturnType<typeof readCounts>>

export async function readCounts(db: Database, nowMs: number) {
  const accountsKnown = await countOf(db.selectFrom('account'))
  const held = db
    .selectFrom('account')
    .where((w) => w.or([w('hold_count', '>', NO_HOLDS), w('owned_lock', 'is not', null)]))
  const accountsHeld = await countOf(held.where('hold_count', '>', NO_HOLDS))
  const accountsLockedByUs = await countOf(held.where('owned_lock', 'is not', null))
  const unsettled = db.selectFrom('account').where('standing', '<>', IN_STEP)
  const queue = await db
    .selectFrom('queue')
    .select((s) => [
      s.fn.countAll<number>().as('n'),
      s.fn.sum<number | null>(s.case().when('due_ms', '<=', nowMs).then(1).else(0).end()).as('due'),
      s.fn.min('due_ms').as('oldest'),
    ])
    .executeTakeFirstOrThrow()
  const oldest = queue.oldest === null ? null : Number(queue.oldest)
  const newest = await db
    .selectFrom('event')
    .select('received_ms')
    .orderBy('received_ms', 'desc')
    .limit(1)
    .executeTakeFirst()
  const first = await db.selectFrom('journal').select('seq').orderBy('seq').limit(1).executeTakeFirst()
  const last = await db.selectFrom('journal').select('seq').orderBy('seq', 'desc').limit(1).executeTakeFirst()
  const waiting = db.selectFrom('event').where('state', '=', WAITING)
  return {
    accountsKnown,
    accountsHeld,
    accountsLockedByUs,
    accountsUnsettled: await countOf(unsettled),
    queueLength: Number(queue.n),
    /** Accounts whose time has come. */
    queueDue: Number(queue.due ?? 0),
    /** How long the oldest due account has been due; null when none is. */
    oldestDueMs: oldest !== null && oldest <= nowMs ? nowMs - oldest : null,
    eventsWaiting: await countOf(waiting),
    eventsRefused: await countOf(db.selectFrom('event').where('state', '=', 'refused')),
    eventsNewestMs: newest === undefined ? null : Number(newest.received_ms),
    journalRecords: first === undefined || last === undefined ? 0 : last.seq - first.seq + 1,
  }
}

/**
 * Nobody is locked out, and nobody will be unless a person decides so: the account is protected, or the breaker holds
 * its lock back. A lock of ours that is there all the same is none of these.
 */
export function isKeptOpen(
  account: ExpressionBuilder<Tables, 'account'>,
  approvals: number,
): ExpressionWrapper<Tables, 'account', SqlBool> {
  const waits = account
    .selectFrom('review')
    .select('review.account_key')
    .whereRef('review.account_key', '=', 'account.key')
    .where(isUndecided(approvals))
  const isOpen = account.or([account('standing', 'in', KEPT_OPEN), account.exists(waits)])
  return account.and([account('owned_lock', 'is', null), isOpen])
}

const KEPT_OPEN: readonly AccountStatus[] = ['breaker', 'protected']

/** Accounts that are locked or are to be. */
export async function countLocking(db: Database, approvals: number): Promise<number> {
  const held = db
    .selectFrom('account')
    .where((w) => w.or([w('hold_count', '>', NO_HOLDS), w('owned_lock', 'is not', null)]))
    .where((account) => account.not(isKeptOpen(account, approvals)))
  return countOf(held)
}

const WAITING_STANDINGS = ['failed', 'paused']

export async function countWaits(db: Database, dueMs: number): Promise<{ events: number; accounts: number }> {
  const events = db
    .selectFrom('event')
    .where('state', '=', WAITING)
    .where((w) => w.or([w('attempts', '>', 0), w('next_try_ms', '<=', dueMs)]))
  const accounts = db.selectFrom('account').where((account) => isWaiting(account, dueMs))
  return { events: await countOf(events), accounts: await countOf(accounts) }
}

/** The account is due, failed, or waits for a person: its lock, or that a token of it is gone. */
export function isWaiting(
  account: ExpressionBuilder<Tables, 'account'>,
  dueMs: number,
): ExpressionWrapper<Tables, 'account', SqlBool> {
  const queued = account
    .selectFrom('queue')
    .select('queue.account_key')
    .whereRef('queue.account_key', '=', 'account.key')
    .where((queue) =>
      queue.or([queue('queue.due_ms', '<=', dueMs), queue(queue.ref('account.standing'), 'in', WAITING_STANDINGS)]),
    )
  const review = account
    .selectFrom('review')
    .select('review.account_key')
    .whereRef('review.account_key', '=', 'account.key')
  const lost = account
    .selectFrom('token')
    .select('token.serial')
    .whereRef('token.account_key', '=', 'account.key')
    .where(IS_LOST)
    .where('token.loss', '<>', 'dismissed')
  return account.or([account.exists(queued), account.exists(review), account.exists(lost)])
}

import type { AccountStatus } from '../../core/account/outcome.ts'
import type { ExpressionBuilder, ExpressionWrapper, SqlBool } from 'kysely'
import { IN_STEP, NO_HOLDS, WAITING } from '../rows/literals.ts'
import { IS_LOST } from '../guards/loss-breaker.ts'
import type { Database, Tables } from '../schema/schema.ts'

/** What `lockstep status` counts. */

export interface StoreCounts {
  readonly accountsKnown: number
  readonly accountsHeld: number
  readonly accountsLockedByUs: number
  readonly accountsUnsettled: number
  readonly queueLength: number
  /** Accounts whose time has come. */
  readonly queueDue: number
  /** How long the oldest due account has waited; null when none is due. */
  readonly oldestDueMs: number | null
  readonly eventsWaiting: number
  readonly eventsRefused: number
  readonly eventsNewestMs: number | null
  readonly journalRecords: number
}

export async function readCounts(db: Database, nowMs: number): Promise<StoreCounts> {
  const accountsKnown = await count(db.selectFrom('account').select((s) => s.fn.countAll<number>().as('n')))
  const held = db
    .selectFrom('account')
    .where((w) => w.or([w('hold_count', '>', NO_HOLDS), w('owned_lock', 'is not', null)]))
  const accountsHeld = await count(
    held.where('hold_count', '>', NO_HOLDS).select((s) => s.fn.countAll<number>().as('n')),
  )
  const ours = held.where('owned_lock', 'is not', null)
  const accountsLockedByUs = await count(ours.select((s) => s.fn.countAll<number>().as('n')))
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
    accountsUnsettled: await count(unsettled.select((s) => s.fn.countAll<number>().as('n'))),
    queueLength: Number(queue.n),
    queueDue: Number(queue.due ?? 0),
    oldestDueMs: oldest !== null && oldest <= nowMs ? nowMs - oldest : null,
    eventsWaiting: await count(waiting.select((s) => s.fn.countAll<number>().as('n'))),
    eventsRefused: await count(
      db
        .selectFrom('event')
        .where('state', '=', 'refused')
        .select((s) => s.fn.countAll<number>().as('n')),
    ),
    eventsNewestMs: newest === undefined ? null : Number(newest.received_ms),
    journalRecords: first === undefined || last === undefined ? 0 : last.seq - first.seq + 1,
  }
}

async function count(query: { executeTakeFirstOrThrow(): Promise<{ n: number }> }): Promise<number> {
  return Number((await query.executeTakeFirstOrThrow()).n)
}

/**
 * Nobody is kept out, and nobody will be unless a person says so: the account is protected, or the breaker holds its lock
 * back. A lock of ours that stands all the same is none of these.
 */
export function isKeptOpen(
  account: ExpressionBuilder<Tables, 'account'>,
  approvals: number,
): ExpressionWrapper<Tables, 'account', SqlBool> {
  const waits = account
    .selectFrom('review')
    .select('review.account_key')
    .whereRef('review.account_key', '=', 'account.key')
    .where(
      (review) =>
        review
          .selectFrom('approval')
          .select((approval) => approval.fn.countAll<number>().as('n'))
          .whereRef('approval.account_key', '=', 'review.account_key'),
      '<',
      approvals,
    )
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
  return count(held.select((s) => s.fn.countAll<number>().as('n')))
}

const WAITING_STANDINGS = ['failed', 'paused']

export async function countWaits(db: Database, dueMs: number): Promise<{ events: number; accounts: number }> {
  const events = await count(
    db
      .selectFrom('event')
      .where('state', '=', WAITING)
      .where((w) => w.or([w('attempts', '>', 0), w('next_try_ms', '<=', dueMs)]))
      .select((s) => s.fn.countAll<number>().as('n')),
  )
  const accounts = await count(
    db
      .selectFrom('account')
      .where((account) => isWaiting(account, dueMs))
      .select((s) => s.fn.countAll<number>().as('n')),
  )
  return { events, accounts }
}

/** The account is due, could not be done, or waits for a person: its lock, or that a token of it is gone. */
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

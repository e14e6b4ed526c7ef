import { countOf, type NoticeKind } from '../../core/mail/notice.ts'
import type { Clock } from '../../ports/clock.ts'
import type { MailState } from '../../ports/store/mail.ts'
import { isBeforeRecipient, type MailAnswer } from '../../core/mail/mail-answer.ts'
import type { MailFailing } from '../../core/mail/mail-verdict.ts'
import { readServer, recipientFromRow, refusalsFromRow, wantRetry } from './outbox.ts'
import { digestFromRow } from './digests.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

/** What people are shown of the outbox, and may do to it. */

export interface MailReport {
  readonly id: string
  readonly state: MailState
  /** `owner` of an account, or the help desk. */
  readonly audience: 'owner' | 'help-desk'
  /** The owner's login, or their account where that is not known; the help desk's address. */
  readonly recipient: string
  /** Where it was sent to; null: it was not, or not known yet. */
  readonly address: string | null
  readonly counts: Readonly<Partial<Record<NoticeKind, number>>>
  /** The number of its notifications. */
  readonly count: number
  readonly createdMs: number
  /** When it is next retried; null: it has ended. */
  readonly dueMs: number | null
  readonly sealedMs: number | null
  readonly endedMs: number | null
  readonly attempts: number
  readonly whyCode: string | null
  readonly why: string
  /** The last refusal of the mail server; null: none, or an earlier version did not record it. */
  readonly answer: MailAnswer | null
}

export interface MailCounts {
  /** Why no mail can be sent. */
  readonly failing: MailFailing | null
  /** When the server last took one. */
  readonly sentMs: number | null
  readonly states: Readonly<Partial<Record<MailState, number>>>
  /** Of those that did not come to their end: the oldest's age counts from here. */
  readonly oldestMs: number | null
  /** Ended without being sent, in the last day. */
  readonly lostLately: number
  /** Of these, the ones that the server refused. */
  readonly refusedLately: number
}

export interface MailFilter {
  readonly states?: readonly MailState[] | undefined
  readonly limit: number
}

const LATELY_MS = 86_400_000
/** The new lifetime of a mail that a person retries. */
const AGAIN_MS = 86_400_000

export function openMailReports(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    counts: () => counts(db, clock.nowMs()),
    list: (filter: MailFilter) => list(db, filter),
    /** Due at once, also such as had ended unsent. @param ids null: all pending @returns how many */
    retry: (ids: readonly string[] | null) => writer.run((scope) => retry(scope, ids, clock.nowMs())),
    /** Never to be sent. @param ids null: all pending @returns how many */
    drop: (ids: readonly string[] | null, by: string) =>
      writer.run(async ({ trx }) => {
        const query = trx
          .updateTable('mail')
          .set({ state: 'dropped', ended_ms: clock.nowMs(), why_code: null, why: `dropped by ${by}` })
          .where('ended_ms', 'is', null)
        const chosen = ids === null ? query : query.where('id', 'in', ids)
        return Number((await chosen.executeTakeFirst()).numUpdatedRows)
      }),
  }
}

async function retry(scope: WriteScope, ids: readonly string[] | null, nowMs: number): Promise<number> {
  const { trx } = scope
  const chosen = trx.updateTable('mail').set({ due_ms: nowMs, attempts: 0 })
  const gathering = chosen.where('state', '=', 'gathering').where('ended_ms', 'is', null)
  const others = chosen
    .set((update) => ({
      state: 'waiting',
      ended_ms: null,
      // The reason of the refusal may have been removed.
      refusals: update.case().when('ended_ms', 'is', null).then(update.ref('refusals')).else(null).end(),
      expires_ms: update
        .case()
        .when('expires_ms', '<', nowMs + AGAIN_MS)
        .then(nowMs + AGAIN_MS)
        .else(update.ref('expires_ms'))
        .end(),
    }))
    .where('state', 'not in', ['gathering', 'sent'])
  const results = [
    await (ids === null ? gathering : gathering.where('id', 'in', ids)).executeTakeFirst(),
    await (ids === null ? others.where('ended_ms', 'is', null) : others.where('id', 'in', ids)).executeTakeFirst(),
  ]
  await wantRetry(scope)
  return results.reduce((sum, { numUpdatedRows }) => sum + Number(numUpdatedRows), 0)
}

async function counts(db: Database, nowMs: number): Promise<MailCounts> {
  const rows = await db
    .selectFrom('mail')
    .select((select) => ['state', select.fn.countAll<number>().as('count')])
    .groupBy('state')
    .execute()
  const oldest = await db
    .selectFrom('mail')
    .select((select) => select.fn.min('created_ms').as('ms'))
    .where('ended_ms', 'is', null)
    .executeTakeFirst()
  const lost = await db
    .selectFrom('mail')
    .select((select) => ['state', select.fn.countAll<number>().as('count')])
    .where('ended_ms', '>', nowMs - LATELY_MS)
    .where('state', 'in', ['refused', 'expired', 'no-address'])
    .groupBy('state')
    .execute()
  const oldestMs = oldest?.ms ?? null
  const { failing, sentMs } = await readServer(db)
  // The server's refusal of mails is about the pending ones.
  const isPast = oldestMs === null && failing !== null && failing.answer !== null && !isBeforeRecipient(failing.answer)
  return {
    failing: isPast ? null : failing,
    sentMs,
    states: Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)])),
    oldestMs: oldestMs === null ? null : Number(oldestMs),
    lostLately: lost.reduce((sum, { count }) => sum + Number(count), 0),
    refusedLately: Number(lost.find(({ state }) => state === 'refused')?.count ?? 0),
  }
}

async function list(db: Database, { states, limit }: MailFilter): Promise<MailReport[]> {
  const all = db.selectFrom('mail').selectAll().orderBy('created_ms', 'desc').orderBy('id').limit(limit)
  const rows = await (states === undefined ? all : all.where('state', 'in', states)).execute()
  const keys = rows.flatMap(({ recipient }) => {
    const to = recipientFromRow(recipient)
    return to.kind === 'owner' ? [to.account] : []
  })
  const accounts =
    keys.length === 0
      ? []
      : await db.selectFrom('account').select(['key', 'login', 'dn']).where('key', 'in', keys).execute()
  return rows.map((row) => {
    const to = recipientFromRow(row.recipient)
    const account = to.kind === 'owner' ? accounts.find(({ key }) => key === to.account) : undefined
    const digest = digestFromRow(row.digest)
    return {
      id: row.id,
      state: row.state,
      audience: to.kind,
      recipient: to.kind === 'owner' ? (account?.login ?? account?.dn ?? to.account) : to.address,
      address: row.address,
      counts: digest.counts,
      count: countOf(digest),
      createdMs: Number(row.created_ms),
      dueMs: row.ended_ms === null ? Number(row.due_ms) : null,
      sealedMs: row.sealed_ms === null ? null : Number(row.sealed_ms),
      endedMs: row.ended_ms === null ? null : Number(row.ended_ms),
      attempts: row.attempts,
      whyCode: row.why_code,
      why: row.why,
      answer: refusalsFromRow(row.refusals)?.answer ?? null,
    }
  })
}

import type { Selectable } from 'kysely'
import { AppError } from '../core/error.ts'
import { parseMailAddress } from '../core/mail-address.ts'
import { splitAccountKey } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { ClaimedMail, HeldMail, OutboxPort, Recipient } from '../ports/mail.ts'
import { freeDeadLeases, newLease, NO_LEASE, type LeaseOptions } from './leases.ts'
import type { MailTable } from './mail-table.ts'
import { digestFromRow } from './digests.ts'
import type { Database } from './schema.ts'
import type { Writer, WriteScope } from './writer.ts'

/** Mails on their way; see OutboxPort. */

export const TROUBLE_KEY = 'mail-trouble'
const FORGET_ROWS_MAX = 500

/** Why no mail can be sent, and when one was sent last. */
export interface MailTrouble {
  readonly failing: { readonly sinceMs: number; readonly reason: string } | null
  readonly sentMs: number | null
}

type MailRow = Selectable<MailTable>

export function openOutbox(db: Database, writer: Writer, clock: Clock, options: LeaseOptions): OutboxPort {
  const set = ({ id, token }: HeldMail, change: Partial<MailRow>): Promise<void> =>
    writer.runSoon(async ({ trx }) => {
      await trx
        .updateTable('mail')
        .set({ ...NO_LEASE, ...change })
        .where('id', '=', id)
        .where('lease_token', '=', token)
        .execute()
    })
  return {
    claim: (nowMs) => writer.runSoon((scope) => claim(scope, nowMs, options)),
    async countDue(nowMs) {
      const row = await db
        .selectFrom('mail')
        .select((select) => select.fn.countAll<number>().as('count'))
        .where('ended_ms', 'is', null)
        .where('due_ms', '<=', nowMs)
        .executeTakeFirstOrThrow()
      return Number(row.count)
    },
    sent: (mail, address) => set(mail, { state: 'sent', address, ended_ms: clock.nowMs(), why: '', why_code: null }),
    postpone: ({ id, token }, { dueMs, code, why, isTried }) =>
      writer.runSoon(async ({ trx }) => {
        await trx
          .updateTable('mail')
          .set((update) => ({
            due_ms: dueMs,
            why_code: code,
            why,
            attempts: isTried ? update('attempts', '+', 1) : update.ref('attempts'),
            ...NO_LEASE,
          }))
          .where('id', '=', id)
          .where('lease_token', '=', token)
          .execute()
      }),
    end: (mail, state, why) => set(mail, { state, why_code: why.code, why: why.text, ended_ms: clock.nowMs() }),
    release: (mail) => set(mail, {}),
    freeDeadLeases: () => writer.runSoon(({ trx }) => freeDeadLeases(trx, 'mail', options)),
    trouble: (reason) => writer.runSoon((scope) => noteTrouble(scope, reason, clock.nowMs())),
    async forget(beforeMs) {
      const result = await writer.runSoon(({ trx }) =>
        trx
          .deleteFrom('mail')
          .where('id', 'in', (from) =>
            from.selectFrom('mail').select('id').where('ended_ms', '<', beforeMs).limit(FORGET_ROWS_MAX),
          )
          .executeTakeFirst(),
      )
      return Number(result.numDeletedRows)
    },
  }
}

/** One that gathers is not begun while an older one to the same person waits: it would be told before it. */
async function claim({ trx }: WriteScope, nowMs: number, options: LeaseOptions): Promise<ClaimedMail | null> {
  const { boot } = options
  const due = await trx
    .selectFrom('mail')
    .select(['id', 'sealed_ms'])
    .where('ended_ms', 'is', null)
    .where('due_ms', '<=', nowMs)
    .where((where) =>
      where.or([
        where('lease_owner', 'is', null),
        where.and([where('lease_boot', '=', boot.bootId), where('lease_until_ms', '<', boot.uptimeMs())]),
      ]),
    )
    .where((where) =>
      where.or([
        where('state', '=', 'waiting'),
        where.not(
          where.exists(
            where
              .selectFrom('mail as older')
              .select('older.id')
              .whereRef('older.recipient', '=', 'mail.recipient')
              .where('older.ended_ms', 'is', null)
              .where('older.state', '=', 'waiting'),
          ),
        ),
      ]),
    )
    .orderBy('due_ms')
    .limit(1)
    .executeTakeFirst()
  if (due === undefined) return null
  const lease = newLease(options)
  const row = await trx
    .updateTable('mail')
    .set({
      state: 'waiting',
      sealed_ms: due.sealed_ms ?? nowMs,
      ...lease,
    })
    .where('id', '=', due.id)
    .returningAll()
    .executeTakeFirstOrThrow()
  return {
    id: row.id,
    token: lease.lease_token,
    recipient: recipientFromRow(row.recipient),
    digest: digestFromRow(row.digest),
    sealedMs: Number(row.sealed_ms),
    expiresMs: Number(row.expires_ms),
    attempts: row.attempts,
  }
}

export function recipientFromRow(text: string): Recipient {
  const space = text.indexOf(' ')
  const [kind, name] = [text.slice(0, space), text.slice(space + 1)]
  const address = kind === 'help-desk' ? parseMailAddress(name) : null
  if (address !== null) return { kind: 'help-desk', address }
  const account = kind === 'account' ? splitAccountKey(name) : null
  if (account !== null) return { kind: 'owner', account: account.key }
  throw new AppError('store-corrupt', 'a mail in the store is for nobody')
}

async function noteTrouble({ trx, hot, on }: WriteScope, reason: string | null, nowMs: number): Promise<void> {
  const before = await readTrouble(trx)
  const after: MailTrouble =
    reason === null
      ? { failing: null, sentMs: nowMs }
      : { ...before, failing: { sinceMs: before.failing?.sinceMs ?? nowMs, reason } }
  await hot.writeMeta.run(on, { key: TROUBLE_KEY, value: JSON.stringify(after) })
}

export async function readTrouble(db: Pick<Database, 'selectFrom'>): Promise<MailTrouble> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', TROUBLE_KEY).executeTakeFirst()
  return row === undefined ? { failing: null, sentMs: null } : (JSON.parse(row.value) as MailTrouble)
}

import type { Selectable } from 'kysely'
import { AppError } from '../../core/error.ts'
import { parseMailAddress } from '../../core/mail/mail-address.ts'
import { splitAccountKey } from '../../core/names.ts'
import {
  afterAnswer,
  afterSent,
  failed,
  judgeRefusal,
  ofAll,
  type MailRefusals,
  type MailServerRecord,
  type Refusal,
} from '../../core/mail/mail-verdict.ts'
import type { Clock } from '../../ports/clock.ts'
import type {
  ClaimedMail,
  HeldMail,
  OutboxPort,
  Recipient,
  RefusalOutcome,
  RefusalWaits,
} from '../../ports/store/mail.ts'
import { freeDeadLeases, newLease, NO_LEASE, type LeaseOptions } from '../engine/leases.ts'
import { digestFromRow } from './digests.ts'
import type { Database, MailTable } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { metaText, readMeta, writeMeta } from '../engine/meta.ts'
import { countOf } from '../rows/queries.ts'

/** Mails on their way; see OutboxPort. */

const SERVER_KEY = 'mail-trouble'
const FORGET_ROWS_MAX = 500

interface ServerRow extends MailServerRecord {
  /** A person wants the mails to be tried at once. */
  readonly isRetryWanted?: boolean
}

const NOTHING_KNOWN: ServerRow = { failing: null, sentMs: null, takenMs: null, accepted: 0, suspect: null }

type MailRow = Selectable<MailTable>

export function openOutbox(db: Database, writer: StoreWriter, clock: Clock, options: LeaseOptions): OutboxPort {
  const set = (mail: HeldMail, change: Partial<MailRow>): Promise<void> =>
    writer.runSoon((scope) => write(scope, mail, change))
  return {
    claim: (nowMs, random = null) => writer.runSoon((scope) => claim(scope, { nowMs, random }, options)),
    countDue: (nowMs) => countOf(db.selectFrom('mail').where('ended_ms', 'is', null).where('due_ms', '<=', nowMs)),
    sent: (mail, address) =>
      writer.runSoon(async (scope) => {
        const nowMs = clock.nowMs()
        const change = { address, ended_ms: nowMs, why: '', why_code: null, refusals: null }
        await write(scope, mail, { state: 'sent', ...change })
        await writeServer(scope, afterSent(await readServer(scope.trx), nowMs))
      }),
    refused: (mail, refusal, waits) =>
      writer.runSoon((scope) => refuse(scope, { mail, refusal, waits }, clock.nowMs())),
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
    trouble: (failure) =>
      writer.runSoon(async (scope) => {
        const known = await readServer(scope.trx)
        await writeServer(scope, failed(known, { ...failure, answer: null }, clock.nowMs()))
      }),
    async takenAddress(except) {
      const row = await db
        .selectFrom('mail')
        .select('address')
        .where('state', '=', 'sent')
        .where('address', 'is not', null)
        .where('address', '<>', except)
        .orderBy('ended_ms', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row === undefined ? null : parseMailAddress(row.address ?? '')
    },
    asked: (recipient, refusal) =>
      writer.runSoon(async (scope) => {
        const [nowMs, known] = [clock.nowMs(), await readServer(scope.trx)]
        const { verdict, server } = judgeRefusal(refusal, { before: null, recipient }, known, nowMs)
        await writeServer(scope, server)
        return verdict === 'server'
      }),
    answers: () =>
      writer.runSoon(async (scope) => {
        const after = afterAnswer(await readServer(scope.trx))
        await writeServer(scope, after)
        return after.failing
      }),
    isRetryWanted: async () => (await readServer(db)).isRetryWanted === true,
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

/** A gathering one is not begun while an older one to the same recipient waits: it would be sent before it. */
async function claim(
  { trx }: WriteScope,
  { nowMs, random }: { nowMs: number; random: number | null },
  options: LeaseOptions,
): Promise<ClaimedMail | null> {
  const { boot } = options
  const all = trx
    .selectFrom('mail')
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
  const offset = random === null ? 0 : Math.floor(random * (await countOf(all)))
  const due = await all.select(['id', 'sealed_ms']).orderBy('due_ms').limit(1).offset(offset).executeTakeFirst()
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
    refusals: refusalsFromRow(row.refusals),
    why: row.why,
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

async function write({ trx }: WriteScope, { id, token }: HeldMail, change: Partial<MailRow>): Promise<void> {
  await trx
    .updateTable('mail')
    .set({ ...NO_LEASE, ...change })
    .where('id', '=', id)
    .where('lease_token', '=', token)
    .execute()
}

interface Refused {
  readonly mail: ClaimedMail
  readonly refusal: Refusal
  readonly waits: RefusalWaits
}

async function refuse(scope: WriteScope, { mail, refusal, waits }: Refused, nowMs: number): Promise<RefusalOutcome> {
  const { recipient: to, refusals: before } = mail
  const recipient = to.kind === 'owner' ? to.account : to.address
  const known = await readServer(scope.trx)
  const { verdict, refusals, server } = judgeRefusal(refusal, { before, recipient }, known, nowMs)
  const why = { refusals: JSON.stringify(refusals), ...whyOf(verdict === 'server' ? ofAll(refusal) : refusal) }
  if (verdict === 'refused') await write(scope, mail, { ...why, state: 'refused', ended_ms: nowMs })
  else {
    const waitMs = {
      deferred: waits.deferredMs,
      doubted: waits.doubtedMs(refusals.times),
      server: waits.serverMs,
    }[verdict]
    const attempts = mail.attempts + (verdict === 'server' ? 0 : 1)
    await write(scope, mail, { ...why, attempts, due_ms: nowMs + waitMs })
  }
  await writeServer(scope, server)
  return { verdict, refusals, failing: server.failing }
}

function whyOf({ code, reason }: Refusal): Pick<MailRow, 'why_code' | 'why'> {
  return { why_code: code, why: reason }
}

/** @returns null where it has none, or a later version wrote it */
export function refusalsFromRow(text: string | null): MailRefusals | null {
  return text === null ? null : (JSON.parse(text) as MailRefusals)
}

/** An unchanged row is not written: the loop that sends asks often. A wish to retry ends with the next outcome. */
async function writeServer({ hot, on, trx }: WriteScope, after: MailServerRecord): Promise<void> {
  const { failing, sentMs, takenMs, accepted, suspect } = after
  const value = JSON.stringify({ failing, sentMs, takenMs, accepted, suspect } satisfies ServerRow)
  if ((await metaText(trx, SERVER_KEY)) !== value) await hot.writeMeta.run(on, { key: SERVER_KEY, value })
}

/** Pending mails are tried at once, whatever is known of the server. */
export async function wantRetry(scope: WriteScope): Promise<void> {
  const known = await readServer(scope.trx)
  if (known.failing !== null) await writeMeta<ServerRow>(scope, SERVER_KEY, { ...known, isRetryWanted: true })
}

export async function readServer(db: Pick<Database, 'selectFrom'>): Promise<ServerRow> {
  const known = await readMeta<Partial<ServerRow>>(db, SERVER_KEY)
  if (known === null) return NOTHING_KNOWN
  if (known.accepted !== undefined) return { ...NOTHING_KNOWN, ...known }
  // An earlier version took a mail that was refused for one that was sent.
  const sent = await db
    .selectFrom('mail')
    .select((select) => select.fn.max('ended_ms').as('ms'))
    .where('state', '=', 'sent')
    .executeTakeFirst()
  const failing = known.failing ?? null
  return {
    ...NOTHING_KNOWN,
    sentMs: sent?.ms === undefined || sent.ms === null ? null : Number(sent.ms),
    failing: failing === null ? null : { ...NO_ANSWER, ...failing },
  }
}

const NO_ANSWER = { code: null, fix: '', answer: null }

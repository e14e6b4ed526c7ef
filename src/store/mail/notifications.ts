import type { NotificationPort, GatherRules, Recipient } from '../../ports/store/mail.ts'
import { dueMs } from '../../core/mail/mail-times.ts'
import { gathered, type Notice } from '../../core/mail/notice.ts'
import type { Clock } from '../../ports/clock.ts'
import { digestFromRow } from './digests.ts'
import { readHead } from '../engine/journal.ts'
import { noticesOf } from './notifications-of-journal.ts'
import { sourceNotifications, unresolvedNotifications, type OtherNotifications } from './notifications-of-state.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { metaText, readMeta, writeMeta } from '../engine/meta.ts'

/** From the journal to the outbox; see NotificationPort. */

/** Records read in one go: short, since nobody else writes while their mails are. */
const PAGE_RECORDS = 200
const CURSOR_KEY = 'mail-cursor'
const RECIPIENT_PART = 100

export function openNotifications(
  db: Database,
  writer: StoreWriter,
  clock: Clock,
  newId: () => string,
): NotificationPort {
  return {
    async gather(rules) {
      const nowMs = clock.nowMs()
      const cursor = await readMeta<number>(db, CURSOR_KEY)
      if (cursor === null) return false
      const rows = await db
        .selectFrom('journal')
        .select(['seq', 'at_ms', 'kind', 'subject', 'body'])
        .where('seq', '>', cursor)
        .orderBy('seq')
        .limit(PAGE_RECORDS)
        .execute()
      const hasMore = rows.length === PAGE_RECORDS
      const others = hasMore
        ? []
        : [await unresolvedNotifications(db, nowMs, rules.unresolvedAfterMs), await sourceNotifications(db, nowMs)]
      const found = others.filter((each) => each !== null)
      if (rows.length === 0 && found.length === 0) return false
      const fresh = [...(await noticesOf(db, rows)), ...found.flatMap(({ notices }) => notices)]
      const notifications = fresh.filter(({ atMs }) => atMs > nowMs - rules.maxAgeMs)
      const to = rows.at(-1)?.seq ?? cursor
      await writer.runSoon((scope) =>
        report(scope, { cursor, to, notifications, others: found }, rules, { nowMs, newId }),
      )
      return hasMore
    },
    begin: () =>
      writer.runSoon(async (scope) => {
        if ((await readMeta<number>(scope.trx, CURSOR_KEY)) === null) await skip(scope)
      }),
    skip: () => writer.runSoon((scope) => skip(scope)),
  }
}

/** Nobody is notified of anything up to now. */
async function skip(scope: WriteScope): Promise<void> {
  const { seq } = await readHead(scope.trx)
  await writeMeta(scope, CURSOR_KEY, seq)
}

interface Page {
  readonly cursor: number
  readonly to: number
  readonly notifications: readonly Notice[]
  readonly others: readonly OtherNotifications[]
}

interface Now {
  readonly nowMs: number
  readonly newId: () => string
}

/** Nothing is written where another process read this page meanwhile. */
async function report(scope: WriteScope, page: Page, rules: GatherRules, now: Now): Promise<void> {
  if ((await readMeta<number>(scope.trx, CURSOR_KEY)) !== page.cursor) return
  for (const { key, before } of page.others) {
    if ((await metaText(scope.trx, key)) !== before) return
  }
  const messages = messagesOf(page.notifications, rules)
  const recipients = [...messages.keys()]
  for (let at = 0; at < recipients.length; at += RECIPIENT_PART) {
    await add(scope, recipients.slice(at, at + RECIPIENT_PART), messages, rules, now)
  }
  if (page.to !== page.cursor) await writeMeta(scope, CURSOR_KEY, page.to)
  for (const { key, after } of page.others) await scope.hot.writeMeta.run(scope.on, { key, value: after })
}

/** The messages by recipient. */
function messagesOf(notifications: readonly Notice[], rules: GatherRules): Map<string, Notice[]> {
  const messages = new Map<string, Notice[]>()
  const put = (recipient: Recipient, notice: Notice): void => {
    const name = recipientName(recipient)
    const list = messages.get(name) ?? []
    messages.set(name, [...list, notice])
  }
  for (const notice of notifications) {
    if (notice.account !== null && rules.ownerKinds.includes(notice.kind)) {
      put({ kind: 'owner', account: notice.account }, notice)
    }
    if (!rules.helpDeskKinds.includes(notice.kind)) continue
    for (const address of rules.helpDesk) put({ kind: 'help-desk', address }, notice)
  }
  return messages
}

export function recipientName(recipient: Recipient): string {
  return recipient.kind === 'owner' ? `account ${recipient.account}` : `help-desk ${recipient.address}`
}

async function add(
  scope: WriteScope,
  recipients: readonly string[],
  messages: ReadonlyMap<string, readonly Notice[]>,
  rules: GatherRules,
  { nowMs, newId }: Now,
): Promise<void> {
  const open = await scope.trx
    .selectFrom('mail')
    .select(['id', 'recipient', 'digest'])
    .where('recipient', 'in', recipients)
    .where('ended_ms', 'is', null)
    .where('state', '=', 'gathering')
    .execute()
  const last = await scope.trx
    .selectFrom('mail')
    .select((select) => ['recipient', select.fn.max('sealed_ms').as('sealed_ms')])
    .where('recipient', 'in', recipients)
    .where('sealed_ms', '>', nowMs - rules.intervalMs)
    .groupBy('recipient')
    .execute()
  for (const recipient of recipients) {
    const notices = messages.get(recipient) ?? []
    const mail = open.find((each) => each.recipient === recipient)
    const before = mail === undefined ? null : digestFromRow(mail.digest)
    const digest = gathered(before, notices)
    const fresh = { digest: JSON.stringify(digest), expires_ms: digest.lastMs + rules.maxAgeMs }
    if (mail !== undefined) {
      await scope.trx.updateTable('mail').set(fresh).where('id', '=', mail.id).execute()
      continue
    }
    const lastMs = last.find((each) => each.recipient === recipient)?.sealed_ms ?? null
    await scope.trx
      .insertInto('mail')
      .values({
        ...fresh,
        id: newId(),
        recipient,
        state: 'gathering',
        created_ms: nowMs,
        due_ms: dueMs(nowMs, lastMs === null ? null : Number(lastMs), rules),
        sealed_ms: null,
        attempts: 0,
        address: null,
        why_code: null,
        why: '',
        lease_owner: null,
        lease_until_ms: null,
        ended_ms: null,
      })
      .execute()
  }
}

import { toAppError } from '../core/error.ts'
import { BARE_REASONS_VARIABLE, renderBareCodes } from '../core/wording.ts'
import { systemClock } from '../ports/clock.ts'
import { errorFields, type Fields, type Log } from '../app/log.ts'
import type { MailOrder, MailLogLine } from './mail.ts'
import { openMailer } from '../app/mailer.ts'

/**
 * The entry of the process that sends mail (daemon/mail.ts). It ends with its parent, for any cause: it takes no new
 * mail, waits for the mail server's answer to mails in progress and puts it on record.
 */

/** How long an answer is waited for at the end; a mail without one is sent again. */
const LAST_ANSWER_MS = 5_000

process.umask(0o027)
renderBareCodes(process.env[BARE_REASONS_VARIABLE] === '1')
/** A signal to the whole group is handled by the parent: the parent sends a message, or is gone. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

const logTo =
  (level: MailLogLine['level']) =>
  (message: string, fields: Fields = {}) => {
    if (process.connected) process.send?.({ level, message, fields } satisfies MailLogLine, () => undefined)
  }
const log: Log = { info: logTo('info'), warn: logTo('warn'), error: logTo('error') }

const parentGone = new Promise<void>((resolve) => process.once('disconnect', () => resolve()))

process.once('message', (order: MailOrder) => {
  work(order)
    .catch((thrown: unknown) => {
      log.error('mail failed', errorFields(toAppError(thrown)))
      process.exitCode = 1
    })
    .finally(() => {
      if (process.connected) process.disconnect()
    })
})

async function work({ settings, mode }: MailOrder): Promise<void> {
  const isOnce = mode === 'once'
  const around = { clock: systemClock, log, env: process.env }
  await using mailer = await openMailer(settings, around, isOnce ? { gatherMs: 0 } : {})
  const { outboxWorker, transport, store } = mailer
  const running = isOnce
    ? once()
    : outboxWorker.run((thrown) => log.error('mail failed', errorFields(toAppError(thrown))))
  await Promise.race([running, parentGone, store.failed])
  const timer = setTimeout(() => void transport[Symbol.asyncDispose](), LAST_ANSWER_MS)
  await outboxWorker.stop()
  await running
  clearTimeout(timer)

  async function once(): Promise<void> {
    await outboxWorker.gather()
    await outboxWorker.deliver()
  }
}

import { toAppError } from '../core/error.ts'
import { BARE_REASONS_VARIABLE, renderBareCodes } from '../core/wording.ts'
import { systemClock } from '../ports/clock.ts'
import { errorFields, type Fields, type Log } from '../app/log.ts'
import type { MailOrder, MailWord } from './mail.ts'
import { openPost } from '../app/post.ts'

/**
 * The entry of the process that sends mail (daemon/mail.ts). Its parent's end, however it comes, ends it: it takes nothing
 * new, and what the mail server has in its hands is waited for and put on record.
 */

/** How long an answer is waited for at the end; a mail without one is sent again. */
const LAST_ANSWER_MS = 5_000

process.umask(0o027)
renderBareCodes(process.env[BARE_REASONS_VARIABLE] === '1')
/** A stop of the whole group is the parent's business: it says so, or is gone. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

const say =
  (level: MailWord['level']) =>
  (message: string, fields: Fields = {}) => {
    if (process.connected) process.send?.({ level, message, fields } satisfies MailWord, () => undefined)
  }
const log: Log = { info: say('info'), warn: say('warn'), error: say('error') }

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
  await using post = await openPost(settings, around, isOnce ? { gatherMs: 0 } : {})
  const { postman, transport, store } = post
  const running = isOnce ? once() : postman.run((thrown) => log.error('mail failed', errorFields(toAppError(thrown))))
  await Promise.race([running, parentGone, store.failed])
  const timer = setTimeout(() => void transport[Symbol.asyncDispose](), LAST_ANSWER_MS)
  await postman.stop()
  await running
  clearTimeout(timer)

  async function once(): Promise<void> {
    await postman.gather()
    await postman.deliver()
  }
}

import { hostname } from 'node:os'
import { secretReader } from '../config/secret.ts'
import { toAppError } from '../core/error.ts'
import type { MailSettings } from '../core/mail-settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { GatherRules, MailTransport } from '../ports/mail.ts'
import type { Writer, WriterSettings } from '../notify/mail-writer.ts'
import type { MailPorts, Postman } from '../reconcile/mail.ts'
import { openContacts } from './contacts.ts'
import { errorFields, type Log } from './log.ts'
import type { System } from './system.ts'

/** Mail, wired: what is told is on record, so that `serve`, `drain` and commands need not know of it. */

type Env = Readonly<Record<string, string | undefined>>

/** How long a stop waits for a server that has a mail and does not answer; the mail is then sent again. */
const STOP_MS = 5_000
const NOTHING: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() }

/** Sends mail until it is disposed. In a dry run nothing is told: nothing happens. */
export async function sendMail(system: System, log: Log, env: Env): Promise<AsyncDisposable> {
  const opened = await openMail(system, log, env)
  if (opened === null) return NOTHING
  const { postman, transport } = opened
  const running = postman.run((thrown) => log.error('mail failed', errorFields(toAppError(thrown))))
  return {
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, STOP_MS)
      const ended = Promise.all([postman.stop(), running]).then(() => undefined)
      await Promise.race([ended, promise])
      clearTimeout(timer)
      await transport[Symbol.asyncDispose]()
      await ended
    },
  }
}

/** For a drain: makes mails of what was done, at once, and sends what is due. A daemon beside it does that itself. */
export async function sendMailOnce(system: System, log: Log, env: Env): Promise<void> {
  if (system.settings.mail === null || (await system.store.processLock.daemon()) !== null) return
  const opened = await openMail(system, log, env, { gatherMs: 0 })
  if (opened === null) return
  const { postman, transport } = opened
  try {
    await postman.gather()
    await postman.deliver()
  } finally {
    await transport[Symbol.asyncDispose]()
  }
}

interface OpenMail {
  readonly postman: Postman
  readonly transport: MailTransport
}

async function openMail(
  system: System,
  log: Log,
  env: Env,
  rules: Partial<GatherRules> = {},
): Promise<OpenMail | null> {
  const { settings, store, clock } = system
  const { mail } = settings
  if (mail === null) return null
  if (settings.guards.dryRun) {
    await store.news.skip()
    return null
  }
  await store.outbox.freeDeadLeases()
  const { Postman } = await import('../reconcile/mail.ts')
  const { openSmtp } = await import('../notify/smtp.ts')
  const transport = openSmtp(mail.smtp, secretReader(env))
  const ports: MailPorts = {
    clock,
    news: store.news,
    outbox: store.outbox,
    contacts: openContacts(mail.owner, system.directory, system.source),
    transport,
    writer: await openWriter(mail, clock, log),
    rules: { ...rulesOf(mail), ...rules },
    perSecond: mail.limits.perSecond,
    onTrouble(error) {
      if (error === null) log.info('mail is sent again')
      else log.warn('mail cannot be sent; it waits', errorFields(error))
    },
  }
  return { postman: new Postman(ports), transport }
}

function rulesOf({ owner, helpDesk, limits }: MailSettings): GatherRules {
  return {
    ownerKinds: owner.kinds,
    helpDesk: helpDesk.addresses,
    helpDeskKinds: helpDesk.kinds,
    gatherMs: limits.gatherMs,
    intervalMs: limits.intervalMs,
    maxAgeMs: limits.maxAgeMs,
    unresolvedAfterMs: limits.unresolvedAfterMs,
  }
}

/** Loaded only where mail is written. */
export async function openWriter(mail: MailSettings, clock: Clock, log: Log): Promise<Writer> {
  const { Writer } = await import('../notify/mail-writer.ts')
  const settings: WriterSettings = {
    from: mail.from,
    replyTo: mail.replyTo,
    contact: mail.contact,
    timeZone: mail.timeZone,
    language: mail.language,
    helpDeskLanguage: mail.helpDesk.language,
    templates: mail.templates,
    host: hostname(),
  }
  return new Writer(settings, clock, (error) => {
    log.warn('a template of mail failed; the built-in one is used', errorFields(error))
  })
}

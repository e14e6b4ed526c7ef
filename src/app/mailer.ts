import { hostname } from 'node:os'
import { secretReader } from '../config/secret.ts'
import { AppError } from '../core/error.ts'
import type { MailSettings } from '../core/settings/mail-settings.ts'
import type { Settings } from '../core/settings/settings.ts'
import { openDirectories } from '../directory/open-directories.ts'
import { TemplateMailComposer } from '../notify/mail-composer.ts'
import { openSmtp } from '../notify/smtp.ts'
import { probeSmtp } from '../notify/smtp-probe.ts'
import type { Clock } from '../ports/clock.ts'
import type { GatherRules, MailTransport } from '../ports/store/mail.ts'
import { OutboxWorker } from '../reconcile/mail/outbox-worker.ts'
import type { Store } from '../store/store.ts'
import { openContacts } from './contacts.ts'
import { errorFields, type Log } from './log.ts'
import { openStoreOf } from './state-store.ts'
import { openSource } from './system.ts'

/** Everything that mail needs, opened from one configuration. */
export interface Mailer extends AsyncDisposable {
  readonly outboxWorker: OutboxWorker
  readonly transport: MailTransport
  readonly store: Store
}

type Env = Readonly<Record<string, string | undefined>>

/** @param rules where they differ from the configuration */
export async function openMailer(
  settings: Settings,
  { clock, log, env }: { clock: Clock; log: Log; env: Env },
  rules: Partial<GatherRules>,
): Promise<Mailer> {
  const { mail } = settings
  if (mail === null) throw new AppError('internal', 'mail is to be sent and is not configured')
  await using opened = new AsyncDisposableStack()
  const store = opened.use(await openStoreOf(settings, true, clock))
  const directory = opened.use(openDirectories(settings, clock, store.identities))
  const isAsked = mail.owner.from === 'privacyidea' && settings.privacyidea !== null
  const source = isAsked ? opened.use(await openSource(settings.privacyidea, clock)) : null
  const transport = opened.use(openSmtp(mail.smtp, secretReader(env)))
  const outboxWorker = new OutboxWorker({
    clock,
    notifications: store.notifications,
    outbox: store.outbox,
    contacts: openContacts(mail.owner, directory, source === null ? null : { source, snapshots: store.snapshots }),
    transport,
    async ask(recipient) {
      const { address: from } = mail.from
      const probe = await probeSmtp(mail.smtp, secretReader(env), { from, to: [recipient] })
      return probe.senderRefusal ?? probe.recipients[0]?.refusal ?? null
    },
    sender: mail.from.address,
    composer: openMailComposer(mail, clock, log),
    rules: { ...rulesOf(mail), ...rules },
    perSecond: mail.limits.perSecond,
    onTrouble(error, isSent) {
      if (error !== null) log.warn('mail cannot be sent; it waits', errorFields(error))
      else log.info(isSent ? 'mail is sent again' : 'the mail server answers again')
    },
    onRefused(id, answer) {
      const { stage = null, status = null, enhanced = null } = answer ?? {}
      log.warn('a mail was refused; it is not sent', { mail: id, stage, status, enhanced })
    },
  })
  const all = opened.move()
  return { outboxWorker, transport, store, [Symbol.asyncDispose]: () => all.disposeAsync() }
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

export function openMailComposer(mail: MailSettings, clock: Clock, log: Log): TemplateMailComposer {
  return new TemplateMailComposer(mail, hostname(), clock, (error) => {
    log.warn('a template of mail failed; the built-in one is used', errorFields(error))
  })
}

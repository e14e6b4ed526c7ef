import { randomUUID } from 'node:crypto'
import { secretReader } from '../../config/secret.ts'
import { AppError } from '../../core/error.ts'
import { parseMailAddress } from '../../core/mail/mail-address.ts'
import type { MailLanguage } from '../../core/mail/mail-language.ts'
import type { MailSettings } from '../../core/settings/mail-settings.ts'
import type { NoticeKind } from '../../core/mail/notice.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { systemClock } from '../../ports/clock.ts'
import type { Rendered } from '../../notify/templates.ts'
import type { Log } from '../../app/log.ts'

/** Manual actions for mail: a test, a preview. */

export interface TestMail {
  readonly to: string
  readonly messageId: string
  readonly server: string
}

/** Sends a test at once, without the outbox. Fails with `usage`, `config-invalid` and `mail-*`. */
export async function sendTestMail(
  settings: Settings,
  address: string,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): Promise<TestMail> {
  const mail = mailOf(settings)
  const to = parseMailAddress(address)
  if (to === null) throw new AppError('usage', `"${address.slice(0, 100)}" is no mail address, as in you@example.org`)
  const { openSmtp, smtpName } = await import('../../notify/smtp.ts')
  await using transport = openSmtp(mail.smtp, secretReader(env))
  const { openMailComposer } = await import('../../app/mailer.ts')
  const message = openMailComposer(mail, systemClock, log).test(randomUUID(), to)
  await transport.send(message)
  return { to, messageId: message.messageId, server: smtpName(mail.smtp).replace('mail server ', '') }
}

/** A mail as it would be, with made-up notifications. @param kind `digest`: one with many items */
export async function previewMail(
  settings: Settings,
  what: { kind: NoticeKind | 'digest'; recipient: 'owner' | 'help-desk'; language: MailLanguage | null },
  log: Log,
): Promise<Rendered> {
  const mail = mailOf(settings)
  const { sampleDigest } = await import('../../notify/mail-samples.ts')
  const { openMailComposer } = await import('../../app/mailer.ts')
  const composer = openMailComposer(mail, systemClock, log)
  const usual = what.recipient === 'help-desk' ? mail.helpDesk.language : mail.language
  return composer.words({
    recipient: what.recipient,
    digest: sampleDigest(what.kind, systemClock.nowMs()),
    name: 'Alice Example',
    language: what.language ?? usual,
    isLate: false,
  })
}

export function mailOf(settings: Settings): MailSettings {
  if (settings.mail !== null) return settings.mail
  throw new AppError('config-invalid', 'no mail is configured: the section mail is missing', {
    hint: 'docs/how-to/mail.md has it to copy.',
  })
}

import type { MailAddress } from '../../core/mail/mail-address.ts'
import { isForGood, refusalScope } from '../../core/mail/mail-answer.ts'
import type { MailSettings } from '../../core/settings/mail-settings.ts'
import type { SmtpProbe } from '../../notify/smtp-probe.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { Findings, troubleOf, type Finding } from './findings.ts'

/**
 * Checks of `lockstep doctor` for mail. Nothing is sent.
 * @param to a recipient for the check; null: the help desk's addresses, else the sender's own
 */
export async function mailFindings(
  mail: MailSettings,
  readSecret: SecretReader,
  to: MailAddress | null = null,
): Promise<readonly Finding[]> {
  const found = new Findings('mail')
  await lookAtServer(found, mail, { readSecret, to })
  await lookAtTemplates(found, mail)
  if (mail.helpDesk.addresses.length === 0) {
    const why = 'Nobody is notified of locks without effect, unresolved events and the breaker.'
    const fix = 'helpDesk: { addresses: [helpdesk@example.org] }'
    found.warn('mail-help-desk', { what: 'the help desk has no address', why, fix })
  }
  return found.all
}

async function lookAtServer(
  found: Findings,
  mail: MailSettings,
  { readSecret, to }: { readSecret: SecretReader; to: MailAddress | null },
): Promise<void> {
  const { probeSmtp } = await import('../../notify/smtp-probe.ts')
  const { smtpName } = await import('../../notify/smtp.ts')
  const name = smtpName(mail.smtp)
  const { address: from } = mail.from
  const configured = to === null ? mail.helpDesk.addresses : [to]
  try {
    const probe = await probeSmtp(mail.smtp, readSecret, { from, to: configured.length === 0 ? [from] : configured })
    found.ok('mail-reach', `${name} answers${probe.isSecured ? ', over TLS' : ', without TLS'}`)
    if (probe.loggedInAs !== null) found.ok('mail-login', `the login as ${probe.loggedInAs} is good`)
    if (probe.senderRefusal === null) found.ok('mail-sender', `it takes ${from} as the sender`)
    else {
      const { said, hint: fix } = probe.senderRefusal
      const what = `${name} refuses ${from} as the sender: ${said}`
      found.fail('mail-sender', { what, why: 'No mail can be sent.', fix })
    }
    lookAtRecipients(found, probe, { name, isConfigured: configured.length > 0 })
  } catch (thrown) {
    found.fail('mail-reach', troubleOf(thrown, 'Mails wait, and those that are too old are not sent.'))
  }
}

/** Many servers refuse this machine only at a recipient: Postfix does so by default. */
function lookAtRecipients(
  found: Findings,
  { recipients }: SmtpProbe,
  { name, isConfigured }: { name: string; isConfigured: boolean },
): void {
  const taken = recipients.filter(({ refusal }) => refusal === null)
  if (taken.length > 0) {
    found.ok('mail-recipient', `it takes mail for ${taken.map(({ address }) => address).join(', ')}`)
  }
  for (const { address, refusal } of recipients) {
    if (refusal === null) continue
    const { answer, said, hint: fix, code } = refusal
    const what = `${name} refuses mail for ${address}: ${said}`
    const isAlone = refusalScope(answer) === 'mail'
    if (isAlone && !isConfigured) {
      // The sender's own address needs no mailbox.
      found.ok(
        'mail-recipient',
        `it goes as far as the recipient; no mail for ${address} (--mail-to asks about another)`,
      )
    } else if (isAlone || taken.length > 0) {
      found.warn('mail-recipient', { what, why: 'Mail for this address does not arrive.', fix, code })
    } else if (isForGood(answer) || refusalScope(answer) === 'server') {
      // The others get the same refusal.
      return found.fail('mail-recipient', { what, why: 'Mails from here are refused, and wait.', fix, code })
    } else {
      const why = 'Greylisting passes by itself; what is the same after 10 minutes does not.'
      return found.warn('mail-recipient', { what, why, fix, code })
    }
  }
}

async function lookAtTemplates(found: Findings, { templates }: MailSettings): Promise<void> {
  if (templates === null) return
  const { templateProblems } = await import('../../notify/templates.ts')
  const { samplesFor } = await import('../../notify/mail-samples.ts')
  const problems = templateProblems(templates, samplesFor)
  if (problems.length === 0) found.ok('mail-templates', `the templates in ${templates} are good`)
  for (const { message, severity } of problems) {
    const why = 'The built-in template is used in its place.'
    const trouble = { what: message, why, fix: 'Correct it, and look again with lockstep check.' }
    found[severity === 'error' ? 'fail' : 'warn']('mail-templates', trouble)
  }
}

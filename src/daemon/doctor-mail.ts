import { toAppError } from '../core/error.ts'
import type { MailSettings } from '../core/mail-settings.ts'
import type { SecretReader } from '../ports/secret.ts'
import { Findings, type Finding } from './finding.ts'

/** What `lockstep doctor` looks at of mail. Nothing is sent. */
export async function mailFindings(mail: MailSettings, readSecret: SecretReader): Promise<readonly Finding[]> {
  const found = new Findings('mail')
  await lookAtServer(found, mail, readSecret)
  await lookAtTemplates(found, mail)
  if (mail.helpDesk.addresses.length === 0) {
    const why = 'Nobody hears of locks without effect, unresolved events and the breaker.'
    const fix = 'helpDesk: { addresses: [helpdesk@example.org] }'
    found.warn('mail-help-desk', { what: 'the help desk has no address', why, fix })
  }
  return found.all
}

async function lookAtServer(found: Findings, mail: MailSettings, readSecret: SecretReader): Promise<void> {
  const { probeSmtp } = await import('../notify/smtp-probe.ts')
  const { smtpName } = await import('../notify/smtp.ts')
  const name = smtpName(mail.smtp)
  const { address } = mail.from
  try {
    const { isSecured, loggedInAs, senderRefusal } = await probeSmtp(mail.smtp, readSecret, address)
    found.ok('mail-reach', `${name} answers${isSecured ? ', over TLS' : ', without TLS'}`)
    if (loggedInAs !== null) found.ok('mail-login', `the login as ${loggedInAs} is good`)
    if (senderRefusal === null) found.ok('mail-sender', `it takes ${address} as the sender`)
    else {
      const what = `${name} refuses ${address} as the sender: ${senderRefusal}`
      found.fail('mail-sender', {
        what,
        why: 'No mail can be sent.',
        fix: 'Correct mail.from, or let this machine send as it there.',
      })
    }
  } catch (thrown) {
    const { message, hint, code } = toAppError(thrown)
    found.fail('mail-reach', {
      what: message,
      why: 'Mails wait, and those that are no news any more are not sent.',
      fix: hint || 'See the message.',
      code,
    })
  }
}

async function lookAtTemplates(found: Findings, { templates }: MailSettings): Promise<void> {
  if (templates === null) return
  const { templateProblems } = await import('../notify/templates.ts')
  const { samplesFor } = await import('../notify/mail-samples.ts')
  const problems = templateProblems(templates, samplesFor)
  if (problems.length === 0) found.ok('mail-templates', `the templates in ${templates} are good`)
  for (const { message, severity } of problems) {
    const why = 'The built-in template is used in its place.'
    const trouble = { what: message, why, fix: 'Correct it, and look again with lockstep check.' }
    if (severity === 'error') found.fail('mail-templates', trouble)
    else found.warn('mail-templates', trouble)
  }
}

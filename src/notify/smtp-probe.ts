import SMTPConnection from 'nodemailer/lib/smtp-connection'
import type { MailAddress } from '../core/mail/mail-address.ts'
import type { MailError, MailStage } from '../core/mail/mail-answer.ts'
import type { SmtpSettings } from '../core/settings/mail-settings.ts'
import type { SecretReader } from '../ports/secret.ts'
import { errorOfSmtp, refusalError } from './smtp-error.ts'
import { smtpFacts, smtpOptions } from './smtp.ts'

/** What `lockstep doctor` finds about the mail server, as far as it got. */
export interface SmtpProbe {
  readonly isSecured: boolean
  /** Null: no login is configured. */
  readonly loggedInAs: string | null
  /** The server's refusal of the sender; null: it accepts the sender. */
  readonly senderRefusal: MailError | null
  /** The refusal of each recipient; empty where the sender was refused. */
  readonly recipients: readonly { readonly address: MailAddress; readonly refusal: MailError | null }[]
}

/** Our own commands are passed to the library as a login method of our own. */
const METHOD = 'LOCKSTEP-ENVELOPE'

/**
 * Connects, secures, logs in, and names the sender and the recipients, since many servers refuse a machine only then;
 * no mail is sent. Fails as sending does.
 */
export async function probeSmtp(
  settings: SmtpSettings,
  readSecret: SecretReader,
  envelope: { readonly from: MailAddress; readonly to: readonly MailAddress[] },
): Promise<SmtpProbe> {
  const facts = smtpFacts(settings)
  const { auth, ...options } = smtpOptions(settings, readSecret)
  const recipients: { address: MailAddress; refusal: MailError | null }[] = []
  let senderRefusal: MailError | null = null
  const connection = new SMTPConnection({
    ...options,
    customAuth: {
      [METHOD]: async (session) => {
        const ask = async (stage: MailStage, command: string): Promise<MailError | null> =>
          refusalError(stage, (await session.sendCommand(command)).response, facts)
        senderRefusal = await ask('sender', `MAIL FROM:<${envelope.from}>`)
        let last = senderRefusal
        for (const address of senderRefusal === null ? envelope.to : []) {
          last = await ask('recipient', `RCPT TO:<${address}>`)
          recipients.push({ address, refusal: last })
          if (isClosing(last)) break
        }
        if (!isClosing(last)) await session.sendCommand('RSET')
      },
    },
  })
  try {
    await step(connection, (done) => connection.connect(done))
    const { login } = settings
    if (auth !== undefined) await step(connection, (done) => connection.login({ ...auth }, done))
    const isSecured = connection.secure
    await step(connection, (done) => connection.login({ method: METHOD }, done))
    return { isSecured, loggedInAs: login?.user ?? null, senderRefusal, recipients }
  } catch (thrown) {
    throw errorOfSmtp(thrown, facts)
  } finally {
    connection.quit()
    connection.close()
  }
}

/** The server ends the connection (RFC 5321, 3.8): it answers nothing more. */
function isClosing(refusal: MailError | null): boolean {
  return refusal?.answer.status === 421
}

function step(connection: SMTPConnection, run: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.once('error', reject)
    run((error) => {
      connection.removeListener('error', reject)
      connection.on('error', () => undefined)
      if (error === undefined || error === null) resolve()
      else reject(error)
    })
  })
}

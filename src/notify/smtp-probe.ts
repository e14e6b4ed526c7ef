import SMTPConnection from 'nodemailer/lib/smtp-connection'
import type { MailAddress } from '../core/mail-address.ts'
import type { SmtpSettings } from '../core/mail-settings.ts'
import type { SecretReader } from '../ports/secret.ts'
import { errorOfSmtp } from './smtp-error.ts'
import { smtpName, smtpOptions } from './smtp.ts'

/** What `lockstep doctor` sees of the mail server, as far as it came. */
export interface SmtpProbe {
  readonly isSecured: boolean
  /** Null: no login is configured. */
  readonly loggedInAs: string | null
  /** What the server says to the sender; null: it takes him. */
  readonly senderRefusal: string | null
}

/** The library takes commands of our own by way of a login of a method of our own. */
const METHOD = 'LOCKSTEP-SENDER'

/** Connects, secures, logs in and names the sender; nothing is sent. Fails as a sending does. */
export async function probeSmtp(
  settings: SmtpSettings,
  readSecret: SecretReader,
  from: MailAddress,
): Promise<SmtpProbe> {
  const where = smtpName(settings)
  const { auth, ...options } = smtpOptions(settings, readSecret)
  let senderRefusal: string | null = null
  const connection = new SMTPConnection({
    ...options,
    customAuth: {
      [METHOD]: async (session) => {
        const answer = await session.sendCommand(`MAIL FROM:<${from}>`)
        senderRefusal = answer.status >= 200 && answer.status < 300 ? null : answer.response
        await session.sendCommand('RSET')
      },
    },
  })
  try {
    await step(connection, (done) => connection.connect(done))
    const { login } = settings
    if (auth !== undefined) await step(connection, (done) => connection.login({ ...auth }, done))
    const isSecured = connection.secure
    await step(connection, (done) => connection.login({ method: METHOD }, done))
    return { isSecured, loggedInAs: login?.user ?? null, senderRefusal }
  } catch (thrown) {
    throw errorOfSmtp(thrown, where)
  } finally {
    connection.quit()
    connection.close()
  }
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

import type { NodemailerError } from 'nodemailer'
import { AppError, type ErrorCode } from '../core/error.ts'
import { REACH_REASONS, tlsReason, type TlsMending } from '../core/tls-reason.ts'

/** What nodemailer's failures mean. */

const ANSWER_LENGTH_MAX = 300
const CLOSING = 421
const PERMANENT = 500

const TLS_HINTS: Readonly<Record<TlsMending, string>> = {
  authority: 'Put the PEM file of the signing authority into mail.ca.',
  renewal: 'Renew the certificate of the mail server.',
  clock: 'Check the clock of this machine, and the certificate.',
  name: 'Use the name in the certificate in mail.smtp, or set mail.tlsServerName to it.',
  protocol: 'Use smtps:// for the TLS port (465) and smtp:// for ports 25 and 587.',
}
const REACH_HINT = 'Check mail.smtp, that the server runs, and firewalls between here and there.'
const LOGIN_HINT = 'Correct mail.user and its password; where the server wants no login, leave them out.'
const STARTTLS_HINT =
  'Use a port that offers STARTTLS, or smtps://. Where the server offers it, look for who takes it out on the way; nothing was sent in the clear.'
const SENDER_HINT = 'Correct mail.from, or let this machine send as it there.'

/** @param where the server, as `mail server smtp://host:port` */
export function errorOfSmtp(thrown: unknown, where: string): AppError {
  const failure = (thrown instanceof Error ? thrown : new Error(String(thrown))) as NodemailerError
  const make = (code: ErrorCode, text: string, hint: string): AppError =>
    new AppError(code, `${where}: ${text}`, { hint, cause: failure })
  const { command = '', responseCode = 0 } = failure
  const answer = plain(failure.response ?? '')
  if (command.startsWith('AUTH') || failure.code === 'EAUTH' || failure.code === 'ENOAUTH') {
    if (responseCode === CLOSING || failure.code === 'ECONNECTION')
      return make('mail-unreachable', unanswered(failure), REACH_HINT)
    return make('mail-login-refused', `the login was refused${said(answer)}`, LOGIN_HINT)
  }
  const tls = tlsReason(deepCode(failure))
  if (tls !== null) return make('mail-tls', `${tls.text} (${deepCode(failure)})`, TLS_HINTS[tls.mending])
  if (failure.code === 'ETLS' || command === 'STARTTLS') {
    const text = `the connection could not be secured by STARTTLS: ${answer || plain(failure.message)}`
    return make('mail-tls', text, STARTTLS_HINT)
  }
  if (failure.code === 'ETIMEDOUT' || failure.code === 'EABORT')
    return make('mail-timeout', 'it did not answer in time', REACH_HINT)
  const isOfMail = command === 'RCPT TO' || command === 'DATA'
  if (isOfMail && responseCode > 0 && responseCode !== CLOSING) {
    const isForGood = responseCode >= PERMANENT
    const what = command === 'RCPT TO' ? 'the address' : 'the mail'
    const text = isForGood ? `${what} was refused${said(answer)}` : `${what} is not taken now${said(answer)}`
    const hint = isForGood ? 'Look at the address, and at what the server says.' : 'It is tried again by itself.'
    return make(isForGood ? 'mail-refused' : 'mail-deferred', text, hint)
  }
  if (isOfAddress(failure)) return make('mail-refused', plain(failure.message), 'Look at the address.')
  if (command === 'MAIL FROM' && responseCode > 0)
    return make('mail-unreachable', `the sender was refused${said(answer)}`, SENDER_HINT)
  return make('mail-unreachable', unanswered(failure), REACH_HINT)
}

/** The library itself found that the address or the message cannot be sent this way. */
function isOfAddress({ code, command, response }: NodemailerError): boolean {
  return (code === 'EENVELOPE' || code === 'EMESSAGE') && response === undefined && command !== 'CONN'
}

function unanswered(failure: NodemailerError): string {
  const code = deepCode(failure)
  const answer = plain(failure.response ?? '')
  if (answer !== '') return `it said: ${answer}`
  return `${REACH_REASONS[code] ?? plain(failure.message)}${/^[A-Z_]+$/.test(code) ? ` (${code})` : ''}`
}

/** The code of the system or of OpenSSL, where the library put its own in its place. */
function deepCode(failure: NodemailerError): string {
  return failure.originalCode ?? failure.code ?? ''
}

function said(answer: string): string {
  return answer === '' ? '' : `: ${answer}`
}

/** One line, without control characters, of a bounded length. */
function plain(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it replaces
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
  return line.length > ANSWER_LENGTH_MAX ? `${line.slice(0, ANSWER_LENGTH_MAX)}…` : line
}

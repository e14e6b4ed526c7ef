import type { NodemailerError } from 'nodemailer'
import { AppError, type ErrorCode } from '../core/error.ts'
import {
  answerOf,
  isForGood,
  MailError,
  refusalScope,
  type MailAnswer,
  type MailStage,
  type RefusalKind,
} from '../core/mail/mail-answer.ts'
import { REACH_REASONS, tlsReason, type TlsMending } from '../core/reasons/tls-reason.ts'

/** The meaning of nodemailer's failures. */

/** Parts of a message, and what its advice depends on. */
export interface SmtpFacts {
  /** The server, as `mail server smtp://host:port`. */
  readonly where: string
  /** The name of this machine in EHLO. */
  readonly ehloName: string
  readonly hasLogin: boolean
}

const ANSWER_LENGTH_MAX = 300
/** A command that the server does not support: no mail server, or a very old one. */
const UNKNOWN_COMMAND: readonly number[] = [500, 502]

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

const STAGES: Readonly<Record<string, MailStage>> = {
  CONN: 'connect',
  EHLO: 'hello',
  HELO: 'hello',
  'MAIL FROM': 'sender',
  'RCPT TO': 'recipient',
  DATA: 'message',
}

export function errorOfSmtp(thrown: unknown, facts: SmtpFacts): AppError {
  const failure = (thrown instanceof Error ? thrown : new Error(String(thrown))) as NodemailerError
  const make = (code: ErrorCode, text: string, hint: string): AppError =>
    new AppError(code, `${facts.where}: ${text}`, { hint, cause: failure })
  const { command = '' } = failure
  const response = failure.response ?? ''
  if (command.startsWith('AUTH') || failure.code === 'EAUTH' || failure.code === 'ENOAUTH') {
    if (failure.code === 'ECONNECTION') return make('mail-unreachable', unanswered(failure), REACH_HINT)
    return loginError(response, facts, failure)
  }
  const tls = tlsReason(deepCode(failure))
  if (tls !== null) return make('mail-tls', `${tls.text} (${deepCode(failure)})`, TLS_HINTS[tls.mending])
  if (failure.code === 'ETLS' || command === 'STARTTLS') {
    const text = `the connection could not be secured by STARTTLS: ${plain(response) || plain(failure.message)}`
    return make('mail-tls', text, STARTTLS_HINT)
  }
  if (failure.code === 'ETIMEDOUT' || failure.code === 'EABORT')
    return make('mail-timeout', 'it did not answer in time', REACH_HINT)
  const stage = STAGES[command]
  const refusal = stage === undefined ? null : refusalError(stage, response, facts, failure)
  if (refusal !== null) return refusal
  if (isOfAddress(failure)) return make('mail-refused', plain(failure.message), 'Look at the address.')
  return make('mail-unreachable', unanswered(failure), REACH_HINT)
}

/** The refusal that this response of the server means; null: it is no refusal. */
export function refusalError(stage: MailStage, response: string, facts: SmtpFacts, cause?: unknown): MailError | null {
  const answer = answerOf(stage, response)
  if (answer === null) return null
  const { code, text } = nameOf(answer)
  const said = plain(response)
  const hint = hintFor(answer, facts)
  const messageOfAll = `${facts.where}: ${OF_ALL}: ${said}`
  return new MailError(code, `${facts.where}: ${text}: ${said}`, { answer, said, messageOfAll, hint, cause })
}

function loginError(response: string, facts: SmtpFacts, cause: unknown): AppError {
  const answer = answerOf('login', response)
  const said = plain(response)
  const after = said === '' ? '' : `: ${said}`
  if (answer === null) {
    return new AppError('mail-login-refused', `${facts.where}: the login was refused${after}`, {
      hint: LOGIN_HINT,
      cause,
    })
  }
  const isNow = isForGood(answer)
  const text = `${facts.where}: ${isNow ? 'the login was refused' : 'the login is not possible now'}${after}`
  const hint = isNow ? (answer.kind === 'tls' ? HINTS.tls(facts) : LOGIN_HINT) : AGAIN_HINT
  return new MailError(isNow ? 'mail-login-refused' : 'mail-unreachable', text, {
    answer,
    said,
    messageOfAll: text,
    hint,
    cause,
  })
}

function nameOf(answer: MailAnswer): { code: ErrorCode; text: string } {
  const { stage, status } = answer
  const isRefused = isForGood(answer)
  if (refusalScope(answer) !== 'server') {
    const what = stage === 'recipient' ? 'the address' : 'the mail'
    return isRefused
      ? { code: 'mail-refused', text: `${what} was refused` }
      : { code: 'mail-deferred', text: `${what} is not taken now` }
  }
  if (!isRefused)
    return { code: 'mail-unreachable', text: stage === 'sender' ? 'the sender is not taken now' : 'it said' }
  if (stage === 'hello' && UNKNOWN_COMMAND.includes(status)) return { code: 'mail-unreachable', text: 'it said' }
  return {
    code: 'mail-not-permitted',
    text: stage === 'sender' ? 'the sender was refused' : OF_ALL,
  }
}

const OF_ALL = 'it takes no mail from here'
const AGAIN_HINT = 'It is tried again by itself.'
const HINTS: Readonly<Record<RefusalKind, (facts: SmtpFacts) => string>> = {
  client: () =>
    'Let this machine send at the mail server (Postfix: mynetworks), or give its address a name in DNS, and that name the address.',
  'ehlo-name': ({ ehloName }) =>
    `Set mail.ehloName to the full name that this machine has in DNS, as in ehloName: lockstep.example.org; it calls itself ${ehloName} now.`,
  login: ({ hasLogin }) =>
    hasLogin
      ? 'Let mail.user send at the mail server, or correct it.'
      : 'Set mail.user and mail.passwordFile, or let this machine send without a login at the mail server.',
  tls: () => 'Use smtps:// in mail.smtp, or startTls: required; a loopback address is secured where mail.ca is set.',
  relay: ({ hasLogin }) =>
    hasLogin
      ? 'Let mail.user send to other domains at the mail server.'
      : 'Let this machine send to other domains at the mail server (Postfix: mynetworks), or set mail.user and mail.passwordFile.',
  sender: () => 'Correct mail.from, or let this machine send as it at the mail server.',
  recipient: () => 'Correct the address.',
  mailbox: () => 'Look at the mailbox of that address.',
  content: () => 'Look at what the mail server answers about the mail, and at templates of your own.',
  server: () => 'Look at the log of the mail server.',
  policy: () => 'Look at what the mail server answers, at the address, and at the log of the mail server.',
}

function hintFor(answer: MailAnswer, facts: SmtpFacts): string {
  const hint = HINTS[answer.kind](facts)
  return isForGood(answer) ? hint : `${AGAIN_HINT} Where it lasts: ${hint}`
}

/** The library itself found that it cannot send to the address, or the message. */
function isOfAddress({ code, command, response }: NodemailerError): boolean {
  return (code === 'EENVELOPE' || code === 'EMESSAGE') && response === undefined && command !== 'CONN'
}

function unanswered(failure: NodemailerError): string {
  const code = deepCode(failure)
  const answer = plain(failure.response ?? '')
  if (answer !== '') return `it said: ${answer}`
  return `${REACH_REASONS[code] ?? plain(failure.message)}${/^[A-Z_]+$/.test(code) ? ` (${code})` : ''}`
}

/** The code of the system or of OpenSSL, where the library replaced it by its own. */
function deepCode(failure: NodemailerError): string {
  return failure.originalCode ?? failure.code ?? ''
}

/** One line, without control characters, of a bounded length. */
function plain(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it replaces
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
  return line.length > ANSWER_LENGTH_MAX ? `${line.slice(0, ANSWER_LENGTH_MAX)}…` : line
}

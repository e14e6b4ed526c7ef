import { AppError, type ErrorCode } from '../error.ts'

/**
 * The answer of a mail server, and what it refuses. Servers refuse a whole machine as they refuse one address: Postfix,
 * by default (`smtpd_delay_reject`), answers to RCPT TO with its refusal of the client, its name, its login or the
 * sender. Codes decide: enhanced ones (RFC 3463, 5248, 7372) where they are given and clear, else the basic one (RFC
 * 5321, 4954).
 */

/** What the server answered to: the connection, EHLO, AUTH, MAIL FROM, RCPT TO, DATA and the mail itself. */
export const MAIL_STAGES = ['connect', 'hello', 'login', 'sender', 'recipient', 'message'] as const
export type MailStage = (typeof MAIL_STAGES)[number]

/** What it seems to be directed against, for the advice alone: nothing else is decided by it. */
export const REFUSAL_KINDS = [
  'client',
  'ehlo-name',
  'login',
  'tls',
  'relay',
  'sender',
  'recipient',
  'mailbox',
  'content',
  'server',
  'policy',
] as const
export type RefusalKind = (typeof REFUSAL_KINDS)[number]

export interface MailAnswer {
  readonly stage: MailStage
  /** 400 to 599. */
  readonly status: number
  /** As `5.7.1`; null: the server gave none. */
  readonly enhanced: string | null
  readonly kind: RefusalKind
}

/** `mail`: this mail alone. `server`: every mail from here. `unclear`: the codes do not decide it. */
export type RefusalScope = 'mail' | 'server' | 'unclear'

interface RefusedBy {
  readonly answer: MailAnswer
  readonly said: string
  readonly messageOfAll: string
  readonly hint: string
  readonly cause?: unknown
}

/** A failure that is an answer of the mail server. */
export class MailError extends AppError {
  readonly answer: MailAnswer
  /** The server's text, on one line. */
  readonly said: string
  /** The message where it is about every mail. */
  readonly messageOfAll: string

  constructor(code: ErrorCode, message: string, { answer, said, messageOfAll, ...options }: RefusedBy) {
    super(code, message, options)
    this.answer = answer
    this.said = said
    this.messageOfAll = messageOfAll
  }
}

const CLOSING = 421
const PERMANENT = 500
/** The sequence or syntax of commands, a host that takes no mail (RFC 7504), a login or encryption that is missing (RFC 4954). */
const OF_SERVER: readonly number[] = [CLOSING, 500, 502, 503, 504, 521, 530, 534, 535, 538]
/** The user is not here, a mailbox or a mail is too big, a domain takes no mail (RFC 7504). */
const OF_MAIL: readonly number[] = [551, 552, 556]

/** Details of X.7: a login, encryption, or what proves the sender or the client; 57, 60 and 64 are Exchange's. */
const SECURITY_OF_SERVER: readonly number[] = [8, 9, 10, 11, 12, 13, 20, 21, 22, 23, 24, 25, 26, 27, 28, 57, 60, 64]
/** The owner of a mailbox or a domain has changed (RFC 7293). */
const SECURITY_OF_MAIL: readonly number[] = [17, 18, 19]

export function isForGood({ status }: Pick<MailAnswer, 'status'>): boolean {
  return status >= PERMANENT
}

/** True where it was answered before a recipient was named: it cannot be about one. */
export function isBeforeRecipient({ stage }: Pick<MailAnswer, 'stage'>): boolean {
  return stage !== 'recipient' && stage !== 'message'
}

export function refusalScope(answer: Pick<MailAnswer, 'stage' | 'status' | 'enhanced'>): RefusalScope {
  const { stage, status, enhanced } = answer
  if (status === CLOSING) return 'server'
  if (isBeforeRecipient(answer)) return stage === 'sender' && isOfSize(status, enhanced) ? 'mail' : 'server'
  const scope = enhanced === null ? 'unclear' : scopeOfEnhanced(enhanced)
  if (scope !== 'unclear') return scope
  if (OF_SERVER.includes(status)) return 'server'
  return OF_MAIL.includes(status) ? 'mail' : 'unclear'
}

/** MAIL FROM names the size of the mail, and what it holds. */
function isOfSize(status: number, enhanced: string | null): boolean {
  return enhanced === null ? status === 552 : /^\d\.(?:6\.\d+|3\.4|2\.3)$/.test(enhanced)
}

function scopeOfEnhanced(enhanced: string): RefusalScope {
  const [, subject = 0, detail = 0] = enhanced.split('.').map(Number)
  switch (subject) {
    // Addresses; 7 and 8 are the sender's.
    case 1:
      return detail === 0 ? 'unclear' : detail === 7 || detail === 8 ? 'server' : 'mail'
    // The mailbox, and what the mail holds.
    case 2:
    case 6:
      return 'mail'
    // The mail system; 4: the mail is too big for it.
    case 3:
      return detail === 4 ? 'mail' : 'server'
    // The way to the recipient's host; 3: no name service, 5: too much to do.
    case 4:
      return detail === 3 || detail === 5 ? 'server' : 'unclear'
    // The protocol; 3: too many recipients.
    case 5:
      return detail === 0 || detail === 3 ? 'unclear' : 'server'
    case 7:
      if (SECURITY_OF_SERVER.includes(detail)) return 'server'
      return SECURITY_OF_MAIL.includes(detail) ? 'mail' : 'unclear'
    default:
      return 'unclear'
  }
}

/** @param response as it came, perhaps several lines; null where it is no refusal (4xx, 5xx) */
export function answerOf(stage: MailStage, response: string): MailAnswer | null {
  const [, code, enhanced] = /^([45]\d\d)(?:[ -]([245]\.\d{1,3}\.\d{1,3})(?!\S))?/.exec(response) ?? []
  if (code === undefined) return null
  const codes = { stage, status: Number(code), enhanced: enhanced ?? null }
  return { ...codes, kind: kindOf(codes, response) }
}

const KIND_BY_ENHANCED: readonly (readonly [RegExp, RefusalKind])[] = [
  [/^\d\.1\.[78]$/, 'sender'],
  [/^\d\.7\.(?:2[0-46]|60)$/, 'sender'],
  [/^\d\.7\.25$/, 'client'],
  [/^\d\.7\.(?:8|9|12|13|57)$/, 'login'],
  [/^\d\.7\.1[01]$/, 'tls'],
  [/^\d\.7\.(?:54|64)$/, 'relay'],
  [/^\d\.1\.(?!0$)/, 'recipient'],
  [/^\d\.2\./, 'mailbox'],
  [/^\d\.(?:6\.\d+|3\.4)$/, 'content'],
  [/^\d\.(?:3\.|4\.[35]$)/, 'server'],
]
/** What servers write beside codes that leave it open: Postfix, Exim, Sendmail, Exchange. */
const KIND_BY_TEXT: readonly (readonly [RegExp, RefusalKind])[] = [
  [/\b(?:helo|ehlo)\b/i, 'ehlo-name'],
  [/starttls|\btls\b|encryption|encrypted/i, 'tls'],
  [/authenticat|\bauth\b|log ?in (?:first|required)/i, 'login'],
  [/relay/i, 'relay'],
  [/sender|from address|send ?as|on behalf/i, 'sender'],
  [/\bclient\b|\bip address\b|reverse dns|\bptr\b|black-?list|block-?list|access denied for/i, 'client'],
]
const KIND_BY_STAGE: Readonly<Partial<Record<MailStage, RefusalKind>>> = {
  connect: 'client',
  hello: 'ehlo-name',
  login: 'login',
  sender: 'sender',
}

function kindOf(codes: Omit<MailAnswer, 'kind'>, response: string): RefusalKind {
  const { stage, status, enhanced } = codes
  const byEnhanced = KIND_BY_ENHANCED.find(([pattern]) => enhanced !== null && pattern.test(enhanced))
  if (byEnhanced !== undefined) return byEnhanced[1]
  // Addresses and names between angle brackets are not the server's own text.
  const words = response.replace(/<[^>]*>/g, '')
  const byText = KIND_BY_TEXT.find(([pattern]) => pattern.test(words))
  if (byText !== undefined) return byText[1]
  if (status === 530) return 'login'
  if (status === 552 || status === 551 || status === 556) return status === 552 ? 'mailbox' : 'recipient'
  return KIND_BY_STAGE[stage] ?? (status === CLOSING ? 'server' : 'policy')
}

import { AppError, type ErrorCode } from '../../core/error.ts'
import { jsonTrouble } from '../../core/json-limit.ts'
import type { RawAnswer } from './transport.ts'

/** A successful answer of privacyIDEA: `{ result: { status: true, value }, detail, versionnumber }`. */
export interface Answer {
  readonly value: unknown
  readonly detail: unknown
  /** '' where it is missing. */
  readonly version: string
  /** The server's clock, in milliseconds since 1970; null: missing. */
  readonly dateMs: number | null
}

/** A refusal by privacyIDEA; the `cause` of the AppError that is made of it. */
export class Refusal extends Error {
  /** The HTTP status. */
  readonly status: number
  /** privacyIDEA's error number; 0: it gave none. */
  readonly number: number

  constructor(status: number, number: number, said: string) {
    super(said)
    this.name = 'Refusal'
    this.status = status
    this.number = number
  }
}

/** The refusal behind an error, or null when it was no answer of privacyIDEA. */
export function refusalOf(thrown: unknown): Refusal | null {
  return thrown instanceof AppError && thrown.cause instanceof Refusal ? thrown.cause : null
}

const ANSWER_LENGTH_MAX = 200
/** The answers of a proxy that does not reach privacyIDEA. */
const PROXY_STATUSES = [502, 503, 504]
/** privacyIDEA's error numbers, as measured on 3.11 to 3.14. */
const NUMBER_NOT_PERMITTED = 303
const NUMBER_USER = 904
const NUMBER_RESOLVER = 907

type Fields = Readonly<Record<string, unknown>>

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Reads an answer. Fails with `source-answer` (no JSON, no envelope, a status of 500), `source-login-refused` (401),
 * `source-not-permitted`, `source-resolver`, `unknown-user`, `source-unreachable` (from a proxy); each has a Refusal.
 * @param secrets are removed from the server's text
 */
export function answerOf(raw: RawAnswer, where: string, secrets: readonly string[]): Answer {
  const trouble = jsonTrouble(raw.bytes, raw.limits)
  if (trouble !== null && isJson(raw)) {
    throw new AppError('source-answer', `${where}: the answer takes too much memory: ${trouble}`, {
      hint: 'Is it privacyIDEA that answers there? Else lower privacyidea.pageSize.',
    })
  }
  const parsed = trouble === null ? parseJson(raw) : null
  const result = isFields(parsed) ? parsed['result'] : undefined
  if (isFields(parsed) && isFields(result) && result['status'] === true && isGood(raw.status)) {
    const version = parsed['versionnumber']
    return {
      value: result['value'],
      detail: parsed['detail'],
      version: typeof version === 'string' ? version : '',
      dateMs: raw.dateMs,
    }
  }
  const error = isFields(result) && isFields(result['error']) ? result['error'] : {}
  const number = typeof error['code'] === 'number' ? error['code'] : 0
  const said = shown(typeof error['message'] === 'string' ? error['message'] : '', secrets)
  throw refused(new Refusal(raw.status, number, said), raw, where)
}

/** By its content type. */
function isJson({ contentType }: RawAnswer): boolean {
  return /json/i.test(contentType)
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300
}

function parseJson(raw: RawAnswer): unknown {
  try {
    return JSON.parse(raw.bytes.toString('utf8'))
  } catch {
    return null
  }
}

function refused(refusal: Refusal, raw: RawAnswer, where: string): AppError {
  const { code, text, hint } = meaningOf(refusal, raw)
  const number = refusal.number === 0 ? '' : `, error ${refusal.number}`
  const said = refusal.message === '' ? '' : `: ${refusal.message}`
  return new AppError(code, `${where}: ${text} (HTTP ${refusal.status}${number}${said})`, { hint, cause: refusal })
}

interface Meaning {
  readonly code: ErrorCode
  readonly text: string
  readonly hint: string
}

function meaningOf({ status, number }: Refusal, raw: RawAnswer): Meaning {
  if (status === 401) {
    const hint =
      'Check privacyidea.user and its password file, or make a new token; see docs/how-to/privacyidea-api.md.'
    return { code: 'source-login-refused', text: 'the login was refused', hint }
  }
  if (status === 403 || number === NUMBER_NOT_PERMITTED) {
    const hint = 'Give the account this right by an admin policy; docs/how-to/privacyidea-api.md lists what it needs.'
    return { code: 'source-not-permitted', text: 'the right for it is missing', hint }
  }
  if (number === NUMBER_RESOLVER) {
    const hint =
      'Look after the user store (LDAP) below privacyIDEA. Until it answers, its accounts are left as they are.'
    return { code: 'source-resolver', text: 'a user store below privacyIDEA does not answer', hint }
  }
  if (number === NUMBER_USER) return { code: 'unknown-user', text: 'there is no such user', hint: '' }
  if (PROXY_STATUSES.includes(status)) {
    const hint = 'It is tried again by itself. Look into the logs of the proxy and of privacyIDEA.'
    return { code: 'source-unreachable', text: 'the proxy does not reach privacyIDEA', hint }
  }
  return { code: 'source-answer', text: whatCame(status, raw), hint: 'Check the key privacyidea.url, and its log.' }
}

function whatCame(status: number, raw: RawAnswer): string {
  if (status >= 300 && status < 400) return 'it leads elsewhere; redirections are not followed'
  if (isJson(raw)) return isGood(status) ? 'this is no answer of privacyIDEA' : 'it refused'
  const type = raw.contentType.split(';')[0]?.trim() || 'something without a type'
  return `it answered with ${type} instead of JSON`
}

/** A server's text in one short line, without secrets. */
function shown(text: string, secrets: readonly string[]): string {
  const clean = secrets.reduce((left, secret) => (secret === '' ? left : left.replaceAll(secret, '…')), text)
  return clean
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, ANSWER_LENGTH_MAX)
}

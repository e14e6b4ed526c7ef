import { systemSentence } from './system-error.ts'
import { rendersBareCodes } from './wording.ts'

/**
 * Every failure that Lockstep names. One closed union, so that retry (here), the HTTP status (http/) and the exit code
 * (cli/) are each decided in one place.
 */
export type ErrorCode =
  // what a person wrote
  | 'usage'
  | 'config-invalid'
  | 'event-invalid'
  | 'input-invalid'
  // the directory
  | 'directory-unreachable'
  | 'directory-timeout'
  | 'directory-tls'
  | 'directory-bind-refused'
  | 'directory-identity-lost'
  | 'directory-changed'
  | 'directory-busy'
  | 'directory-not-permitted'
  | 'directory-refused'
  | 'directory-cut'
  | 'entry-not-found'
  | 'write-raced'
  | 'value-too-long'
  | 'outcome-unknown'
  // correlation
  | 'unknown-user'
  | 'unknown-serial'
  | 'ambiguous-match'
  | 'realm-unmapped'
  | 'realm-excluded'
  | 'serial-conflict'
  // privacyIDEA
  | 'source-unreachable'
  | 'source-timeout'
  | 'source-tls'
  | 'source-login-refused'
  | 'source-not-permitted'
  | 'source-resolver'
  | 'source-resolver-gone'
  | 'source-answer'
  | 'source-unproven'
  | 'source-shrunk'
  // the mail server
  | 'mail-unreachable'
  | 'mail-timeout'
  | 'mail-tls'
  | 'mail-login-refused'
  | 'mail-deferred'
  | 'mail-refused'
  | 'mail-not-permitted'
  // this machine
  | 'store-busy'
  | 'store-unavailable'
  | 'store-corrupt'
  | 'store-gone'
  | 'disk-full'
  | 'file-not-permitted'
  | 'file-io'
  | 'address-in-use'
  | 'already-running'
  | 'lease-lost'
  | 'limit-exceeded'
  | 'not-ready'
  | 'not-serving'
  | 'internal'

/** The one error type of Lockstep. `message` states what happened, `hint` what to do; neither ever holds a secret. */
export class AppError extends Error {
  readonly code: ErrorCode
  /** What the reader can do about it, as a full sentence; empty when there is nothing to add. */
  readonly hint: string

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(rendersBareCodes() ? code : message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.hint = rendersBareCodes() ? '' : (options.hint ?? '')
  }
}

/** Wraps whatever was thrown; an AppError passes through unchanged. A refusal by the system is no fault of ours. */
export function toAppError(thrown: unknown, code: ErrorCode = 'internal'): AppError {
  if (thrown instanceof AppError) return thrown
  // The first failure counts, not one of the clean-up after it.
  if (thrown instanceof SuppressedError) return toAppError(thrown.suppressed, code)
  const refused = systemSentence(thrown)
  if (refused !== null) {
    const { message, refusal } = refused
    return new AppError(refusal.code, message, { hint: refusal.hint, cause: thrown })
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new AppError(code, message, { cause: thrown })
}

/** Whether and how to retry: `wait` with back-off, `at-once` after another reading, or `never` by itself. */
export type Retry = 'wait' | 'at-once' | 'never'

const RETRY: Readonly<Record<ErrorCode, Retry>> = {
  usage: 'never',
  'config-invalid': 'never',
  'event-invalid': 'never',
  'input-invalid': 'never',
  'directory-unreachable': 'wait',
  'directory-timeout': 'wait',
  'directory-tls': 'wait',
  'directory-bind-refused': 'wait',
  'directory-identity-lost': 'wait',
  'directory-changed': 'wait',
  'directory-busy': 'wait',
  'directory-not-permitted': 'wait',
  'directory-refused': 'wait',
  'directory-cut': 'wait',
  'entry-not-found': 'wait',
  'write-raced': 'at-once',
  'value-too-long': 'wait',
  'outcome-unknown': 'wait',
  'unknown-user': 'wait',
  'unknown-serial': 'wait',
  'ambiguous-match': 'wait',
  'realm-unmapped': 'wait',
  'realm-excluded': 'never',
  'serial-conflict': 'wait',
  'source-unreachable': 'wait',
  'source-timeout': 'wait',
  'source-tls': 'wait',
  'source-login-refused': 'wait',
  'source-not-permitted': 'wait',
  'source-resolver': 'wait',
  'source-resolver-gone': 'wait',
  'source-answer': 'wait',
  'source-unproven': 'wait',
  'source-shrunk': 'wait',
  'mail-unreachable': 'wait',
  'mail-timeout': 'wait',
  'mail-tls': 'wait',
  'mail-login-refused': 'wait',
  'mail-deferred': 'wait',
  'mail-refused': 'never',
  'mail-not-permitted': 'wait',
  'store-busy': 'wait',
  'store-unavailable': 'wait',
  'store-corrupt': 'never',
  'store-gone': 'never',
  'disk-full': 'wait',
  'file-not-permitted': 'wait',
  'file-io': 'wait',
  'address-in-use': 'never',
  'already-running': 'never',
  'lease-lost': 'never',
  'limit-exceeded': 'wait',
  'not-ready': 'wait',
  'not-serving': 'wait',
  internal: 'wait',
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(RETRY, text)
}

/** The one place that decides about retries. */
export function retryOf(code: ErrorCode): Retry {
  return RETRY[code]
}

const BACKOFF_FIRST_MS = 500
const BACKOFF_MAX_MS = 60_000

/**
 * Milliseconds to wait before try number `attempts + 1`: doubles from 0.5 s to `maxMs`, with up to half of it as jitter.
 * @param random in [0, 1)
 */
export function backoffMs(attempts: number, random: number, maxMs: number = BACKOFF_MAX_MS): number {
  const full = Math.min(maxMs, BACKOFF_FIRST_MS * 2 ** Math.min(attempts, 20))
  return Math.round(full / 2 + (full / 2) * random)
}

const CORRELATION_CODES: readonly ErrorCode[] = ['unknown-user', 'unknown-serial', 'ambiguous-match', 'realm-unmapped']
/** The longest delay between two tries to find the account of an event. */
export const CORRELATION_MAX_MS = 900_000
const DIRECTORY_MAX_MS = 5_000
/** The server answers with a refusal: mostly until a person changes something; each try is two journal records. */
const REFUSALS: readonly ErrorCode[] = ['directory-refused', 'directory-not-permitted']
/** A value that is too long stays so until somebody shortens it; each try is two journal records. */
const TOO_LONG_MS = 3_600_000
const SOURCE_MAX_MS = 10_000

/** Everything could be asked, and does not fit together: only a person can change that. */
export function isCorrelationCode(code: string): boolean {
  return CORRELATION_CODES.some((each) => each === code)
}

/**
 * Milliseconds until the next retry: a directory that comes back is noticed within 5 s, a privacyIDEA that does within
 * 10 s; a user who is not found is looked up ever less often, up to every 15 min; a value that is too long is retried
 * after an hour; what a directory refused, and all else, up to every minute.
 */
export function retryDelayMs(code: ErrorCode, attempts: number, random: number): number {
  if (CORRELATION_CODES.includes(code)) return backoffMs(attempts, random, CORRELATION_MAX_MS)
  if (code === 'value-too-long') return Math.round(TOO_LONG_MS * (1 + random / 2))
  if (code.startsWith('directory-') && !REFUSALS.includes(code)) return backoffMs(attempts, random, DIRECTORY_MAX_MS)
  if (code.startsWith('source-')) return backoffMs(attempts, random, SOURCE_MAX_MS)
  return backoffMs(attempts, random)
}

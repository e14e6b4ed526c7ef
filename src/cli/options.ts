import { AppError } from '../core/error.ts'

/** The values of options, parsed; each failure names the option and what it takes. All fail with `usage`. */

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DURATION_MS_MAX = 3_660 * 86_400_000
const LIMIT_MAX = 1_000_000
const REASON_LENGTH_MAX = 500
const MOMENT = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d))?$/

/** The arguments that name a person, in the help: all of them take `login@realm`. */
export const LOGIN_HELP = 'the login, as privacyIDEA knows it; login@realm where several realms have it'
export const ACCOUNT_HELP = 'a login, login@realm, a serial, an account key or id, or a DN'

/** `90s`, `10m`, `2h`, `30d`, in milliseconds. */
export function durationOption(name: string, text: string): number {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text)
  const ms = match === null ? Number.NaN : Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? Number.NaN)
  if (Number.isNaN(ms) || ms > DURATION_MS_MAX) {
    throw new AppError('usage', `${name} ${text}: expected a duration such as 30s, 10m, 2h or 7d`)
  }
  return ms
}

/** A person's reason, for the record: one line that says something. */
export function reasonOption(text: string): string {
  const reason = text.trim()
  // eslint-disable-next-line no-control-regex -- control characters are what it refuses
  if (reason === '' || reason.length > REASON_LENGTH_MAX || /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(reason)) {
    throw new AppError('usage', `--reason: expected one line of 1 to ${REASON_LENGTH_MAX} characters`)
  }
  return reason
}

/** The same where none has to be given; '': none is. */
export function givenReason(text: string | undefined): string {
  return text === undefined ? '' : reasonOption(text)
}

/**
 * A time (`2026-11-24T10:00Z`, RFC 3339; a day alone begins in UTC) or an age (`2h`: so long ago), in milliseconds since
 * 1970. A time of day without its zone is refused: all that Lockstep prints is in UTC, and that of the machine may differ.
 */
export function momentOption(name: string, text: string): number {
  if (/^\d{1,12}(ms|s|m|h|d)$/.test(text)) return Date.now() - durationOption(name, text)
  const ms = MOMENT.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms)) {
    throw new AppError('usage', `${name} ${text}: expected a time such as 2026-11-24T10:00:00Z, or an age such as 2h`)
  }
  return ms
}

export function limitOption(name: string, text: string): number {
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > LIMIT_MAX)
    throw new AppError('usage', `${name} ${text}: expected a number from 1 to ${LIMIT_MAX}`)
  return value
}

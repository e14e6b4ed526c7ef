import { AppError } from '../../core/error.ts'
import { parseLocalTime, type ParsedTime } from '../../core/format/local-time.ts'
import { machineZone } from './moment.ts'

/** The values of options, parsed; each failure names the option and what it takes. All fail with `usage`. */

/** What the parser makes of options by their names: those that take nothing, those with a text, and such as are always there. */
export type Flags<Name extends string> = { readonly [Each in Name]?: boolean }
export type Texts<Name extends string> = { readonly [Each in Name]?: string }
export type Given<Name extends string> = { readonly [Each in Name]: string }

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DURATION_DAYS_MAX = 3_660
const LIMIT_MAX = 1_000_000
const REASON_LENGTH_MAX = 500
/** RFC 3339; a time without a zone is a local time. */
const MOMENT = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d)$/

/** The age after a recent time in the output. */
const PRINTED_AGE = /, \d{1,4} (?:s|min) ago$/

type NotOneInstant = Exclude<ParsedTime, { readonly is: 'instant' }>

/** The arguments that name a person, in the help: all of them accept `login@realm`. */
export const LOGIN_HELP = 'the login, as privacyIDEA has it; login@realm where several realms have it'
export const ACCOUNT_HELP = 'a login, login@realm, a serial, an account key or id, or a DN'

/** `90s`, `10m`, `2h`, `30d`, in milliseconds. */
export function durationOption(name: string, text: string): number {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text)
  const ms = match === null ? Number.NaN : Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? Number.NaN)
  if (Number.isNaN(ms)) throw new AppError('usage', `${name} ${text}: expected a duration such as 30s, 10m, 2h or 7d`)
  if (ms > DURATION_DAYS_MAX * 86_400_000) {
    throw new AppError('usage', `${name} ${text}: expected at most ${DURATION_DAYS_MAX}d`)
  }
  return ms
}

/** A person's reason, for the record: one line that is not empty. */
export function reasonOption(text: string): string {
  const reason = text.trim()
  // eslint-disable-next-line no-control-regex -- control characters are what it refuses
  if (reason === '' || reason.length > REASON_LENGTH_MAX || /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(reason)) {
    throw new AppError('usage', `--reason: expected one line of 1 to ${REASON_LENGTH_MAX} characters`)
  }
  return reason
}

/** The same where a reason is optional; '': none. */
export function givenReason(text: string | undefined): string {
  return text === undefined ? '' : reasonOption(text)
}

/** Which end of a period is meant: `14:32` is a minute long. */
type End = 'begin' | 'end'

/**
 * A time as Lockstep prints it, RFC 3339, or an age (`2h`, `5 min ago`: so long ago), in milliseconds since 1970.
 * Without a zone it is a time of this machine (core/format/local-time.ts); a day alone means its beginning.
 * @param end `end`: the last millisecond of a minute or a second that was given without its zone
 */
export function momentOption(name: string, text: string, end: End = 'begin'): number {
  const ago = /^(\d{1,12}) ?(ms|s|min|m|h|d)(?: ago)?$/.exec(text)
  if (ago !== null) return Date.now() - durationOption(name, `${ago[1]}${ago[2] === 'min' ? 'm' : ago[2]}`)
  const zone = machineZone()
  const local = parseLocalTime(text.replace(PRINTED_AGE, ''), Date.now(), zone)
  if (local?.is === 'instant') {
    if (name === '--since' && local.ms > Date.now()) throw stillToCome(name, text, local.ms)
    return local.ms + (end === 'end' ? local.unitMs - 1 : 0)
  }
  if (local !== null) throw new AppError('usage', clockChangeText(name, text, zone, local))
  const ms = MOMENT.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms)) {
    throw new AppError('usage', `${name} ${text}: expected a time or an age`, {
      hint: `For example: 14:32, '24 Nov 14:32', 2026-11-24T10:00:00Z or 2h. Without a zone it is a time of this machine (${zone}).`,
    })
  }
  return ms
}

/** A time without its year, or its day, is one of this year, or of today: no other year or day is guessed. */
function stillToCome(name: string, text: string, ms: number): AppError {
  return new AppError('usage', `${name} ${text}: this time is still to come (${new Date(ms).toISOString()})`, {
    hint: "Name the year or the day where an earlier one is meant, as '24 Dec 2025 14:32' or 'yesterday 14:32'.",
  })
}

function clockChangeText(name: string, text: string, zone: string, { is, instants }: NotOneInstant): string {
  const [first, second] = instants.map((ms) => new Date(ms).toISOString().replace('.000Z', 'Z'))
  const why = is === 'twice' ? 'the clock shows that time twice' : 'the clock never shows that time'
  return `${name} ${text}: ${why} in ${zone}, since summer time ${is === 'twice' ? 'ends' : 'begins'} then. Name the one that is meant: ${first} or ${second}`
}

export function limitOption(name: string, text: string): number {
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > LIMIT_MAX)
    throw new AppError('usage', `${name} ${text}: expected a number from 1 to ${LIMIT_MAX}`)
  return value
}

import { age } from '../../core/format/age.ts'
import { localTimeText, type Precision } from '../../core/format/local-time.ts'
import type { CliIo } from './io.ts'

/**
 * Times for people. On a terminal: short, in the time zone of this machine (core/format/local-time.ts). Through a pipe,
 * and with `--utc`: RFC 3339 in UTC, to the millisecond. `--since` accepts all of these forms.
 */
let isShort = false

/** For all times that this process prints from now on. */
export function showTimesFor(
  { stdout }: Pick<CliIo, 'stdout'>,
  { utc, json }: { readonly utc?: boolean; readonly json?: boolean },
): void {
  isShort = stdout.isTTY && utc !== true && json !== true
}

/** To the minute, in the short form. */
export function moment(ms: number): string {
  return timeText(ms, 'minute')
}

/** To the second, in the short form: for lists in the order of time. */
export function exactMoment(ms: number): string {
  return timeText(ms, 'second')
}

function timeText(ms: number, precision: Precision): string {
  return isShort ? localTimeText(ms, Date.now(), machineZone(), precision) : new Date(ms).toISOString()
}

/** A recent time is shown with its age. */
const RECENT_MS = 3_600_000

/** `14:32, 5 min ago`: for lines of text, on a terminal. */
export function recentMoment(ms: number): string {
  const agoMs = Date.now() - ms
  if (!isShort || agoMs < 0 || agoMs >= RECENT_MS) return moment(ms)
  return `${moment(ms)}, ${age(agoMs)} ago`
}

/** The time of a next retry: `in 5 min` on a terminal. */
export function nextMoment(ms: number): string {
  if (!isShort) return new Date(ms).toISOString()
  const leftMs = ms - Date.now()
  return leftMs < 1_000 ? 'now' : `in ${age(leftMs)}`
}

const FULL_TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g

/** A sentence of the core, whose times are in UTC, with the times in the form that is shown everywhere else. */
export function withShownTimes(text: string): string {
  return isShort ? text.replace(FULL_TIME, (time) => moment(Date.parse(time))) : text
}

let knownZone: string | null = null

/** The zone of this machine (`TZ`, else the system's); UTC where that is invalid. */
export function machineZone(): string {
  knownZone ??= zoneNow()
  return knownZone
}

function zoneNow(): string {
  try {
    // Undefined where TZ is a name that ICU does not have.
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone as string | undefined
    return new Intl.DateTimeFormat('en', { timeZone: zone ?? 'UTC' }).resolvedOptions().timeZone
  } catch {
    return 'UTC'
  }
}

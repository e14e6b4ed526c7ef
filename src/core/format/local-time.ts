/**
 * Times of a time zone, as text for people and back. Pure: the zone and the present are arguments. What `localTimeText`
 * prints, `parseLocalTime` reads as the same instant, cut to the precision that was printed.
 *
 *   14:32                  today
 *   24 Nov 14:32           another day of this year
 *   24 Nov 2025 14:32      another year, and all that is still to come
 *   25 Oct 02:30+02:00     with the offset, where the clock shows that time twice
 *
 * So a time without its day or its year is always the last one that the clock has shown.
 */
export type Precision = 'minute' | 'second'

const UNIT_MS: Readonly<Record<Precision, number>> = { minute: 60_000, second: 1_000 }
const DAY_MS = 86_400_000
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

export type ParsedTime =
  /** `unitMs`: how long the instant is that the text names: `14:32` is a minute. */
  | { readonly is: 'instant'; readonly ms: number; readonly unitMs: number }
  /** The clock shows it twice: when summer time ends. */
  | { readonly is: 'twice'; readonly instants: readonly [number, number] }
  /** The clock never shows it: when summer time begins. The instants by the offset after it, and by the one before. */
  | { readonly is: 'never'; readonly instants: readonly [number, number] }

export function localTimeText(ms: number, nowMs: number, zone: string, precision: Precision): string {
  const offset = offsetAt(ms, zone)
  const wall = Math.floor((ms + offset) / UNIT_MS[precision]) * UNIT_MS[precision]
  const nowWall = ms > nowMs ? null : nowMs + offsetAt(nowMs, zone)
  const time = new Date(wall).toISOString().slice(11, precision === 'minute' ? 16 : 19)
  const found = instantsOf(wall, zone)
  const isPlain = found.is === 'instant' && found.ms === wall - offset
  // By another offset it may be another day already: with an offset the day is always there.
  if (!isPlain) return `${dayText(wall, nowWall)}${time}${offsetText(offset)}`
  return isSameDay(wall, nowWall) ? time : `${dayText(wall, nowWall)}${time}`
}

/** @param nowWall the present as the clock shows it; null: it is before that time */
function isSameDay(wall: number, nowWall: number | null): boolean {
  return nowWall !== null && Math.floor(wall / DAY_MS) === Math.floor(nowWall / DAY_MS)
}

function dayText(wall: number, nowWall: number | null): string {
  const date = new Date(wall)
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()] ?? ''} `
  const isThisYear = nowWall !== null && date.getUTCFullYear() === new Date(nowWall).getUTCFullYear()
  return isThisYear ? day : `${day}${date.getUTCFullYear()} `
}

function offsetText(offsetMs: number): string {
  const minutes = Math.abs(offsetMs) / 60_000
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  return `${offsetMs < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`
}

const TIME = String.raw`(?<hour>\d\d):(?<minute>\d\d)(?::(?<second>\d\d)(?:\.(?<fraction>\d{1,9}))?)?(?<offset>[+-]\d\d:\d\d)?`
const FORMS = [
  new RegExp(`^${TIME}$`),
  new RegExp(`^(?<named>today|yesterday)(?: ${TIME})?$`, 'i'),
  new RegExp(String.raw`^(?<day>\d{1,2}) (?<month>[a-z]{3})(?: (?<year>\d{4}))?(?: ${TIME})?$`, 'i'),
  new RegExp(String.raw`^(?<year>\d{4})-(?<number>\d\d)-(?<day>\d\d)(?:[t ]${TIME})?$`, 'i'),
]

/** The fields of a text, as the clock shows them. */
interface Fields {
  /** Null: this one. */
  readonly year: number | null
  readonly monthDay: { readonly month: number; readonly day: number } | null
  /** Whole days before today, where the text names the day so. */
  readonly daysBack: number | null
  /** Within the day; null: a day alone. */
  readonly timeMs: number | null
  readonly unitMs: number
  /** Null: as the zone has it. */
  readonly offsetMs: number | null
}

/** Null: there is no such time. A day alone is its beginning. */
export function parseLocalTime(text: string, nowMs: number, zone: string): ParsedTime | null {
  const groups = FORMS.map((form) => form.exec(text)?.groups).find((each) => each !== undefined)
  const fields = groups === undefined ? null : fieldsOf(groups)
  if (fields === null) return null
  const wall = wallOf(fields, nowMs + (fields.offsetMs ?? offsetAt(nowMs, zone)))
  return wall === null ? null : resolved(wall, fields, zone)
}

function fieldsOf(groups: Readonly<Record<string, string | undefined>>): Fields | null {
  const { named, year, month, number, day, hour, minute, second, fraction = '', offset } = groups
  const at = month === undefined ? Number(number ?? '1') - 1 : monthOf(month)
  const timeMs = hour === undefined ? null : timeOf(hour, minute ?? '', second ?? '00', fraction)
  const offsetMs = offset === undefined ? null : offsetOf(offset)
  if (at === -1 || timeMs === -1 || Math.abs(offsetMs ?? 0) > OFFSET_MS_MAX) return null
  // RFC 3339 names an instant.
  const isExact = hour === undefined || fraction !== '' || (number !== undefined && offset !== undefined)
  const unitMs = isExact ? 1 : second === undefined ? 60_000 : 1_000
  return {
    year: year === undefined ? null : Number(year),
    monthDay: day === undefined ? null : { month: at, day: Number(day) },
    daysBack: named === undefined ? null : named.toLowerCase() === 'today' ? 0 : 1,
    timeMs,
    unitMs,
    offsetMs,
  }
}

function monthOf(text: string): number {
  return MONTHS.findIndex((name) => name.toLowerCase() === text.toLowerCase())
}

/** -1: no such time of day. */
function timeOf(hour: string, minute: string, second: string, fraction: string): number {
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return -1
  const ms = Number(fraction.padEnd(3, '0').slice(0, 3))
  return Number(hour) * 3_600_000 + Number(minute) * 60_000 + Number(second) * 1_000 + ms
}

/** Of any zone (RFC 9557 has none beyond). */
const OFFSET_MS_MAX = 18 * 3_600_000

function offsetOf(text: string): number {
  const ms = Number(text.slice(1, 3)) * 3_600_000 + Number(text.slice(4, 6)) * 60_000
  return text.startsWith('-') ? -ms : ms
}

/** What the clock would show then; null where there is no such day. @param nowWall the present, likewise */
function wallOf({ year, monthDay, daysBack, timeMs }: Fields, nowWall: number): number | null {
  const time = timeMs ?? 0
  if (monthDay === null) return Math.floor(nowWall / DAY_MS) * DAY_MS - (daysBack ?? 0) * DAY_MS + time
  const { month, day } = monthDay
  const midnight = new Date(0).setUTCFullYear(year ?? new Date(nowWall).getUTCFullYear(), month, day)
  const isThere = new Date(midnight).getUTCMonth() === month && new Date(midnight).getUTCDate() === day
  return isThere ? midnight + time : null
}

function resolved(wall: number, { timeMs, unitMs, offsetMs }: Fields, zone: string): ParsedTime {
  if (offsetMs !== null) return { is: 'instant', ms: wall - offsetMs, unitMs }
  const found = instantsOf(wall, zone)
  if (found.is === 'instant') return { ...found, unitMs }
  if (timeMs !== null) return found
  // A day begins with the first of two midnights, and where there is none, with the time that the clock shows in its
  // place.
  const [earlier, later] = found.instants
  return { is: 'instant', ms: found.is === 'twice' ? earlier : later, unitMs }
}

/** When the clock of a zone shows this. @param wall as if it were UTC, in milliseconds since 1970 */
function instantsOf(wall: number, zone: string): ParsedTime {
  // No zone is further from UTC than 14 h, and none changes twice within two days.
  const [before, after] = [offsetAt(wall - DAY_MS, zone), offsetAt(wall + DAY_MS, zone)]
  const readings = [wall - before, wall - after].toSorted((a, b) => a - b) as [number, number]
  const [first = null, second = first] = readings.filter((ms) => ms + offsetAt(ms, zone) === wall)
  if (first === null || second === null) return { is: 'never', instants: readings }
  return first === second ? { is: 'instant', ms: first, unitMs: 1 } : { is: 'twice', instants: [first, second] }
}

const FORMATS = new Map<string, Intl.DateTimeFormat>()

/** How far the clock of a zone is ahead of UTC. */
function offsetAt(ms: number, zone: string): number {
  const parts = formatOf(zone).formatToParts(ms)
  const of = (type: Intl.DateTimeFormatPartTypes): number =>
    Number(parts.find((part) => part.type === type)?.value ?? Number.NaN)
  const wall = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'))
  return wall - Math.floor(ms / 1000) * 1000
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = FORMATS.get(zone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  FORMATS.set(zone, made)
  return made
}

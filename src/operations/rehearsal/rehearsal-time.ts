/** The time axis of a rehearsal's charts: the steps of the time, and the labels. Pure. */

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** 1970-01-05, a Monday. */
const MONDAY_MS = 4 * DAY_MS
const MONTH_MS = 30.44 * DAY_MS
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

interface Step {
  /** Approximate length. */
  readonly ms: number
  /** The begin of the step that contains this time. */
  readonly floor: (ms: number) => number
  /** The begin of the next step after one that begins then. */
  readonly next: (ms: number) => number
}

export interface BinStep extends Step {
  /** As in `locks for each day`. */
  readonly name: string
  /** The begin of a step, as a text: `2026-11-24 13:00`, `2026-11-24`, `2026-11`. */
  readonly label: (fromMs: number) => string
}

export interface Bins {
  readonly step: BinStep
  /** The begin of each step, ascending, and at the end the end of the last one. */
  readonly edgesMs: readonly number[]
}

export interface Tick {
  readonly atMs: number
  readonly text: string
}

const textOf = (ms: number): string => new Date(ms).toISOString()
const minuteText = (ms: number): string => textOf(ms).slice(0, 16).replace('T', ' ')
const dayText = (ms: number): string => textOf(ms).slice(0, 10)
const monthText = (ms: number): string => textOf(ms).slice(0, 7)
const yearText = (ms: number): string => textOf(ms).slice(0, 4)

const BIN_STEPS: readonly BinStep[] = [
  { ...equal(MINUTE_MS), name: 'minute', label: minuteText },
  { ...equal(5 * MINUTE_MS), name: '5 minutes', label: minuteText },
  { ...equal(15 * MINUTE_MS), name: '15 minutes', label: minuteText },
  { ...equal(HOUR_MS), name: 'hour', label: minuteText },
  { ...equal(6 * HOUR_MS), name: '6 hours', label: minuteText },
  { ...equal(DAY_MS), name: 'day', label: dayText },
  { ...equal(7 * DAY_MS, MONDAY_MS), name: 'week', label: dayText },
  { ...months(1), name: 'month', label: monthText },
  { ...months(3), name: 'quarter', label: monthText },
  { ...months(12), name: 'year', label: yearText },
]

const TICK_STEPS: readonly Step[] = [
  ...[1, 5, 10, 15, 30].map((minutes) => equal(minutes * MINUTE_MS)),
  ...[1, 2, 3, 6, 12].map((hours) => equal(hours * HOUR_MS)),
  ...[1, 2, 4].map((days) => equal(days * DAY_MS)),
  ...[7, 14].map((days) => equal(days * DAY_MS, MONDAY_MS)),
  ...[1, 3, 6, 12, 24, 48, 120].map(months),
]

/** The step that begins then, in a sentence: `2026-11-24`, `week from 2026-11-23`. */
export function stretchText({ name, label }: BinStep, fromMs: number): string {
  return ['day', 'month', 'year'].includes(name) ? label(fromMs) : `${name} from ${label(fromMs)}`
}

/** The finest steps with at most so many bins. */
export function timeBins(sinceMs: number, untilMs: number, binsMax: number): Bins {
  for (const step of BIN_STEPS) {
    if ((untilMs - sinceMs) / step.ms > binsMax) continue
    const edgesMs = edgesOf(step, sinceMs, untilMs)
    if (edgesMs.length - 1 <= binsMax) return { step, edgesMs }
  }
  const step = { ...months(120), name: 'ten years', label: yearText }
  return { step, edgesMs: edgesOf(step, sinceMs, untilMs) }
}

/** Round times within this time, at most so many. */
export function timeTicks(fromMs: number, toMs: number, ticksMax: number): readonly Tick[] {
  for (const step of TICK_STEPS) {
    if ((toMs - fromMs) / step.ms > ticksMax + 1) continue
    const timesMs = edgesOf(step, fromMs, toMs).filter((atMs) => atMs >= fromMs && atMs <= toMs)
    if (timesMs.length <= ticksMax) return timesMs.map((atMs) => ({ atMs, text: tickText(atMs, step) }))
  }
  return []
}

function tickText(atMs: number, step: Step): string {
  if (step.ms >= 11 * MONTH_MS) return yearText(atMs)
  if (step.ms < DAY_MS && atMs % DAY_MS !== 0) return textOf(atMs).slice(11, 16)
  const date = new Date(atMs)
  const month = MONTHS[date.getUTCMonth()] ?? ''
  return step.ms > 15 * DAY_MS ? `${month} ${date.getUTCFullYear()}` : `${date.getUTCDate()} ${month}`
}

function edgesOf(step: Step, sinceMs: number, untilMs: number): number[] {
  const edgesMs = [step.floor(sinceMs)]
  for (let atMs = edgesMs[0] ?? sinceMs; atMs < untilMs;) {
    atMs = step.next(atMs)
    edgesMs.push(atMs)
  }
  return edgesMs
}

function equal(ms: number, offsetMs = 0): Step {
  return {
    ms,
    floor: (atMs) => Math.floor((atMs - offsetMs) / ms) * ms + offsetMs,
    next: (atMs) => atMs + ms,
  }
}

function months(count: number): Step {
  const begin = (month: number): number => Date.UTC(Math.floor(month / 12), month % 12)
  const monthOf = (atMs: number): number => {
    const date = new Date(atMs)
    return Math.floor((date.getUTCFullYear() * 12 + date.getUTCMonth()) / count) * count
  }
  return { ms: count * MONTH_MS, floor: (atMs) => begin(monthOf(atMs)), next: (atMs) => begin(monthOf(atMs) + count) }
}

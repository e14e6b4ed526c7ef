import { writtenDuration } from '../format/duration.ts'
import type { RehearsedLock } from './rehearsal.ts'

/** The result of a rehearsal: the highest rates, and the breaker that would not have stopped ordinary days. */

export const RATE_WINDOWS = [
  { name: 'minute', ms: 60_000 },
  { name: 'tenMinutes', ms: 600_000 },
  { name: 'hour', ms: 3_600_000 },
  { name: 'day', ms: 86_400_000 },
] as const
export type RateName = (typeof RATE_WINDOWS)[number]['name']

export interface Peak {
  /** The most locks that began within one window, wherever it begins. */
  readonly count: number
  /** When the first of them began; null when there was none. */
  readonly fromMs: number | null
}

export interface BreakerAdvice {
  readonly locksMax: number
  readonly perMs: number
  /** The highest count within `perMs` of a usual day: 19 of 20 days with locks had no more. */
  readonly usualMax: number
  /** Further limits, over longer windows, with the same margin. */
  readonly limits: readonly { readonly locksMax: number; readonly perMs: number }[]
  /** Days on which this breaker would have held locks back. */
  readonly daysStopped: readonly StoppedDay[]
}

export interface StoppedDay {
  readonly dayMs: number
  /** The highest count within `BreakerAdvice.perMs` that ended on this day. */
  readonly count: number
  /** The shortest window whose limit was exceeded, and the highest count within it. */
  readonly exceeded: { readonly perMs: number; readonly count: number }
}

const DAY_MS = 86_400_000
const BREAKER_PER_MS = 600_000
/** A slow spray stays below the limit of ten minutes for hours. */
const LONGER_PER_MS = [3_600_000, 86_400_000]
/** Below this a breaker stops what is no mistake: a handful of people in one morning. */
const LOCKS_MAX_LEAST = 5
const USUAL_SHARE = 0.95
const MARGIN = 2

/** @param startsMs when locks began, ascending */
export function peaks(startsMs: readonly number[]): Readonly<Record<RateName, Peak>> {
  const [minute, tenMinutes, hour, day] = RATE_WINDOWS.map(({ ms }) => peak(startsMs, ms))
  const none: Peak = { count: 0, fromMs: null }
  return { minute: minute ?? none, tenMinutes: tenMinutes ?? none, hour: hour ?? none, day: day ?? none }
}

/** The fullest window of this width. @param startsMs ascending */
export function peak(startsMs: readonly number[], widthMs: number): Peak {
  let best: Peak = { count: 0, fromMs: null }
  let from = 0
  for (let to = 0; to < startsMs.length; to += 1) {
    while ((startsMs[to] ?? 0) - (startsMs[from] ?? 0) >= widthMs) from += 1
    if (to - from + 1 > best.count) best = { count: to - from + 1, fromMs: startsMs[from] ?? null }
  }
  return best
}

/** The most accounts that were locked at the same time. */
export function lockedAtOnce(locks: readonly Pick<RehearsedLock, 'fromMs' | 'toMs'>[]): Peak {
  const edges = locks.flatMap(({ fromMs, toMs }) => [
    { atMs: fromMs, by: 1 },
    { atMs: toMs ?? Infinity, by: -1 },
  ])
  // At the same moment one is released before another is locked.
  edges.sort((a, b) => (a.atMs === b.atMs ? a.by - b.by : a.atMs < b.atMs ? -1 : 1))
  let now = 0
  let best: Peak = { count: 0, fromMs: null }
  for (const { atMs, by } of edges) {
    now += by
    if (now > best.count) best = { count: now, fromMs: atMs }
  }
  return best
}

/**
 * Twice what a usual day needs within ten minutes, and at least a handful. One bad day (an attack, a broken client) does
 * not raise it: such a day is what a breaker is for.
 * @param startsMs when locks began that Lockstep would have written, ascending
 */
export function adviseBreaker(startsMs: readonly number[]): BreakerAdvice {
  const days = [...byDay(startsMs)]
  const usualMax = usualPeak(days, BREAKER_PER_MS)
  const locksMax = Math.max(LOCKS_MAX_LEAST, usualMax * MARGIN)
  const limits = LONGER_PER_MS.map((perMs) => ({
    perMs,
    locksMax: Math.max(locksMax, usualPeak(days, perMs) * MARGIN),
  }))
  const all = [{ perMs: BREAKER_PER_MS, locksMax }, ...limits]
  return { locksMax, perMs: BREAKER_PER_MS, usualMax, limits, daysStopped: stoppedDays(startsMs, all) }
}

/** As the breaker counts: a window does not end at midnight. @param startsMs ascending */
function stoppedDays(
  startsMs: readonly number[],
  limits: readonly { readonly locksMax: number; readonly perMs: number }[],
): StoppedDay[] {
  const daysMs = [...new Set(startsMs.map(dayOf))]
  const edgesMs = daysMs.flatMap((dayMs) => [dayMs, dayMs + DAY_MS])
  // Every second stretch is the time between two days with locks, and holds none.
  const peaksOf = (perMs: number): number[] => peaksIn(startsMs, edgesMs, perMs).filter((_, index) => index % 2 === 0)
  const within = limits.map(({ locksMax, perMs }) => ({ locksMax, perMs, counts: peaksOf(perMs) }))
  const shortest = within[0]?.counts ?? []
  return daysMs.flatMap((dayMs, day) => {
    const limit = within.find(({ counts, locksMax }) => (counts[day] ?? 0) > locksMax)
    if (limit === undefined) return []
    return [{ dayMs, count: shortest[day] ?? 0, exceeded: { perMs: limit.perMs, count: limit.counts[day] ?? 0 } }]
  })
}

/** The lines of the configuration, to be copied: none is so long that a terminal breaks it. */
export function breakerLines({ locksMax, perMs, limits }: BreakerAdvice): string {
  const further = limits.map((limit) => `      - { maxLocks: ${limit.locksMax}, per: ${writtenDuration(limit.perMs)} }`)
  const first = [`    maxLocks: ${locksMax}`, `    per: ${writtenDuration(perMs)}`]
  return ['guards:', '  breaker:', ...first, '    limits:', ...further].join('\n')
}

/** The highest count within such a window of a usual day. */
function usualPeak(days: readonly (readonly [dayMs: number, startsMs: readonly number[]])[], perMs: number): number {
  const counts = days.map(([, starts]) => peak(starts, perMs).count).toSorted((a, b) => a - b)
  return counts[Math.max(0, Math.ceil(counts.length * USUAL_SHARE) - 1)] ?? 0
}

function byDay(startsMs: readonly number[]): Map<number, number[]> {
  const days = new Map<number, number[]>()
  for (const startMs of startsMs) {
    const dayMs = dayOf(startMs)
    const starts = days.get(dayMs)
    if (starts === undefined) days.set(dayMs, [startMs])
    else starts.push(startMs)
  }
  return days
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS
}

/**
 * Locks that began in each stretch of time, for a chart. What lies outside is in the first or the last.
 * @param edgesMs where a stretch begins, ascending, and last where the last one ends
 */
export function countsIn(startsMs: readonly number[], edgesMs: readonly number[]): number[] {
  const counts = edgesMs.slice(1).map(() => 0)
  let at = 0
  for (const startMs of startsMs) {
    while (at < counts.length - 1 && startMs >= (edgesMs[at + 1] ?? Infinity)) at += 1
    counts[at] = (counts[at] ?? 0) + 1
  }
  return counts
}

/** The highest count within a window of this width that ended in each stretch of time. @param startsMs ascending */
export function peaksIn(startsMs: readonly number[], edgesMs: readonly number[], widthMs: number): number[] {
  const highest = edgesMs.slice(1).map(() => 0)
  let at = 0
  let from = 0
  for (const [to, startMs] of startsMs.entries()) {
    while (startMs - (startsMs[from] ?? 0) >= widthMs) from += 1
    while (at < highest.length - 1 && startMs >= (edgesMs[at + 1] ?? Infinity)) at += 1
    highest[at] = Math.max(highest[at] ?? 0, to - from + 1)
  }
  return highest
}

import type { RehearsedLock } from './rehearsal.ts'

/** What a rehearsal comes to: the highest rates, and the breaker that would have let ordinary days through. */

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
  readonly daysStopped: readonly { readonly dayMs: number; readonly count: number }[]
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
  const daysStopped = days
    .filter(([, starts]) => all.some((limit) => peak(starts, limit.perMs).count > limit.locksMax))
    .map(([dayMs, starts]) => ({ dayMs, count: peak(starts, BREAKER_PER_MS).count }))
  return { locksMax, perMs: BREAKER_PER_MS, usualMax, limits, daysStopped }
}

/** As it would be written in the configuration. */
export function breakerText({ locksMax, perMs, limits }: BreakerAdvice): string {
  const further = limits.map((limit) => `{ maxLocks: ${limit.locksMax}, per: ${limit.perMs / 60_000}m }`)
  return `{ maxLocks: ${locksMax}, per: ${perMs / 60_000}m, limits: [${further.join(', ')}] }`
}

/** The highest count within such a window of a usual day. */
function usualPeak(days: readonly (readonly [dayMs: number, startsMs: readonly number[]])[], perMs: number): number {
  const counts = days.map(([, starts]) => peak(starts, perMs).count).toSorted((a, b) => a - b)
  return counts[Math.max(0, Math.ceil(counts.length * USUAL_SHARE) - 1)] ?? 0
}

function byDay(startsMs: readonly number[]): Map<number, number[]> {
  const days = new Map<number, number[]>()
  for (const startMs of startsMs) {
    const dayMs = Math.floor(startMs / DAY_MS) * DAY_MS
    const starts = days.get(dayMs)
    if (starts === undefined) days.set(dayMs, [startMs])
    else starts.push(startMs)
  }
  return days
}

/** Locks that began in each of equal stretches of time, empty ones among them, for a chart. */
export function histogram(
  locks: readonly Pick<RehearsedLock, 'fromMs'>[],
  sinceMs: number,
  untilMs: number,
  stepMs: number,
): number[] {
  const bars = Array.from({ length: Math.max(1, Math.ceil((untilMs - sinceMs) / stepMs)) }, () => 0)
  for (const { fromMs } of locks) {
    const index = Math.min(bars.length - 1, Math.max(0, Math.floor((fromMs - sinceMs) / stepMs)))
    bars[index] = (bars[index] ?? 0) + 1
  }
  return bars
}

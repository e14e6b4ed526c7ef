import { histogram } from '../core/rehearsal-report.ts'
import type { RehearsalReport } from './rehearse.ts'

/** Locks over time as an SVG of bars: what would have been locked, and above it what is protected or has no account. */

const WIDTH = 1000
const HEIGHT = 260
const LEFT = 46
const BOTTOM = 30
const TOP = 34
const LABELS = 6
const GRID_LINES = 4
const HOUR_MS = 3_600_000
/** The finest step that gives at most so many bars. */
const BARS_MAX = 130
const STEPS = [
  { ms: HOUR_MS / 4, name: 'quarter of an hour' },
  { ms: HOUR_MS, name: 'hour' },
  { ms: 6 * HOUR_MS, name: 'six hours' },
  { ms: 24 * HOUR_MS, name: 'day' },
  { ms: 7 * 24 * HOUR_MS, name: 'week' },
  { ms: 28 * 24 * HOUR_MS, name: 'four weeks' },
] as const

export function rehearsalChart({ locks, sinceMs, untilMs }: RehearsalReport): string {
  const step = STEPS.find(({ ms }) => (untilMs - sinceMs) / ms <= BARS_MAX) ?? STEPS[STEPS.length - 1]
  const stepMs = step?.ms ?? HOUR_MS
  const isWritten = (lock: (typeof locks)[number]): boolean => lock.fate === 'locked' || lock.fate === 'unknown'
  const fromMs = Math.floor(sinceMs / stepMs) * stepMs
  const written = histogram(locks.filter(isWritten), fromMs, untilMs, stepMs)
  const spared = histogram(
    locks.filter((lock) => !isWritten(lock)),
    fromMs,
    untilMs,
    stepMs,
  )
  const most = written.reduce((max, count, index) => Math.max(max, count + (spared[index] ?? 0)), 0)
  const top = niceMax(most)
  const plot = { width: WIDTH - LEFT, height: HEIGHT - BOTTOM - TOP, bars: written.length, top }
  const title = `Locks for each ${step?.name ?? ''}; at most ${most}`
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
<title>${title}</title>
<text class="axis" x="0" y="14">locks for each ${step?.name ?? ''}</text>
<rect class="locked" x="${WIDTH - 330}" y="5" width="10" height="10" rx="2"/><text class="axis" x="${WIDTH - 314}" y="14">would have been locked</text>
<rect class="spared" x="${WIDTH - 160}" y="5" width="10" height="10" rx="2"/><text class="axis" x="${WIDTH - 144}" y="14">protected, no account</text>
${gridLines(top)}
${written.map((count, index) => bar(plot, index, count, spared[index] ?? 0)).join('')}
${dateLabels(fromMs, stepMs, written.length)}
</svg>`
}

interface Plot {
  readonly width: number
  readonly height: number
  readonly bars: number
  readonly top: number
}

function bar(plot: Plot, index: number, written: number, spared: number): string {
  if (written + spared === 0) return ''
  const slot = plot.width / plot.bars
  const x = (LEFT + index * slot + slot * 0.1).toFixed(1)
  const width = Math.max(1.5, slot * 0.8).toFixed(1)
  const height = (count: number): number => (count / plot.top) * plot.height
  const rect = (name: string, count: number, below: number): string => {
    if (count === 0) return ''
    const y = HEIGHT - BOTTOM - height(below) - height(count)
    return `<rect class="${name}" x="${x}" y="${y.toFixed(1)}" width="${width}" height="${height(count).toFixed(1)}"><title>${count}</title></rect>`
  }
  return rect('locked', written, 0) + rect('spared', spared, written)
}

function gridLines(top: number): string {
  const lines = Math.min(GRID_LINES, top)
  return Array.from({ length: lines + 1 }, (_, index) => {
    const value = (top / lines) * index
    const y = HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP)
    const label = Number.isInteger(value)
      ? `<text class="axis" x="${LEFT - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${value}</text>`
      : ''
    return `<line class="grid" x1="${LEFT}" x2="${WIDTH}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>${label}`
  }).join('')
}

function dateLabels(fromMs: number, stepMs: number, bars: number): string {
  const every = Math.max(1, Math.ceil(bars / LABELS))
  const labels: string[] = []
  for (let index = 0; index < bars; index += every) {
    const x = (LEFT + (index * (WIDTH - LEFT)) / bars).toFixed(1)
    const text = new Date(fromMs + index * stepMs).toISOString()
    const shown = stepMs < 24 * HOUR_MS ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(0, 10)
    labels.push(`<text class="axis" x="${x}" y="${HEIGHT - 8}">${shown}</text>`)
  }
  return labels.join('')
}

/** The next of 1, 2, 4, 5, 10, 20, 40, 50, …: it divides into whole grid lines, or is small. */
function niceMax(most: number): number {
  for (let power = 1; power < 1e9; power *= 10) {
    for (const factor of [1, 2, 4, 8]) if (factor * power >= most) return factor * power
  }
  return most
}

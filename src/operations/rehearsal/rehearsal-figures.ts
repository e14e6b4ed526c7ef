import { span } from '../../core/format/duration.ts'
import { countsIn, peaksIn, type BreakerAdvice } from '../../core/source/rehearsal-report.ts'
import { plotHtml, type Layer, type Limit } from './rehearsal-chart.ts'
import { timeBins, type Bins } from './rehearsal-time.ts'
import type { RehearsalReport, ReportedLock } from './rehearse.ts'

/** The charts of a rehearsal: locks over time, and the counts of the breaker, with its limits. Pure. */

/** Bars at most on a phone, and beside each other; on a desk. */
const NARROW = { binsMax: 32, ticksMax: 4 }
const WIDE = { binsMax: 93, ticksMax: 8 }
/** `--since 1h` is a little less than an hour once it is read. */
const SPAN_SLACK_MS = 60_000

/** Whether Lockstep would have written it; an unknown one counts as written. */
export function isWritten(lock: ReportedLock): boolean {
  return lock.fate === 'locked' || lock.fate === 'unknown'
}

export interface BreakerLimit {
  readonly locksMax: number
  readonly perMs: number
}

/** Whether a window is not longer than the time that was replayed. */
export function isWithin(windowMs: number, { sinceMs, untilMs }: RehearsalReport): boolean {
  return windowMs <= untilMs - sinceMs + SPAN_SLACK_MS
}

export function limitsOf({ locksMax, perMs, limits }: BreakerAdvice): readonly BreakerLimit[] {
  return [{ locksMax, perMs }, ...limits]
}

/** Locks over time, in few bars on a narrow page, in many on a wide one. '' when there are none. */
export function locksFigure(report: RehearsalReport): string {
  const { locks, sinceMs, untilMs } = report
  if (locks.length === 0) return ''
  const [narrow, wide] = [NARROW, WIDE].map(({ binsMax }) => timeBins(sinceMs, untilMs, binsMax))
  if (narrow === undefined || wide === undefined) return ''
  const plot = (name: string, bins: Bins, ticksMax: number): string => {
    const layers = layersOf(locks, bins)
    const limit = limitsOf(report.breaker).find(({ perMs }) => perMs === bins.step.ms)
    const title = `Locks for each ${bins.step.name}`
    const shown = limit === undefined || !locks.some(isWritten) ? null : limitOf(limit)
    return plotHtml({ id: `locks-${name}`, title, bins, layers, limit: shown, ticksMax })
  }
  return `<figure class="chart">
<div class="narrow">
${plot('narrow', narrow, NARROW.ticksMax)}
</div>
<div class="wide">
${plot('wide', wide, WIDE.ticksMax)}
</div>
<figcaption>${legend(layersOf(locks, wide))}</figcaption>
</figure>
${numbersTable(report, wide)}`
}

/** The count for each limit of the breaker, with the limit as a line. '' without locks. */
export function limitFigures(report: RehearsalReport): string {
  const { locks, sinceMs, untilMs } = report
  const starts = startsOf(locks.filter(isWritten))
  if (starts.length === 0) return ''
  const bins = timeBins(sinceMs, untilMs, NARROW.binsMax)
  const figures = limitsOf(report.breaker).map((limit) => {
    const { perMs } = limit
    if (!isWithin(perMs, report)) return ''
    const counts = peaksIn(starts, bins.edgesMs, perMs)
    const layers = [{ name: 'locked', what: `within ${span(perMs)}`, counts }] as const
    const title = `Most locks in ${span(perMs)}, each ${bins.step.name}`
    const { ticksMax } = NARROW
    return `<figure class="chart">
${plotHtml({ id: `within-${perMs}`, title, bins, layers, limit: limitOf(limit), ticksMax })}
</figure>`
  })
  return `<div class="panels">\n${figures.join('\n')}\n</div>`
}

function limitOf({ locksMax, perMs }: BreakerLimit): Limit {
  return { value: locksMax, text: `limit ${locksMax.toLocaleString('en')} in ${span(perMs)}` }
}

function startsOf(locks: readonly ReportedLock[]): number[] {
  return locks.map((lock) => lock.fromMs).toSorted((a, b) => a - b)
}

function layersOf(locks: readonly ReportedLock[], { edgesMs }: Bins): readonly Layer[] {
  const spared = locks.filter((lock) => !isWritten(lock))
  const written = locks.filter(isWritten)
  return [
    { name: 'locked', what: 'would have been locked', counts: countsIn(startsOf(written), edgesMs) },
    ...(spared.length === 0
      ? []
      : [
          {
            name: 'spared',
            what: 'protected or without an account',
            counts: countsIn(startsOf(spared), edgesMs),
          } as const,
        ]),
  ]
}

function legend(layers: readonly Layer[]): string {
  const items = layers.map(({ name, what }) => `<li><span class="swatch ${name}"></span>${what}</li>`)
  return `<ul class="legend">${items.join('')}</ul>`
}

/** A line may end between the day and the time of day, and nowhere else. */
function timesHtml(text: string): string {
  return text
    .split(' ')
    .map((part) => `<time>${part}</time>`)
    .join(' ')
}

/** The same numbers as a table, without empty times. */
function numbersTable(report: RehearsalReport, bins: Bins): string {
  const { locks } = report
  const { edgesMs, step } = bins
  const starts = startsOf(locks.filter(isWritten))
  const written = countsIn(starts, edgesMs)
  const spared = countsIn(startsOf(locks.filter((lock) => !isWritten(lock))), edgesMs)
  const limits = limitsOf(report.breaker).filter(({ perMs }) => isWithin(perMs, report))
  const peaks = limits.map(({ perMs }) => peaksIn(starts, edgesMs, perMs))
  const titles = ['from', 'locked', 'not locked', ...limits.map(({ perMs }) => span(perMs))]
  const rows = written.flatMap((count, index) => {
    const others = spared[index] ?? 0
    if (count + others === 0) return []
    const numbers = [count, others, ...peaks.map((each) => each[index] ?? 0)]
    const cells = numbers.map(
      (number, at) => `<td class="number" data-label="${titles[at + 1]}">${number.toLocaleString('en')}</td>`,
    )
    return [`<tr><th scope="row">${timesHtml(step.label(edgesMs[index] ?? 0))}</th>${cells.join('')}</tr>`]
  })
  const heads = titles.map((title, at) => `<th scope="col"${at === 0 ? '' : ' class="number"'}>${title}</th>`)
  return `<details>
<summary>The numbers of this chart</summary>
<p>For each ${step.name} that has any: how many would have been locked, and how many not, since they are protected or have no account;${limits.length === 0 ? '' : ` ${limits.map(({ perMs }) => span(perMs)).join(', ')}: the most locks within so long.`}</p>
<table class="numbers">
<thead><tr>${heads.join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</details>`
}

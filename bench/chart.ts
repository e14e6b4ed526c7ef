import { figureOf, type BenchRecord } from './record.ts'
import type { Row } from './report.ts'

/** What was measured of each release, as an SVG picture: a panel for each measure, a bar for each release. Pure. */

const WIDTH = 860
const MARGIN = 20
const HEAD_HEIGHT = 58
const TITLE_HEIGHT = 44
const BAR_HEIGHT = 18
const BAR_GAP = 6
const PANEL_GAP = 16
const LABEL_WIDTH = 240
const VALUE_WIDTH = 190
const BAR_WIDTH_MAX = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH

const INK = '#1c2430'
const FAINT = '#5b6675'
const NEWEST = '#1f6fb2'
const OLDER = '#a9bccd'
const COMPARED = '#d9a441'
const TRACK = '#eef2f6'

interface Bar {
  readonly label: string
  readonly colour: string
  readonly value: number
  readonly text: string
}

interface Panel {
  readonly name: string
  /** Which direction is better, what is asked for, and whether the newest release reaches it. */
  readonly details: string
  readonly bars: readonly Bar[]
}

/** @param records in any order; the newest is drawn last, in the strong colour */
export function chartSvg(records: readonly BenchRecord[]): string {
  const sorted = records.toSorted((a, b) => (a.date + a.name < b.date + b.name ? -1 : 1))
  const panels = panelsOf(sorted)
  let y = HEAD_HEIGHT
  const drawn = panels.map((panel) => {
    const svg = panelSvg(panel, y)
    y += TITLE_HEIGHT + panel.bars.length * (BAR_HEIGHT + BAR_GAP) + PANEL_GAP
    return svg
  })
  const height = y + MARGIN - PANEL_GAP
  const title = 'What was measured of each release'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${title}">
<title>${title}</title>
<style>text{font:13px system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:${INK}}.h{font-size:17px;font-weight:600}.t{font-weight:600}.f{fill:${FAINT};font-size:12px}</style>
<rect width="100%" height="100%" rx="8" fill="#ffffff"/>
<text class="h" x="${MARGIN}" y="30">${title}</text>
<text class="f" x="${MARGIN}" y="48">By npm run bench. Load: processes that wanted a processor; above 0.7 neighbours slowed the run down.</text>
${drawn.join('\n')}
</svg>
`
}

function panelsOf(records: readonly BenchRecord[]): Panel[] {
  const names = new Set(records.toReversed().flatMap(({ rows }) => rows.map(({ name }) => name)))
  const newest = records.at(-1)
  return [...names].flatMap((name) => {
    const rows = records.flatMap((record) =>
      record.rows.filter((row) => row.name === name).map((row) => ({ record, row })),
    )
    const bars = rows.flatMap(({ record, row }) => {
      return barOf(labelOf(record), record === newest ? NEWEST : OLDER, row.measured)
    })
    const last = rows.at(-1)?.row
    if (bars.length === 0 || last === undefined) return []
    const compared = figureOf(last.baseline)?.unit.startsWith(unitOf(last)) === true
    if (compared) bars.push(...barOf('compared with, in the last run', COMPARED, last.baseline))
    return [{ name, details: detailsOf(last), bars }]
  })
}

function barOf(label: string, colour: string, text: string): Bar[] {
  const figure = figureOf(text)
  return figure === null ? [] : [{ label, colour, value: figure.value, text }]
}

function labelOf(record: BenchRecord): string {
  return [record.name, record.date, loadOf(record), ...(record.scale === 'quick' ? ['quick'] : [])].join(', ')
}

function unitOf({ measured }: Row): string {
  return figureOf(measured)?.unit ?? ''
}

function detailsOf(row: Row): string {
  const better = unitOf(row).endsWith('/s') ? 'more is better' : 'less is better'
  const verdict = row.pass === null ? '' : row.pass ? 'reached' : 'missed'
  const asked = row.bar === '' ? '' : `asked for: ${row.bar}`
  return [better, row.ratio, asked, verdict].filter((part) => part !== '').join('; ')
}

function panelSvg({ name, details, bars }: Panel, y: number): string {
  const max = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE)
  const head = `<text class="t" x="${MARGIN}" y="${y + 16}">${escaped(name)}</text>
<text class="f" x="${MARGIN}" y="${y + 34}">${escaped(details)}</text>`
  const lines = bars.map(({ label, colour, value, text }, at) => {
    const top = y + TITLE_HEIGHT + at * (BAR_HEIGHT + BAR_GAP)
    const left = MARGIN + LABEL_WIDTH
    const width = Math.max(2, Math.round((value / max) * BAR_WIDTH_MAX))
    return `<text class="f" x="${MARGIN}" y="${top + 13}">${escaped(label)}</text>
<rect x="${left}" y="${top}" width="${BAR_WIDTH_MAX}" height="${BAR_HEIGHT}" rx="3" fill="${TRACK}"/>
<rect x="${left}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="3" fill="${colour}"/>
<text x="${left + BAR_WIDTH_MAX + 10}" y="${top + 14}">${escaped(text)}</text>`
  })
  return [head, ...lines].join('\n')
}

function loadOf({ load }: BenchRecord): string {
  return load === null ? 'alone' : `load ${load.start.toFixed(1)} to ${load.end.toFixed(1)}`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

import type { TimelineEntry } from '../daemon/details.ts'
import type { CliIo } from './io.ts'
import { moment } from './moment.ts'
import { cellWidth, painter, plain, print, printTable, type Column } from './output.ts'
import { lineWidth, wrapped } from './wrap.ts'

/** The timeline of an account: a table where there is room for the details, else the details below each line. */

/** Details that have less room go below. */
const DETAILS_WIDTH_MIN = 36
const GAP = '  '
const INDENT = ' '.repeat(4)

const COLUMNS: readonly Column<TimelineEntry>[] = [
  { title: 'time', value: (entry) => moment(entry.atMs) },
  { title: 'what', value: (entry) => entry.what },
  { title: 'serial', value: (entry) => entry.serial ?? '-' },
  { title: 'by', value: (entry) => entry.actor || '-' },
]

export function printTimeline(io: CliIo, timeline: readonly TimelineEntry[]): void {
  const width = lineWidth(io)
  if (width === Infinity) {
    printTable(io, timeline, [...COLUMNS, { title: 'details', value: (entry) => entry.details }])
    return
  }
  const [titles = '', ...lines] = timelineLines(timeline, width)
  print(io, [painter(io)('bold', titles), ...lines].join('\n'))
}

/** The titles, and the entries as lines of at most so many cells. */
export function timelineLines(timeline: readonly TimelineEntry[], width: number): string[] {
  const cells = timeline.map((entry) => COLUMNS.map((column) => plain(column.value(entry))))
  const widths = COLUMNS.map(({ title }, at) => Math.max(title.length, ...cells.map((row) => cellWidth(row[at] ?? ''))))
  const before = widths.reduce((sum, each) => sum + each + GAP.length, 0)
  if (width - before >= DETAILS_WIDTH_MIN) {
    const titles = `${padded(COLUMNS.map(titleOf), widths)}${GAP}DETAILS`
    return [titles, ...timeline.flatMap((entry, at) => beside(padded(cells[at] ?? [], widths), entry, before, width))]
  }
  // Names of administrators may be long: where they do not fit, they go below as well.
  const isByBelow = before - GAP.length > width
  const shown = isByBelow ? COLUMNS.length - 1 : COLUMNS.length
  const titles = padded(COLUMNS.slice(0, shown).map(titleOf), widths).trimEnd()
  return [
    titles,
    ...timeline.flatMap((entry, at) => {
      const row = cells[at] ?? []
      const by = isByBelow && entry.actor !== '' ? `by ${row.at(-1) ?? ''}: ` : ''
      const below = wrapped(`${by}${plain(entry.details)}`, width - INDENT.length).map((line) => INDENT + line)
      return [padded(row.slice(0, shown), widths).trimEnd(), ...below]
    }),
  ]
}

function titleOf({ title }: Column<TimelineEntry>): string {
  return title.toUpperCase()
}

function padded(cells: readonly string[], widths: readonly number[]): string {
  return cells.map((cell, at) => cell + ' '.repeat(Math.max(0, (widths[at] ?? 0) - cellWidth(cell)))).join(GAP)
}

function beside(line: string, { details }: TimelineEntry, before: number, width: number): string[] {
  const [first = '', ...rest] = wrapped(plain(details), width - before)
  return [`${line}${GAP}${first}`.trimEnd(), ...rest.map((each) => ' '.repeat(before) + each)]
}

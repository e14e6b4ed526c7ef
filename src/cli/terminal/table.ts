import { cellWidth, wrapped, wrappedBehind } from './cells.ts'

/**
 * Tables that fit a terminal and leave nothing out. Where the columns are wider than the terminal, the widest column
 * that allows it is wrapped in its place. Without room for that, it goes below its row, on lines of its own after its
 * title. The first column never moves: a text that is too long for it has a line of its own, and its row goes on below.
 */

const GAP = '  '
const INDENT = '  '
/** Cells that the first column keeps at least. */
const FIRST_WIDTH_MIN = 12
/** Cells of a wrapped column at least. */
const WRAPPED_WIDTH_MIN = 30

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  readonly align?: 'left' | 'right'
  /** On a narrow terminal these are wrapped or go below the row first, the widest of them before the others. */
  readonly movesBelow?: boolean
}

/** One line below a row, on any terminal. */
export type Detail = readonly [label: string, text: string]

interface Cells<Row> {
  readonly column: Column<Row>
  readonly texts: readonly string[]
  /** Of the widest one and the title. */
  readonly width: number
}

/**
 * The lines of a table, the titles first.
 * @param width in terminal cells
 * @param details lines below a row at any width; control characters must be gone
 */
export function tableLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
  details: (row: Row) => readonly Detail[] = () => [],
): string[] {
  const all = columns.map((column): Cells<Row> => {
    const texts = rows.map(column.value)
    const widest = texts.reduce((most, text) => Math.max(most, cellWidth(text)), cellWidth(column.title))
    return { column, texts, width: widest }
  })
  const { beside, below, widths } = arrange(all, width)
  const labels = rows.map((row, at) => [...below.map((cells): Detail => detailOf(cells, at)), ...details(row)])
  const labelWidth = labels.flat().reduce((most, [label]) => Math.max(most, cellWidth(label)), 0)
  return [
    rowLine(beside, widths, ({ column }) => column.title.toUpperCase()),
    ...rows.flatMap((_, at) => [
      ...rowLines(beside, widths, at, width),
      ...(labels[at] ?? []).flatMap((detail) => detailLines(detail, labelWidth, width)),
    ]),
  ]
}

interface Arranged<Row> {
  readonly beside: readonly Cells<Row>[]
  /** Of those beside each other. */
  readonly widths: readonly number[]
  readonly below: readonly Cells<Row>[]
}

function arrange<Row>(all: readonly Cells<Row>[], width: number): Arranged<Row> {
  const moved = new Set<Cells<Row>>()
  const rest = (): Cells<Row>[] => all.filter((cells) => !moved.has(cells))
  const over = (): number => rest().reduce((sum, cells) => sum + cells.width + GAP.length, -GAP.length) - width
  const arranged = (widthOf: (cells: Cells<Row>) => number): Arranged<Row> => {
    return { beside: rest(), widths: rest().map(widthOf), below: all.filter((cells) => moved.has(cells)) }
  }
  const [first, ...others] = all
  const byWidth = others.toSorted((a, b) => b.width - a.width)
  for (const cells of byWidth.filter(({ column }) => column.movesBelow === true)) {
    const room = cells.width - over()
    if (over() <= 0) break
    if (room >= WRAPPED_WIDTH_MIN && longestWord(cells) <= room)
      return arranged((each) => (each === cells ? room : each.width))
    moved.add(cells)
  }
  const firstWidth = first?.width ?? 0
  for (const cells of byWidth) {
    if (!moved.has(cells) && firstWidth - over() < Math.min(firstWidth, FIRST_WIDTH_MIN)) moved.add(cells)
  }
  const room = over() > 0 ? Math.max(1, firstWidth - over()) : firstWidth
  const fitting = (first?.texts ?? []).map(cellWidth).filter((each) => each <= room)
  const used = Math.max(...fitting, Math.min(room, cellWidth(first?.column.title ?? '')))
  return arranged((each) => (each === first ? used : each.width))
}

/** A DN is a word that needs a line of its own. */
function longestWord<Row>({ texts }: Cells<Row>): number {
  return Math.max(...texts.flatMap((text) => text.split(' ')).map(cellWidth))
}

function rowLine<Row>(
  beside: readonly Cells<Row>[],
  widths: readonly number[],
  textOf: (cells: Cells<Row>) => string,
): string {
  return beside
    .map((cells, at) => pad(textOf(cells), widths[at] ?? 0, cells.column.align ?? 'left'))
    .join(GAP)
    .trimEnd()
}

function rowLines<Row>(
  beside: readonly Cells<Row>[],
  widths: readonly number[],
  at: number,
  width: number,
): readonly string[] {
  const [first] = beside
  const name = first?.texts[at] ?? ''
  const isApart = cellWidth(name) > (widths[0] ?? 0)
  const cells = beside.map(({ texts }, index) => {
    if (index === 0) return [isApart ? '' : name]
    const room = widths[index] ?? 0
    const text = texts[at] ?? ''
    return cellWidth(text) <= room ? [text] : wrapped(text, room)
  })
  const height = cells.reduce((most, each) => Math.max(most, each.length), 1)
  const lines = Array.from({ length: height }, (_, line) => {
    return rowLine(beside, widths, (each) => cells[beside.indexOf(each)]?.[line] ?? '')
  })
  return isApart ? [...wrapped(name, width), ...lines.filter((line) => line !== '')] : lines
}

function detailOf<Row>({ column, texts }: Cells<Row>, at: number): Detail {
  return [column.title, texts[at] ?? '']
}

function detailLines([label, text]: Detail, labelWidth: number, width: number): string[] {
  if (text === '' || text === '-') return []
  const begin = `${INDENT}${pad(label, labelWidth, 'left')}${GAP}`
  if (width === Infinity) return [begin + text]
  return wrappedBehind(begin, text, width)
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, width - cellWidth(text)))
  return align === 'right' ? space + text : text + space
}

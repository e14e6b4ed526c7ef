import { stripVTControlCharacters, styleText } from 'node:util'
import type { Trouble } from '../contract/verdict.ts'
import { toWire } from '../contract/wire.ts'
import type { CliIo } from './io.ts'

/** Widest table where the terminal does not say; a pipe gets every column in full. */
export const WIDTH_DEFAULT = 100
const COLUMN_WIDTH_MIN = 8
const GAP = '  '

export type Style = Parameters<typeof styleText>[0]

/** Colours on a terminal only, and never with NO_COLOR (no-color.org) or TERM=dumb. */
export function painter(io: CliIo, stream: CliIo['stdout'] = io.stdout): (style: Style, text: string) => string {
  const off = !stream.isTTY || (io.env['NO_COLOR'] ?? '') !== '' || io.env['TERM'] === 'dumb'
  return (style, text) => (off ? text : styleText(style, text, { validateStream: false }))
}

export function print(io: CliIo, text: string): void {
  io.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** For people, beside the result: goes to stderr. */
export function note(io: CliIo, text: string): void {
  io.stderr.write(`${text}\n`)
}

/**
 * `--json`: one document (docs/json.md). `ok` says whether the exit code is 0.
 * @param data what the program knows; it is shown as the contract has it
 * @param trouble why the exit code is another one
 */
export function printData(io: CliIo, data: object, trouble: Trouble | null = null): void {
  const shown = toWire(data)
  printDocument(io, trouble === null ? { ok: true, data: shown } : { ok: false, error: trouble, data: shown })
}

/** `--json` of a command that failed. */
export function printError(io: CliIo, error: Trouble): void {
  printDocument(io, { ok: false, error })
}

function printDocument(io: CliIo, document: object): void {
  print(io, JSON.stringify(document, null, io.stdout.isTTY ? 2 : undefined))
}

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  readonly align?: 'left' | 'right'
  /** On a narrow terminal such a column is shortened first. */
  readonly shrinks?: boolean
}

/** Prints rows in columns that fit the terminal. Control characters of values are shown as `?`, so that none acts. */
export function printTable<Row>(io: CliIo, rows: readonly Row[], columns: readonly Column<Row>[]): void {
  const width = io.stdout.isTTY ? io.stdout.columns || WIDTH_DEFAULT : Infinity
  const paint = painter(io)
  const lines = tableLines(rows, columns, width)
  print(io, [paint('bold', lines[0] ?? ''), ...lines.slice(1)].join('\n'))
}

/** The lines of a table, the titles first. @param width in terminal cells */
export function tableLines<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width: number): string[] {
  const cells = rows.map((row) => columns.map((column) => plain(column.value(row))))
  const widths = fit(columns, cells, width)
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => pad(text, widths[index] ?? 0, columns[index]?.align ?? 'left'))
      .join(GAP)
      .trimEnd()
  return [line(columns.map((column) => column.title.toUpperCase())), ...cells.map(line)]
}

function fit<Row>(columns: readonly Column<Row>[], cells: readonly (readonly string[])[], width: number): number[] {
  const widths = columns.map((column, index) =>
    cells.reduce((widest, row) => Math.max(widest, cellWidth(row[index] ?? '')), cellWidth(column.title)),
  )
  let over = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (columns.length - 1) - width
  for (const shrinking of [true, false]) {
    for (const [index, column] of columns.entries()) {
      if (over <= 0 || (column.shrinks ?? false) !== shrinking) continue
      const now = widths[index] ?? 0
      const next = Math.max(Math.min(now, COLUMN_WIDTH_MIN), now - over)
      over -= now - next
      widths[index] = next
    }
  }
  return widths
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const cut = shorten(text, width)
  const space = ' '.repeat(Math.max(0, width - cellWidth(cut)))
  return align === 'right' ? space + cut : cut + space
}

function shorten(text: string, width: number): string {
  if (cellWidth(text) <= width) return text
  let kept = ''
  let used = 0
  for (const character of text) {
    const cells = cellWidth(character)
    if (used + cells > width - 1) break
    kept += character
    used += cells
  }
  return `${kept}…`
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/gu
const ZERO_WIDTH = /\p{Mn}|\p{Me}|\p{Cf}/gu

/** Terminal cells of a text: East Asian wide characters and emoji take two, combining marks none. */
export function cellWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  const visible = text.replace(ZERO_WIDTH, '')
  return Array.from(visible).length + (visible.match(WIDE)?.length ?? 0)
}

/** Text from outside, safe to print: no control characters, no terminal sequences, no bidirectional overrides. */
export function plain(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it removes
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '?')
}

export interface Progress {
  /** Shows how far it is; on a terminal only. */
  step(text: string): void
  [Symbol.dispose](): void
}

/** One line on stderr that is written over, on a terminal only. Disposing it clears the line. */
export function progress(io: CliIo): Progress {
  const on = io.stderr.isTTY && io.env['TERM'] !== 'dumb'
  return {
    step: (text) => {
      if (on) io.stderr.write(`\r\u001b[K${shorten(text, (io.stderr.columns || WIDTH_DEFAULT) - 1)}`)
    },
    [Symbol.dispose]: () => {
      if (on) io.stderr.write('\r\u001b[K')
    },
  }
}

/** The first of a list, and whether there are more. @param read gives at most so many */
export async function firstOf<Item>(
  limit: number,
  read: (max: number) => Promise<readonly Item[]>,
): Promise<{ readonly items: readonly Item[]; readonly isCut: boolean }> {
  const items = await read(limit + 1)
  return { items: items.slice(0, limit), isCut: items.length > limit }
}

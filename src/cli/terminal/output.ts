import { stripVTControlCharacters, styleText } from 'node:util'
import type { Trouble } from '../../contract/verdict.ts'
import { toWire } from '../../contract/wire.ts'
import { cellWidth, shorten, wrappedBehind } from './cells.ts'
import type { CliIo } from './io.ts'
import { withShownTimes } from './moment.ts'
import { tableLines, type Column, type Detail } from './table.ts'

/** Where the terminal does not report it. */
export const WIDTH_DEFAULT = 80

export type Style = Parameters<typeof styleText>[0]

/** Colours on a terminal only, and never with NO_COLOR (no-color.org) or TERM=dumb. */
export function painter(io: CliIo, stream: CliIo['stdout'] = io.stdout): (style: Style, text: string) => string {
  const off = !stream.isTTY || (io.env['NO_COLOR'] ?? '') !== '' || io.env['TERM'] === 'dumb'
  return (style, text) => (off ? text : styleText(style, text, { validateStream: false }))
}

export function print(io: CliIo, text: string): void {
  io.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

/**
 * For people, beside the result: goes to stderr. Names, paths and answers of servers come from outside: no control
 * characters of the text reach the terminal.
 * @param mark printed before it unchanged, with its colours
 */
export function note(io: CliIo, text: string, mark = ''): void {
  const shown = mark + withShownTimes(plainLines(text))
  io.stderr.write(`${textLines(shown, undefined, widthOf(io.stderr)).join('\n')}\n`)
}

/**
 * `--json`: one document (docs/reference/json.md). `ok` says whether the exit code is 0.
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

/** Cells of a line; for a pipe there is no limit. */
function widthOf(stream: CliIo['stdout']): number {
  return stream.isTTY ? stream.columns || WIDTH_DEFAULT : Infinity
}

/**
 * Text for people: on a terminal wrapped at spaces, with the further lines indented. Text to be copied or read by a
 * program goes through `print`.
 */
export function printText(
  io: CliIo,
  text: string,
  { indent, style }: { readonly indent?: number; readonly style?: Style } = {},
): void {
  const paint = painter(io)
  const lines = textLines(withShownTimes(text), indent, widthOf(io.stdout))
  print(io, lines.map((line) => (style === undefined ? line : paint(style, line))).join('\n'))
}

/** A line that is to be copied and run: a line break in it would make two commands of it. */
const COMMAND = /^(?:[A-Z_]+=\S+ )*[a-z][\w.-]* (?:-{1,2}\w|\/|[a-z]+ -{1,2}\w|\S*\/\S*)/
const QUOTED = /'[^']*'|"[^"]*"/g

export function isCommand(line: string): boolean {
  return COMMAND.test(line)
}

/**
 * A sentence that ends with a command, after `: ` or `with `: the text before it, and the command. Null: there is none.
 */
function commandAtEnd(line: string): readonly [before: string, command: string] | null {
  for (const { 0: joint, index } of line.matchAll(/: |\bwith /g)) {
    const command = line.slice(index + joint.length)
    const bare = command.replace(QUOTED, 'x')
    const isAlone = !/[.;,:] |[.,;:)]$/.test(bare) && / -{1,2}\w/.test(bare)
    if (isAlone && isCommand(command)) return [line.slice(0, index + joint.length).trimEnd(), command]
  }
  return null
}

function textLines(text: string, indent: number | undefined, width: number): string[] {
  if (width === Infinity) return [text]
  return text.split('\n').flatMap((line) => {
    const [begin = ''] = /^ */.exec(line) ?? []
    const after = indent ?? begin.length + 2
    const [words, command] = (cellWidth(line) > width ? commandAtEnd(line) : null) ?? [line, null]
    const lines = wrappedBehind(begin, words.slice(begin.length), width, after)
    return command === null ? lines : [...lines, ' '.repeat(after) + command]
  })
}

/**
 * Prints rows in columns that fit the terminal. Control characters of values are shown as `?`, so they have no effect.
 */
export function printTable<Row>(
  io: CliIo,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  details?: (row: Row) => readonly Detail[],
): void {
  const shown = (text: string): string => withShownTimes(plain(text))
  const [titles = '', ...lines] = tableLines(
    rows,
    columns.map((column) => ({ ...column, value: (row) => shown(column.value(row)) })),
    widthOf(io.stdout),
    details === undefined ? undefined : (row) => details(row).map(([label, text]) => [plain(label), shown(text)]),
  )
  print(io, [painter(io)('bold', titles), ...lines].join('\n'))
}

/** Text from outside, safe to print: no control characters, no terminal sequences, no bidirectional overrides. */
export function plain(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it removes
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '?')
}

/** As `plain`, line by line, for a text of several lines. */
export function plainLines(text: string): string {
  return text.split(/\r?\n/).map(plain).join('\n')
}

export interface Progress {
  /** Shows the progress; on a terminal only. */
  step(text: string): void
  [Symbol.dispose](): void
}

/** One line on stderr that is overwritten, on a terminal only. Disposing it clears the line. */
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

/** What the work gives, with such a line while it lasts. */
export async function withProgress<T>(io: CliIo, work: (step: (text: string) => void) => Promise<T>): Promise<T> {
  using line = progress(io)
  return await work((text) => line.step(text))
}

/** The first of a list, and whether there are more. @param read returns at most so many */
export async function firstOf<Item>(
  limit: number,
  read: (max: number) => Promise<readonly Item[]>,
): Promise<{ readonly items: readonly Item[]; readonly isCut: boolean }> {
  const items = await read(limit + 1)
  return { items: items.slice(0, limit), isCut: items.length > limit }
}

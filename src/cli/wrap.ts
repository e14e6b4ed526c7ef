import type { CliIo } from './io.ts'
import { cellWidth, print, WIDTH_DEFAULT } from './output.ts'

/** Text that is longer than a line of the terminal. A pipe gets every line whole. */

/** Cells of a line; Infinity for a pipe. */
export function lineWidth(io: CliIo): number {
  return io.stdout.isTTY ? io.stdout.columns || WIDTH_DEFAULT : Infinity
}

/** Lines of at most so many cells, broken at spaces. A longer word stays whole, so that it can be copied. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line: string | null = null
  for (const word of text.split(' ')) {
    const longer: string = line === null ? word : `${line} ${word}`
    if (line === null || cellWidth(longer) <= width) line = longer
    else {
      lines.push(line)
      line = word
    }
  }
  return [...lines, line ?? '']
}

/** Prints a line whose further lines begin below its text. @param indent where the text begins */
export function printWrapped(io: CliIo, line: string, indent: number): void {
  const [first = '', ...rest] = wrapped(line.slice(indent), Math.max(1, lineWidth(io) - indent))
  print(io, [line.slice(0, indent) + first, ...rest.map((each) => ' '.repeat(indent) + each)].join('\n'))
}

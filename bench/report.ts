import { styleText } from 'node:util'

/** One line of the table. Every figure carries its unit in the text. */
export interface Row {
  readonly name: string
  readonly measured: string
  /** What it is compared with, measured in the same run; '' where nothing is. */
  readonly baseline: string
  /** '' where nothing is compared. */
  readonly ratio: string
  readonly bar: string
  /** Null: for information, no bar. */
  readonly pass: boolean | null
}

/** For rows that compare nothing. */
export const INFORMATION = { baseline: '', ratio: '', bar: '', pass: null } as const

/** A measure's rows and, for people, how it was measured. */
export interface Report {
  readonly rows: readonly Row[]
  readonly notes: readonly string[]
}

const HEAD = ['what', 'measured', 'baseline', 'ratio', 'bar', ''] as const

/** The rows as a Markdown table with padded columns, so that it can be read in a terminal and pasted into the docs. */
export function tableOf(rows: readonly Row[], stream: NodeJS.WriteStream): string {
  const cells = [HEAD, ...rows.map((row) => [row.name, row.measured, row.baseline, row.ratio, row.bar, verdict(row)])]
  const widths = HEAD.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0), 3))
  const lines = cells.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  return lines.map((line) => (/\| MISS +\|$/.test(line) ? styleText('red', line, { stream }) : line)).join('\n') + '\n'
}

function verdict(row: Row): string {
  if (row.pass === null) return ''
  return row.pass ? 'pass' : 'MISS'
}

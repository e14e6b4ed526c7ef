import { PassThrough } from 'node:stream'
import type { ReadStream, WriteStream } from 'node:tty'
import { expect, test } from 'vitest'
import type { CliIo } from '../../src/cli/io.ts'
import { painter, plain, printTable, progress, tableLines, type Column } from '../../src/cli/output.ts'

interface Row {
  readonly login: string
  readonly reason: string
  readonly count: number
}

const COLUMNS: Column<Row>[] = [
  { title: 'login', value: (row) => row.login },
  { title: 'count', value: (row) => String(row.count), align: 'right' },
  { title: 'reason', value: (row) => row.reason, shrinks: true },
]
const ROWS: Row[] = [
  { login: 'alice', reason: 'token T1 reached its max fail count', count: 1 },
  { login: '李小龍', reason: 'manual', count: 12 },
]

function ioWith(isTTY: boolean, env: Record<string, string> = {}): { io: CliIo; text: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 40 }) as unknown as WriteStream
  const io = { env, cwd: '/', stdin: process.stdin as ReadStream, stdout: stream, stderr: stream, exitCode: 0 }
  return { io, text: () => String((stream as unknown as PassThrough).read() ?? '') }
}

test('a table has its columns in line, also with wide characters', () => {
  expect(tableLines(ROWS, COLUMNS, Infinity)).toEqual([
    'LOGIN   COUNT  REASON',
    'alice       1  token T1 reached its max fail count',
    '李小龍     12  manual',
  ])
})

test('a table fits a narrow terminal by shortening the column that may shrink', () => {
  const lines = tableLines(ROWS, COLUMNS, 40)
  expect(lines[1]).toBe('alice       1  token T1 reached its max…')
  expect(lines.every((line) => line.length <= 40)).toBe(true)
})

test('colours are for terminals, and not with NO_COLOR or TERM=dumb', () => {
  const red = (io: CliIo): string => painter(io)('red', 'x')
  expect(red(ioWith(true).io)).toBe('\u001b[31mx\u001b[39m')
  expect(red(ioWith(false).io)).toBe('x')
  expect(red(ioWith(true, { NO_COLOR: '1' }).io)).toBe('x')
  expect(red(ioWith(true, { TERM: 'dumb' }).io)).toBe('x')
})

test('text from outside cannot steer the terminal', () => {
  expect(plain('a\u001b[2Jb\u0007c\nd\u202ee')).toBe('ab?c?d?e')
  const { io, text } = ioWith(false)
  printTable(io, [{ login: 'x\u001b]0;owned\u0007y', reason: 'a\r\nb', count: 1 }], COLUMNS)
  // eslint-disable-next-line no-control-regex -- control characters are what must not be there
  expect(text()).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
})

test('progress shows on a terminal only, and leaves nothing behind', () => {
  const seen = ioWith(true)
  const unseen = ioWith(false)
  for (const { io } of [seen, unseen]) {
    using shown = progress(io)
    shown.step('half way')
  }
  expect(seen.text()).toBe('\r\u001b[Khalf way\r\u001b[K')
  expect(unseen.text()).toBe('')
})

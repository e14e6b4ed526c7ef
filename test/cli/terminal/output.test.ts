import { PassThrough } from 'node:stream'
import type { ReadStream, WriteStream } from 'node:tty'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CliIo } from '../../../src/cli/terminal/io.ts'
import { cellWidth, wrapped, wrappedBehind } from '../../../src/cli/terminal/cells.ts'
import { note, painter, plain, printTable, printText, progress } from '../../../src/cli/terminal/output.ts'
import { tableLines, type Column } from '../../../src/cli/terminal/table.ts'

interface Row {
  readonly login: string
  readonly reason: string
  readonly count: number
}

const COLUMNS: Column<Row>[] = [
  { title: 'login', value: (row) => row.login },
  { title: 'count', value: (row) => String(row.count), align: 'right' },
  { title: 'reason', value: (row) => row.reason, movesBelow: true },
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

test('a column that is too wide for the terminal goes below its row, in full', () => {
  expect(tableLines(ROWS, COLUMNS, 40)).toEqual([
    'LOGIN   COUNT',
    'alice       1',
    '  reason  token T1 reached its max fail',
    '          count',
    '李小龍     12',
    '  reason  manual',
  ])
})

test('what is too long for the first column stands by itself, and its row goes on below', () => {
  const rows = [{ login: 'a'.repeat(45), reason: 'manual', count: 1 }, ...ROWS]
  expect(tableLines(rows, COLUMNS, 40).slice(0, 6)).toEqual([
    'LOGIN   COUNT',
    'a'.repeat(40),
    'a'.repeat(5),
    '            1',
    '  reason  manual',
    'alice       1',
  ])
})

test('a table leaves out nothing, and no line is wider than the terminal', () => {
  const words = fc.string({ unit: fc.constantFrom('a', 'b', ',', ' ', '李', '🔒', 'e\u0301'), maxLength: 90 })
  const row = fc.record({ login: words, reason: words, count: fc.nat({ max: 99_999 }) })
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 4 }), fc.integer({ min: 24, max: 120 }), (rows, width) => {
      const lines = tableLines(rows, COLUMNS, width)
      for (const line of lines) expect(cellWidth(line), line).toBeLessThanOrEqual(width)
      const bare = (text: string): string => text.replace(/ /g, '')
      const all = bare(lines.join(''))
      for (const { login, reason } of rows) {
        for (const text of [login, reason]) if (text !== '-') expect(all).toContain(bare(text))
      }
    }),
  )
})

test('a text is wrapped at spaces, a DN behind its commas, and all else where the line ends', () => {
  expect(wrapped('the lock of alice waits', 10)).toEqual(['the lock', 'of alice', 'waits'])
  expect(wrapped('uid=alice,ou=people,dc=example', 20)).toEqual(['uid=alice,ou=people,', 'dc=example'])
  expect(wrapped('李小龍李小龍', 5)).toEqual(['李小', '龍李', '小龍'])
  expect(wrappedBehind('why ', 'one two three', 9)).toEqual(['why one', '    two', '    three'])
  expect(wrappedBehind('', 'one two three', 9, 2)).toEqual(['one two', '  three'])
})

test.each([
  ['abc', 3],
  ['李', 2],
  ['🔒✅', 4],
  ['🇩🇪', 2],
  ['e\u0301', 1],
  ['한', 2],
])('%s takes %i cells', (text, cells) => expect(cellWidth(text)).toBe(cells))

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

test('a command at the end of a sentence stays one line on a terminal, whatever its width', () => {
  const command = `ldapsearch -x -W -LLL -H ldaps://ldap.example.org -D 'cn=a, ou=b' -b ou=people '(&(uid=nobody)(a=b))'`
  const said = (text: string) => {
    const { io, text: shown } = ioWith(true)
    note(io, text)
    return shown().split('\n')
  }
  expect(said(`  Check the base. What it says: ${command}`)).toEqual([
    '  Check the base. What it says:',
    `    ${command}`,
    '',
  ])
  expect(said(`  Correct what is there with ${command}`)[1]).toBe(`    ${command}`)
  expect(said(`short: ls -l x`)).toEqual(['short: ls -l x', ''])
  // A sentence about a command is wrapped like any other.
  const about = `  What to do: lockstep unlock alice --adopt releases it, if nobody else set it.`
  for (const line of said(about)) expect(line.length).toBeLessThanOrEqual(40)
  const { io, text } = ioWith(true)
  printText(io, `  undone    T1: removed; to bring it back: lockstep undo --since '24 Nov 14:32:05'`, { indent: 12 })
  expect(text()).toContain(`\n            lockstep undo --since '24 Nov 14:32:05'\n`)
})

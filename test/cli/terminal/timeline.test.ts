import { expect, test } from 'vitest'
import { TIMELINE } from '../../../src/cli/commands/look/show.ts'
import { tableLines } from '../../../src/cli/terminal/table.ts'
import { tokenText } from '../../../src/cli/texts/token-lines.ts'

/** What `lockstep show` prints on a terminal. */

const ENTRY = {
  atMs: Date.UTC(2026, 10, 24, 10, 39, 5, 36),
  what: 'register applied',
  serial: 'OATH0001A2B3',
  actor: 'admin@',
  details: 'token OATH0001A2B3 was assigned to somebody whose name is rather long',
  reason: '',
  reasonCode: null,
  reasonParams: {},
}

test.each([60, 80, 100, 120, 200])('at %d columns no line of the timeline is longer, and no word is lost', (width) => {
  const long = { ...ENTRY, actor: 'an.administrator.with.a.long.name@super' }
  for (const entries of [[ENTRY], [ENTRY, long], [{ ...ENTRY, serial: null, actor: '' }]]) {
    const lines = tableLines(entries, TIMELINE, width)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    const text = lines.join(' ').replaceAll(/\s+/g, ' ')
    for (const { details, actor } of entries) {
      expect(text).toContain(details)
      expect(text).toContain(actor)
    }
  }
})

test('where there is room the details stand beside, else below', () => {
  expect(tableLines([ENTRY], TIMELINE, 200)[1]).toContain('admin@  token OATH0001A2B3 was assigned')
  const narrow = tableLines([ENTRY], TIMELINE, 80)
  expect(narrow[1]).not.toContain('token OATH0001A2B3 was assigned')
  expect(narrow.join(' ').replaceAll(/\s+/g, ' ')).toContain(ENTRY.details)
})

test('a token that is full says so, and what is not known is a dash', () => {
  const token = { serial: 'T1', type: 'totp', state: 'active', failCount: 3, failCountMax: 10, readMs: 0 } as const
  expect(tokenText(token, 12_000, true)).toBe('T1: totp, active, fail counter 3 of 10; read 12 s ago')
  expect(tokenText({ ...token, failCount: 10 }, 0, true)).toBe(
    'T1: totp, active, fail counter 10 of 10, full; read 0 s ago',
  )
  expect(tokenText({ ...token, failCount: null, failCountMax: null }, 0, true)).toContain('fail counter -; read')
  const nothing = { serial: 'T1', type: null, state: null, failCount: null, failCountMax: null, readMs: null }
  expect(tokenText(nothing, 0, false)).toBe('T1: fail counter -, not known in mode events')
  expect(tokenText(nothing, 0, true)).toBe('T1: fail counter -, not read yet')
})

import { expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import { localTimeText } from '../../../src/core/format/local-time.ts'
import { machineZone } from '../../../src/cli/terminal/moment.ts'
import { momentOption } from '../../../src/cli/terminal/options.ts'

const HOUR_MS = 3_600_000

test('--since takes RFC 3339, which names the zone, as it is', () => {
  for (const end of ['begin', 'end'] as const) {
    expect(momentOption('--since', '2026-11-24T10:00Z', end)).toBe(Date.UTC(2026, 10, 24, 10))
    expect(momentOption('--since', '2026-11-24T10:00:05.25+01:00', end)).toBe(Date.UTC(2026, 10, 24, 9, 0, 5, 250))
  }
})

test('--until includes the minute, or the second, that was given without a zone', () => {
  const length = (text: string): number => momentOption('--until', text, 'end') - momentOption('--since', text)
  expect(length('2026-07-01 14:32')).toBe(59_999)
  expect(length('1 Jul 2026 14:32:05')).toBe(999)
  expect(length('2026-07-01 14:32:05.000')).toBe(0)
  expect(length('2026-07-01')).toBe(0)
})

test('a recent time is taken with the age that is printed behind it', () => {
  const now = Date.now()
  const printed = localTimeText(now - HOUR_MS / 2, now, machineZone(), 'minute')
  expect(momentOption('--since', `${printed}, 30 min ago`)).toBe(momentOption('--since', printed))
})

test.each(['2h', '2 h ago', '2 h', '120 min ago'])('%s is two hours ago', (text) => {
  const ago = Date.now() - momentOption('--since', text)
  expect(ago).toBeGreaterThan(2 * HOUR_MS - 1_000)
  expect(ago).toBeLessThan(2 * HOUR_MS + 60_000)
})

test.each(['', 'noon', '14:32:61', '31 Feb 10:00', '2026-02-30', '14:32 ago'])(
  '“%s” is refused with what is expected',
  (text) => {
    const refused = (): number => momentOption('--since', text)
    expect(refused).toThrow(AppError)
    expect(refused).toThrow('expected a time or an age')
  },
)

test('a time that is still to come is refused: an undo since last year was meant by nobody', () => {
  const next = new Date(Date.now() + 36 * HOUR_MS)
  const text = `${next.toISOString().slice(0, 10)} 12:00`
  expect(() => momentOption('--since', text)).toThrow(/still to come/)
  expect(momentOption('--until', text)).toBeGreaterThan(Date.now())
})

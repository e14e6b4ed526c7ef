import fc from 'fast-check'
import { expect, test } from 'vitest'
import { localTimeText, parseLocalTime, type Precision } from '../../../src/core/format/local-time.ts'

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'America/St_Johns',
  'Pacific/Apia',
  'Atlantic/Azores',
  'UTC',
]
const at = (text: string): number => Date.parse(text)
const NOW = at('2026-11-24T13:32:40.500Z')
const UNIT_MS = { minute: 60_000, second: 1_000 }

test.each<[string, Precision, string]>([
  ['2026-11-24T13:32:40.400Z', 'minute', '14:32'],
  ['2026-11-24T13:32:40.400Z', 'second', '14:32:40'],
  ['2026-11-23T23:00:00Z', 'minute', '00:00'],
  ['2026-11-23T22:59:59Z', 'minute', '23 Nov 23:59'],
  ['2025-12-31T22:59:59Z', 'second', '31 Dec 2025 23:59:59'],
  ['2026-11-24T15:00:00Z', 'minute', '24 Nov 2026 16:00'],
  ['2026-10-25T00:30:00Z', 'minute', '25 Oct 02:30+02:00'],
  ['2026-10-25T01:30:00Z', 'minute', '25 Oct 02:30+01:00'],
  ['2026-10-25T02:30:00Z', 'minute', '25 Oct 03:30'],
])('%s to the %s is shown in Berlin as %s', (time, precision, text) => {
  expect(localTimeText(at(time), NOW, 'Europe/Berlin', precision)).toBe(text)
})

test.each<[string, string]>([
  ['14:32', '2026-11-24T13:32:00.000Z'],
  // Still to come: no other year and no other day is guessed.
  ['14:33', '2026-11-24T13:33:00.000Z'],
  ['yesterday 14:32', '2026-11-23T13:32:00.000Z'],
  ['today', '2026-11-23T23:00:00.000Z'],
  ['Yesterday', '2026-11-22T23:00:00.000Z'],
  ['today 23:00', '2026-11-24T22:00:00.000Z'],
  ['24 nov 14:32:40', '2026-11-24T13:32:40.000Z'],
  ['25 Nov 14:32', '2026-11-25T13:32:00.000Z'],
  ['24 Nov 2027 14:32', '2027-11-24T13:32:00.000Z'],
  ['2026-07-01 14:32', '2026-07-01T12:32:00.000Z'],
  ['2026-07-01T14:32:05.25', '2026-07-01T12:32:05.250Z'],
  ['2026-07-01T14:32:05+05:45', '2026-07-01T08:47:05.000Z'],
  ['25 Oct 02:30+01:00', '2026-10-25T01:30:00.000Z'],
  ['2026-07-01', '2026-06-30T22:00:00.000Z'],
  ['1 Jul', '2026-06-30T22:00:00.000Z'],
])('in Berlin %s is %s', (text, time) => {
  const parsed = parseLocalTime(text, NOW, 'Europe/Berlin')
  expect(parsed?.is === 'instant' && new Date(parsed.ms).toISOString()).toBe(time)
})

test.each([
  '',
  '24:00',
  '14:60',
  '1432',
  '31 Feb 10:00',
  '29 Feb 12:00',
  '29 Feb 2026 10:00',
  '14:32+99:99',
  '2026-13-01',
  '24 Brumaire 10:00',
  'noon',
])('“%s” is no time', (text) => expect(parseLocalTime(text, NOW, 'Europe/Berlin')).toBe(null))

const iso = (instants: readonly number[]): string[] => instants.map((ms) => new Date(ms).toISOString())

test('an hour that the clock shows twice is refused with both instants, and so is one that it leaves out', () => {
  const twice = parseLocalTime('2026-10-25 02:30', NOW, 'Europe/Berlin')
  expect(twice?.is === 'twice' && iso(twice.instants)).toEqual(['2026-10-25T00:30:00.000Z', '2026-10-25T01:30:00.000Z'])
  const never = parseLocalTime('2026-03-29 02:30', NOW, 'Europe/Berlin')
  expect(never?.is === 'never' && iso(never.instants)).toEqual(['2026-03-29T00:30:00.000Z', '2026-03-29T01:30:00.000Z'])
  // Lord Howe Island: half an hour.
  const half = parseLocalTime('2026-04-05 01:45', NOW, 'Australia/Lord_Howe')
  expect(half?.is === 'twice' && iso(half.instants)).toEqual(['2026-04-04T14:45:00.000Z', '2026-04-04T15:15:00.000Z'])
})

test('a day alone begins with the first that the clock shows of it', () => {
  const begin = (day: string, zone: string): string => {
    const parsed = parseLocalTime(day, NOW, zone)
    return parsed?.is === 'instant' ? localTimeText(parsed.ms, NOW, zone, 'second') : ''
  }
  // Midnight to 01:00 was left out; and came twice.
  expect(begin('2024-04-26', 'Africa/Cairo')).toBe('26 Apr 2024 01:00:00')
  expect(begin('2024-10-27', 'Atlantic/Azores')).toBe('27 Oct 2024 00:00:00+00:00')
})

test('with its offset a time has its day, also on that day', () => {
  const now = at('2026-10-25T23:59:30Z')
  expect(localTimeText(at('2026-10-25T00:59:00Z'), now, 'Atlantic/Azores', 'minute')).toBe('25 Oct 00:59+00:00')
})

/** Half of them within three hours of a change of some clock. */
const CHANGES = [
  '2026-03-29T01:00Z',
  '2026-10-25T01:00Z',
  '2026-03-08T07:00Z',
  '2026-11-01T06:00Z',
  '2026-04-04T15:00Z',
]
const near = fc
  .tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -10_800_000, max: 10_800_000 }))
  .map(([change, byMs]) => at(change.replace('Z', ':00Z')) + byMs)
const anywhere = fc.integer({ min: at('1980-01-01T00:00:00Z'), max: at('2099-12-31T00:00:00Z') })
const instant = fc.oneof(near, anywhere)

test('what is printed is read as the same instant, cut to what was printed, in every zone and around every change of clocks', () => {
  const awayMs = fc.oneof(
    fc.integer({ min: -90_000_000, max: 90_000_000 }),
    fc.integer({ min: 0, max: 40_000_000_000 }),
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...ZONES),
      instant,
      awayMs,
      fc.constantFrom<Precision>('minute', 'second'),
      (zone, ms, away, precision) => {
        const now = ms + away
        const text = localTimeText(ms, now, zone, precision)
        const parsed = parseLocalTime(text, now, zone)
        const expected = Math.floor(ms / UNIT_MS[precision]) * UNIT_MS[precision]
        expect(parsed, text).toEqual({ is: 'instant', ms: expected, unitMs: UNIT_MS[precision] })
      },
    ),
    { numRuns: 20_000 },
  )
})

test('a time without its day never means an earlier one than was printed', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ZONES), anywhere, fc.integer({ min: 0, max: 79_000_000 }), (zone, ms, laterMs) => {
      const text = localTimeText(ms, ms, zone, 'second')
      const parsed = parseLocalTime(text, ms + laterMs, zone)
      const isOne = text.length === 8 && parsed?.is === 'instant'
      if (isOne) expect(parsed.ms, text).toBeGreaterThanOrEqual(Math.floor(ms / 1000) * 1000)
    }),
    { numRuns: 2_000 },
  )
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { span, writtenDuration } from '../../../src/core/format/duration.ts'
import { duration } from '../../../src/config/keys/values.ts'
import { durationOption } from '../../../src/cli/terminal/options.ts'

const DAY_MS = 86_400_000

test.each([
  [600_000, '10m', '10 min'],
  [3_600_000, '1h', '1 h'],
  [DAY_MS, '24h', '24 h'],
  [2 * DAY_MS, '2d', '2 d'],
  [90 * DAY_MS, '90d', '90 d'],
  [90_000, '90s', '90 s'],
  [5_400_000, '90m', '90 min'],
  [9_000_000, '150m', '2.5 h'],
  [36 * 3_600_000, '36h', '36 h'],
  [250, '250ms', '250 ms'],
  [10_003, '10003ms', '10 s'],
  [0, '0ms', '0 ms'],
])('%i ms are %s in the configuration and %s to people', (ms, written, shown) => {
  expect(writtenDuration(ms)).toBe(written)
  expect(span(ms)).toBe(shown)
})

test('what is written is taken by the configuration and by options, and means the same', () => {
  const { read } = duration(0)
  const report = (): void => undefined
  fc.assert(
    fc.property(
      fc.oneof(
        fc.integer({ min: 0, max: 999_999_999 }),
        fc.integer({ min: 0, max: 3650 }).map((days) => days * DAY_MS),
        fc.integer({ min: 0, max: 87_600 }).map((hours) => hours * 3_600_000),
      ),
      (ms) => {
        expect(read(writtenDuration(ms), [], { root: {}, report })).toBe(ms)
        expect(durationOption('--since', writtenDuration(ms))).toBe(ms)
      },
    ),
  )
})

import { expect, test } from 'vitest'
import { retryDelayMs } from '../../src/core/error.ts'

const OFTEN = 20

test.each([
  ['directory-unreachable', 5_000],
  ['source-unreachable', 10_000],
  ['directory-refused', 60_000],
  ['directory-not-permitted', 60_000],
  ['store-busy', 60_000],
  ['unknown-user', 900_000],
] as const)('%s is tried again after %i ms at most, and first within half a second', (code, maxMs) => {
  expect(retryDelayMs(code, OFTEN, 0)).toBe(maxMs / 2)
  expect(retryDelayMs(code, OFTEN, 1)).toBe(maxMs)
  expect(retryDelayMs(code, 0, 1)).toBe(500)
})

test('a value that is too long is tried again after an hour, from the first time on', () => {
  expect(retryDelayMs('value-too-long', 0, 0)).toBe(3_600_000)
  expect(retryDelayMs('value-too-long', OFTEN, 0)).toBe(3_600_000)
})

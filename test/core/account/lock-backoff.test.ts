import fc from 'fast-check'
import { expect, test } from 'vitest'
import { lockTtlAt } from '../../../src/core/account/fold.ts'

const TTL = 10
const backoff = (...endedUs: number[]) => ({ factor: 2, maxUs: 60, resetAfterUs: 100, endedUs })

test('each lock that ended a while before doubles the next one, up to the most', () => {
  const ends = [260, 180, 100, 20]
  expect([0, 1, 2, 3, 4].map((count) => lockTtlAt(TTL, backoff(...ends.slice(4 - count)), 330))).toEqual([
    10, 10, 10, 10, 60,
  ])
  expect(lockTtlAt(TTL, backoff(260), 330)).toBe(20)
  expect(lockTtlAt(TTL, backoff(260, 180), 330)).toBe(40)
})

test('after a long quiet time it is the first again', () => {
  expect(lockTtlAt(TTL, backoff(200), 301)).toBe(10)
  expect(lockTtlAt(TTL, backoff(260, 100), 330)).toBe(20)
})

test('a lock that ends after the word it is about makes that one no longer', () => {
  const times = fc.array(fc.nat(1_000), { maxLength: 10 })
  fc.assert(
    fc.property(times, times, fc.nat(1_000), (before, after, atUs) => {
      const known = before.toSorted((a, b) => b - a)
      const more = [...known, ...after.map((us) => atUs + us)].toSorted((a, b) => b - a)
      expect(lockTtlAt(TTL, backoff(...more), atUs)).toBe(lockTtlAt(TTL, backoff(...known), atUs))
    }),
  )
})

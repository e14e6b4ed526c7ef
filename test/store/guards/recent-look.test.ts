import { expect, test } from 'vitest'
import { recentLook } from '../../../src/store/rows/recent-look.ts'

const MAX_AGE_MS = 20

function counted(failing = false) {
  let looks = 0
  const look = async (): Promise<number> => {
    looks++
    await Promise.resolve()
    if (failing && looks === 1) throw new Error('away')
    return looks
  }
  return recentLook(look, MAX_AGE_MS)
}

test('who asks at the same time shares one look, and a younger answer is not asked for again', async () => {
  const recent = counted()
  expect(await Promise.all([recent(100), recent(100), recent(101)])).toEqual([1, 1, 1])
  expect(await recent(119)).toBe(1)
  expect(await recent(120)).toBe(2)
})

test('a clock that was set back makes no answer younger', async () => {
  const recent = counted()
  expect(await recent(100)).toBe(1)
  expect(await recent(50)).toBe(2)
})

test('a look that failed reaches those who share it, and nobody after them', async () => {
  const recent = counted(true)
  const both = await Promise.allSettled([recent(100), recent(100)])
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await recent(100)).toBe(2)
})

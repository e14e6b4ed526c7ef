import { expect, test } from 'vitest'
import { workerCount } from '../worker-count.ts'

const GIB = 2 ** 30

test.each([
  ['a small machine', 2, 4, 1],
  ['the usual gate', 2, 24, 2],
  ['many processors and little memory', 16, 8, 2],
  ['a large machine', 64, 256, 4],
  ['a container with next to no memory', 4, 0.5, 1],
])('as many files run beside each other as processors and memory allow: %s', (_name, processors, gib, expected) => {
  expect(workerCount(processors, gib * GIB)).toBe(expected)
})

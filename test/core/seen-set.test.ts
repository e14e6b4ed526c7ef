import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SeenSet } from '../../src/core/seen-set.ts'

test('it knows what was added and nothing else, whatever the seed', () => {
  fc.assert(
    fc.property(fc.integer(), fc.uniqueArray(fc.string(), { maxLength: 200 }), (seed, texts) => {
      const set = new SeenSet(seed)
      const added = texts.filter((_, index) => index % 2 === 0)
      for (const text of [...added, ...added]) set.add(text)
      expect(set.size).toBe(added.length)
      expect(texts.filter((text) => set.has(text))).toEqual(added)
    }),
  )
})

test('50,000 keys that differ in a few digits are told apart from 50,000 others', () => {
  const keyOf = (number: number) => `corp/00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`
  const set = new SeenSet(1)
  for (let number = 0; number < 50_000; number++) set.add(keyOf(number))
  expect(set.size).toBe(50_000)
  for (let number = 0; number < 100_000; number++) {
    if (set.has(keyOf(number)) !== number < 50_000) throw new Error(`wrong about ${number}`)
  }
})

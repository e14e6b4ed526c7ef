import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteBudget, jsonMembers, jsonTrouble } from '../../src/core/json-limit.ts'

const WIDE = { depthMax: 1000, valuesMax: 1_000_000 }
const bytes = (text: string): Buffer => Buffer.from(text)

/** Values, and names of objects. */
function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  if (Array.isArray(value)) return 1 + value.reduce((sum: number, each) => sum + countOf(each), 0)
  return 1 + Object.values(value).reduce((sum: number, each) => sum + 1 + countOf(each), 0)
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

describe('what a JSON text would take', () => {
  test('is never less than what it holds, whatever its strings look like', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = bytes(JSON.stringify(value))
        const [values, depth] = [countOf(value), depthOf(value)]
        expect(jsonTrouble(text, { depthMax: depth, valuesMax: 2 * values + 1 })).toBeNull()
        if (depth > 0) expect(jsonTrouble(text, { ...WIDE, depthMax: depth - 1 })).toContain('nested deeper')
        if (values > 3)
          expect(jsonTrouble(text, { ...WIDE, valuesMax: Math.floor(values / 2) - 1 })).toContain('values')
      }),
    )
  })

  test('brackets and commas within a string are text, and a quote that is escaped ends none', () => {
    expect(jsonTrouble(bytes('{"a":"[[[[,,,,\\"[[[[\\\\"}'), { depthMax: 1, valuesMax: 3 })).toBeNull()
    expect(jsonTrouble(bytes('["'), WIDE)).toBeNull()
  })
})

describe('the members of an object', () => {
  test('are those of JSON.parse, in their order', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
        fc.constantFrom('', ' ', '\n'),
        (value, space) => {
          const plain: unknown = JSON.parse(JSON.stringify(value))
          const text = space + JSON.stringify(value, null, space)
          const members = jsonMembers(bytes(text))?.map(({ name, value: each }) => [name, each] as const) ?? []
          expect(Object.fromEntries(members)).toEqual(plain)
          expect(members).toHaveLength(Object.keys(value).length)
        },
      ),
    )
  })

  test('are each there as often as they were written, whichever way', () => {
    expect(jsonMembers(bytes('{"a":1,"\\u0061":2,"b":{"a":3,"a":4}}'))).toEqual([
      { name: 'a', value: 1 },
      { name: 'a', value: 2 },
      { name: 'b', value: { a: 4 } },
    ])
    expect(jsonMembers(bytes('{}'))).toEqual([])
    expect(jsonMembers(bytes('[1,2]'))).toBeNull()
    expect(() => jsonMembers(bytes('{"a":1'))).toThrow(SyntaxError)
  })
})

test('a budget gives no more than it has, and has again what came back', () => {
  const budget = new ByteBudget(10)
  expect([budget.take(6), budget.take(6), budget.take(4)]).toEqual([true, false, true])
  budget.give(6)
  expect([budget.take(6), budget.taken]).toEqual([true, 10])
})

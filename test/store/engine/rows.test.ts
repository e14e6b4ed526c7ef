import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromJson, toJson } from '../../../src/store/rows/rows.ts'

/** Bytes anywhere in a value, as a change of an entry may hold them. */
const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.constant('"b64"'),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('holds', 'values', 'b64s'), tie('value')),
  ),
}))

describe('JSON of rows', () => {
  test('keeps bytes, wherever they are', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(fromJson(toJson(value), 'a test')).toEqual(value)
      }),
    )
  })

  test('is written as it always was', () => {
    expect(toJson({ holds: ['T1'], values: ['a', new Uint8Array([1, 2, 255])] })).toBe(
      '{"holds":["T1"],"values":["a",{"b64":"AQL/"}]}',
    )
    expect(toJson({ holds: ['T1'] })).toBe('{"holds":["T1"]}')
  })

  test('that is broken is named', () => {
    expect(() => fromJson('{"holds":', 'change c1')).toThrow('unreadable JSON in change c1')
  })
})

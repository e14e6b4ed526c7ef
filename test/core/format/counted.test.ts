import { expect, test } from 'vitest'
import { counted } from '../../../src/core/format/counted.ts'

test('one thing is in the singular, none and several in the plural', () => {
  expect([0, 1, 2].map((count) => counted(count, 'account'))).toEqual(['0 accounts', '1 account', '2 accounts'])
  expect(counted(1, 'loss', 'losses')).toBe('1 loss')
})

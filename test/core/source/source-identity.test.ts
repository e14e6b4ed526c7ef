import { expect, test } from 'vitest'
import { parseSerial } from '../../../src/core/names.ts'
import { judgeTokens, judgeTokensAlone, type TokenMark } from '../../../src/core/source/source-identity.ts'
import { must } from '../../simulation/world.ts'

const SECOND = '2026-11-30T12:00:00'

function mark(serial: string, id: number | null, made: string | null = SECOND): TokenMark {
  return { serial: must(parseSerial(serial)), id, made }
}

/** Tokens A1 to A6 with the ids 1 to 6. */
const RECORDED = [1, 2, 3, 4, 5, 6].map((id) => mark(`A${id}`, id))

test('one token that two servers made alike in one second does not make them one', () => {
  const other = [mark('A1', 1), mark('B2', 2), mark('B3', 3)]
  expect(judgeTokens(RECORDED, other)).toBe('unproven')
  expect(judgeTokensAlone(RECORDED, other)).toBe('other')
})

test('two of many tokens that were made alike are proof', () => {
  expect(judgeTokens(RECORDED, [mark('A1', 1), mark('A2', 2)])).toBe('same')
})

test('the only token on record, made alike, is the same server', () => {
  expect(judgeTokens([mark('A1', 1)], [mark('A1', 1), mark('B2', 2)])).toBe('same')
})

test.each([
  ['another second', (at: number) => mark(`A${at}`, at, '2026-11-30T12:00:01')],
  ['another id', (at: number) => mark(`A${at}`, at + 10)],
] as const)('tokens with the same serials and %s are another server', (_, change) => {
  const shown = RECORDED.map(({ id }) => change(Number(id)))
  expect(judgeTokens(RECORDED, shown)).toBe('unproven')
  expect(judgeTokensAlone(RECORDED, shown)).toBe('other')
})

test('where the times are not known more than half has to fit', () => {
  const older = RECORDED.map(({ serial, id }) => ({ serial, id, made: null }))
  expect(judgeTokens(older, RECORDED.slice(0, 3))).toBe('unproven')
  expect(judgeTokens(older, RECORDED.slice(0, 4))).toBe('same')
})

test('tokens made alike count with those whose time is not known', () => {
  const some = [mark('A1', 1), ...RECORDED.slice(1).map(({ serial, id }) => ({ serial, id, made: null }))]
  expect(judgeTokens(some, RECORDED.slice(0, 4))).toBe('same')
  expect(judgeTokens(some, RECORDED.slice(0, 3))).toBe('unproven')
})

test('nothing on record is the server that answers', () => {
  expect(judgeTokens([], RECORDED)).toBe('unproven')
  expect(judgeTokensAlone([], RECORDED)).toBe('same')
})

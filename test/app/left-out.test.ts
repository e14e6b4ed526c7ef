import { expect, test } from 'vitest'
import { recordLeftOut } from '../../src/app/drift-record.ts'
import { nameOfDirectory } from '../directory/directory-settings.ts'
import { openTestStore } from '../store/test-store.ts'

const CORP = nameOfDirectory('corp')
const LAB = nameOfDirectory('lab')

test('a directory that a full resync left out is a finding until one compares it, and a cut search is named as such', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  await recordLeftOut(store, [
    { directory: CORP, code: 'directory-cut', reason: 'result 4' },
    { directory: CORP, code: 'directory-cut', reason: 'result 4, again' },
    { directory: LAB, code: 'directory-unreachable', reason: 'no answer' },
  ])
  const open = await store.findings.open()
  expect(open.map(({ kind, subject, isAttention }) => [kind, subject, isAttention]).toSorted()).toEqual([
    ['directory-left-out', 'lab', true],
    ['search-cut', 'corp', true],
  ])
  expect(open.find(({ kind }) => kind === 'search-cut')?.fix).toContain('lockstep doctor')
  await recordLeftOut(store, [{ directory: LAB, code: 'directory-cut', reason: 'result 11' }])
  expect((await store.findings.open()).map(({ kind, subject }) => [kind, subject])).toEqual([['search-cut', 'lab']])
  await recordLeftOut(store, [])
  expect(await store.findings.open()).toEqual([])
})

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lockEvent, openTestStore, START_MS, type TestStore } from './test-store.ts'

const RECORDS = 30
const DAY_MS = 86_400_000

/** Thirty records, a day apart; the first twenty are in two archive files. */
async function openArchived(): Promise<TestStore & { files(): Promise<string[]> }> {
  const opened = await openTestStore()
  for (let number = 1; number <= RECORDS; number++) {
    opened.clock.setMs(START_MS + number * DAY_MS)
    await opened.store.inbox.take([lockEvent(number)], [])
  }
  expect(await opened.store.archive.archive(START_MS + 11 * DAY_MS, 1_000)).toBe(10)
  expect(await opened.store.archive.archive(START_MS + 21 * DAY_MS, 1_000)).toBe(10)
  const files = async (): Promise<string[]> =>
    (await opened.store.archive.files()).map(({ name }) => join(opened.dir, 'journal-archive', name))
  return Object.assign(opened, { files })
}

async function faultsOf({ store }: TestStore): Promise<string> {
  const { faults } = await store.archive.verify()
  return faults.map((fault) => fault.what).join('\n')
}

test('old records leave for files in order, and the chain goes on through them', async () => {
  await using opened = await openArchived()
  expect((await opened.store.archive.files()).map(({ from, to }) => [from, to])).toEqual([
    [1, 10],
    [11, 20],
  ])
  // Each archiving is a record itself.
  expect(await opened.store.archive.verify()).toEqual({ records: RECORDS + 2, faults: [] })
  expect(opened.raw('select min(seq) as first, count(*) as n from journal')).toEqual([{ first: 21, n: 12 }])
})

test('the number of records in the store is bounded: the oldest go, and then it rests', async () => {
  await using opened = await openArchived()
  expect(await opened.store.archive.archive(0, 5)).toBe(8)
  expect(await opened.store.archive.archive(0, 5)).toBe(0)
  expect(opened.raw('select count(*) as n from journal')).toEqual([{ n: 5 }])
  expect((await opened.store.archive.verify()).faults).toEqual([])
})

test('new records follow an archived end', async () => {
  await using opened = await openArchived()
  await opened.store.inbox.take([lockEvent(500)], [])
  await using again = await opened.again()
  await again.inbox.take([lockEvent(501)], [])
  expect(await again.archive.verify()).toEqual({ records: RECORDS + 4, faults: [] })
})

test('archive files past their age are removed, oldest first, and the chain starts after them', async () => {
  await using opened = await openArchived()
  expect(await opened.store.archive.prune(START_MS + 15 * DAY_MS)).toBe(1)
  expect((await opened.store.archive.files()).map(({ from }) => from)).toEqual([11])
  expect(await opened.store.archive.verify()).toEqual({ records: RECORDS + 2 - 10, faults: [] })
})

test('a crash after the file was written and before its records went leaves the chain whole', async () => {
  await using opened = await openArchived()
  const [newest = ''] = (await opened.files()).slice(-1)
  for (const line of readFileSync(newest, 'utf8')
    .split('\n')
    .filter((text) => text !== '')) {
    const { seq, at_ms, kind, subject, body, prev_hash, hash } = JSON.parse(line) as Record<string, string | number>
    const values = [seq, at_ms, kind, subject, body, prev_hash, hash].map((value) => value ?? '')
    opened.raw(
      'insert into journal (seq, at_ms, kind, subject, body, prev_hash, hash) values (?,?,?,?,?,?,?)',
      ...values,
    )
  }
  expect((await opened.store.archive.verify()).faults).toEqual([])
  expect(await opened.store.archive.archive(START_MS + 21 * DAY_MS, 1_000)).toBe(10)
  expect((await opened.store.archive.verify()).faults).toEqual([])
})

function editLines(file: string, edit: (lines: string[]) => string[]): void {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  writeFileSync(file, `${edit(lines).join('\n')}\n`)
}

const TAMPERINGS: readonly [string, (lines: string[]) => string[], RegExp][] = [
  ['a changed record', (lines) => lines.with(4, (lines[4] ?? '').replace('user', 'loser')), /record 5 was changed/],
  ['a removed record', (lines) => lines.toSpliced(4, 1), /record 5 is missing/],
  ['a removed first record', (lines) => lines.slice(1), /record 1 is missing/],
  ['a removed last record', (lines) => lines.slice(0, -1), /record 10 is missing/],
  ['two swapped records', (lines) => lines.with(4, lines[5] ?? '').with(5, lines[4] ?? ''), /record 5 /],
  ['a doubled record', (lines) => lines.toSpliced(4, 0, lines[4] ?? ''), /record 5 stands after record 5/],
]

test.each(TAMPERINGS)('%s in an archive file is found and named', async (_name, edit, expected) => {
  await using opened = await openArchived()
  const [file = ''] = await opened.files()
  editLines(file, edit)
  expect(await faultsOf(opened)).toMatch(expected)
})

test('a line of an archive file that is no record is named with its file and number', async () => {
  await using opened = await openArchived()
  const [file = ''] = await opened.files()
  editLines(file, (lines) => lines.with(4, 'nonsense'))
  await expect(opened.store.archive.verify()).rejects.toMatchObject({
    code: 'store-corrupt',
    message: '000000000001-000000000010.jsonl, line 5: no journal record',
  })
})

test('a missing archive file is found', async () => {
  await using opened = await openArchived()
  const [first = ''] = await opened.files()
  rmSync(first)
  expect(await faultsOf(opened)).toContain('records 1 to 10 are missing')
})

test('archive files that changed their names are found', async () => {
  await using opened = await openArchived()
  const [first = '', second = ''] = await opened.files()
  renameSync(first, `${first}.x`)
  renameSync(second, first)
  renameSync(`${first}.x`, second)
  expect(await faultsOf(opened)).toContain('records 1 to 10 are missing')
})

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recordHash } from '../../../src/store/engine/journal.ts'
import type { JournalRow } from '../../../src/store/schema/schema.ts'
import type { ArchiveRules } from '../../../src/store/journal/journal-archive.ts'
import { lockEvent, openTestStore, START_MS, type TestStore } from '../test-store.ts'

const RECORDS = 30
const DAY_MS = 86_400_000

function rules(beforeMs: number, recordsMax: number): ArchiveRules {
  return { beforeMs, recordsMax, gatherMs: 0 }
}

/** Thirty records, a day apart; the first twenty are in two archive files. */
async function openArchived(): Promise<TestStore & { files(): Promise<string[]> }> {
  const opened = await openTestStore()
  for (let number = 1; number <= RECORDS; number++) {
    opened.clock.setMs(START_MS + number * DAY_MS)
    await opened.store.inbox.take([lockEvent(number)], [])
  }
  expect(await opened.store.archive.archive(rules(START_MS + 11 * DAY_MS, 1_000))).toBe(10)
  expect(await opened.store.archive.archive(rules(START_MS + 21 * DAY_MS, 1_000))).toBe(10)
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
  expect(await opened.store.archive.archive(rules(0, 5))).toBe(8)
  expect(await opened.store.archive.archive(rules(0, 5))).toBe(0)
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
  // What went is a record itself, and that is where the chain begins.
  expect(await opened.store.archive.verify()).toEqual({ records: RECORDS + 3 - 10, faults: [] })
  expect(opened.raw("select body from journal where kind = 'pruned'")).toEqual([
    { body: expect.stringMatching(/^{"to":10,"hash":"[0-9a-f]{64}","file":"000000000001-000000000010.jsonl"}$/) },
  ])
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
  expect(await opened.store.archive.archive(rules(START_MS + 21 * DAY_MS, 1_000))).toBe(10)
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

/** The first file has gone for its age; then the next one is taken away, and the row beside the chain says so too. */
test('a removed beginning is found, whatever stands beside the chain, and the missing file is named', async () => {
  await using opened = await openArchived()
  await opened.store.archive.prune(START_MS + 15 * DAY_MS)
  const [file = ''] = await opened.files()
  const newest = JSON.parse(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? '') as {
    seq: number
    hash: string
  }
  rmSync(file)
  opened.raw("insert into meta (key, value) values ('journal-start', ?)", `${newest.seq} ${newest.hash}`)
  const faults = await faultsOf(opened)
  expect(faults).toBe('records 11 to 20 are missing at the beginning; archived into 000000000011-000000000020.jsonl')
})

test('a crash between the record of the pruning and the removal of the file leaves the chain whole', async () => {
  await using opened = await openArchived()
  const [file = ''] = await opened.files()
  const text = readFileSync(file, 'utf8')
  await opened.store.archive.prune(START_MS + 15 * DAY_MS)
  writeFileSync(file, text)
  expect((await opened.store.archive.verify()).faults).toEqual([])
  expect(await opened.store.archive.prune(START_MS + 15 * DAY_MS)).toBe(1)
  expect((await opened.store.archive.verify()).faults).toEqual([])
})

/** Hashes everything anew as 0.1.0 wrote it: archivings without a format, and a schema of its own number. */
async function madeOld(opened: Awaited<ReturnType<typeof openArchived>>): Promise<void> {
  let before = '0'.repeat(64)
  const old = (row: JournalRow): JournalRow => {
    const body = row.kind === 'archived' ? row.body.replace(',"format":2', '') : row.body
    const record = { ...row, body, prev_hash: before }
    before = recordHash(record)
    return { ...record, hash: before }
  }
  for (const file of await opened.files()) {
    editLines(file, (lines) => lines.map((line) => JSON.stringify(old(JSON.parse(line) as JournalRow))))
  }
  for (const row of opened.raw('select * from journal order by seq')) {
    const { seq, body, prev_hash: previous, hash } = old(row as unknown as JournalRow)
    opened.raw('update journal set body = ?, prev_hash = ?, hash = ? where seq = ?', body, previous, hash, seq)
    opened.raw("update meta set value = ? where key = 'journal-head'", `${seq} ${hash}`)
  }
  opened.toVersion(2)
}

/** As 0.1.0 removed the oldest file, and as somebody else may: the row beside the chain says where it begins. */
async function prunedBesideTheChain(opened: Awaited<ReturnType<typeof openArchived>>): Promise<void> {
  const [file = ''] = await opened.files()
  const newest = JSON.parse(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? '') as JournalRow
  rmSync(file)
  opened.raw("insert or replace into meta (key, value) values ('journal-start', ?)", `${newest.seq} ${newest.hash}`)
}

test('a store of the version before, whose beginning stood beside the chain, is whole, and from then on proves it', async () => {
  await using opened = await openArchived()
  await madeOld(opened)
  await prunedBesideTheChain(opened)
  await using again = await opened.again()
  expect(await again.archive.verify()).toEqual({ records: RECORDS + 3 - 10, faults: [] })
  expect(opened.raw("select value from meta where key = 'journal-start'")).toEqual([])
  await prunedBesideTheChain(opened)
  expect(await faultsOf(opened)).toContain('records 11 to 20 are missing at the beginning')
  // Made to look as before once more, it is still found.
  opened.toVersion(2)
  await using third = await opened.again()
  expect((await third.archive.verify()).faults.map(({ what }) => what).join()).toContain('made to look old')
})

test('a store of the version before from which nothing was removed is whole, and cannot lose its beginning either', async () => {
  await using opened = await openArchived()
  await madeOld(opened)
  await using again = await opened.again()
  expect(await again.archive.verify()).toEqual({ records: RECORDS + 3, faults: [] })
  await prunedBesideTheChain(opened)
  opened.toVersion(2)
  await using third = await opened.again()
  expect((await third.archive.verify()).faults.map(({ what }) => what).join()).toContain('made to look old')
})

test('a store that was made to look old, to have its removed beginning believed, is found', async () => {
  await using opened = await openArchived()
  await prunedBesideTheChain(opened)
  opened.toVersion(2)
  await using again = await opened.again()
  expect((await again.archive.verify()).faults.map(({ what }) => what)).toEqual([
    'record 33 takes over a beginning that no earlier version made: the store was made to look old',
  ])
})

test('a file that a crash left half done is finished as it is, also where more records could go by then', async () => {
  await using opened = await openArchived()
  const body = opened.raw('select * from journal order by seq limit 3')
  const name = '000000000021-000000000023.jsonl'
  writeFileSync(join(opened.dir, 'journal-archive', name), body.map((row) => `${JSON.stringify(row)}\n`).join(''))
  expect(await opened.store.archive.archive(rules(START_MS + 28 * DAY_MS, 1_000))).toBe(3)
  expect((await opened.store.archive.verify()).faults).toEqual([])
  expect(await opened.store.archive.archive(rules(START_MS + 28 * DAY_MS, 1_000))).toBe(4)
  expect((await opened.store.archive.verify()).faults).toEqual([])
})

test('records wait until they are worth a file: a month of them, or a file full', async () => {
  await using opened = await openArchived()
  const wait = { beforeMs: START_MS + 30 * DAY_MS, gatherMs: 11 * DAY_MS, recordsMax: 1_000 }
  expect(await opened.store.archive.archive(wait)).toBe(0)
  expect(await opened.store.archive.archive({ ...wait, gatherMs: 8 * DAY_MS })).toBe(9)
  expect((await opened.store.archive.files()).map(({ from, to }) => [from, to])).toEqual([
    [1, 10],
    [11, 20],
    [21, 29],
  ])
})

test('what is beyond the limit goes with a tenth of it, and not one by one', async () => {
  await using opened = await openArchived()
  for (let number = 100; number < 130; number++) await opened.store.inbox.take([lockEvent(number)], [])
  expect(opened.raw('select count(*) as n from journal')).toEqual([{ n: 42 }])
  expect(await opened.store.archive.archive(rules(0, 40))).toBe(42 - 40 + 1 + 4)
  expect(await opened.store.archive.archive(rules(0, 40))).toBe(0)
})

test('what the daemon archives and prunes while somebody verifies is no fault', async () => {
  for (let round = 0; round < 5; round++) {
    await using opened = await openArchived()
    const { archive } = opened.store
    const ended = new AbortController()
    const keeping = (async () => {
      for (let day = 22; day <= 31; day++) {
        await archive.archive(rules(START_MS + day * DAY_MS, 1_000))
        await archive.prune(START_MS + (day - 10) * DAY_MS)
      }
      ended.abort()
    })()
    const looks: Awaited<ReturnType<typeof archive.verify>>[] = []
    while (!ended.signal.aborted) looks.push(await archive.verify())
    await keeping
    expect(looks.flatMap(({ faults }) => faults)).toEqual([])
  }
})

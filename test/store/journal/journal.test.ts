import { expect, test } from 'vitest'
import { recordHash } from '../../../src/store/engine/journal.ts'
import type { JournalRow } from '../../../src/store/schema/schema.ts'
import { lockEvent, openTestStore, type TestStore } from '../test-store.ts'

const RECORDS = 9
const POSITIONS = [
  ['first', 1],
  ['one in the middle', 5],
  ['last', RECORDS],
] as const

async function openWithRecords(): Promise<TestStore> {
  const test = await openTestStore()
  for (let number = 1; number <= RECORDS; number++) await test.store.inbox.take([lockEvent(number)], [])
  return test
}

async function faultsOf({ store }: TestStore): Promise<string> {
  const { faults } = await store.archive.verify()
  return faults.map((fault) => fault.what).join('\n')
}

test('an untouched journal is whole, and every record counts', async () => {
  await using opened = await openWithRecords()
  expect(await opened.store.archive.verify()).toEqual({ records: RECORDS, faults: [] })
})

const FIELDS: readonly [string, string | number][] = [
  ['at_ms', 1],
  ['kind', 'applied'],
  ['subject', 'event-999'],
  ['body', '{}'],
  ['prev_hash', 'f'.repeat(64)],
  ['hash', 'e'.repeat(64)],
]

for (const [where, seq] of POSITIONS) {
  test.each(FIELDS)(`a changed %s of the ${where} record is found, and the record is named`, async (field, value) => {
    await using opened = await openWithRecords()
    opened.raw(`update journal set ${field} = ? where seq = ?`, value, seq)
    expect(await faultsOf(opened)).toContain(`record ${seq}`)
  })

  test(`a changed number of the ${where} record is found`, async () => {
    await using opened = await openWithRecords()
    opened.raw('update journal set seq = 77 where seq = ?', seq)
    expect(await faultsOf(opened)).toMatch(new RegExp(`record 77 was changed|record(?:s)? ${seq}\\b.* missing`))
  })

  test(`a ${where} record that was changed and hashed anew is found`, async () => {
    await using opened = await openWithRecords()
    const [row] = opened.raw('select * from journal where seq = ?', seq)
    const { hash: _, ...record } = row as unknown as JournalRow
    const forged = { ...record, body: '{"kind":"unlock"}' }
    opened.raw('update journal set body = ?, hash = ? where seq = ?', forged.body, recordHash(forged), seq)
    expect(await faultsOf(opened)).toContain(`record ${seq}`)
  })

  test(`a ${where} record that was removed is found`, async () => {
    await using opened = await openWithRecords()
    opened.raw('delete from journal where seq = ?', seq)
    expect(await faultsOf(opened)).toMatch(new RegExp(`record(?:s)? ${seq}\\b.*missing`))
  })
}

test('a cut-off end is found, and nothing is appended to such a journal', async () => {
  await using opened = await openWithRecords()
  opened.raw('delete from journal where seq > 6')
  expect(await faultsOf(opened)).toContain('records 7 to 9 are missing at the end')
  await expect(opened.again()).rejects.toMatchObject({ code: 'store-corrupt' })
})

test('a journal that was emptied is found', async () => {
  await using opened = await openWithRecords()
  opened.raw('delete from journal')
  expect(await faultsOf(opened)).toContain('records 1 to 9 are missing')
})

test('two records that were swapped are found', async () => {
  await using opened = await openWithRecords()
  opened.raw('update journal set seq = 100 where seq = 4')
  opened.raw('update journal set seq = 4 where seq = 6')
  opened.raw('update journal set seq = 6 where seq = 100')
  const faults = await faultsOf(opened)
  expect(faults).toContain('record 4 was changed')
  expect(faults).toContain('record 6 was changed')
})

test('a record that was put in between is found', async () => {
  await using opened = await openWithRecords()
  opened.raw(
    `insert into journal (seq, at_ms, kind, subject, body, prev_hash, hash)
     select 10, at_ms, kind, subject, body, prev_hash, hash from journal where seq = 9`,
  )
  expect(await faultsOf(opened)).not.toBe('')
})

test('what is appended while the chain is being checked is no fault', async () => {
  await using opened = await openWithRecords()
  const appending = Array.from({ length: 200 }, (_, at) => opened.store.inbox.take([lockEvent(1_000 + at)], []))
  const checked = opened.store.archive.verify()
  await Promise.all(appending)
  expect((await checked).faults).toEqual([])
  expect(await opened.store.archive.verify()).toEqual({ records: RECORDS + 200, faults: [] })
})

test('the same event twice is on record once', async () => {
  await using opened = await openWithRecords()
  await opened.store.inbox.take([lockEvent(1), lockEvent(2)], [])
  expect((await opened.store.archive.verify()).records).toBe(RECORDS)
})

import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openStore } from '../../../src/store/store.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { lockEvent, openTestStore } from '../test-store.ts'

test('opening a store again changes nothing in its schema and loses nothing', async () => {
  await using opened = await openTestStore()
  await opened.store.inbox.take([lockEvent(1)], [])
  const schema = opened.raw('select name, sql from sqlite_master order by name')
  for (let count = 0; count < 3; count++) {
    await using again = await opened.again()
    expect((await again.archive.verify()).faults).toEqual([])
  }
  expect(opened.raw('select name, sql from sqlite_master order by name')).toEqual(schema)
  expect(opened.raw('select count(*) as n from event')).toEqual([{ n: 1 }])
})

test('several that create the same new store at once all get it', async () => {
  await using temp = await makeTempDir('new-store')
  const options = {
    file: `${temp.path}/lockstep.db`,
    clock: systemClock,
    lockTtlMs: null,
    willWrite: true,
  }
  const stores = await Promise.all(Array.from({ length: 5 }, () => openStore(options)))
  await using stack = new AsyncDisposableStack()
  for (const store of stores) stack.use(store)
  await Promise.all(stores.map((store, at) => store.inbox.take([lockEvent(at)], [])))
  expect(await stores[0]?.archive.verify()).toEqual({ records: 5, faults: [] })
})

test('a store that a newer Lockstep wrote is refused, with what to do', async () => {
  await using opened = await openTestStore()
  opened.raw("update meta set value = '999' where key = 'schema'")
  await expect(opened.again()).rejects.toMatchObject({
    code: 'store-unavailable',
    message: expect.stringContaining('newer Lockstep (schema 999'),
    hint: expect.stringContaining('lockstep rebuild'),
  })
})

test('a file that is no database is named, with what to do', async () => {
  await using temp = await makeTempDir('no-store')
  const file = `${temp.path}/lockstep.db`
  writeFileSync(file, 'this is a letter to my landlord, and not a database at all\n'.repeat(100))
  await expect(openStore({ file, clock: systemClock, lockTtlMs: null, willWrite: true })).rejects.toMatchObject({
    code: 'store-corrupt',
    message: expect.stringContaining(file),
  })
})

test('a store of version 0.1.0 is brought up to date, and a lock of which it did not know the effect is told as unknown', async () => {
  await using opened = await openTestStore()
  opened.raw(
    `insert into account (key, directory, dn, standing, standing_reason, hold_count, seen_ms, updated_ms, owned_lock)
     values ('corp/a', 'corp', 'uid=a', 'in-step', '', 0, 0, 0, '{"slots":[],"dn":"uid=a","holds":[]}')`,
  )
  opened.toVersion(1)
  await using again = await opened.again()
  expect(await again.reports.accounts({ limit: 10 })).toMatchObject([
    { key: 'corp/a', lockedByUs: true, effective: 'unknown' },
  ])
  expect(await again.reports.unknownEffects()).toEqual([{ directory: 'corp', locks: 1 }])
})

import { expect, test } from 'vitest'
import { prepareStatements } from '../../../src/store/engine/statements.ts'
import { StoreWriter } from '../../../src/store/engine/store-writer.ts'
import { openTestStore } from '../test-store.ts'

test('after a sync that failed nothing more is said to be on disk, also what waited already', async () => {
  await using opened = await openTestStore()
  const { db } = opened.store
  const failing = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  let syncs = 0
  const writer = new StoreWriter(db, prepareStatements(db), () => {
    started.resolve()
    // The system tells of a failed write once.
    return ++syncs === 1 ? failing.promise : Promise.resolve()
  })

  const first = writer.run(() => Promise.resolve('first'))
  await started.promise
  const inWork = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const second = writer.run(async () => {
    inWork.resolve()
    await go.promise
  })
  await inWork.promise
  const third = writer.run(() => Promise.resolve('third'))
  const fourth = writer.runSoon(() => Promise.resolve('fourth'))
  const all = Promise.allSettled([first, second, third, fourth])
  failing.reject(new Error('the disk is gone'))
  await expect(first).rejects.toThrow('the disk is gone')
  go.resolve()

  expect((await all).map((each) => each.status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected'])
  expect(syncs).toBe(1)
  await writer.close()
})

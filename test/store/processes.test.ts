import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runToolOk } from '../servers/run-tool.ts'
import { lockEvent, openTestStore, testKey, type TestStore } from './test-store.ts'

/** Several processes on one store. */

const SCRIPT = fileURLToPath(new URL('store-process.ts', import.meta.url))
const IN_STEP = {
  standing: 'in-step',
  reason: '',
  errorCode: null,
  againAtMs: null,
  applied: 0,
  effective: null,
  isLockSeen: false,
} as const

function runProcess(...args: readonly string[]): ReturnType<typeof runToolOk> {
  return runToolOk(process.execPath, ['--disable-warning=ExperimentalWarning', SCRIPT, ...args])
}

/** A process that has claimed what was due and lives on. */
async function holdingProcess(file: string): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SCRIPT, 'hold', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, said: chunk.toString().trim() }
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

async function mark({ store }: TestStore, numbers: readonly number[]): Promise<void> {
  await store.queue.mark(numbers.map(testKey), Date.now())
}

test('processes that append at once keep one chain, and nothing is lost', async () => {
  await using opened = await openTestStore()
  const each = 150
  await Promise.all([1_000, 2_000, 3_000].map((from) => runProcess('append', opened.file, String(from), String(each))))
  expect(await opened.store.archive.verify()).toEqual({ records: 3 * each, faults: [] })
  expect(opened.raw('select count(*) as n from event')).toEqual([{ n: 3 * each }])
})

test('no two workers ever hold the same account, and each account is worked on', async () => {
  await using opened = await openTestStore()
  const folder = join(opened.dir, 'at-work')
  mkdirSync(folder)
  const numbers = Array.from({ length: 120 }, (_, at) => at)
  await mark(opened, numbers)
  const working = Promise.all([1, 2, 3].map(() => runProcess('work', opened.file, folder)))
  // Marked again while they are at work: a new generation, and no second worker.
  for (let round = 0; round < 10; round++) await mark(opened, numbers.slice(0, 40))
  const done = (await working).map(({ stdout }) => Number(stdout))
  expect(done.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(numbers.length)
  expect(opened.raw('select count(*) as n from queue')).toEqual([{ n: 0 }])
})

test('the lease of a process that was killed is free at once, that of a living one is not', async () => {
  await using opened = await openTestStore()
  opened.clock.setMs(Date.now())
  await mark(opened, [1, 2])
  const { child, said } = await holdingProcess(opened.file)
  expect(said).toBe('holding 2')
  await opened.store.processLock.freeDeadLeases()
  expect(await opened.store.queue.claim(10, Date.now())).toEqual([])
  await killed(child)
  await opened.store.processLock.freeDeadLeases()
  expect((await opened.store.queue.claim(10, Date.now())).map(({ key }) => key).toSorted()).toEqual([
    testKey(1),
    testKey(2),
  ])
})

test('who enters beside a living process is told so, and alone once that one was killed', async () => {
  await using opened = await openTestStore()
  expect(await opened.store.processLock.enter()).toBe(true)
  await opened.store.processLock.prepared()
  await opened.store.processLock.leave()
  const { child } = await holdingProcess(opened.file)
  const [, startTime = ''] =
    /^(?:\S+ ){21}(\d+) /.exec((await runToolOk('cat', [`/proc/${child.pid}/stat`])).stdout) ?? []
  const host = opened.store.processLock.owner.split(':')[0] ?? ''
  const other = `worker ${host}:${child.pid}:${startTime}`
  opened.raw("insert into meta (key, value) values (?, 'working')", other)
  expect(await opened.store.processLock.enter()).toBe(false)
  await opened.store.processLock.leave()
  opened.raw("update meta set value = 'preparing' where key = ?", other)
  const entering = opened.store.processLock.enter()
  await killed(child)
  expect(await entering).toBe(true)
  expect(opened.raw('select count(*) as n from meta where key = ?', other)).toEqual([{ n: 0 }])
})

test('a lease that ran out goes to the next, and its first owner cannot give it back in its place', async () => {
  await using opened = await openTestStore()
  await mark(opened, [1])
  const nowMs = Date.now()
  const [first] = await opened.store.queue.claim(1, nowMs)
  expect(await opened.store.queue.claim(1, nowMs + 1_000)).toEqual([])
  const { child, said } = await holdingProcess(opened.file)
  expect(said).toBe('holding 0')
  await killed(child)
  const [second] = await opened.store.queue.claim(1, nowMs + 61_000)
  expect(second?.key).toBe(first?.key)
  opened.raw("update queue set lease_owner = 'elsewhere:1:1'")
  if (first === undefined) throw new Error('nothing was claimed')
  await expect(opened.store.queue.renew(first, nowMs)).rejects.toMatchObject({ code: 'lease-lost' })
  await opened.store.records.settle(first, IN_STEP, [])
  expect(opened.raw('select lease_owner from queue')).toEqual([{ lease_owner: 'elsewhere:1:1' }])
})

test('an account that is marked while it is in work stays due', async () => {
  await using opened = await openTestStore()
  await mark(opened, [1])
  const [claim] = await opened.store.queue.claim(1, Date.now())
  if (claim === undefined) throw new Error('nothing was claimed')
  await mark(opened, [1])
  await opened.store.records.settle(claim, IN_STEP, [])
  expect(await opened.store.queue.claim(1, Date.now())).toHaveLength(1)
})

test('a write that fails does not fail those that are committed with it', async () => {
  await using opened = await openTestStore()
  await mark(opened, [1])
  const [claim] = await opened.store.queue.claim(1, Date.now())
  if (claim === undefined) throw new Error('nothing was claimed')
  opened.raw("update queue set lease_owner = 'elsewhere:1:1'")
  const results = await Promise.allSettled([
    opened.store.inbox.take([lockEvent(1)], []),
    opened.store.queue.renew(claim, Date.now()),
    opened.store.inbox.take([lockEvent(2)], []),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(opened.raw('select count(*) as n from event')).toEqual([{ n: 2 }])
  expect(await opened.store.archive.verify()).toEqual({ records: 2, faults: [] })
})

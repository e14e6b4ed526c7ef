import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runToolOk } from '../../servers/run-tool.ts'
import {
  HEARTBEAT_STALE_MS,
  isOwnerDead,
  ownerOfThisProcess,
  WORKER_KEY,
} from '../../../src/store/engine/process-owner.ts'
import { lockEvent, openTestStore, testKey, type TestStore } from '../test-store.ts'

/** Several processes on one store. */

const SCRIPT = fileURLToPath(new URL('store-process.ts', import.meta.url))
const IN_STEP = {
  standing: 'in-step',
  reason: null,
  errorCode: null,
  againAtMs: null,
  applied: 0,
  effective: null,
  isLockObserved: false,
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

/** This process as one of another PID namespace, where its process id is another one's. */
function ownerElsewhere(): string {
  const [host, , , boot] = ownerOfThisProcess().split(':')
  return `${host}:1:1:${boot}:1`
}

test('a daemon of another PID namespace is alive until its heartbeat is missing, whatever has its process id here', async () => {
  await using opened = await openTestStore()
  const nowMs = opened.clock.nowMs()
  const row = { owner: ownerElsewhere(), pid: 1, startedMs: nowMs, readyMs: nowMs, heartbeatMs: nowMs }
  opened.raw("insert into meta (key, value) values ('daemon', ?)", JSON.stringify(row))
  const { processLock } = opened.store
  await expect(processLock.becomeDaemon()).rejects.toMatchObject({
    code: 'already-running',
    message: expect.stringContaining('in another PID namespace'),
  })
  expect(await processLock.daemon()).toMatchObject({ pid: 1 })
  opened.clock.setMs(nowMs + HEARTBEAT_STALE_MS)
  await processLock.becomeDaemon()
  expect(await processLock.daemon()).toMatchObject({ pid: process.pid })
})

test('a worker of another PID namespace is there until its heartbeat is missing', async () => {
  await using opened = await openTestStore()
  const nowMs = opened.clock.nowMs()
  const { processLock } = opened.store
  opened.raw('insert into meta (key, value) values (?, ?)', WORKER_KEY + ownerElsewhere(), `working ${nowMs}`)
  expect(await processLock.enter()).toBe(false)
  await processLock.leave()
  opened.clock.setMs(nowMs + HEARTBEAT_STALE_MS)
  expect(await processLock.enter()).toBe(true)
  await processLock.leave()
})

test('an owner that does not name its PID namespace, as older versions wrote it, is judged by its process id', () => {
  const own = ownerOfThisProcess().split(':')
  expect(isOwnerDead(own.join(':'))).toBe(false)
  expect(isOwnerDead(own.slice(0, 4).join(':'))).toBe(false)
  expect(isOwnerDead(own.slice(0, 3).join(':'))).toBe(false)
  const [host, , startTime, boot] = own
  expect(isOwnerDead(`${host}:1:${startTime}:${boot}`)).toBe(true)
  expect(isOwnerDead(`${host}:1:${startTime}:another-boot:1`)).toBe(true)
  expect(isOwnerDead(ownerElsewhere())).toBe(false)
})

test('an account that is to be looked at later can be kept out of everybody’s hands, and keeps its time; one that is due cannot', async () => {
  await using opened = await openTestStore()
  const { queue, processLock } = opened.store
  const laterMs = opened.clock.nowMs() + 60_000
  await queue.mark([testKey(1)], laterMs)
  await queue.mark([testKey(2)], opened.clock.nowMs())
  const kept: unknown[] = []
  const look = async (): Promise<void> => {
    kept.push(await queue.claim(10, laterMs))
    expect(await processLock.whileIdle(testKey(1), () => Promise.resolve())).toBe(false)
  }
  expect(await processLock.whileIdle(testKey(2), look)).toBe(false)
  const claims = await queue.claim(10, opened.clock.nowMs())
  expect(claims.map(({ key }) => key)).toEqual([testKey(2)])
  expect(await processLock.whileIdle(testKey(1), look)).toBe(true)
  expect(kept).toEqual([[]])
  expect(await queue.claim(10, opened.clock.nowMs())).toEqual([])
  expect((await queue.claim(10, laterMs)).map(({ key }) => key)).toEqual([testKey(1)])
})

test('an account that is marked while it is in work stays due', async () => {
  await using opened = await openTestStore()
  await mark(opened, [1])
  const [claim] = await opened.store.queue.claim(1, Date.now())
  if (claim === undefined) throw new Error('nothing was claimed')
  await mark(opened, [1])
  await opened.store.records.recordOutcome(claim, IN_STEP, [])
  expect(await opened.store.queue.claim(1, Date.now())).toHaveLength(1)
})

test('a write that fails does not fail those that are committed with it', async () => {
  await using opened = await openTestStore()
  await mark(opened, [1])
  const [claim] = await opened.store.queue.claim(1, Date.now())
  if (claim === undefined) throw new Error('nothing was claimed')
  opened.raw("update queue set lease_token = 'of another claim'")
  const results = await Promise.allSettled([
    opened.store.inbox.take([lockEvent(1)], []),
    opened.store.records.recordOutcome(claim, IN_STEP, []),
    opened.store.inbox.take([lockEvent(2)], []),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(opened.raw('select count(*) as n from event')).toEqual([{ n: 2 }])
  expect(await opened.store.archive.verify()).toEqual({ records: 2, faults: [] })
})

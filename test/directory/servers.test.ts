import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DirectorySettings } from '../../src/core/settings/settings.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { POOL_TIMES, type PoolTimes } from '../../src/directory/pool/pool.ts'
import type { DirectoryPort, ServerCondition } from '../../src/ports/directory.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { startReplicas, type Replica, type Replicas } from '../servers/ldap/slapd-replicas.ts'
import { changeFor, heldBy, loginOf, LOCKED, serialOf } from './contract.ts'
import { directorySettings, nameOfDirectory } from './directory-settings.ts'
import { valuesAt } from './slapd-world.ts'

/** Three servers of one directory that replicate, each behind a proxy that can be cut or held. */

const EVENTUALLY_MS = 15_000
const CONNECT_MS = 500
const OPERATION_MS = 500
/** A call is answered by another server within one wait for the one that hangs, with room for a busy machine. */
const BOUND_MS = 3 * (CONNECT_MS + OPERATION_MS)
const QUICK: PoolTimes = { ...POOL_TIMES, failbackMs: 50 }
const SLOW_BACK: PoolTimes = { ...POOL_TIMES, failbackMs: 3_600_000 }
const CORP = nameOfDirectory('corp')

const limits = { connectTimeoutMs: CONNECT_MS, operationTimeoutMs: OPERATION_MS }

function open(replicas: Replicas, times: PoolTimes, change: Partial<DirectorySettings> = {}): DirectoryPort {
  const [first] = replicas.all
  if (first === undefined) throw new RangeError('no server')
  const settings = directorySettings(first.slapd, { urls: replicas.urls, ...limits, ...change })
  return openDirectories({ directories: [settings], realms: {} }, systemClock, null, times)
}

const conditions = (port: DirectoryPort): ServerCondition[] => port.servers(CORP).map(({ is }) => is)

async function lock(port: DirectoryPort, login: string, serial: string) {
  const { key } = await port.findByLogin(loginOf(login), null)
  return port.apply(changeFor(heldBy(serialOf(serial)), await port.observe(key, [], 0)))
}

async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await call()
  return performance.now() - startedMs
}

const arrives = (replica: Replica, login: string) =>
  expect
    .poll(() => valuesAt(replica.slapd, login, 'pwdAccountLockedTime'), { timeout: EVENTUALLY_MS })
    .toEqual([LOCKED])

describe('one of three servers that take writes', () => {
  let replicas: Replicas
  let first: Replica
  let second: Replica
  let third: Replica
  let user = 0
  const newLogin = (): string => `u${++user}`
  beforeAll(async () => {
    replicas = await startReplicas(['provider', 'provider', 'provider'])
    ;[first, second, third] = replicas.all as [Replica, Replica, Replica]
  }, 60_000)
  afterAll(() => replicas?.[Symbol.asyncDispose]())
  beforeEach(async () => {
    for (const { slapd, proxy, letCatchUp } of replicas.all) {
      slapd.resume()
      await slapd.start()
      proxy.letGo()
      proxy.delay(0)
      letCatchUp()
    }
  })

  it('takes over when the first is down, which is told since when, and is returned to', async () => {
    await using port = open(replicas, QUICK)
    const login = newLogin()
    const before = await port.findByLogin(loginOf(login), null)
    expect(conditions(port)).toEqual(['up', 'untried', 'untried'])
    await first.slapd.stop()
    const downMs = Date.now()
    expect(await port.findByLogin(loginOf(login), null)).toEqual(before)
    const [state] = port.servers(CORP)
    expect(state).toMatchObject({ is: 'down', url: first.url })
    expect(state?.sinceMs).toBeGreaterThanOrEqual(downMs)
    expect((await lock(port, login, 'T1')).server).toBe(second.url)
    await first.slapd.start()
    const serverNow = async () => (await port.observe((await port.findByLogin(loginOf('u25'), null)).key, [], 0)).server
    await expect.poll(serverNow, { timeout: EVENTUALLY_MS }).toBe(first.url)
  })

  it('hangs, and costs one wait; whoever comes after is answered by another at once', async () => {
    await using port = open(replicas, SLOW_BACK)
    const login = loginOf(newLogin())
    const { key } = await port.findByLogin(login, null)
    first.proxy.hold()
    const tookMs = await timeOf(() => Promise.all([port.findByLogin(login, null), port.observe(key, [], 0)]))
    expect(tookMs).toBeLessThan(BOUND_MS)
    expect(conditions(port)[0]).toBe('slow')
    const { connections } = first.proxy
    const nextMs = await timeOf(() => port.observe(key, [], 0))
    expect(nextMs).toBeLessThan(OPERATION_MS)
    expect(first.proxy.connections).toBe(connections)
  })

  it('answers late, and is left for the others; alone it is used all the same', async () => {
    await using port = open(replicas, SLOW_BACK, { operationTimeoutMs: 5000 })
    await using alone = open(replicas, SLOW_BACK, { operationTimeoutMs: 5000, urls: [first.url] })
    const login = loginOf(newLogin())
    const { key } = await port.findByLogin(login, null)
    await alone.findByLogin(login, null)
    first.proxy.delay(1300)
    for (const each of [port, alone]) await Promise.all([1, 2, 3].map(() => each.observe(key, [], 0)))
    expect(port.servers(CORP)[0]).toMatchObject({
      is: 'slow',
      reason: expect.stringMatching(/answers take 1\.\d+ s/) as string,
    })
    expect((await port.observe(key, [], 0)).server).toBe(second.url)
    expect(conditions(alone)).toEqual(['slow'])
    expect((await alone.findByLogin(login, null)).key).toBe(key)
  })

  it('is read from after it took a write, while the server before it is back and behind', async () => {
    await using port = open(replicas, QUICK)
    const login = newLogin()
    const other = await port.findByLogin(loginOf(newLogin()), null)
    first.lag()
    await first.slapd.stop()
    const { key, server } = await lock(port, login, 'T1')
    expect(server).toBe(second.url)
    await first.slapd.start()
    const ofOther = async () => (await port.observe(other.key, [], 0)).server
    await expect.poll(ofOther, { timeout: EVENTUALLY_MS }).toBe(first.url)
    expect(await valuesAt(first.slapd, login, 'pwdAccountLockedTime')).toEqual([])
    // Found by the one that is behind, and not believed of it.
    await port.findByLogin(loginOf(login), null)
    expect(await port.observe(key, [], 1000)).toMatchObject({ server: second.url, lock: { state: 'as-ours' } })
    first.letCatchUp()
    await arrives(first, login)
  })

  it('tells of each server how a lock stands there, and which one could not be asked', async () => {
    await using port = open(replicas, SLOW_BACK)
    const login = newLogin()
    second.lag()
    const { key } = await lock(port, login, 'T1')
    await arrives(third, login)
    const states = async () => {
      const readings = await port.readLocks(CORP, [key])
      return readings.map(({ locks, error }) => error?.code ?? locks.get(key)?.lock.state)
    }
    expect(await states()).toEqual(['as-ours', 'open', 'as-ours'])
    await third.slapd.stop()
    expect(await states()).toEqual(['as-ours', 'open', 'directory-unreachable'])
    expect(await port.observeAt(key, [third.url])).toBeNull()
    expect(await port.observeAt(key, [third.url, second.url])).toMatchObject({
      server: second.url,
      lock: { state: 'open' },
    })
    second.letCatchUp()
    await arrives(second, login)
  })
})

describe.each([
  ['refuses writes (53)', 'consumer' as const],
  ['refers writes to another (10)', 'referring' as const],
])('a first server that %s', (_what, role) => {
  it('is told as read-only; the next one takes them and is read from', async () => {
    await using replicas = await startReplicas(['provider', role])
    const [provider, copy] = replicas.all as [Replica, Replica]
    await using port = open(replicas, SLOW_BACK, { urls: [copy.url, provider.url] })
    copy.lag()
    const { key, server } = await lock(port, 'u1', 'T1')
    expect(server).toBe(provider.url)
    expect(await valuesAt(provider.slapd, 'u1', 'pwdAccountLockedTime')).toEqual([LOCKED])
    const [state, other] = port.servers(CORP)
    expect(state?.is).toBe('read-only')
    expect(state?.reason).toContain(role === 'consumer' ? 'LDAP 53' : 'LDAP 10')
    expect(other).toMatchObject({ is: 'up' })
    expect((await port.observe(key, [], 0)).server).toBe(provider.url)
    copy.letCatchUp()
    await arrives(copy, 'u1')
  })

  it('refuses a write as before where no other server takes it', async () => {
    await using replicas = await startReplicas(['provider', role])
    const [, copy] = replicas.all as [Replica, Replica]
    await using port = open(replicas, SLOW_BACK, { urls: [copy.url] })
    await expect(lock(port, 'u1', 'T1')).rejects.toMatchObject({ code: 'directory-refused' })
    expect(conditions(port)).toEqual(['read-only'])
  })
})

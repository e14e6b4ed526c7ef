import { expect, test } from 'vitest'
import type { Event } from '../../src/core/event.ts'
import { parseDirectoryName, parseLogin, parseSerial } from '../../src/core/names.ts'
import type { PolicySettings } from '../../src/core/settings.ts'
import { MemoryDirectory } from '../../src/directory/memory.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { openPrivacyIdea } from '../../src/privacyidea/open-privacyidea.ts'
import { openLockouts } from '../../src/reconcile/lockouts.ts'
import { openLedger } from '../../src/reconcile/ledger.ts'
import type { Ports } from '../../src/reconcile/ports.ts'
import { resync } from '../../src/reconcile/resync.ts'
import { Scanner } from '../../src/reconcile/scan.ts'
import { Worker } from '../../src/reconcile/worker.ts'
import { openStore } from '../../src/store/store.ts'
import { startSimulator } from '../privacyidea/simulator/simulator.ts'
import { secretIs, sourceSettings } from '../privacyidea/source-settings.ts'
import { MemoryLdif } from '../simulation/memory-ldif.ts'
import { must } from '../simulation/world.ts'

/** Mode `api` on a simulated privacyIDEA and a directory in memory, with the real store and the real lanes. */

const POLICY: PolicySettings = {
  onForeignUnlock: 'respect',
  lockWhen: 'any-token-locked',
  disabledTokens: 'ignore',
  revokedTokens: 'ignore',
  lockTtlMs: null,
}

async function openWorld(policy: Partial<PolicySettings> = {}) {
  const stack = new AsyncDisposableStack()
  const simulator = stack.use(await startSimulator({ version: '3.14' }))
  simulator.world.admins.set('lockstep', 'secret')
  simulator.world.policies.set('all', { active: true, admins: ['lockstep'], actions: ['*'], body: {} })
  const login = { kind: 'password', user: 'lockstep', realm: null, password: { env: 'X' } } as const
  const settings = sourceSettings(simulator.url, { login, timeoutMs: 3_000 })
  const source = stack.use(openPrivacyIdea(settings, secretIs('secret'), systemClock))
  const clock = systemClock
  const store = stack.use(
    await openStore({ file: ':memory:', clock, lockTtlMs: null, breakerPerMs: null, willWrite: true }),
  )
  const directory = new MemoryDirectory({ name: must(parseDirectoryName('corp')) }, clock)
  const ldif = new MemoryLdif(() => undefined)
  let ids = 0
  const newId = (): string => `id-${String(++ids).padStart(8, '0')}`
  const settled = { ...POLICY, ...policy }
  const scanPorts = {
    source,
    truth: store.truth,
    lockouts: openLockouts(source, clock),
    directory,
    clock,
    policy: settled,
    resync: { scanMs: 1_000, fullMs: 60_000, shrinkLimit: 0.1 },
    newId,
  }
  const ports: Ports = {
    clock,
    directory,
    desired: store.desired,
    ledger: openLedger(store.records, ldif, clock),
    guards: store.guards,
    truth: scanPorts,
    inbox: store.inbox,
    queue: store.queue,
    policy: settled,
    guardSettings: { dryRun: false, breaker: null },
    newId,
  }
  const errors: unknown[] = []
  const worker = new Worker(ports, { giveUpAfterMs: 60_000, onError: (thrown) => void errors.push(thrown) })
  worker.start()
  stack.defer(() => worker.stop())
  const { stock } = simulator.world
  const scanner = new Scanner(scanPorts)
  return {
    simulator,
    stock,
    directory,
    store,
    ldif,
    errors,
    settle: async () => {
      worker.wake()
      await worker.whenIdle()
    },
    scan: () => scanner.scan(),
    resync: (isDryRun = false) => resync(scanPorts, { isDryRun }),
    addUser: (name: string) => {
      const key = directory.addAccount(must(parseLogin(name)))
      stock.addUser(name, key.slice('corp/'.length))
      return { key, userId: key.slice('corp/'.length) }
    },
    take: (events: readonly Event[]) => store.inbox.take(events, []),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

function hint(id: number, serial: string | null, login: string | null): Event {
  return {
    id: `hint-${id}`,
    kind: 'lock',
    serial: serial === null ? null : parseSerial(serial),
    login: login === null ? null : parseLogin(login),
    realm: null,
    actor: '',
    takenAtUs: Date.now() * 1000,
    source: 'shim',
    reason: '',
    untilUs: null,
  }
}

test('10,000 forged events lock nobody', { timeout: 120_000 }, async () => {
  await using world = await openWorld()
  const users = Array.from({ length: 20 }, (_, at) => world.addUser(`u${at}`))
  users.forEach(({ userId }, at) => world.stock.addToken(`T${at}`, { userId }))
  for (let at = 0; at < 10_000; at += 500) {
    await world.take(
      Array.from({ length: 500 }, (_, each) => {
        const n = at + each
        return hint(n, n % 3 === 0 ? null : `T${n % 25}`, n % 2 === 0 || n % 3 === 0 ? `u${n % 25}` : null)
      }),
    )
    await world.settle()
  }
  for (const account of world.directory.accounts()) expect(account.lockValues).toEqual([])
  expect(await world.store.reports.counts(Date.now())).toMatchObject({ accountsHeld: 0, accountsLockedByUs: 0 })
})

test(
  'silence and errors change nobody: no right, no user store, HTML, fewer tokens than before',
  { timeout: 60_000 },
  async () => {
    await using world = await openWorld()
    const users = Array.from({ length: 30 }, (_, at) => world.addUser(`u${at}`))
    const tokens = users.map(({ userId }, at) => world.stock.addToken(`T${at}`, { userId, failcount: at < 5 ? 10 : 0 }))
    await world.resync()
    await world.settle()
    const before = world.directory.accounts()
    expect(before.filter(({ lockValues }) => lockValues.length > 0)).toHaveLength(5)
    const stays = async (): Promise<void> => {
      await world.settle()
      expect(world.directory.accounts()).toEqual(before)
    }
    world.simulator.world.policies.set('all', { active: true, admins: ['lockstep'], actions: ['userlist'], body: {} })
    const silent = { code: expect.stringMatching(/^source-(?:not-permitted|unproven)$/) }
    await expect(world.resync()).rejects.toMatchObject(silent)
    await expect(world.scan()).rejects.toMatchObject(silent)
    await stays()
    world.simulator.world.policies.set('all', { active: true, admins: ['lockstep'], actions: ['*'], body: {} })
    world.simulator.world.isUserStoreUp = false
    await expect(world.resync()).rejects.toMatchObject({ code: 'source-resolver' })
    await world.scan()
    await stays()
    world.simulator.world.isUserStoreUp = true
    for (const token of tokens.slice(10)) world.stock.removeToken(token)
    await expect(world.resync()).rejects.toMatchObject({ code: 'source-shrunk' })
    await stays()
  },
)

test('an unlock in the directory is respected while the token stays full, and locked anew when it fills again', async () => {
  await using world = await openWorld()
  const { key, userId } = world.addUser('alice')
  const token = world.stock.addToken('A1', { userId, failcount: 10 })
  await world.scan()
  await world.settle()
  expect(world.directory.account(key).lockValues).toHaveLength(1)
  world.directory.setLock(key, null)
  for (let count = 0; count < 3; count++) {
    await world.store.queue.mark([key], Date.now())
    await world.settle()
    await world.resync()
    await world.scan()
    await world.settle()
    expect(world.directory.account(key).lockValues).toEqual([])
  }
  token.failcount = 0
  await world.scan()
  await world.settle()
  token.failcount = 10
  await world.scan()
  await world.settle()
  expect(world.directory.account(key).lockValues).toHaveLength(1)
  // Reset, as an event tells, and full again before the next scan.
  token.failcount = 0
  await world.take([hint(1, 'A1', null)])
  await world.settle()
  expect(world.directory.account(key).lockValues).toEqual([])
  token.failcount = 10
  await world.scan()
  await world.settle()
  expect(world.directory.account(key).lockValues).toHaveLength(1)
})

test('a renamed user keeps his account, and a token that moves takes its lock along', async () => {
  await using world = await openWorld()
  const [alice, bob] = [world.addUser('alice'), world.addUser('bob')]
  const token = world.stock.addToken('A1', { userId: alice.userId, failcount: 10 })
  await world.resync()
  await world.settle()
  world.stock.renameUser('alice', 'alicia')
  world.directory.renameAccount(alice.key, must(parseLogin('alicia')))
  await world.take([hint(1, null, 'alicia')])
  await world.settle()
  expect(world.directory.account(alice.key).lockValues).toHaveLength(1)
  world.stock.assign(token, bob.userId)
  await world.scan()
  await world.settle()
  expect(world.directory.account(alice.key).lockValues).toEqual([])
  expect(world.directory.serialsOf(alice.key)).toEqual([])
  expect(world.directory.account(bob.key).lockValues).toHaveLength(1)
  expect(world.directory.serialsOf(bob.key)).toEqual(['A1'])
  expect(await world.ldif.listPending('unlock')).toEqual(['A1'])
  expect(await world.resync(true)).toMatchObject({ differences: 0 })
  expect(world.errors).toEqual([])
})

test('all of a user’s tokens must be full, by policy', async () => {
  await using world = await openWorld({ lockWhen: 'all-tokens-locked' })
  const { key, userId } = world.addUser('alice')
  world.stock.addToken('A1', { userId, failcount: 10 })
  const second = world.stock.addToken('A2', { userId })
  await world.resync()
  await world.settle()
  expect(world.directory.account(key).lockValues).toEqual([])
  second.failcount = 10
  await world.scan()
  await world.settle()
  expect(world.directory.account(key).lockValues).toHaveLength(1)
  second.failcount = 0
  await world.scan()
  await world.settle()
  expect(world.directory.account(key).lockValues).toEqual([])
})

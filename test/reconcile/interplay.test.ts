import { afterEach, describe, expect, test } from 'vitest'
import type { BreakerSettings } from '../../src/core/guards/breaker.ts'
import type { ResolvedEvent } from '../../src/core/events/event.ts'
import type { AccountKey } from '../../src/core/names.ts'
import { startEngine } from '../../src/app/engine.ts'
import type { System } from '../../src/app/system.ts'
import { eventually } from '../servers/eventually.ts'
import { must } from '../simulation/world.ts'
import { ApiWorld, MAX_FAILURES, type ApiWorldOptions } from './source/api-world.ts'

/** Where the guards, the mirror of the directory's locks and the full resync meet at one account. */

const FOREIGN = '20200101000000Z'
const ONE_A_DAY: BreakerSettings = {
  limits: [{ of: 'all', only: [], max: { locks: 1 }, perMs: 86_400_000 }],
  reset: 'auto',
  approvals: 1,
}

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

async function opened(options: ApiWorldOptions): Promise<ApiWorld> {
  const world = await ApiWorld.open(options)
  worlds.push(world)
  return world
}

function held(world: ApiWorld, key: AccountKey): ResolvedEvent {
  return {
    id: `word-${key}`,
    kind: 'hold',
    serial: null,
    login: null,
    realm: null,
    actor: 'a person',
    takenAtUs: world.clock.nowMs() * 1000,
    source: 'cli',
    reason: { code: 'manual', params: { text: 'on leave' } },
    untilUs: null,
    accountKey: key,
    attributeSerials: [],
    pinnedHold: null,
  }
}

async function status(world: ApiWorld, key: AccountKey): Promise<string | undefined> {
  const accounts = await world.store.reports.accounts({ limit: 10 })
  return accounts.find((account) => account.key === key)?.standing
}

/** Alice was locked; Bob’s lock waits at the breaker. */
async function withBobAtBreaker(options: ApiWorldOptions = {}) {
  const world = await opened({ breaker: ONE_A_DAY, ...options })
  const [alice, bob] = [world.addUser('alice'), world.addUser('bob')]
  world.addToken('A1', alice, { failcount: MAX_FAILURES })
  const token = world.addToken('B1', bob)
  await world.resync()
  return { world, alice, bob, token }
}

/** As many as the breaker lets into privacyIDEA. */
async function mirrorDave(world: ApiWorld): Promise<void> {
  const dave = world.addUser('dave')
  world.addToken('D1', dave)
  await world.resync()
  world.directory.setLock(dave, FOREIGN)
  await world.store.queue.mark([dave], world.clock.nowMs())
  await world.settle()
}

describe('a full resync', () => {
  test('does not tell a lock that waits for a review again and again', async () => {
    const { world, bob, token } = await withBobAtBreaker()
    world.assign(token, null)
    await world.resync()
    await world.store.records.note(held(world, bob), null)
    await world.settle()
    expect([world.state(bob), await status(world, bob)]).toEqual(['open', 'breaker'])
    expect((await world.resync()).drift).toEqual([])
    expect((await world.resync()).drift).toEqual([])
    expect([world.state(bob), await status(world, bob)]).toEqual(['open', 'breaker'])
  })

  test('does not tell that a protected account should be locked', async () => {
    const world = await opened({})
    const carol = world.addUser('carol')
    const token = world.addToken('C1', carol)
    await world.resync()
    world.directory.protect(carol, 'it matches guards.protect.filter')
    token.failcount = MAX_FAILURES
    await world.scan()
    expect([world.state(carol), await status(world, carol)]).toEqual(['open C1', 'protected'])
    world.directory.removeSerialValue(carol, 'privacyIDEA:C1')
    const { drift } = await world.resync()
    expect(drift.map(({ now, should }) => [now, should])).toEqual([['not carried', 'carried']])
    expect(world.state(carol)).toBe('open C1')
  })

  test('tells a lock of ours at an account that has become protected since', async () => {
    const { world, alice } = await withBobAtBreaker()
    world.directory.protect(alice, 'it matches guards.protect.filter')
    const { drift } = await world.resync()
    expect(drift.map(({ now, should }) => [now, should])).toEqual([['locked by us', 'open']])
    expect(world.state(alice)).toBe('open A1')
    expect((await world.resync()).drift).toEqual([])
  })
})

describe('somebody else’s lock in the directory', () => {
  const policy = { mirrorDirectoryLocks: 'disable-tokens' } as const

  test('that goes while ours waits for a review is no longer one in privacyIDEA', async () => {
    const { world, bob, token } = await withBobAtBreaker({ policy })
    world.directory.setLock(bob, FOREIGN)
    await world.store.queue.mark([bob], world.clock.nowMs())
    await world.settle()
    expect(token.active).toBe(false)
    await world.store.records.note(held(world, bob), null)
    await world.settle()
    world.directory.setLock(bob, null)
    await world.lookAgain(bob)
    expect([world.state(bob), await status(world, bob)]).toEqual(['open B1', 'breaker'])
    expect(token.active).toBe(true)
  })

  test('that the breaker keeps out of privacyIDEA does not keep a lock of ours in the review that is not wanted', async () => {
    const { world, bob, token } = await withBobAtBreaker({ policy })
    await mirrorDave(world)
    token.failcount = MAX_FAILURES
    await world.scan()
    expect((await world.store.reviews.counts()).waiting).toBe(1)
    token.failcount = 0
    world.directory.setLock(bob, FOREIGN)
    await world.scan()
    expect([await status(world, bob), token.active]).toEqual(['breaker', true])
    expect((await world.store.reviews.counts()).waiting).toBe(0)
  })

  test('that the breaker keeps out of privacyIDEA is told in the log', async () => {
    const { world, bob } = await withBobAtBreaker({ policy })
    await mirrorDave(world)
    world.directory.setLock(bob, FOREIGN)
    await world.store.queue.mark([bob], world.clock.nowMs())
    const told: string[] = []
    const say = (message: string): void => void told.push(message)
    const system = {
      ports: world.ports,
      store: world.store,
      clock: world.clock,
      settings: { retention: { eventsMs: 1 } },
    }
    const engine = startEngine(system as unknown as System, { info: say, warn: say, error: say })
    await eventually('it is told', () => told.includes('account is breaker'))
    await engine.stop()
  })

  test('of an account that is deleted later is not looked at every half minute for ever', async () => {
    const { world, bob } = await withBobAtBreaker({ policy })
    world.directory.setLock(bob, FOREIGN)
    await world.store.queue.mark([bob], world.clock.nowMs())
    await world.settle()
    world.directory.deleteAccount(bob)
    await world.lookAgain(bob)
    const nextMs = must(await world.store.queue.nextDueMs())
    expect(nextMs - world.clock.nowMs()).toBeGreaterThan(600_000)
  })
})

describe('a fail counter that policy resets', () => {
  const policy = { onForeignUnlock: 'reset-token' } as const

  async function lockedAlice(options: ApiWorldOptions) {
    const world = await opened(options)
    const alice = world.addUser('alice')
    const token = world.addToken('A1', alice, { failcount: MAX_FAILURES })
    await world.resync()
    expect(world.state(alice)).toBe('locked A1')
    return { world, alice, token }
  }

  test('stays while changes are paused, and is reset after the resume', async () => {
    const { world, alice, token } = await lockedAlice({ policy })
    await world.store.switches.pause(null, 'a person', 'maintenance')
    world.directory.setLock(alice, null)
    await world.lookAgain(alice)
    await world.pass(61_000)
    expect(token.failcount).toBe(MAX_FAILURES)
    await world.store.switches.resume(null, 'a person')
    await world.pass(61_000)
    expect(token.failcount).toBe(0)
    await world.scan()
    expect(world.state(alice)).toBe('open A1')
  })

  test('is not reset on a dry run, and not for it afterwards', async () => {
    const { world, alice, token } = await lockedAlice({ policy })
    const { ports } = world
    const dryRun = { isForAll: true, directories: [], realms: [] }
    world.ports = { ...ports, guardSettings: { dryRun, breaker: null } }
    world.directory.setLock(alice, null)
    await world.lookAgain(alice)
    await world.pass(61_000)
    expect(token.failcount).toBe(MAX_FAILURES)
    world.ports = ports
    await world.lookAgain(alice)
    await world.pass(61_000)
    expect(token.failcount).toBe(MAX_FAILURES)
  })
})

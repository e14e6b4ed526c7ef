import { afterEach, describe, expect, test } from 'vitest'
import type { Token } from '../../../src/core/source/token.ts'
import { parseResolverName, type AccountKey } from '../../../src/core/names.ts'
import type { PrivacyIdeaPort } from '../../../src/ports/privacyidea.ts'
import { resync } from '../../../src/reconcile/source/resync.ts'
import { Scanner } from '../../../src/reconcile/source/scan.ts'
import { must } from '../../simulation/world.ts'
import { ApiWorld, idOf, login, MAX_FAILURES, realm, serial, type ApiWorldOptions } from './api-world.ts'

/** Mode `api`: what lies deep, what bears the same name, and what carries a time that has not come. */

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

async function open(options: ApiWorldOptions = {}): Promise<ApiWorld> {
  const world = await ApiWorld.open(options)
  worlds.push(world)
  return world
}

const FULL = { failcount: MAX_FAILURES }

describe('how deep a scan looks', () => {
  /** A user whose token is full at 2, below 120 tokens that failed five times of ten. */
  async function deepToken(options: ApiWorldOptions = {}) {
    const world = await open(options)
    const others = Array.from({ length: 120 }, (_, index) => world.addUser(`u${index}`))
    others.forEach((key, index) => world.addToken(`T${index}`, key, { failcount: 5, maxfail: 10 }))
    const alice = world.addUser('alice')
    const token = world.addToken('LOW', alice, { maxfail: 2 })
    await world.resync()
    await world.scan()
    return { world, alice, token }
  }

  test('a full token is found below many that failed more often and may', async () => {
    const { world, alice, token } = await deepToken({ version: '3.12' })
    token.failcount = 2
    await world.scan()
    expect(world.state(alice)).toBe('locked LOW')
    token.failcount = 0
    await world.scan()
    expect(world.state(alice)).toBe('open LOW')
  })

  test('a full resync that finds no such token any more lets the scan end early again', async () => {
    const { world, token } = await deepToken({ version: '3.12' })
    expect(world.sweeps.failCounts.value).toBe(2)
    world.stock.removeToken(token)
    await world.resync()
    expect(world.sweeps.failCounts.value).toBe(10)
    expect(await world.scanner.scan()).toMatchObject({ isComplete: true })
  })

  test('where more tokens have failed than a scan reads, it says so', async () => {
    const world = await open({ version: '3.12' })
    for (let index = 0; index < 10_001; index++) world.addToken(`T${index}`, null, { failcount: 5, maxfail: 3 })
    expect(await world.scanner.scan()).toMatchObject({ isComplete: false, tokens: 10_000 })
  })
})

describe('the authentication log of 3.14', () => {
  test('names a token that the scan does not reach, once', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const token = world.addToken('S1', alice, { pin: '1234' })
    await world.resync()
    const shallow: PrivacyIdeaPort = {
      ...world.sweeps.source,
      fullestTokens: async () => ({ tokens: [], isComplete: false, isEmpty: false }),
    }
    const scanner = new Scanner({ ...world.sweeps, source: shallow })
    await scanner.scan()
    token.failcount = MAX_FAILURES - 1
    await world.validate('alice', '1234999999')
    expect(await scanner.scan()).toMatchObject({ marked: 1 })
    await world.settle()
    expect(world.state(alice)).toBe('locked S1')
    expect(await scanner.scan()).toMatchObject({ marked: 0 })
  })

  test('names the user of a wrong PIN, of whom all tokens count', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const tokens = ['S1', 'S2'].map((text) => world.addToken(text, alice, { pin: '1234' }))
    await world.resync()
    const source: PrivacyIdeaPort = {
      ...world.sweeps.source,
      fullestTokens: async () => ({ tokens: [], isComplete: false, isEmpty: false }),
    }
    const scanner = new Scanner({ ...world.sweeps, source })
    await scanner.scan()
    for (const token of tokens) token.failcount = MAX_FAILURES - 1
    await world.validate('alice', '0000999999')
    await scanner.scan()
    await world.settle()
    expect(world.state(alice)).toBe('locked S1 S2')
  })

  test('without the right to it the scan goes on, and follows it once the right is given', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    world.addToken('S1', alice)
    const { policies } = world.simulator.world
    const all = policies.get('admin')
    const actions = ['tokenlist', 'userlist', 'user_lock_read']
    policies.set('admin', { active: true, admins: ['admin', 'lockstep'], actions, body: {} })
    expect(await world.scanner.scan()).toMatchObject({ isComplete: true })
    policies.set('admin', must(all ?? null))
    world.scanner.forgetUnknownOwners()
    await world.scanner.scan()
    await world.validate('alice', '999999')
    expect(await world.scanner.scan()).toMatchObject({ tokens: 1 })
  })
})

describe('users who bear the same name', () => {
  /** What a source says, with another owner for the tokens that `moved` names. */
  function sourceWith(world: ApiWorld, change: (token: Token) => Token): PrivacyIdeaPort {
    const { source } = world.sweeps
    return {
      ...source,
      fullestTokens: async (min) => {
        const found = await source.fullestTokens(min)
        return { ...found, tokens: found.tokens.map(change) }
      },
      tokensBySerial: async (serials) => (await source.tokensBySerial(serials)).map(change),
      tokensOfOwner: async (owner) =>
        (await source.tokensOfOwner({ ...owner, resolver: must(parseResolverName('ldap1')) }))
          .map(change)
          .filter((token) => token.owner.kind !== 'none' && token.owner.resolver === owner.resolver),
      async *walkTokens() {
        for await (const page of source.walkTokens()) yield { ...page, tokens: page.tokens.map(change) }
      },
    }
  }

  test('a token that goes to the user of the same id in another resolver takes its lock along', async () => {
    const world = await open()
    const alice = world.directory.addAccount(login('alice'))
    const bob = world.directory.addAccount(login('bob'))
    world.stock.addUser('alice', '7')
    world.stock.addToken('S1', { userId: '7', maxfail: MAX_FAILURES, failcount: MAX_FAILURES })
    await world.resync()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked S1', 'open'])
    const source = sourceWith(world, (token) => {
      if (token.owner.kind !== 'user') return token
      return { ...token, owner: { ...token.owner, resolver: must(parseResolverName('sql1')), login: login('bob') } }
    })
    const moved = { ...world.sweeps, source }
    world.ports = { ...world.ports, snapshot: moved }
    expect(await new Scanner(moved).scan()).toMatchObject({ marked: 2 })
    await world.settle()
    expect([world.state(alice), world.state(bob)]).toEqual(['open', 'locked S1'])
    expect(await resync(moved, { isDryRun: true })).toMatchObject({ differences: 0 })
  })

  /** The same entry under two logins, as two resolvers see it. */
  function addSecondUser(world: ApiWorld, text: string, key: AccountKey): string {
    const userId = idOf(key).toUpperCase()
    world.stock.addUser(text, userId)
    return userId
  }

  test('two users with one account: the tokens of both count, and nothing differs afterwards', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const second = addSecondUser(world, 'alice.admin', alice)
    world.addToken('S1', alice)
    const other = world.stock.addToken('S2', { userId: second, maxfail: MAX_FAILURES })
    await world.resync()
    expect(world.state(alice)).toBe('open S1 S2')
    expect((await world.resync()).differences).toBe(0)
    other.failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(alice)).toBe('locked S1 S2')
    expect((await world.resync()).differences).toBe(0)
    world.stock.removeToken(other)
    await world.scan()
    expect(world.state(alice)).toBe('open S1')
    expect(await world.store.db.selectFrom('owner').selectAll().execute()).toEqual([])
  })

  test('two users with one account: it is locked while one of them is kept out', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const second = addSecondUser(world, 'alice.admin', alice)
    world.addToken('S1', alice)
    await world.resync()
    world.simulator.world.lockouts.set(second, null, 'MANUAL')
    for (let count = 0; count < 3; count++) {
      world.clock.aheadMs += 2_000
      await world.scan()
      expect(world.state(alice)).toBe('locked S1')
    }
    const events = await world.derivedEvents()
    await world.store.snapshots.markKeysForRefresh([alice])
    await world.settle()
    expect(await world.derivedEvents()).toBe(events)
    world.simulator.world.lockouts.release(second)
    world.clock.aheadMs += 2_000
    await world.scan()
    expect(world.state(alice)).toBe('open S1')
  })

  test.each(['3.12', '3.13', '3.14'] as const)('a forged realm in a hint is not believed (%s)', async (version) => {
    const world = await open({ version })
    const alice = world.addUser('alice')
    const token = world.addToken('S1', alice)
    await world.resync()
    await world.hint([{ login: login('alice'), realm: realm('forged') }])
    token.failcount = MAX_FAILURES
    await world.hint([{ login: login('alice'), realm: realm('forged') }])
    expect(world.state(alice)).toBe('locked S1')
    const row = await world.store.db.selectFrom('account').select('realm').where('key', '=', alice).executeTakeFirst()
    expect(row).toEqual({ realm: 'r1' })
  })
})

test('a lock and an unlock count although an older word carries a time that has not come yet', async () => {
  const world = await open()
  const alice = world.addUser('alice')
  const token = world.addToken('S1', alice, FULL)
  await world.resync()
  await world.store.records.note(
    {
      id: 'ahead',
      kind: 'release',
      serial: null,
      login: null,
      realm: null,
      actor: 'somebody',
      takenAtUs: (world.clock.nowMs() + 3_600_000) * 1000,
      source: 'cli',
      reason: null,
      untilUs: null,
      accountKey: alice,
      attributeSerials: [],
      pinnedHold: null,
    },
    null,
  )
  await world.settle()
  expect(world.state(alice)).toBe('open S1')
  token.failcount = 0
  await world.hint([{ serial: serial('S1') }])
  token.failcount = MAX_FAILURES
  await world.hint([{ serial: serial('S1') }])
  expect(world.state(alice)).toBe('locked S1')
  token.failcount = 0
  await world.hint([{ serial: serial('S1') }])
  expect(world.state(alice)).toBe('open S1')
})

describe('a server without any token', () => {
  test('has nothing to compare where nothing is on record, and waits where something is', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    world.stock.removeToken(must(world.stock.token('PROOF')))
    expect(await world.resync()).toMatchObject({ tokens: 0, differences: 0 })
    const token = world.addToken('S1', alice)
    await world.resync()
    expect(world.state(alice)).toBe('open S1')
    world.stock.removeToken(token)
    await expect(world.resync()).rejects.toMatchObject({
      code: 'source-unproven',
      hint: expect.stringContaining('privacyidea.knownToken'),
    })
    expect(world.state(alice)).toBe('open S1')
  })

  test('is not believed without the right to see tokens', async () => {
    const world = await open()
    world.stock.removeToken(must(world.stock.token('PROOF')))
    const { policies } = world.simulator.world
    policies.set('admin', { active: true, admins: ['admin', 'lockstep'], actions: ['userlist'], body: {} })
    await expect(world.resync()).rejects.toMatchObject({ code: 'source-not-permitted' })
  })
})

describe('the clear timeout of a fail counter', () => {
  /** Alice, locked by a counter that became full so many minutes ago, with a timeout of ten. */
  async function fullFor(minutes: number) {
    const world = await open()
    const alice = world.addUser('alice')
    const token = world.addToken('S1', alice, { ...FULL, fullSinceMs: Date.now() - minutes * 60_000 })
    world.simulator.world.clearTimeoutMin = '10'
    await world.resync()
    return { world, alice, token }
  }

  test('a lock ends when the next attempt would clear the counter, and not before', async () => {
    const { world, alice, token } = await fullFor(8)
    await world.scan()
    expect(world.state(alice)).toBe('locked S1')
    world.clock.aheadMs += 3 * 60_000
    await world.scan()
    expect([world.state(alice), token.failcount]).toEqual(['open S1', MAX_FAILURES])
    const events = await world.derivedEvents()
    for (const again of [() => world.scan(), () => world.resync()]) await again()
    await world.hint([{ serial: serial('S1') }])
    expect([world.state(alice), await world.derivedEvents()]).toEqual(['open S1', events])
  })

  test('a counter that is over locks nobody, and locks when it is full anew', async () => {
    const { world, alice, token } = await fullFor(12)
    expect(world.state(alice)).toBe('open S1')
    for (let count = 0; count < MAX_FAILURES; count++) {
      await world.validate('alice', '999999')
      expect(token.failcount).toBe(count + 1)
    }
    await world.scan()
    expect(world.state(alice)).toBe('locked S1')
  })

  test.each([
    ['is not set', (world: ApiWorld) => void (world.simulator.world.clearTimeoutMin = null)],
    ['is 0', (world: ApiWorld) => void (world.simulator.world.clearTimeoutMin = '0')],
  ])('where it %s, a full counter locks for good', async (_how, change) => {
    const world = await open()
    change(world)
    const alice = world.addUser('alice')
    world.addToken('S1', alice, { ...FULL, fullSinceMs: Date.now() - 86_400_000 })
    await world.resync()
    expect(world.state(alice)).toBe('locked S1')
  })
})

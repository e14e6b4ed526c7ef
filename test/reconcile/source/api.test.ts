import { afterEach, describe, expect, test } from 'vitest'
import type { AccountKey } from '../../../src/core/names.ts'
import { resync } from '../../../src/reconcile/source/resync.ts'
import { Scanner } from '../../../src/reconcile/source/scan.ts'
import { MEMORY_LOCKED } from '../../support/memory-directory.ts'
import { ApiWorld, idOf, login, MAX_FAILURES, realm, serial, type ApiWorldOptions } from './api-world.ts'

/** What mode `api` makes of what privacyIDEA says, of what it does not say, and of what others claim. */

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

/** Alice with the full token S1, locked. */
async function lockedAlice(options: ApiWorldOptions = {}) {
  const world = await open(options)
  const alice = world.addUser('alice')
  const token = world.addToken('S1', alice, FULL)
  await world.resync()
  expect(world.state(alice)).toBe('locked S1')
  return { world, alice, token }
}

describe('what privacyIDEA says', () => {
  test('a full token locks by a scan, and its reset unlocks by the next', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const token = world.addToken('S1', alice)
    await world.resync()
    expect(world.state(alice)).toBe('open S1')
    token.failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(alice)).toBe('locked S1')
    token.failcount = 0
    await world.scan()
    expect(world.state(alice)).toBe('open S1')
  })

  test('whom the event named is the actor of what it caused, and of nothing else', async () => {
    const { world, alice, token } = await lockedAlice()
    const unlocks = async (): Promise<object[]> => {
      const changes = await world.store.reports.changes({ key: alice, limit: 10 })
      return changes.filter(({ kind }) => kind === 'unlock').map(({ actor, reasonCode }) => ({ actor, reasonCode }))
    }
    token.failcount = 0
    await world.hint([{ kind: 'unlock', serial: serial('s1'), actor: 'admin@' }])
    expect(await unlocks()).toEqual([{ actor: 'admin@', reasonCode: 'token-usable' }])
    token.failcount = MAX_FAILURES
    await world.scan()
    const locked = (await world.store.reports.find(alice, 1))[0]?.holds
    expect(locked).toMatchObject([{ serial: 'S1', actor: '', reasonCode: 'token-max-fail' }])
    // By itself this time: the event of before is followed already.
    token.failcount = 0
    await world.scan()
    expect(await unlocks()).toEqual([
      { actor: '', reasonCode: 'token-usable' },
      { actor: 'admin@', reasonCode: 'token-usable' },
    ])
  })

  test.each([
    ['disabled', { active: false }, 'token-disabled'],
    ['revoked', { revoked: true }, 'token-revoked'],
  ] as const)(
    'a %s token that holds by policy is not said to be at its max fail count',
    async (_name, change, code) => {
      const policy = { disabledTokens: 'lock', revokedTokens: 'lock' } as const
      const world = await open({ policy })
      const alice = world.addUser('alice')
      world.addToken('S1', alice, change)
      const report = await world.resync()
      expect(world.state(alice)).toBe('locked S1')
      const [account] = await world.store.reports.find(alice, 1)
      expect(account?.holds).toMatchObject([{ reasonCode: code, reasonParams: { serial: 'S1' } }])
      expect(report.drift.map(({ why }) => why.code)).not.toContain('token-max-fail')
      const [planned] = (await world.store.reports.changes({ key: alice, limit: 10 })).filter(
        ({ kind }) => kind === 'lock',
      )
      expect(planned?.reasonCode).toBe(code)
    },
  )

  test('a token that holds for another reason than before is said to, and nothing else follows', async () => {
    const world = await open({ policy: { disabledTokens: 'lock' } })
    const alice = world.addUser('alice')
    const token = world.addToken('S1', alice, { active: false })
    await world.resync()
    const [lock] = await world.store.reports.changes({ key: alice, limit: 10 })
    const code = async () => (await world.store.reports.find(alice, 1))[0]?.holds.map(({ reasonCode }) => reasonCode)
    expect(await code()).toEqual(['token-disabled'])
    Object.assign(token, { active: true, failcount: MAX_FAILURES })
    await world.hint([{ kind: 'unlock', serial: serial('S1') }])
    expect([world.state(alice), await code()]).toEqual(['locked S1', ['token-max-fail']])
    expect((await world.store.reports.changes({ key: alice, limit: 10 }))[0]).toEqual(lock)
    // A person's word stays, whatever the token is held for next.
    const word = {
      id: 'cli:1',
      kind: 'release',
      serial: null,
      login: null,
      realm: null,
      actor: 'anna',
      source: 'cli',
    } as const
    const about = { accountKey: alice, attributeSerials: [], pinnedHold: null, untilUs: null, reason: null } as const
    await world.store.records.note({ ...word, ...about, takenAtUs: world.clock.nowMs() * 1000 + 10 }, null)
    await world.settle()
    token.active = false
    await world.hint([{ kind: 'lock', serial: serial('S1') }])
    expect([world.state(alice), await code()]).toEqual(['open S1', []])
  })

  test('a token that was reset and is full again between two scans locks again', async () => {
    const { world, alice, token } = await lockedAlice()
    await world.scan()
    token.failcount = 0
    await world.hint([{ kind: 'unlock', serial: serial('S1') }])
    expect(world.state(alice)).toBe('open S1')
    token.failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(alice)).toBe('locked S1')
  })

  test.each(['3.12', '3.13', '3.14'] as const)('a renamed owner keeps his account (%s)', async (version) => {
    const { world, alice, token } = await lockedAlice({ version })
    world.stock.renameUser('alice', 'alicia')
    world.directory.renameAccount(alice, login('alicia'))
    token.failcount = 0
    await world.scan()
    expect(world.state(alice)).toBe('open S1')
    world.addToken('S2', alice, FULL)
    await world.scan()
    expect(world.state(alice)).toBe('locked S1 S2')
    expect((await world.resync()).differences).toBe(0)
  })

  test.each(['3.12', '3.13', '3.14'] as const)(
    'a login that went to somebody else locks that one (%s)',
    async (version) => {
      const world = await open({ version })
      const before = world.addUser('alice')
      await world.hint([{ login: login('alice'), realm: realm('r1') }])
      world.stock.renameUser('alice', 'alicia')
      world.directory.renameAccount(before, login('alicia'))
      const now = world.addUser('alice')
      world.addToken('S1', now, FULL)
      await world.store.snapshots.markKeysForRefresh([before])
      await world.settle()
      expect(world.state(before)).toBe('open')
      expect(world.state(now)).toBe('locked S1')
    },
  )

  test('where all tokens must be locked one that works is enough', async () => {
    const world = await open({ policy: { lockWhen: 'all-tokens-locked' } })
    const alice = world.addUser('alice')
    world.addToken('S1', alice, FULL)
    const other = world.addToken('S2', alice)
    await world.resync()
    expect(world.state(alice)).toBe('open S1 S2')
    other.failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(alice)).toBe('locked S1 S2')
    world.addToken('S3', alice)
    await world.resync()
    expect(world.state(alice)).toBe('open S1 S2 S3')
  })

  test('where all tokens must be locked a full resync sees it as well', async () => {
    const world = await open({ policy: { lockWhen: 'all-tokens-locked' } })
    const alice = world.addUser('alice')
    const tokens = ['S1', 'S2'].map((text) => world.addToken(text, alice))
    await world.resync()
    for (const token of tokens) token.failcount = MAX_FAILURES
    expect((await world.resync(true)).drift.map((drift) => drift.serial)).toEqual(['S1', 'S2'])
    await world.resync()
    expect(world.state(alice)).toBe('locked S1 S2')
    expect((await world.resync()).differences).toBe(0)
  })

  test.each([
    ['disabledTokens', 'ignore', { active: false }, 'open S1'],
    ['disabledTokens', 'count', { active: false }, 'locked S1'],
    ['disabledTokens', 'lock', { active: false, failcount: 0 }, 'locked S1'],
    ['revokedTokens', 'ignore', { active: false, revoked: true }, 'open S1'],
    ['revokedTokens', 'lock', { active: false, revoked: true, failcount: 0 }, 'locked S1'],
  ] as const)('%s: %s', async (setting, meaning, change, state) => {
    const world = await open({ policy: { [setting]: meaning } })
    const alice = world.addUser('alice')
    world.addToken('S1', alice, { ...FULL, ...change })
    await world.resync()
    expect(world.state(alice)).toBe(state)
    expect((await world.resync()).differences).toBe(0)
  })

  test('a deleted token takes its lock and its serial away: by a hint, by a scan, by a resync', async () => {
    for (const how of ['hint', 'scan', 'resync'] as const) {
      const { world, alice, token } = await lockedAlice()
      world.stock.removeToken(token)
      if (how === 'hint') await world.hint([{ kind: 'unregister', serial: serial('S1') }])
      else await world[how]()
      expect(world.state(alice)).toBe('open')
    }
  })

  test('a dry run tells of a deleted token, and changes nothing', async () => {
    const { world, alice, token } = await lockedAlice()
    world.stock.removeToken(token)
    const { drift } = await world.resync(true)
    expect(drift).toMatchObject([{ account: alice, serial: 'S1', now: 'locked', should: 'not its own' }])
    expect(world.state(alice)).toBe('locked S1')
    expect((await world.resync()).differences).toBe(1)
    expect(world.state(alice)).toBe('open')
  })

  test('a token that moves takes its lock along', async () => {
    const { world, alice, token } = await lockedAlice()
    const bob = world.addUser('bob')
    world.assign(token, bob)
    await world.scan()
    expect([world.state(alice), world.state(bob)]).toEqual(['open', 'locked S1'])
    world.assign(token, alice)
    await world.resync()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked S1', 'open'])
    expect((await world.resync()).differences).toBe(0)
  })

  test('an orphaned token changes nothing, and its owner’s return nothing either', async () => {
    const { world, alice } = await lockedAlice()
    world.stock.removeUser('alice')
    await world.scan()
    await world.resync()
    await world.hint([{ kind: 'unlock', serial: serial('S1') }])
    expect(world.state(alice)).toBe('locked S1')
    world.stock.addUser('alice', idOf(alice))
    await world.resync()
    expect(world.state(alice)).toBe('locked S1')
  })

  test('a lockout locks until it ends, with and without a token', async () => {
    const world = await open()
    const { lockouts } = world.simulator.world
    const [alice, bob] = [world.addUser('alice'), world.addUser('bob')]
    world.addToken('S1', alice)
    for (const durationS of [null, 3600]) {
      for (const key of [alice, bob]) lockouts.set(idOf(key), durationS, 'MANUAL')
      await world.scan()
      expect([world.state(alice), world.state(bob)]).toEqual([expect.stringMatching(/^locked/), 'locked'])
      for (const key of [alice, bob]) lockouts.release(idOf(key))
      world.clock.aheadMs += 2_000
      await world.scan()
      expect([world.state(alice), world.state(bob)]).toEqual([expect.stringMatching(/^open/), 'open'])
    }
  })

  test('a timed lockout is one event, however often it is read', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    world.addToken('S1', alice)
    world.simulator.world.lockouts.set(idOf(alice), 3600, 'POLICY')
    await world.scan()
    const events = await world.derivedEvents()
    for (let count = 0; count < 3; count++) {
      world.clock.aheadMs += 300
      await world.scan()
      await world.store.snapshots.markKeysForRefresh([alice])
      await world.settle()
    }
    expect(await world.derivedEvents()).toBe(events)
  })
})

describe('what privacyIDEA does not say', () => {
  /** Everybody who could change something tries to; refused or not. */
  async function everybodyTries(world: ApiWorld, keys: readonly AccountKey[]): Promise<string[]> {
    const errors: string[] = []
    const trying = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await work()
      } catch (thrown) {
        errors.push((thrown as { code: string }).code)
      }
    }
    await trying(() => world.scan())
    await trying(() => world.resync())
    await world.store.snapshots.markKeysForRefresh(keys)
    await world.hint([
      { kind: 'unregister', serial: serial('S1') },
      { kind: 'unlock', login: login('alice'), realm: realm('r1') },
    ])
    await world.settle()
    return errors
  }

  async function twoAccounts(options: ApiWorldOptions = {}) {
    const { world, alice, token } = await lockedAlice(options)
    const bob = world.addUser('bob')
    const bobs = world.addToken('S2', bob)
    await world.resync()
    const states = () => [world.state(alice), world.state(bob)]
    const BEFORE = ['locked S1', 'open S2']
    expect(states()).toEqual(BEFORE)
    /** What would follow if privacyIDEA were asked. */
    const change = (): void => {
      token.failcount = 0
      bobs.failcount = MAX_FAILURES
    }
    /** Waits are over. */
    const catchUp = async (): Promise<void> => {
      world.clock.aheadMs += 3_600_000
      await world.resync()
      await world.scan()
      expect(states()).toEqual(['open S1', 'locked S2'])
    }
    return { world, keys: [alice, bob], states, change, catchUp, BEFORE }
  }

  test.each(['3.12', '3.13', '3.14'] as const)('its user store is down (%s)', async (version) => {
    const { world, keys, states, catchUp, change, BEFORE } = await twoAccounts({ version })
    world.simulator.world.isUserStoreUp = false
    expect(await everybodyTries(world, keys)).toEqual(['source-resolver'])
    expect(states()).toEqual(BEFORE)
    world.simulator.world.isUserStoreUp = true
    change()
    await catchUp()
  })

  test('the right to see tokens is taken away: empty lists prove nothing', async () => {
    const { world, keys, states, catchUp, change, BEFORE } = await twoAccounts()
    const policies = world.simulator.world.policies
    const all = policies.get('admin')
    policies.set('admin', { active: true, admins: ['admin', 'lockstep'], actions: ['userlist'], body: {} })
    expect(await everybodyTries(world, keys)).not.toEqual([])
    expect(states()).toEqual(BEFORE)
    if (all !== undefined) policies.set('admin', all)
    change()
    await catchUp()
  })

  test('it is down, hangs, or answers with a page', async () => {
    const { world, keys, states, catchUp, change, BEFORE } = await twoAccounts({
      source: { timeoutMs: 300, connectTimeoutMs: 300 },
    })
    change()
    const { faults } = world.simulator
    await world.simulator.stop()
    expect(await everybodyTries(world, keys)).toEqual(['source-unreachable', 'source-unreachable'])
    await world.simulator.start()
    for (const fault of [{ isHung: true }, { slowMs: 800 }, { htmlStatus: 500 }, { htmlStatus: 200 }] as const) {
      Object.assign(faults, { isHung: false, slowMs: 0, htmlStatus: 0 }, fault)
      expect(await everybodyTries(world, keys)).toHaveLength(2)
      expect(states()).toEqual(BEFORE)
    }
    Object.assign(faults, { isHung: false, slowMs: 0, htmlStatus: 0 })
    await catchUp()
  })

  test('it suddenly shows far fewer tokens: nothing is repaired', async () => {
    const world = await open()
    const users = Array.from({ length: 30 }, (_, index) => world.addUser(`u${index}`))
    const tokens = users.map((key, index) => world.addToken(`S${index}`, key))
    await world.resync()
    for (const token of tokens.slice(0, 10)) world.stock.removeToken(token)
    await expect(world.resync()).rejects.toMatchObject({ code: 'source-shrunk' })
    expect(users.map((key) => world.state(key))).toEqual(users.map((_, index) => `open S${index}`))
  })

  test('a resync that dies in the middle repairs nothing for what it did not see', async () => {
    const world = await open({ source: { pageSize: 10 } })
    const users = Array.from({ length: 40 }, (_, index) => world.addUser(`u${index}`))
    const tokens = users.map((key, index) => world.addToken(`S${index}`, key, FULL))
    await world.resync()
    const [first, last] = [tokens[0], tokens[39]]
    if (first !== undefined) world.stock.removeToken(first)
    if (last !== undefined) world.stock.removeToken(last)
    let pages = 0
    const dying = {
      ...world.source,
      async *walkTokens() {
        for await (const page of world.source.walkTokens()) {
          if (++pages === 3) world.simulator.faults.htmlStatus = 500
          yield page
        }
      },
    }
    await expect(resync({ ...world.sweeps, source: dying }, { isDryRun: false })).rejects.toMatchObject({
      code: 'source-answer',
    })
    world.simulator.faults.htmlStatus = 0
    await world.settle()
    expect(users.map((key) => world.state(key))).toEqual(users.map((_, index) => `locked S${index}`))
    expect((await world.resync()).differences).toBe(2)
    expect([users[0], users[39]].map((key) => key && world.state(key))).toEqual(['open', 'open'])
    expect((await world.resync()).differences).toBe(0)
  })

  test('tokens that come on record while a resync runs are not taken for gone', async () => {
    const world = await open({ source: { pageSize: 10 } })
    const users = Array.from({ length: 30 }, (_, index) => world.addUser(`u${index}`))
    users.forEach((key, index) => world.addToken(`S${index}`, key))
    // As beside a daemon, to which events come: when the third page is asked for, the first is compared already.
    let pages = 0
    const source = {
      ...world.source,
      async *walkTokens() {
        for await (const page of world.source.walkTokens()) {
          if (++pages === 3)
            await world.hint(users.map((key) => ({ login: world.directory.account(key).login, realm: realm('r1') })))
          yield page
        }
      },
    }
    const report = await resync({ ...world.sweeps, source }, { isDryRun: false })
    await world.settle()
    expect(users.map((key) => world.state(key))).toEqual(users.map((_, index) => `open S${index}`))
    expect(report.differences).toBeGreaterThanOrEqual(9)
    expect(report.drift.every(({ why }) => why.code === 'token-not-on-record')).toBe(true)
    expect((await world.resync()).differences).toBe(0)
  })
})

describe('what others claim', () => {
  test('10,000 forged hints lock nobody and make no event', async () => {
    const world = await open()
    const users = Array.from({ length: 20 }, (_, index) => world.addUser(`u${index}`))
    users.forEach((key, index) => world.addToken(`S${index}`, key))
    await world.resync()
    const events = await world.derivedEvents()
    const kinds = ['lock', 'unlock', 'register', 'unregister'] as const
    const pick = (max: number): number => Math.floor(Math.random() * max)
    const marks = Array.from({ length: 10_000 }, () => ({
      kind: kinds[pick(4)] ?? ('lock' as const),
      serial: pick(3) === 0 ? null : serial(`S${pick(40)}`),
      login: pick(3) === 0 ? null : login(`u${pick(40)}`),
      realm: realm(pick(4) === 0 ? 'forged' : 'r1'),
    }))
    for (let at = 0; at < marks.length; at += 1_000) await world.hint(marks.slice(at, at + 1_000))
    expect(world.locks()).toBe(0)
    expect(users.map((key) => world.state(key))).toEqual(users.map((_, index) => `open S${index}`))
    expect(await world.derivedEvents()).toBe(events)
    expect((await world.resync()).differences).toBe(0)
  }, 120_000)

  test('an unlock in the directory stays while the token stays full', async () => {
    const { world, alice, token } = await lockedAlice()
    world.directory.setLock(alice, null)
    await world.lookAgain(alice)
    const anew = new Scanner(world.sweeps)
    for (const look of [() => world.scan(), () => world.resync(), () => anew.scan()]) {
      await look()
      await world.hint([{ serial: serial('S1') }])
      expect(world.state(alice)).toBe('open S1')
    }
    token.failcount = 0
    await world.scan()
    token.failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(alice)).toBe('locked S1')
  })

  test('by policy it resets the token, once', async () => {
    const { world, alice, token } = await lockedAlice({ policy: { onForeignUnlock: 'reset-token' } })
    world.directory.setLock(alice, null)
    await world.lookAgain(alice)
    expect(token.failcount).toBe(0)
    token.failcount = MAX_FAILURES
    await world.scan()
    expect([token.failcount, world.state(alice)]).toEqual([MAX_FAILURES, 'locked S1'])
  })

  test('a serial and a lock that somebody else wrote stay; a serial of ours that comes back is removed', async () => {
    const { world, alice, token } = await lockedAlice()
    const bob = world.addUser('bob')
    world.directory.addSerialValue(bob, 'privacyIDEA:S1')
    world.directory.addSerialValue(bob, 'privacyIDEA:GHOST')
    world.directory.setLock(bob, MEMORY_LOCKED)
    expect((await world.resync()).differences).toBe(0)
    expect([world.state(alice), world.state(bob)]).toEqual(['locked S1', 'locked GHOST S1'])
    world.assign(token, null)
    await world.resync()
    expect(world.state(alice)).toBe('open')
    // As from a backup of the directory.
    world.directory.addSerialValue(alice, 'privacyIDEA:S1')
    expect((await world.resync()).differences).toBe(1)
    expect(world.state(alice)).toBe('open')
  })
})

import { afterEach, describe, expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import type { DirectoryName } from '../../../src/core/names.ts'
import type { ResyncOptions, ResyncReport } from '../../../src/reconcile/source/resync-ports.ts'
import { resync } from '../../../src/reconcile/source/resync.ts'
import { nameOfDirectory } from '../../directory/directory-settings.ts'
import { ApiWorld, MAX_FAILURES, type ApiWorldOptions } from './api-world.ts'

/** What a full resync sees of what others did in the directory, and what it makes of a run that cannot be believed. */

const LAB = nameOfDirectory('lab')
const FULL = { failcount: MAX_FAILURES }

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

/** Alice is locked by S1; Bob carries S2. */
async function twoAccounts(options: ApiWorldOptions = {}) {
  const world = await ApiWorld.open(options)
  worlds.push(world)
  const [alice, bob] = [world.addUser('alice'), world.addUser('bob')]
  const [first, second] = [world.addToken('S1', alice, FULL), world.addToken('S2', bob)]
  await world.resync()
  expect([world.state(alice), world.state(bob)]).toEqual(['locked S1', 'open S2'])
  return { world, alice, bob, first, second }
}

/** A dry run tells the same rows as the run that repairs, and changes nothing; after that nothing differs. */
async function told(world: ApiWorld): Promise<ResyncReport['drift']> {
  const states = () => world.directory.accounts().map(({ key }) => world.state(key))
  const before = states()
  const dry = await world.resync(true)
  expect(states()).toEqual(before)
  const { drift } = await world.resync()
  expect(drift).toEqual(dry.drift)
  expect((await world.resync()).drift).toEqual([])
  return drift
}

describe('what somebody did in the directory', () => {
  test('a serial that was taken off comes back', async () => {
    const { world, alice, bob } = await twoAccounts()
    for (const [key, value] of [
      [alice, 'privacyIDEA:S1'],
      [bob, 'privacyIDEA:S2'],
    ] as const) {
      world.directory.removeSerialValue(key, value)
    }
    const row = (serial: string) => {
      const why = { code: 'serial-removed', params: { serial } }
      return { serial, now: 'not carried', should: 'carried', why }
    }
    expect(await told(world)).toEqual([
      { account: world.directory.account(alice).dn, ...row('S1') },
      { account: world.directory.account(bob).dn, ...row('S2') },
    ])
    expect([world.state(alice), world.state(bob)]).toEqual(['locked S1', 'open S2'])
  })

  test.each([
    ['respect', 'open, and its holds ended', 'open S1'],
    ['relock', 'locked', 'locked S1'],
  ] as const)('a lock of ours that was taken away is seen: %s', async (onForeignUnlock, should, state) => {
    const { world, alice } = await twoAccounts({ policy: { onForeignUnlock } })
    world.directory.setLock(alice, null)
    const why = { code: 'lock-removed', params: { passwordSetAt: null } }
    const account = world.directory.account(alice).dn
    expect(await told(world)).toEqual([{ account, serial: 'S1', now: 'open', should, why }])
    expect(world.state(alice)).toBe(state)
  })

  test('an account from which everything of ours was taken is found, though it shows nothing', async () => {
    const { world, alice } = await twoAccounts({ policy: { onForeignUnlock: 'relock' } })
    world.directory.setLock(alice, null)
    world.directory.removeSerialValue(alice, 'privacyIDEA:S1')
    expect((await told(world)).map(({ now, should }) => [now, should])).toEqual([
      ['open', 'locked'],
      ['not carried', 'carried'],
    ])
    expect(world.state(alice)).toBe('locked S1')
  })

  test('a lock of ours that no hold needs any more is given back, also where its mark was lost', async () => {
    const { world, alice, first } = await twoAccounts()
    world.directory.faults.isDown = true
    first.failcount = 0
    await world.store.snapshots.markKeysForRefresh([alice])
    await world.settle()
    world.directory.faults.isDown = false
    await world.store.db.deleteFrom('queue').execute()
    expect(world.state(alice)).toBe('locked S1')
    const account = world.directory.account(alice).dn
    expect(await told(world)).toEqual([
      {
        account,
        serial: null,
        now: 'locked by us',
        should: 'open',
        why: { code: 'token-usable', params: { serial: 'S1' } },
      },
    ])
    expect(world.state(alice)).toBe('open S1')
  })

  test('a serial of ours on an account that it has left; one that somebody else wrote is listed and left', async () => {
    const { world, alice, bob, second } = await twoAccounts()
    world.assign(second, alice)
    await world.resync()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked S1 S2', 'open'])
    world.directory.addSerialValue(bob, 'privacyIDEA:S2')
    world.directory.addSerialValue(bob, 'privacyIDEA:S1')
    world.directory.addSerialValue(bob, 'privacyIDEA:GHOST')
    const account = world.directory.account(bob).dn
    const why = (serial: string) => ({ code: 'token-of-another-account', params: { serial } })
    expect((await world.resync(true)).unowned.map(({ serial, ...rest }) => [serial, rest.why])).toEqual([
      ['S1', why('S1')],
      ['GHOST', { code: 'token-unknown', params: { serial: 'GHOST' } }],
    ])
    expect(await told(world)).toEqual([
      { account, serial: 'S2', now: 'carried', should: 'not carried', why: why('S2') },
    ])
    expect([world.state(alice), world.state(bob)]).toEqual(['locked S1 S2', 'open GHOST S1'])
  })

  test('a serial whose owner is of a realm that the configuration does not name stays', async () => {
    const { world, alice, bob } = await twoAccounts()
    await world.store.db.deleteFrom('token').execute()
    const ports = {
      ...world.sweeps,
      directory: {
        names: () => world.directory.names(),
        walkMarked: () => world.directory.walkMarked(),
        observe: world.directory.observe.bind(world.directory),
        findByUser: world.directory.findByUser.bind(world.directory),
        findByUsers: async (users: readonly unknown[]) => users.map(() => new AppError('realm-unmapped', 'none')),
      },
    }
    expect((await resync(ports, { isDryRun: false })).drift).toEqual([])
    await world.settle()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked S1', 'open S2'])
  })

  test('an account that was deleted has nothing to repair', async () => {
    const { world, alice, bob } = await twoAccounts()
    world.directory.deleteAccount(alice)
    expect((await world.resync()).drift).toEqual([])
    expect(world.state(bob)).toBe('open S2')
  })
})

describe('a run that cannot be believed repairs nothing', () => {
  /** Thirty users with a token each; then every fail counter is filled, and the run breaks off after its second page. */
  async function breaksOff(fail: (world: ApiWorld) => void, options: ApiWorldOptions = {}) {
    const source = { pageSize: 10, timeoutMs: 300, connectTimeoutMs: 300, ...options.source }
    const world = await ApiWorld.open({ ...options, source })
    worlds.push(world)
    const users = Array.from({ length: 30 }, (_, index) => world.addUser(`u${index}`))
    const tokens = users.map((key, index) => world.addToken(`S${index}`, key))
    await world.resync()
    for (const token of tokens) token.failcount = MAX_FAILURES
    let pages = 0
    const dying = {
      ...world.source,
      async *walkTokens() {
        for await (const page of world.source.walkTokens()) {
          if (++pages === 2) fail(world)
          yield page
        }
      },
    }
    const failure: unknown = await resync({ ...world.sweeps, source: dying }, { isDryRun: false }).then(
      () => null,
      (thrown: unknown) => thrown,
    )
    await world.settle()
    expect(world.locks()).toBe(0)
    return failure instanceof AppError ? failure.code : failure
  }

  test.each<[string, string, (world: ApiWorld) => void]>([
    ['it answers no more', 'source-timeout', (world) => (world.simulator.faults.isHung = true)],
    ['it answers with a page', 'source-answer', (world) => (world.simulator.faults.htmlStatus = 500)],
    ['its user store is down', 'source-resolver', (world) => (world.simulator.world.isUserStoreUp = false)],
    [
      'nothing shows any more',
      'source-unproven',
      (world) =>
        world.simulator.world.policies.set('admin', { active: true, admins: [], actions: ['userlist'], body: {} }),
    ],
  ])('%s', async (_what, code, fail) => {
    expect(await breaksOff(fail)).toBe(code)
  })

  /** As many tokens as before, and none of them is one of those on record: another server, or one that was set up anew. */
  async function replaced() {
    const world = await ApiWorld.open()
    worlds.push(world)
    const users = Array.from({ length: 20 }, (_, index) => world.addUser(`u${index}`))
    const tokens = users.map((key, index) => world.addToken(`S${index}`, key))
    await world.resync()
    for (const token of tokens) world.stock.removeToken(token)
    users.forEach((key, index) => world.addToken(`T${index}`, key, FULL))
    const states = () => users.map((key) => world.state(key))
    return { world, users, states }
  }

  const run = async (world: ApiWorld, options: ResyncOptions): Promise<ResyncReport> => {
    const report = await resync(world.sweeps, options)
    await world.settle()
    return report
  }

  test('another privacyIDEA with as many tokens', async () => {
    const { world, users, states } = await replaced()
    for (const isDryRun of [true, false]) {
      await expect(run(world, { isDryRun })).rejects.toThrow(/no longer shows 20 of the 20 tokens on record/)
    }
    expect(states()).toEqual(users.map((_, index) => `open S${index}`))
  })

  test('a person may say that it is so', async () => {
    const { world, users, states } = await replaced()
    await run(world, { isDryRun: false, acceptsDrop: true })
    expect(states()).toEqual(users.map((_, index) => `locked T${index}`))
  })
})

describe('a directory that does not answer is left alone', () => {
  test('it is named, nothing follows, and it is caught up with', async () => {
    const { world, alice, bob, first } = await twoAccounts()
    first.failcount = 0
    const carol = world.addUser('carol')
    world.addToken('S3', carol, FULL)
    world.directory.faults.isDown = true
    const report = await resync(world.sweeps, { isDryRun: false })
    expect(report.left).toMatchObject([{ directory: 'corp', code: 'directory-unreachable' }])
    expect(report.drift).toEqual([])
    expect(world.state(alice)).toBe('locked S1')
    world.directory.faults.isDown = false
    world.clock.aheadMs += 60_000
    await world.resync()
    expect([alice, bob, carol].map((key) => world.state(key))).toEqual(['open S1', 'open S2', 'locked S3'])
  })

  test('the others are compared and repaired', async () => {
    const { world, bob } = await twoAccounts()
    world.directory.removeSerialValue(bob, 'privacyIDEA:S2')
    const ports = {
      ...world.sweeps,
      directory: {
        names: () => [LAB, nameOfDirectory('corp')],
        walkMarked: (name: DirectoryName) => {
          if (name === LAB) throw new AppError('directory-timeout', 'no answer')
          return world.directory.walkMarked()
        },
        observe: world.directory.observe.bind(world.directory),
        findByUser: world.directory.findByUser.bind(world.directory),
        findByUsers: world.directory.findByUsers.bind(world.directory),
      },
    }
    const report = await resync(ports, { isDryRun: false })
    await world.settle()
    expect(report.left).toMatchObject([{ directory: 'lab', code: 'directory-timeout' }])
    expect(report.differences).toBe(1)
    expect(world.state(bob)).toBe('open S2')
  })
})

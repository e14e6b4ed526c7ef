import { afterEach, describe, expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import type { AccountKey } from '../../../src/core/names.ts'
import { Scanner } from '../../../src/reconcile/source/scan.ts'
import { ApiWorld, login, MAX_FAILURES, realm, serial, type ApiWorldOptions } from './api-world.ts'
import { withMembers } from '../with-members.ts'

/** Mode `api`: owners who cannot be placed, and rows that cannot be read. Everybody else goes on. */

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

/** Realms that no directory has, and one whose directory does not answer while it is said to be down. */
function realms(isDown: { r2: boolean }): Pick<ApiWorldOptions, 'around'> {
  return {
    around: (memory) => {
      const check = (name: string): void => {
        if (name === 'unmapped') throw new AppError('realm-unmapped', 'no directory')
        if (name === 'excluded') throw new AppError('realm-excluded', 'none on purpose')
        if (name === 'r2' && isDown.r2) throw new AppError('directory-unreachable', 'the directory of r2 is down')
      }
      return withMembers(memory, {
        findByLogin: async (name, of) => {
          check(of ?? '')
          return memory.findByLogin(name, of)
        },
        findByUser: async (user) => {
          check(user.realm)
          return memory.findByUser(user)
        },
        findByUsers: async (users) =>
          Promise.all(
            users.map(async (user) => {
              try {
                check(user.realm)
                return await memory.findByUser(user)
              } catch (thrown) {
                return thrown as AppError
              }
            }),
          ),
      })
    },
  }
}

async function findings(world: ApiWorld): Promise<string[]> {
  const found = await world.store.findings.open()
  return found.map(({ kind, subject, reason }) => `${kind} ${subject}: ${reason}`).toSorted()
}

async function unplaced(world: ApiWorld): Promise<string[]> {
  const found = await world.store.unplaced.list(100, null)
  return found.map(({ serial: name, cause, isFull }) => `${name} ${cause}${isFull ? ' full' : ''}`).toSorted()
}

/** Two accounts of one login, and a user of an SQL resolver, whose number says nothing here. */
function addTwins(world: ApiWorld): AccountKey[] {
  const keys = [world.directory.addAccount(login('twin')), world.directory.addAccount(login('twin'))]
  world.simulator.world.realms.set('r1', ['ldap1', 'sql'])
  world.stock.addUser('twin', '42', 'sql')
  return keys
}

describe('an owner whose login several accounts have', () => {
  test('holds up nobody in the scan and the full resync, and is a finding with the serial', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const twins = addTwins(world)
    world.stock.addToken('TWIN1', { userId: '42', maxfail: MAX_FAILURES, ...FULL })
    world.addToken('A1', alice, FULL)
    await world.scan()
    expect(world.state(alice)).toBe('locked A1')
    expect(await unplaced(world)).toEqual(['TWIN1 several-accounts full'])
    await world.resync()
    expect(await unplaced(world)).toEqual(['TWIN1 several-accounts full'])
    expect(await findings(world)).toEqual([
      'owners-unplaced-full several-accounts: 1 token of 1 owner, 1 of them full, belongs to no account, since several accounts of the directory have the login: TWIN1 (twin@r1)',
    ])
    expect(twins.map((key) => world.state(key))).toEqual(['open', 'open'])
  })

  test('is known by the id in the resolver where the event names the login and the serial', async () => {
    const world = await open()
    const [first] = [world.addUser('twin'), world.addUser('twin')]
    world.addToken('T1', first, FULL)
    await world.hint([{ login: login('twin'), realm: realm('r1'), serial: serial('T1') }])
    expect(world.state(first)).toBe('locked T1')
    expect(world.locks()).toBe(1)
  })

  test('of an event without a serial, those on record are asked about', async () => {
    const world = await open()
    const keys = [world.addUser('twin'), world.addUser('twin')] as const
    world.addToken('T1', keys[0])
    const token = world.addToken('T2', keys[1])
    await world.resync()
    token.failcount = MAX_FAILURES
    await world.hint([{ login: login('twin'), realm: realm('r1') }])
    expect(keys.map((key) => world.state(key))).toEqual(['open T1', 'locked T2'])
  })

  test('keeps what is on record of them while the login is not one account’s alone', async () => {
    const world = await open()
    const alice = world.directory.addAccount(login('alice'))
    world.simulator.world.realms.set('r1', ['ldap1', 'sql'])
    world.stock.addUser('alice', '7', 'sql')
    world.stock.addToken('A1', { userId: '7', maxfail: MAX_FAILURES, ...FULL })
    await world.resync()
    expect(world.state(alice)).toBe('locked A1')
    world.directory.addAccount(login('alice'))
    await world.hint([{ serial: serial('A1') }])
    await world.resync()
    expect(world.state(alice)).toBe('locked A1')
  })
})

describe('a directory of several that does not answer', () => {
  test('holds up no owner of the others, and its own are found as soon as it answers', async () => {
    const isDown = { r2: true }
    const world = await open(realms(isDown))
    world.simulator.world.realms.set('r2', ['other'])
    const [alice, bob] = [world.addUser('alice'), world.directory.addAccount(login('bob'))]
    world.stock.addUser('bob', '8', 'other', 'r2')
    world.stock.addToken('B1', { userId: '8', maxfail: MAX_FAILURES, ...FULL })
    world.addToken('A1', alice, FULL)
    await world.scan()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked A1', 'open'])
    await world.resync()
    expect(await unplaced(world)).toEqual([])
    isDown.r2 = false
    await world.scan()
    expect(world.state(bob)).toBe('locked B1')
  })

  test('loses no failure that the authentication log told meanwhile', async () => {
    const isDown = { r2: true }
    const world = await open(realms(isDown))
    world.simulator.world.realms.set('r2', ['other'])
    const bob = world.directory.addAccount(login('bob'))
    world.stock.addUser('bob', '8', 'other', 'r2')
    world.stock.addToken('B1', { userId: '8' })
    await world.resync()
    await world.scan()
    world.simulator.world.log('/auth', 'PIN_FAIL', null, '8')
    await world.scan()
    expect(world.state(bob)).toBe('open')
    isDown.r2 = false
    await world.scan()
    // What the log told makes somebody look at their account, and so their token is found.
    expect(world.state(bob)).toBe('open B1')
  })
})

describe('a realm that the configuration does not have', () => {
  test('is a finding with its serials, that says so when one is full and ends when nobody is left', async () => {
    const world = await open(realms({ r2: false }))
    world.simulator.world.realms.set('unmapped', ['far'])
    world.stock.addUser('carol', '9', 'far', 'unmapped')
    const token = world.stock.addToken('C1', { userId: '9', maxfail: MAX_FAILURES })
    await world.resync()
    expect(await findings(world)).toEqual([
      'owners-unplaced realm-unmapped: 1 token of 1 owner belongs to no account, since the realm is not under `realms` in the configuration: C1 (carol@unmapped)',
    ])
    token.failcount = MAX_FAILURES
    await world.hint([{ login: login('carol'), realm: realm('unmapped'), serial: serial('C1') }])
    expect((await findings(world)).map((each) => each.split(':')[0])).toEqual(['owners-unplaced-full realm-unmapped'])
    token.failcount = 0
    await world.scan()
    expect((await findings(world)).map((each) => each.split(':')[0])).toEqual(['owners-unplaced realm-unmapped'])
    world.stock.removeToken(token)
    await world.resync()
    expect(await findings(world)).toEqual([])
  })

  test('is seen by the scan within seconds where its token is full and no event told', async () => {
    const world = await open(realms({ r2: false }))
    world.simulator.world.realms.set('unmapped', ['far'])
    world.stock.addUser('carol', '9', 'far', 'unmapped')
    world.stock.addToken('C1', { userId: '9', maxfail: MAX_FAILURES, ...FULL })
    await world.scan()
    expect(await unplaced(world)).toEqual(['C1 realm-unmapped full'])
  })

  test('is written down once, however often its full tokens are seen, and again when one of them changes', async () => {
    const world = await open(realms({ r2: false }))
    world.simulator.world.realms.set('unmapped', ['sql'])
    const tokens = Array.from({ length: 20 }, (_, at) => {
      world.stock.addUser(`s${at}`, `${at}`, 'sql')
      return world.stock.addToken(`S${at}`, { userId: `${at}`, maxfail: MAX_FAILURES, ...FULL })
    })
    const written: number[] = []
    const { unplaced: port } = world.sweeps
    const scanner = new Scanner({
      ...world.sweeps,
      unplaced: {
        ...port,
        note: async (found) => {
          if (found.length > 0) written.push(found.length)
          await port.note(found)
        },
      },
    })
    await scanner.scan()
    const first = written.splice(0).reduce((sum, count) => sum + count, 0)
    expect([first, (await unplaced(world)).length]).toEqual([20, 20])
    await scanner.scan()
    await scanner.scan()
    expect(written).toEqual([])
    for (const token of tokens.slice(0, 2)) token.failcount = 0
    await scanner.scan()
    expect(written).toEqual([2])
    for (const token of tokens.slice(0, 2)) token.failcount = MAX_FAILURES
    await scanner.scan()
    expect(written).toEqual([2, 2])
    await world.store.unplaced.forget([serial('S5')])
    await scanner.scan()
    expect([written, (await unplaced(world)).length]).toEqual([[2, 2, 1], 20])
  })

  test('is no finding where that is on purpose, and its events end', async () => {
    const world = await open(realms({ r2: false }))
    world.simulator.world.realms.set('excluded', ['far'])
    world.stock.addUser('root', '10', 'far', 'excluded')
    world.stock.addToken('R1', { userId: '10', maxfail: MAX_FAILURES, ...FULL })
    await world.hint([
      { login: login('root'), realm: realm('excluded'), serial: serial('R1') },
      { login: login('root'), realm: realm('excluded') },
    ])
    await world.scan()
    await world.resync()
    expect(await unplaced(world)).toEqual([])
    expect(await findings(world)).toEqual([])
    expect(await world.store.reports.events({ state: 'waiting', limit: 10 })).toEqual([])
  })

  test('that goes missing takes nothing from the accounts on record', async () => {
    const isDown = { r2: false }
    const world = await open(realms(isDown))
    const bob = world.directory.addAccount(login('bob'))
    world.simulator.world.realms.set('r2', ['other'])
    world.stock.addUser('bob', '8', 'other', 'r2')
    const token = world.stock.addToken('B1', { userId: '8', maxfail: MAX_FAILURES, ...FULL })
    await world.resync()
    expect(world.state(bob)).toBe('locked B1')
    token.realm = 'unmapped'
    world.simulator.world.realms.set('unmapped', ['other'])
    await world.hint([{ serial: serial('B1') }])
    await world.resync()
    expect(world.state(bob)).toBe('locked B1')
  })
})

describe.each(['3.11', '3.13', '3.14'] as const)('a resolver that is gone, on %s', (version) => {
  async function withGone(change: { readonly failcount: number } = FULL) {
    const world = await open({ version })
    const { realms: all } = world.simulator.world
    all.set('r1', ['ldap1', 'other'])
    const alice = world.addUser('alice')
    const bob = world.directory.addAccount(login('bob'))
    world.stock.addUser('bob', '8', 'other')
    const tokens = Array.from({ length: 3 }, (_, index) =>
      world.stock.addToken(`B${index}`, { userId: '8', maxfail: MAX_FAILURES, ...change }),
    )
    const token = world.addToken('A1', alice)
    await world.resync()
    await world.scan()
    all.set('r1', ['ldap1'])
    world.clock.aheadMs += 10_000
    return { world, alice, bob, token, tokens }
  }

  test('is a finding with its serials; its accounts stay as they are, and the others are compared', async () => {
    const { world, alice, bob, token } = await withGone()
    expect(world.state(bob)).toBe('locked B0 B1 B2')
    token.failcount = MAX_FAILURES
    await world.hint([{ serial: serial('B0') }, { login: login('bob'), realm: realm('r1') }])
    await world.scan()
    const report = await world.resync()
    expect(report.differences).toBe(0)
    expect([world.state(alice), world.state(bob)]).toEqual(['locked A1', 'locked B0 B1 B2'])
    expect(await unplaced(world)).toEqual(['B0', 'B1', 'B2'].map((name) => `${name} resolver-gone full`))
    const unsettled = await world.store.reports.accounts({ unsettled: true, limit: 10 })
    expect(unsettled).toEqual([])
  })

  test('is no finding any more once it is in a realm again, and its tokens are followed', async () => {
    const { world, bob, tokens } = await withGone()
    await world.resync()
    world.simulator.world.realms.set('r1', ['ldap1', 'other'])
    world.clock.aheadMs += 10_000
    for (const each of tokens) each.failcount = 0
    await world.resync()
    expect(await unplaced(world)).toEqual([])
    expect(world.state(bob)).toBe('open B0 B1 B2')
  })
})

describe('a token that is being made', () => {
  /** As privacyIDEA shows it between its owner and its realm, and before its owner. */
  const HALF = {
    'no realm yet': { username: '**resolver error**', user_realm: '', realms: [] },
    'no login yet': { username: '' },
    'no id yet': { user_id: '' },
  } as const

  const ownerFindings = async (world: ApiWorld): Promise<string[]> =>
    (await findings(world)).filter((each) => each.startsWith('owners'))

  test.each(Object.entries(HALF))('with %s is no finding, and neither is it once it is made', async (_, half) => {
    const world = await open()
    const dave = world.addUser('dave')
    world.addToken('T1', dave)
    world.simulator.world.mangle = (row) => (row['serial'] === 'T1' ? { ...row, ...half } : row)
    await world.resync()
    await world.hint([{ serial: serial('T1') }])
    await world.scan()
    expect([await ownerFindings(world), await unplaced(world)]).toEqual([[], []])
    world.simulator.world.mangle = (row) => row
    await world.resync()
    world.clock.aheadMs += 120_000
    await world.scan()
    expect([await findings(world), await unplaced(world)]).toEqual([[], []])
    expect(world.state(dave)).toBe('open T1')
  })

  test('is judged by a second reading, a minute or more after the first', async () => {
    const world = await open()
    const dave = world.addUser('dave')
    const [full] = [world.addToken('T1', dave, FULL), world.addToken('T2', dave)]
    full.realm = 'gone'
    world.simulator.world.mangle = (row) => (row['serial'] === 'T2' ? { ...row, ...HALF['no realm yet'] } : row)
    await world.resync()
    world.clock.aheadMs += 30_000
    await world.resync()
    await world.scan()
    expect([await findings(world), await unplaced(world)]).toEqual([[], []])
    world.clock.aheadMs += 31_000
    await world.scan()
    expect(await unplaced(world)).toEqual(['T1 realm-gone full', 'T2 realm-gone'])
    expect((await findings(world)).map((each) => each.split(':')[0])).toEqual(['owners-unplaced-full realm-gone'])
    await world.scan()
    await world.resync()
    expect(await unplaced(world)).toEqual(['T1 realm-gone full', 'T2 realm-gone'])
  })
})

describe('a row that cannot be read', () => {
  test('of a token stops neither the scan nor the full resync, takes nothing away, and is a finding', async () => {
    const world = await open()
    const [alice, bob] = [world.addUser('alice'), world.addUser('bob')]
    world.addToken('A1', alice, FULL)
    const token = world.addToken('B1', bob)
    await world.resync()
    world.simulator.world.mangle = (row) =>
      row['serial'] === 'A1' ? { ...row, failcount: null } : row['serial'] === 'PROOF' ? { ...row, serial: 'a b' } : row
    token.failcount = MAX_FAILURES
    await world.scan()
    await world.resync()
    await world.hint([{ serial: serial('A1') }])
    expect([world.state(alice), world.state(bob)]).toEqual(['locked A1', 'locked B1'])
    const kinds = (await world.store.findings.open()).map(({ kind, params }) => [kind, params])
    expect(kinds).toEqual([
      ['odd-tokens', { count: 2, names: ['a b', 'A1'], why: 'its serial is none that a token can have' }],
    ])
    world.simulator.world.mangle = (row) => row
    await world.resync()
    expect(await findings(world)).toEqual([])
  })

  test('of the lockouts ends nobody’s lockout that it may be about, and holds up nobody else', async () => {
    const world = await open()
    const [alice, bob] = [world.addUser('alice'), world.addUser('bob')]
    world.addToken('A1', alice)
    world.addToken('B1', bob)
    await world.resync()
    const { lockouts } = world.simulator.world
    lockouts.set(alice.split('/')[1] ?? '', 600, 'MANUAL')
    await world.scan()
    expect(world.state(alice)).toBe('locked A1')
    world.simulator.world.mangle = (row) =>
      row['username'] === 'alice' && 'locked_at' in row ? { ...row, uid: null, permanent: 'x' } : row
    lockouts.set(bob.split('/')[1] ?? '', 600, 'MANUAL')
    world.clock.aheadMs += 2_000
    await world.scan()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked A1', 'locked B1'])
  })

  test('of the authentication log is a hint less, and the others are followed', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const token = world.addToken('A1', alice, { maxfail: 10 })
    await world.resync()
    await world.scan()
    world.simulator.world.log('/auth', 'PIN_FAIL', 'X', null)
    world.simulator.world.mangle = (row) => (row['serial'] === 'X' ? { ...row, timestamp: 'never' } : row)
    Object.assign(token, { maxfail: 1, failcount: 1 })
    world.simulator.world.log('/auth', 'PIN_FAIL', 'A1', null)
    await world.scan()
    expect(world.state(alice)).toBe('locked A1')
  })
})

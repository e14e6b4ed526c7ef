import { afterEach, describe, expect, test } from 'vitest'
import type { AccountKey } from '../../../src/core/names.ts'
import { resync } from '../../../src/reconcile/source/resync.ts'
import { MEMORY_LOCKED } from '../../support/memory-directory.ts'
import type { Simulator } from '../../privacyidea/simulator/simulator.ts'
import { must } from '../../simulation/world.ts'
import { ApiWorld, idOf, login, MAX_FAILURES, openServer, realm, serial, type ApiWorldOptions } from './api-world.ts'

/** Mode `api`: what a store does with marks that it never wrote, and with another privacyIDEA than the one it knows. */

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

const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank']
const FULL = { failcount: MAX_FAILURES }

/** Six accounts whose serials somebody else wrote; privacyIDEA knows none of these tokens. */
async function strangers(options: ApiWorldOptions = {}) {
  const world = await open(options)
  const keys = NAMES.map((name) => world.addUser(name))
  keys.forEach((key, index) => world.directory.addSerialValue(key, `privacyIDEA:OLD${index}`))
  return { world, keys, states: () => keys.map((key) => world.state(key)) }
}

async function findings(world: ApiWorld) {
  return (await world.store.findings.open()).map(({ kind, params, isAttention }) => ({ kind, params, isAttention }))
}

const ALL_STAND = NAMES.map((_, index) => `open OLD${index}`)

describe('a new store', () => {
  test('takes no serial off a directory that a test server knows nothing of; they are one finding', async () => {
    const { world, keys, states } = await strangers()
    await world.scan()
    await world.resync()
    await world.resync()
    for (const key of keys) await world.lookAgain(key)
    expect(states()).toEqual(ALL_STAND)
    expect(await findings(world)).toEqual([
      {
        kind: 'unowned-marks',
        isAttention: true,
        params: { serials: 6, locks: 0, first: keys.slice(0, 5).map((key, at) => `OLD${at} of ${dnOf(world, key)}`) },
      },
    ])
  })

  test('adopts without a word what privacyIDEA confirms, and removes it once the token is deleted', async () => {
    const { world, keys, states } = await strangers()
    const token = world.addToken('OLD0', must(keys[0] ?? null))
    await world.resync()
    expect(states()).toEqual(ALL_STAND)
    world.stock.removeToken(token)
    await world.hint([{ kind: 'unregister', serial: serial('OLD0'), login: login('alice'), realm: realm('r1') }])
    expect(states()).toEqual(['open', ...ALL_STAND.slice(1)])
  })

  test.each([
    ['with its user', { login: login('alice'), realm: realm('r1') }],
    ['with its serial alone', {}],
  ])('an unregistration removes a serial that somebody else wrote: %s', async (_what, user) => {
    const { world, states } = await strangers()
    await world.resync()
    await world.hint([{ kind: 'unregister', serial: serial('OLD0'), ...user }])
    expect(states()).toEqual(['open', ...ALL_STAND.slice(1)])
    expect(await findings(world)).toMatchObject([{ params: { serials: 6 } }])
    await world.resync()
    expect(await findings(world)).toMatchObject([{ params: { serials: 5 } }])
  })

  test('an unregistration that privacyIDEA contradicts removes nothing', async () => {
    const { world, keys, states } = await strangers()
    world.addToken('OLD0', must(keys[0] ?? null))
    await world.hint([{ kind: 'unregister', serial: serial('OLD0'), login: login('alice'), realm: realm('r1') }])
    expect(states()).toEqual(ALL_STAND)
    expect(await world.derivedEvents()).toBe(0)
  })

  test('forged unregistrations of serials that stand nowhere leave no trace', async () => {
    const { world } = await strangers()
    await world.hint([
      { kind: 'unregister', serial: serial('NONE1'), login: login('alice') },
      { kind: 'unregister', serial: serial('NONE2') },
    ])
    expect(await world.store.db.selectFrom('authored_serial').selectAll().execute()).toEqual([])
    expect(await world.derivedEvents()).toBe(0)
  })

  test('a lock event of mode events does not make the serial that somebody else wrote ours', async () => {
    const { world, keys, states } = await strangers()
    const alice = must(keys[0] ?? null)
    await world.store.snapshots.note({ key: alice, dn: dnOf(world, alice), login: login('alice'), realm: realm('r1') })
    await world.store.records.note(
      {
        ...{ id: 'lock', kind: 'lock', serial: serial('OLD0'), login: login('alice'), realm: null, actor: '' },
        ...{ takenAtUs: world.clock.nowMs() * 1000, source: 'shim', reason: null, untilUs: null },
        ...{ accountKey: alice, attributeSerials: [], pinnedHold: null },
      },
      null,
    )
    await world.settle()
    expect(world.state(alice)).toBe('locked OLD0')
    await world.resync()
    expect(states()).toEqual(ALL_STAND)
  })

  test('a lock with the value of ours stands and is listed, where the account has to do with tokens', async () => {
    const { world, keys } = await strangers()
    const [alice, bob] = [must(keys[0] ?? null), must(keys[1] ?? null)]
    const outsider = world.directory.addAccount(login('outsider'))
    for (const key of [alice, outsider]) world.directory.setLock(key, MEMORY_LOCKED)
    await world.resync()
    // After the first contact a lock of this value is an administrator's.
    world.directory.setLock(bob, MEMORY_LOCKED)
    await world.resync()
    expect(world.state(alice)).toBe('locked OLD0')
    expect(await findings(world)).toMatchObject([{ params: { serials: 6, locks: 1 } }])
    world.directory.setLock(alice, null)
    await world.resync()
    expect(await findings(world)).toMatchObject([{ params: { serials: 6, locks: 0 } }])
  })

  test('a listed lock that a person adopts is released with its hold, or at once where nothing holds it', async () => {
    const { world, keys } = await strangers()
    const [alice, bob] = [must(keys[0] ?? null), must(keys[1] ?? null)]
    for (const key of [alice, bob]) world.directory.setLock(key, MEMORY_LOCKED)
    const token = world.addToken('S1', alice, FULL)
    await world.resync()
    token.failcount = 0
    await world.scan()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked OLD0 S1', 'locked OLD1'])
    token.failcount = MAX_FAILURES
    await world.scan()
    for (const key of [alice, bob]) {
      await world.store.snapshots.note({ key, dn: dnOf(world, key), login: null, realm: null })
      await world.store.records.orderAdoption(key, { actor: 'root', reason: 'by a person' })
    }
    await world.settle()
    expect([world.state(alice), world.state(bob)]).toEqual(['locked OLD0 S1', 'open OLD1'])
    token.failcount = 0
    await world.scan()
    expect(world.state(alice)).toBe('open OLD0 S1')
  })

  test('what a person adopts is removed, and nothing is left to be said', async () => {
    const { world, keys, states } = await strangers()
    const { unowned } = await world.resync()
    const marks = unowned.flatMap(({ key, serial: each }) => (each === null ? [] : [{ key, serial: each }]))
    await world.store.authorship.adopt(marks, 'root')
    await resync(world.sweeps, { isDryRun: false, acceptsMarks: true })
    await world.settle()
    expect(states()).toEqual(keys.map(() => 'open'))
    expect(await findings(world)).toEqual([])
    const rows = await world.store.db.selectFrom('journal').select('body').where('kind', '=', 'adopted').execute()
    expect(rows.map(({ body }) => JSON.parse(body) as unknown)).toContainEqual({ by: 'root', serial: 'OLD3' })
  })
})

test('that a serial is ours outlives all that retention keeps: one of ours that a restored directory shows again goes', async () => {
  const { world, keys } = await strangers()
  const alice = must(keys[0] ?? null)
  const token = world.addToken('S1', alice)
  await world.resync()
  world.stock.removeToken(token)
  await world.resync()
  expect(world.state(alice)).toBe('open OLD0')
  const { db, maintenance } = world.store
  const later = world.clock.nowMs() + 86_400_000
  for (let round = 0; round < 3; round++) {
    await maintenance.compactStreams(later)
    await maintenance.forgetEvents(later)
  }
  await db.deleteFrom('journal').execute()
  for (const table of ['event', 'change', 'token'] as const) {
    expect(await db.selectFrom(table).selectAll().execute()).toEqual([])
  }
  world.directory.addSerialValue(alice, 'privacyIDEA:S1')
  await world.resync()
  expect(world.state(alice)).toBe('open OLD0')
})

test('a store of a version that noted no identity recognizes its server by the ids of the tokens on record', async () => {
  const world = await open()
  const keys = Array.from({ length: 12 }, (_, index) => world.addUser(`u${index}`))
  const tokens = keys.map((key, index) => world.addToken(`S${index}`, key, FULL))
  await world.resync()
  await world.store.db.deleteFrom('meta').where('key', '=', 'source-identity').execute()
  world.startWith(world.simulator)
  for (const token of tokens.slice(0, 2)) world.stock.removeToken(token)
  must(tokens[2] ?? null).failcount = 0
  await world.scan()
  expect(keys.slice(0, 4).map((key) => world.state(key))).toEqual(['open', 'open', 'open S2', 'locked S3'])
  const other = await openServer()
  keys.forEach((key, index) => other.world.stock.addUser(`u${index}`, idOf(key)))
  other.world.stock.addToken('S0', { userId: idOf(must(keys[1] ?? null)) })
  await world.store.db.deleteFrom('meta').where('key', '=', 'source-identity').execute()
  world.startWith(other)
  await world.scan()
  await world.resync()
  expect(keys.slice(0, 4).map((key) => world.state(key))).toEqual(['open', 'open S0', 'open S2', 'locked S3'])
  expect(await findings(world)).toMatchObject([{ kind: 'source-changed' }])
})

describe('how much may go from a directory at once', () => {
  test('what stands there counts: nothing is removed until a person says so', async () => {
    const world = await open()
    const keys = Array.from({ length: 20 }, (_, index) => world.addUser(`u${index}`))
    const tokens = keys.map((key, index) => world.addToken(`S${index}`, key))
    await world.resync()
    // The record of what privacyIDEA showed is lost; that these serials are ours is not.
    for (const token of tokens.slice(0, 4)) world.stock.removeToken(token)
    await world.store.db.deleteFrom('token').execute()
    await expect(world.resync()).rejects.toMatchObject({ code: 'source-shrunk' })
    expect(keys.map((key) => world.state(key))).toEqual(keys.map((_, index) => `open S${index}`))
    await resync(world.sweeps, { isDryRun: false, acceptsDrop: true })
    await world.settle()
    expect(keys.map((key) => world.state(key))).toEqual(keys.map((_, index) => (index < 4 ? 'open' : `open S${index}`)))
  })
})

describe('another privacyIDEA', () => {
  /** Six users with a token each, of whom Alice is locked; and another server with the same users. */
  async function twoServers() {
    const world = await open()
    const keys = NAMES.map((name) => world.addUser(name))
    const tokens = keys.map((key, index) => world.addToken(`S${index}`, key, index === 0 ? FULL : {}))
    await world.resync()
    const states = () => keys.map((key) => world.state(key))
    const other = await openServer()
    NAMES.forEach((name, index) => other.world.stock.addUser(name, idOf(must(keys[index] ?? null))))
    other.world.stock.addToken('PROOF', { madeAt: '2020-01-01T00:00:00+00:00' })
    const first = world.simulator
    return { world, keys, tokens, states, other, first }
  }
  const BEFORE = ['locked S0', ...NAMES.slice(1).map((_, index) => `open S${index + 1}`)]

  async function lookEverywhere(world: ApiWorld, keys: readonly AccountKey[]): Promise<void> {
    await world.scan()
    await world.store.snapshots.markKeysForRefresh(keys)
    await world.settle()
    await world.resync()
  }

  test('removes and unlocks nothing because it does not show it, and is a finding with what to do', async () => {
    const { world, keys, states, other } = await twoServers()
    world.startWith(other)
    await lookEverywhere(world, keys)
    expect(states()).toEqual(BEFORE)
    expect(await findings(world)).toEqual([
      { kind: 'source-changed', params: { tokens: 7, shown: 0, auditRows: 1 }, isAttention: true },
    ])
    const [finding] = await world.store.findings.open()
    expect(finding?.fix).toContain('lockstep resync --adopt --yes')
  })

  test('is not taken for the first by the same serials with the same ids, whoever has them there', async () => {
    const { world, keys, states, other } = await twoServers()
    // The same serials in the same order, made at another time; S0 is open there, S1 is Alice's, S2 is nobody's.
    const { stock } = other.world
    const [alice] = keys
    const madeAt = '2020-01-01T00:00:00+00:00'
    stock.addToken('S0', { madeAt, userId: idOf(must(alice ?? null)) })
    stock.addToken('S1', { madeAt, userId: idOf(must(alice ?? null)) })
    stock.addToken('S2', { madeAt })
    world.startWith(other)
    await lookEverywhere(world, keys)
    expect(states()).toEqual(BEFORE)
    expect(await findings(world)).toMatchObject([{ kind: 'source-changed' }])
  })

  test('unlocks nobody by a token of the same serial that is open there', async () => {
    const { world, keys, states, other } = await twoServers()
    const userId = idOf(must(keys[0] ?? null))
    other.world.stock.addToken('S0', { madeAt: '2020-01-01T00:00:00+00:00', userId })
    world.startWith(other)
    await world.scan()
    expect(states()).toEqual(BEFORE)
    // It goes on to say so, and nobody is marked at every scan.
    expect(await world.scanner.scan()).toMatchObject({ marked: 0 })
  })

  test('still locks whom it shows to be locked', async () => {
    const { world, keys, other } = await twoServers()
    const [, bob] = keys
    other.world.stock.addToken('T1', { userId: idOf(must(bob ?? null)), maxfail: 3, failcount: 3 })
    world.startWith(other)
    await lookEverywhere(world, keys)
    expect(world.state(must(bob ?? null))).toBe('locked S1 T1')
  })

  test('a person accepts it: then what it does not show goes', async () => {
    const { world, keys, states, other } = await twoServers()
    world.startWith(other)
    await lookEverywhere(world, keys)
    await world.sweeps.check.accept('root')
    await resync(world.sweeps, { isDryRun: false, acceptsDrop: true })
    await world.settle()
    expect(states()).toEqual(NAMES.map(() => 'open'))
    expect(await findings(world)).toEqual([])
  })

  test('once the first answers again, all goes on as if nothing had been', async () => {
    const { world, keys, tokens, states, other } = await twoServers()
    const restarted = await openServer()
    copyInto(restarted, world.simulator)
    world.startWith(other)
    await lookEverywhere(world, keys)
    world.startWith(restarted)
    await world.resync()
    expect(await findings(world)).toEqual([])
    const moved = must(restarted.world.stock.token(must(tokens[0] ?? null).serial))
    moved.failcount = 0
    restarted.world.stock.removeToken(must(restarted.world.stock.token('S1')))
    await lookEverywhere(world, keys)
    expect(states()).toEqual(['open S0', 'open', ...BEFORE.slice(2)])
  })

  test.each(['3.11', '3.12', '3.13', '3.14'] as const)(
    'the only token of a server may be deleted: that is no other server (%s)',
    async (version) => {
      const world = await open({ version })
      const alice = world.addUser('alice')
      const token = world.addToken('S1', alice, FULL)
      world.stock.removeToken(must(world.stock.token('PROOF')))
      await world.resync()
      expect(world.state(alice)).toBe('locked S1')
      world.stock.removeToken(token)
      world.addToken('NEW', null)
      await lookEverywhere(world, [alice])
      expect(world.state(alice)).toBe('open')
      expect(await findings(world)).toEqual([])
    },
  )

  test('a restored backup of the first is the first, though it has lost every token of the record', async () => {
    const { world, keys, states, first } = await twoServers()
    const backup = await openServer()
    // As it was after Lockstep was there first, and before the first of the tokens on record was made.
    backup.world.audit.entries.push(...first.world.audit.entries)
    for (const name of NAMES) backup.world.stock.addUser(name, must(first.world.stock.userOf(name)).userId)
    backup.world.stock.addToken('OTHER')
    world.startWith(backup)
    await world.store.snapshots.markKeysForRefresh(keys.slice(0, 2))
    await world.settle()
    expect(states()).toEqual(['open', 'open', ...BEFORE.slice(2)])
    expect(await findings(world)).toEqual([])
  })

  test('where the audit log may not be read the tokens decide alone', async () => {
    const { world, keys, states, other } = await twoServers()
    other.world.policies.set('admin', {
      active: true,
      admins: ['admin', 'lockstep'],
      actions: ['tokenlist', 'userlist', 'user_lock_read'],
      body: {},
    })
    world.startWith(other)
    await lookEverywhere(world, keys)
    expect(states()).toEqual(BEFORE)
    expect(await findings(world)).toMatchObject([{ kind: 'source-changed' }])
  })
})

function dnOf(world: ApiWorld, key: AccountKey) {
  return world.directory.account(key).dn
}

/** The same database behind another address. */
function copyInto(to: Simulator, from: Simulator): void {
  to.world.audit.entries.push(...from.world.audit.entries)
  for (const { login: name, userId } of from.world.stock.users.values()) to.world.stock.addUser(name, userId)
  for (const { serial: each, ...token } of from.world.stock.tokens) to.world.stock.addToken(each, token)
}

import { afterEach, describe, expect, test } from 'vitest'
import type { TokenEventKind } from '../../../src/core/events/event.ts'
import type { Serial } from '../../../src/core/names.ts'
import { MEMORY_LOCKED } from '../../support/memory-directory.ts'
import { POLICY } from '../../simulation/usual-settings.ts'
import { must, openWorldStore, VirtualClock, World, type Person } from '../../simulation/world.ts'
import { ApiWorld, login, MAX_FAILURES, realm, serial } from './api-world.ts'

/**
 * Serials that differ by case only: one token on a server that compares without case, and never a way into somebody
 * else's on one that does not.
 */

const UPPER = serial('ALICE1')
const LOWER = serial('alice1')

let opened: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of opened) await each[Symbol.asyncDispose]()
  opened = []
})

describe('mode events', () => {
  async function open() {
    const clock = new VirtualClock()
    const store = await openWorldStore(clock)
    opened.push(store)
    const world = new World(store, clock, '1', POLICY)
    const [alice, mallory] = world.people
    const tell = async (kind: TokenEventKind, of: Serial, person: Person | null): Promise<void> => {
      await world.take(world.newEvent(kind, of, person?.login ?? null))
      await world.quiesce()
    }
    const state = (person: Person): string => {
      const { lockValues } = world.directory.account(person.key)
      const lock = lockValues[0] === MEMORY_LOCKED ? 'locked' : 'open'
      return [lock, ...world.directory.serialsOf(person.key)].join(' ')
    }
    const files = (folder: string): string[] =>
      [...world.ldif.files.keys()].filter((path) => path.startsWith(`${folder}/`) && !path.includes('history'))
    const findings = async () => (await store.findings.open()).map(({ kind, reason }) => ({ kind, reason }))
    return { world, store, alice: must(alice ?? null), mallory: must(mallory ?? null), tell, state, files, findings }
  }

  test.each(['unlock', 'unregister'] as const)(
    'a lock that names a token in another case is its hold, and its %s ends it',
    async (kind) => {
      const { tell, state, alice, files, store, findings } = await open()
      await tell('register', UPPER, alice)
      await tell('lock', LOWER, null)
      expect(state(alice)).toBe('locked ALICE1')
      expect(files('unlock')).toEqual(['unlock/ALICE1'])
      expect(await store.reports.find('aLiCe1', 5)).toMatchObject([{ key: alice.key, holds: [{ name: 'ALICE1' }] }])
      await tell(kind, UPPER, null)
      expect(state(alice)).toBe(kind === 'unlock' ? 'open ALICE1' : 'open')
      expect([files('unlock'), files('unregister')]).toEqual([[], kind === 'unlock' ? ['unregister/ALICE1'] : []])
      expect(await findings()).toEqual([])
    },
  )

  test('a token that stands at the account alone is found in another case, and taken out as it stands there', async () => {
    const { world, tell, state, alice, files } = await open()
    world.directory.addSerialValue(alice.key, 'privacyIDEA:ALICE1')
    await tell('lock', LOWER, null)
    expect([state(alice), files('unlock')]).toEqual(['locked ALICE1', ['unlock/ALICE1']])
    await tell('unregister', LOWER, null)
    expect(state(alice)).toBe('open')
  })

  test('the hold of another spelling keeps its file while the token gets its name', async () => {
    const { tell, state, alice, files, store } = await open()
    await tell('lock', LOWER, alice)
    expect(files('unlock')).toEqual(['unlock/alice1'])
    await tell('register', UPPER, alice)
    expect(state(alice)).toBe('locked ALICE1')
    expect(await store.reports.find(alice.key, 1)).toMatchObject([{ holds: [{ name: 'ALICE1' }] }])
    expect(files('unlock')).toEqual(['unlock/alice1'])
    await tell('unlock', UPPER, alice)
    expect([state(alice), files('unlock')]).toEqual(['open ALICE1', []])
  })

  test('who makes themselves a token of another’s serial in another case takes over nothing and opens nothing', async () => {
    const { tell, state, alice, mallory, findings } = await open()
    await tell('register', UPPER, alice)
    await tell('lock', UPPER, null)
    await tell('register', LOWER, mallory)
    expect([state(alice), state(mallory)]).toEqual(['locked ALICE1', 'open alice1'])
    expect(await findings()).toMatchObject([
      { kind: 'serials-differ-by-case', reason: expect.stringContaining('ALICE1 and alice1') },
    ])
    for (const kind of ['lock', 'unlock', 'unregister'] as const) {
      for (const person of [null, mallory]) {
        await tell('register', LOWER, mallory)
        await tell(kind, LOWER, person)
        expect(state(alice), `${kind} of alice1`).toBe('locked ALICE1')
      }
    }
    await tell('unlock', UPPER, null)
    expect([state(alice), state(mallory)]).toEqual(['open ALICE1', 'open'])
    expect(await findings()).toEqual([])
  })

  test('nor with a token that was there before Lockstep was, where its events name its owner', async () => {
    const { tell, state, alice, mallory } = await open()
    await tell('register', UPPER, alice)
    await tell('lock', UPPER, alice)
    for (const kind of ['unlock', 'lock', 'unlock', 'unregister'] as const) await tell(kind, LOWER, mallory)
    expect([state(alice), state(mallory)]).toEqual(['locked ALICE1', 'open'])
  })

  test('an unregistration in another case leaves what another account carries', async () => {
    const { tell, state, alice, mallory } = await open()
    await tell('register', UPPER, alice)
    await tell('register', LOWER, mallory)
    await tell('unregister', LOWER, null)
    expect([state(alice), state(mallory)]).toEqual(['open ALICE1', 'open'])
  })
})

test('in mode events a token that is enrolled anew opens its account, and one of several named opens nothing', async () => {
  const clock = new VirtualClock()
  const store = await openWorldStore(clock)
  opened.push(store)
  const world = new World(store, clock, '1', POLICY)
  const alice = must(world.people[0] ?? null)
  const isLocked = () => world.directory.account(alice.key).lockValues.length > 0
  const tell = async (kind: TokenEventKind, isSoleSerial = false): Promise<void> => {
    const event = world.newEvent(kind, UPPER, alice.login)
    await world.take(isSoleSerial ? { ...event, isSoleSerial } : event)
    await world.quiesce()
  }
  await tell('register', true)
  await tell('lock')
  await tell('register')
  expect(isLocked()).toBe(true)
  await tell('register', true)
  expect(isLocked()).toBe(false)
  await tell('lock')
  expect(isLocked()).toBe(true)
})

describe('mode api', () => {
  async function open(isCaseSensitive = false) {
    const world = await ApiWorld.open()
    opened.push(world)
    world.stock.isCaseSensitive = isCaseSensitive
    const [alice, mallory] = [world.addUser('alice'), world.addUser('mallory')]
    const holds = async (key: typeof alice) =>
      (await world.store.reports.find(key, 1)).flatMap((account) => account.holds.map(({ name }) => name))
    return { world, alice, mallory, holds }
  }

  test('a hint in another case leads to the token that privacyIDEA has', async () => {
    const { world, alice, holds } = await open()
    const token = world.addToken('ALICE1', alice)
    await world.hint([{ kind: 'register', serial: UPPER, login: login('alice'), realm: realm('r1') }])
    token.failcount = MAX_FAILURES
    await world.hint([{ kind: 'lock', serial: LOWER }])
    expect([world.state(alice), await holds(alice)]).toEqual(['locked ALICE1', ['ALICE1']])
    token.failcount = 0
    await world.hint([{ kind: 'unlock', serial: LOWER }])
    expect(world.state(alice)).toBe('open ALICE1')
    world.stock.removeToken(token)
    await world.hint([{ kind: 'unregister', serial: LOWER }])
    expect(world.state(alice)).toBe('open')
  })

  test('also where nothing is on record yet', async () => {
    const { world, alice, holds } = await open()
    world.addToken('ALICE1', alice, { failcount: MAX_FAILURES })
    await world.hint([{ kind: 'lock', serial: LOWER }])
    expect([world.state(alice), await holds(alice)]).toEqual(['locked ALICE1', ['ALICE1']])
  })

  test('what stands at the account in another case is the token’s own: the full resync takes nothing out', async () => {
    const { world, alice } = await open()
    world.addToken('ALICE1', alice)
    world.directory.addSerialValue(alice, 'privacyIDEA:alice1')
    const first = await world.resync()
    expect(first.drift.filter(({ now }) => now === 'carried')).toEqual([])
    expect(world.state(alice)).toBe('open alice1')
    expect((await world.resync()).drift).toEqual([])
  })

  test('a token that was deleted and made again in another case is followed', async () => {
    const { world, alice, holds } = await open()
    const token = world.addToken('ALICE1', alice, { failcount: MAX_FAILURES })
    await world.resync()
    expect(await holds(alice)).toEqual(['ALICE1'])
    world.stock.removeToken(token)
    world.addToken('alice1', alice)
    await world.hint([{ kind: 'lock', login: login('alice'), realm: realm('r1') }])
    expect(world.state(alice)).toMatch(/^open alice1$/i)
    expect(await world.store.findings.open()).toEqual([])
  })

  test('of two tokens that differ by case only each has its own owner, its own hold, and its own end', async () => {
    const { world, alice, mallory, holds } = await open(true)
    const alices = world.addToken('ALICE1', alice, { failcount: MAX_FAILURES })
    await world.resync()
    const mallorys = world.addToken('alice1', mallory)
    await world.hint([{ kind: 'register', serial: LOWER, login: login('mallory'), realm: realm('r1') }])
    expect([world.state(alice), world.state(mallory)]).toEqual(['locked ALICE1', 'open alice1'])
    expect(await world.store.findings.open()).toMatchObject([{ kind: 'serials-differ-by-case', isAttention: true }])
    for (const kind of ['lock', 'unlock', 'unregister', 'register'] as const) {
      await world.hint([
        { kind, serial: LOWER },
        { kind, serial: LOWER, login: login('mallory'), realm: realm('r1') },
      ])
      expect([world.state(alice), await holds(alice)]).toEqual(['locked ALICE1', ['ALICE1']])
    }
    mallorys.failcount = MAX_FAILURES
    alices.failcount = 0
    await world.scan()
    expect([world.state(alice), world.state(mallory)]).toEqual(['open ALICE1', 'locked alice1'])
    world.stock.removeToken(mallorys)
    await world.resync()
    expect([world.state(alice), world.state(mallory)]).toEqual(['open ALICE1', 'open'])
    expect(await world.store.findings.open()).toEqual([])
  })

  test('two of one owner hold by themselves too, and the value of the one that stays stays', async () => {
    const { world, alice, holds } = await open(true)
    world.addToken('ALICE1', alice, { failcount: MAX_FAILURES })
    const second = world.addToken('alice1', alice, { failcount: MAX_FAILURES })
    await world.resync()
    expect((await holds(alice)).toSorted()).toEqual(['ALICE1', 'alice1'])
    world.stock.removeToken(second)
    await world.resync()
    expect(await holds(alice)).toEqual(['ALICE1'])
    expect(world.state(alice)).toMatch(/^locked alice1$/i)
  })
})

import { afterEach, describe, expect, test } from 'vitest'
import type { LossBreakerSettings } from '../../../src/core/guards/loss-breaker.ts'
import type { AccountKey } from '../../../src/core/names.ts'
import { resync } from '../../../src/reconcile/source/resync.ts'
import type { SimToken } from '../../privacyidea/simulator/stock.ts'
import { NO_GUARDS } from '../../simulation/usual-settings.ts'
import { ApiWorld, idOf, MAX_FAILURES, serial, type ApiWorldOptions } from './api-world.ts'

/** Tokens that vanish by the dozen without a reason: serials and locks stay until a person has seen it. */

const FULL = { failcount: MAX_FAILURES }
/** Of twelve tokens ten per cent are less than one: five may go. */
const USERS = 12
const ALLOWED = 5
const DECISION = { person: 'anna', reason: 'seen it' }

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

interface Site {
  readonly world: ApiWorld
  readonly keys: readonly AccountKey[]
  readonly tokens: readonly SimToken[]
}

/** Twelve users, each locked by the one token that they have. */
async function site(options: ApiWorldOptions = {}, change: Partial<SimToken> = FULL): Promise<Site> {
  const world = await ApiWorld.open(options)
  worlds.push(world)
  const keys = Array.from({ length: USERS }, (_, at) => world.addUser(`u${at}`))
  const tokens = keys.map((key, at) => world.addToken(`S${at}`, key, change))
  await world.resync()
  expect(world.locks()).toBe(change.failcount === MAX_FAILURES ? USERS : 0)
  return { world, keys, tokens }
}

const LOSSES = {
  'is deleted': ({ world }: Site, token: SimToken) => world.stock.removeToken(token),
  'loses its owner': ({ world }: Site, token: SimToken) => world.assign(token, null),
} as const

function untouched({ world, keys }: Site): number {
  return keys.filter((key, at) => world.state(key) === `locked S${at}`).length
}

function gone({ world, keys }: Site): number {
  return keys.filter((key) => world.state(key) === 'open').length
}

async function waiting({ world }: Site): Promise<string[]> {
  const losses = await world.store.losses.list({ limit: 100 })
  return losses.flatMap((loss) => (loss.state === 'waiting' ? [loss.serial] : []))
}

async function findings({ world }: Site): Promise<string[]> {
  return (await world.store.findings.open()).map(({ kind }) => kind)
}

/** Everybody's token is lost, and a scan finds it. */
async function lost(options: ApiWorldOptions = {}, how: keyof typeof LOSSES = 'is deleted'): Promise<Site> {
  const all = await site(options)
  for (const token of all.tokens) LOSSES[how](all, token)
  await all.world.scan()
  return all
}

async function approveAll({ world }: Site, person = DECISION.person): Promise<void> {
  const losses = await world.store.losses.list({ limit: 100 })
  await world.store.losses.approve(
    losses.map((loss) => loss.serial),
    { ...DECISION, person },
  )
  await world.settle()
}

/** Everybody's token is deleted while nobody is locked, and a reading finds it. */
async function missing(options: ApiWorldOptions = {}): Promise<Site> {
  const all = await site(options, { failcount: 0 })
  const { world, keys, tokens } = all
  for (const token of tokens) world.stock.removeToken(token)
  await world.store.snapshots.markKeysForRefresh(keys)
  await world.settle()
  expect([world.locks(), (await waiting(all)).length]).toEqual([0, USERS - ALLOWED])
  return all
}

async function dismissAll(all: Site): Promise<void> {
  const serials = (await waiting(all)).map(serial)
  expect(await all.world.store.losses.dismiss(serials, DECISION)).toBe(USERS - ALLOWED)
}

async function lockedOutAndReleased({ world, keys }: Site): Promise<void> {
  for (const key of keys) world.simulator.world.lockouts.set(idOf(key), null, 'MANUAL')
  world.clock.aheadMs += 2_000
  await world.scan()
  expect(world.locks()).toBe(USERS)
  for (const key of keys) world.simulator.world.lockouts.release(idOf(key))
  world.clock.aheadMs += 2_000
  await world.scan()
}

async function unregisterEvents({ world }: Site): Promise<void> {
  const marks = Array.from({ length: USERS }, (_, at) => ({ kind: 'unregister', serial: serial(`S${at}`) }) as const)
  await world.hint(marks)
}

describe.each(Object.keys(LOSSES) as (keyof typeof LOSSES)[])('everybody’s token %s, and nothing says why', (how) => {
  test('five go; all others stay locked with their serial, and wait for review', async () => {
    const all = await lost({}, how)
    expect([gone(all), untouched(all)]).toEqual([ALLOWED, USERS - ALLOWED])
    const { world } = all
    const cause = how === 'is deleted' ? 'not-listed' : 'no-owner'
    const losses = await world.store.losses.list({ limit: 100 })
    expect(losses.map((loss) => [loss.cause, loss.state, loss.isHold])).toEqual(
      Array.from({ length: USERS - ALLOWED }, () => [cause, 'waiting', true]),
    )
    expect(await findings(all)).toEqual(['losses-held-back'])
  })

  test('further scans, full resyncs and hours change nothing, and tell nothing anew', async () => {
    const all = await lost({}, how)
    const events = await all.world.derivedEvents()
    await all.world.scan()
    await all.world.pass(3_600_000)
    await all.world.scan()
    expect((await all.world.resync()).drift).toEqual([])
    expect((await all.world.scanner.scan()).marked).toBe(0)
    expect([gone(all), untouched(all), await all.world.derivedEvents()]).toEqual([ALLOWED, USERS - ALLOWED, events])
  })

  test('what a person approves goes, and the finding ends', async () => {
    const all = await lost({}, how)
    await approveAll(all)
    expect([gone(all), await waiting(all), await findings(all)]).toEqual([USERS, [], []])
    expect(await all.world.store.losses.counts()).toMatchObject({ waiting: 0, approved: 0 })
  })
})

describe('a reason', () => {
  test('an event that names each serial lets all of them go', async () => {
    const all = await site()
    for (const token of all.tokens) all.world.assign(token, null)
    await unregisterEvents(all)
    await all.world.scan()
    expect([gone(all), await waiting(all), await findings(all)]).toEqual([USERS, [], []])
  })

  test('events that come after the scan let what waits go, and give back the places of what was counted', async () => {
    const all = await lost()
    await unregisterEvents(all)
    expect([gone(all), await waiting(all), await findings(all)]).toEqual([USERS, [], []])
    const later = Array.from({ length: ALLOWED }, (_, at) => {
      return all.world.addToken(`L${at}`, all.keys[at] ?? null, FULL)
    })
    await all.world.resync()
    for (const token of later) all.world.stock.removeToken(token)
    await all.world.scan()
    expect([gone(all), await waiting(all)]).toEqual([USERS, []])
  })

  test('an event of before the token came back to its owner is none', async () => {
    const all = await site()
    for (const token of all.tokens) all.world.assign(token, null)
    await unregisterEvents(all)
    all.world.clock.aheadMs += 60_000
    all.tokens.forEach((token, at) => all.world.assign(token, all.keys[at] ?? null))
    await all.world.resync()
    expect(untouched(all)).toBe(USERS)
    for (const token of all.tokens) all.world.assign(token, null)
    await all.world.scan()
    expect([gone(all), (await waiting(all)).length]).toEqual([ALLOWED, USERS - ALLOWED])
  })

  test('a token that moves to another user is no loss', async () => {
    const all = await site({}, { failcount: 0 })
    const { world } = all
    const heir = world.addUser('heir')
    for (const token of all.tokens) world.assign(token, heir)
    await world.store.snapshots.markForRefresh([
      { key: heir, dn: world.directory.account(heir).dn, login: null, realm: null },
    ])
    await world.resync()
    expect([gone(all), await waiting(all)]).toEqual([USERS, []])
    expect(world.state(heir).split(' ')).toHaveLength(1 + USERS)
  })

  test('a rollover of everybody’s token under its serial is none either: it is the same token', async () => {
    const all = await site()
    for (const token of all.tokens) Object.assign(token, { failcount: 0, rolloutState: 'verify' })
    await all.world.scan()
    expect(all.keys.map((key) => all.world.state(key))).toEqual(all.keys.map((_, at) => `open S${at}`))
    expect(await waiting(all)).toEqual([])
  })

  test('the end of a hold by time lets the account in, whatever became of its token', async () => {
    const all = await lost({ policy: { lockTtlMs: 1_800_000 } })
    expect(untouched(all)).toBe(USERS - ALLOWED)
    await all.world.pass(1_801_000)
    expect(all.world.locks()).toBe(0)
    expect(await waiting(all)).toHaveLength(USERS - ALLOWED)
  })

  test('a person who unlocks an account lets its user in, and its serial stays', async () => {
    const all = await lost()
    const { world, keys } = all
    const at = keys.findIndex((key) => world.state(key) !== 'open')
    const key = keys[at]
    if (key === undefined) throw new Error('nobody is locked')
    await world.store.records.note(
      {
        id: 'cli:1',
        kind: 'release',
        serial: null,
        login: null,
        realm: null,
        actor: 'anna',
        takenAtUs: world.clock.nowMs() * 1000,
        source: 'cli',
        reason: null,
        untilUs: null,
        accountKey: key,
        attributeSerials: [],
        pinnedHold: null,
      },
      null,
    )
    await world.settle()
    expect(world.state(key)).toBe(`open S${at}`)
  })

  test('a reset of tokens that are listed unlocks however many', async () => {
    const all = await site()
    for (const token of all.tokens) token.failcount = 0
    await all.world.scan()
    expect([all.world.locks(), await waiting(all)]).toEqual([0, []])
  })

  test('a lockout that ends lets everybody in whose token is listed', async () => {
    const all = await site({}, { failcount: 0 })
    const { world, keys } = all
    for (const key of keys) world.simulator.world.lockouts.set(idOf(key), null, 'MANUAL')
    await world.scan()
    expect(world.locks()).toBe(USERS)
    for (const key of keys) world.simulator.world.lockouts.release(idOf(key))
    world.clock.aheadMs += 2_000
    await world.scan()
    expect([world.locks(), await waiting(all)]).toEqual([0, []])
  })
})

describe('what waits', () => {
  test('leaves the review without a trace when the tokens are listed again', async () => {
    const all = await lost({}, 'loses its owner')
    const { world, keys, tokens } = all
    const journal = (await world.store.reports.journal({ limit: 10_000 })).length
    tokens.forEach((token, at) => world.assign(token, keys[at] ?? null))
    await world.scan()
    await world.resync()
    expect([untouched(all), await waiting(all), await findings(all)]).toEqual([USERS, [], []])
    expect((await world.store.reports.journal({ limit: 10_000 })).length).toBeGreaterThan(journal)
    const changes = await world.store.reports.changes({ limit: 1_000 })
    // Those five that had gone came back; nothing was ever taken from the others.
    expect(changes.filter(({ kind }) => kind === 'unregister' || kind === 'unlock')).toHaveLength(2 * ALLOWED)
  })

  test('is found by the full resync when nothing locks the accounts', async () => {
    const all = await site({}, { failcount: 0 })
    const { world, keys, tokens } = all
    for (const token of tokens) world.assign(token, null)
    await world.store.snapshots.markKeysForRefresh(keys)
    await world.settle()
    expect(await waiting(all)).toHaveLength(USERS - ALLOWED)
    tokens.forEach((token, at) => world.assign(token, keys[at] ?? null))
    await world.resync()
    expect([await waiting(all), await findings(all)]).toEqual([[], []])
    expect(keys.map((key) => world.state(key))).toEqual(keys.map((_, at) => `open S${at}`))
  })

  test('stays at its account when a person dismisses it, and may be approved by name later', async () => {
    const all = await lost()
    const { world } = all
    const serials = (await waiting(all)).map(serial)
    expect(await world.store.losses.dismiss(serials, DECISION)).toBe(USERS - ALLOWED)
    await world.scan()
    await world.resync()
    await world.store.snapshots.markKeysForRefresh(all.keys)
    await world.settle()
    expect([untouched(all), await waiting(all), await findings(all)]).toEqual([USERS - ALLOWED, [], []])
    await approveAll(all)
    expect(gone(all)).toBe(USERS)
  })

  test('goes only when two persons approve, where locks need two', async () => {
    const breaker = { limits: [], reset: 'auto', approvals: 2 } as const
    const all = await lost({ breaker })
    await approveAll(all)
    await approveAll(all)
    expect(untouched(all)).toBe(USERS - ALLOWED)
    await approveAll(all, 'bert')
    expect(gone(all)).toBe(USERS)
  })

  test('a first approval does not count for a loss of later', async () => {
    const breaker = { limits: [], reset: 'auto', approvals: 2 } as const
    const all = await lost({ breaker }, 'loses its owner')
    const { world, keys, tokens } = all
    await approveAll(all)
    tokens.forEach((token, at) => world.assign(token, keys[at] ?? null))
    await world.scan()
    world.clock.aheadMs += 3_600_000
    for (const token of tokens) world.assign(token, null)
    await world.scan()
    expect(await waiting(all)).toHaveLength(USERS - ALLOWED)
    await approveAll(all, 'bert')
    expect(untouched(all)).toBe(USERS - ALLOWED)
  })

  test('passes as far as there is room when a person resumes, and then waits again', async () => {
    const all = await lost()
    expect(await all.world.store.losses.resume(DECISION)).toBe(USERS - ALLOWED)
    await all.world.settle()
    expect([gone(all), (await waiting(all)).length]).toEqual([2 * ALLOWED, USERS - 2 * ALLOWED])
    expect(await findings(all)).toEqual(['losses-held-back'])
  })

  test('goes by itself as time leaves room, where the configuration says so', async () => {
    const all = await lost({ lossBreaker: breakerOf({ reset: 'auto' }) })
    expect(gone(all)).toBe(ALLOWED)
    await all.world.pass(600_002)
    expect(gone(all)).toBe(2 * ALLOWED)
    await all.world.pass(600_002)
    expect([gone(all), await waiting(all), await findings(all)]).toEqual([USERS, [], []])
  })

  test('does not ask again after a full resync that was told to accept the drop', async () => {
    const all = await lost()
    await resync(all.world.sweeps, { isDryRun: false, acceptsDrop: true })
    await all.world.settle()
    expect([gone(all), await waiting(all), await findings(all)]).toEqual([USERS, [], []])
  })

  test('is not asked about at all where the drop was accepted first', async () => {
    const all = await site({}, { failcount: 0 })
    const { world, tokens } = all
    tokens.forEach((token, at) => (at % 2 === 0 ? world.stock.removeToken(token) : world.assign(token, null)))
    await resync(world.sweeps, { isDryRun: false, acceptsDrop: true })
    await world.settle()
    expect([gone(all), await waiting(all), await findings(all)]).toEqual([USERS, [], []])
  })

  test('is carried out when the breaker of losses is switched off', async () => {
    const all = await lost({ lossBreaker: null })
    expect([gone(all), await waiting(all)]).toEqual([USERS, []])
  })
})

describe('beside it', () => {
  test('on a dry run the loss waits as well, so that its end takes nothing by the dozen', async () => {
    const all = await site()
    const { world } = all
    const guards = { ...NO_GUARDS, dryRun: { isForAll: true, directories: [], realms: [] } }
    const { ports } = world
    world.ports = { ...ports, guardSettings: guards }
    for (const token of all.tokens) world.stock.removeToken(token)
    await world.scan()
    expect([untouched(all), (await waiting(all)).length]).toEqual([USERS, USERS - ALLOWED])
    world.ports = ports
    await world.lookAgain(...all.keys)
    expect([gone(all), untouched(all)]).toEqual([ALLOWED, USERS - ALLOWED])
  })

  test('other tokens of the same account lock and unlock as ever', async () => {
    const all = await lost()
    const { world, keys } = all
    const at = keys.findIndex((each) => world.state(each) !== 'open')
    const key = keys[at]
    if (key === undefined) throw new Error('nobody is locked')
    const other = world.addToken('OTHER', key, FULL)
    await world.scan()
    expect(world.state(key)).toBe(`locked OTHER S${at}`)
    other.failcount = 0
    await world.scan()
    await approveAll(all)
    expect(world.state(key)).toBe('open OTHER')
    other.failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(key)).toBe('locked OTHER')
  })

  test('where all tokens have to be full, one that is missing and was not does not make the others lock', async () => {
    const all = await site({ policy: { lockWhen: 'all-tokens-locked' } }, { failcount: 0 })
    const { world, keys, tokens } = all
    for (const token of tokens) world.stock.removeToken(token)
    keys.forEach((key, at) => world.addToken(`B${at}`, key, FULL))
    await world.store.snapshots.markKeysForRefresh(keys)
    await world.settle()
    expect(await waiting(all)).toHaveLength(USERS - ALLOWED)
    expect(world.locks()).toBe(ALLOWED)
    await approveAll(all)
    expect(world.locks()).toBe(USERS)
  })

  test('a lockout that vanishes with the tokens of its user does not end', async () => {
    const all = await site({}, { failcount: 0 })
    const { world, keys, tokens } = all
    for (const key of keys) world.simulator.world.lockouts.set(idOf(key), null, 'MANUAL')
    await world.scan()
    for (const token of tokens) world.stock.removeToken(token)
    for (const key of keys) world.simulator.world.lockouts.release(idOf(key))
    world.clock.aheadMs += 2_000
    await world.scan()
    expect(world.locks()).toBe(USERS - ALLOWED)
    await approveAll(all)
    expect(world.locks()).toBe(0)
  })

  test('a lockout that was listed while the token was missing already ends when it is released', async () => {
    const all = await missing()
    await lockedOutAndReleased(all)
    expect([all.world.locks(), (await waiting(all)).length]).toEqual([0, USERS - ALLOWED])
  })
})

describe('a loss that a person dismissed', () => {
  test('does not keep an account locked whose lockout privacyIDEA has released, and nobody asks about it again', async () => {
    const all = await missing()
    await dismissAll(all)
    await lockedOutAndReleased(all)
    expect([all.world.locks(), (await all.world.store.losses.counts()).dismissed]).toEqual([0, USERS - ALLOWED])
    expect((await all.world.scanner.scan()).marked).toBe(0)
  })

  test('lets a lockout of before it end as well', async () => {
    const all = await site({}, { failcount: 0 })
    const { world, keys, tokens } = all
    for (const key of keys) world.simulator.world.lockouts.set(idOf(key), null, 'MANUAL')
    await world.scan()
    for (const token of tokens) world.stock.removeToken(token)
    for (const key of keys) world.simulator.world.lockouts.release(idOf(key))
    world.clock.aheadMs += 2_000
    await world.scan()
    expect(world.locks()).toBe(USERS - ALLOWED)
    await dismissAll(all)
    await world.scan()
    expect(world.locks()).toBe(0)
    expect((await world.scanner.scan()).marked).toBe(0)
  })

  test('keeps the lock that its own token made, whatever lockout comes and goes', async () => {
    const all = await lost()
    await dismissAll(all)
    await lockedOutAndReleased(all)
    expect([gone(all), untouched(all)]).toEqual([ALLOWED, USERS - ALLOWED])
  })

  test('of a token that was not full lets the others lock, where all tokens have to be full', async () => {
    const all = await missing({ policy: { lockWhen: 'all-tokens-locked' } })
    const { world, keys } = all
    keys.forEach((key, at) => world.addToken(`B${at}`, key, FULL))
    await world.store.snapshots.markKeysForRefresh(keys)
    await world.settle()
    expect(world.locks()).toBe(ALLOWED)
    await dismissAll(all)
    await world.settle()
    expect(world.locks()).toBe(USERS)
    expect((await world.store.losses.counts()).dismissed).toBe(USERS - ALLOWED)
  })
})

describe('a list with two of eight tokens missing', () => {
  const TOKENS = 40
  /** The first token is nobody's. */
  const isMissing = (id: number): boolean => id > 1 && id % 8 < 2

  async function crowd(): Promise<Site> {
    const world = await ApiWorld.open({ source: { pageSize: 10 } })
    worlds.push(world)
    const keys = Array.from({ length: TOKENS }, (_, at) => world.addUser(`u${at}`))
    const tokens = keys.map((key, at) => world.addToken(`S${at}`, key, FULL))
    await world.resync()
    return { world, keys, tokens }
  }

  async function read({ world, keys }: Site): Promise<void> {
    await world.store.snapshots.markKeysForRefresh(keys)
    await world.settle()
  }

  test('in rows that its own count names: nothing is believed of it, and nothing goes', async () => {
    const all = await crowd()
    all.world.simulator.world.leavesOut = (at) => at % 8 < 2
    await expect(all.world.resync()).rejects.toMatchObject({ code: 'source-unproven' })
    await expect(all.world.scan()).rejects.toMatchObject({ code: 'source-answer' })
    await read(all)
    expect(untouched(all)).toBe(TOKENS)
  })

  test('and not counted: the full resync refuses it, and readings let no more go than the breaker allows', async () => {
    const all = await crowd()
    const { world } = all
    world.simulator.world.hides = isMissing
    await expect(world.resync()).rejects.toMatchObject({ code: 'source-shrunk' })
    expect(untouched(all)).toBe(TOKENS)
    await world.scan()
    await read(all)
    expect([gone(all), untouched(all), (await waiting(all)).length]).toEqual([ALLOWED, TOKENS - ALLOWED, ALLOWED])
    world.simulator.world.hides = null
    await world.resync()
    expect([untouched(all), await waiting(all)]).toEqual([TOKENS, []])
  })
})

function breakerOf(change: Partial<LossBreakerSettings>): LossBreakerSettings {
  return { maxLosses: 20, share: 0.1, perMs: 600_000, reset: 'manual', ...change }
}

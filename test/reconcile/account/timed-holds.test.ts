import { afterEach, expect, test } from 'vitest'
import type { PolicySettings } from '../../../src/core/settings/settings.ts'
import { ApiWorld, MAX_FAILURES } from '../source/api-world.ts'

/** Holds that end by themselves. */

const MINUTE = 60_000
const TTL: Partial<PolicySettings> = { lockTtlMs: 10 * MINUTE }

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

async function fullToken(policy: Partial<PolicySettings>) {
  const world = await ApiWorld.open({ policy })
  worlds.push(world)
  const alice = world.addUser('alice')
  const token = world.addToken('S1', alice, { failcount: MAX_FAILURES })
  await world.resync()
  expect(world.state(alice)).toBe('locked S1')
  return { world, alice, token }
}

test('a hold that ends by itself leaves the token full, and it does not lock again', async () => {
  const { world, alice, token } = await fullToken(TTL)
  await world.pass(11 * MINUTE)
  await world.scan()
  expect([world.state(alice), token.failcount]).toEqual(['open S1', MAX_FAILURES])
})

test('by policy it resets the token, once, which then locks again when it is full again', async () => {
  const { world, alice, token } = await fullToken({ ...TTL, resetsTokenOnTtl: true })
  await world.pass(11 * MINUTE)
  expect([world.state(alice), token.failcount]).toEqual(['open S1', 0])
  token.failcount = MAX_FAILURES
  await world.scan()
  expect([world.state(alice), token.failcount]).toEqual(['locked S1', MAX_FAILURES])
})

test('each further lock lasts longer, until a quiet time has passed', async () => {
  const lockBackoff = { factor: 3, maxMs: 60 * MINUTE, resetAfterMs: 120 * MINUTE }
  const { world, alice, token } = await fullToken({ ...TTL, lockBackoff, resetsTokenOnTtl: true })
  const lastsFor = async (minutes: number): Promise<void> => {
    await world.pass((minutes - 1) * MINUTE)
    expect(world.state(alice)).toBe('locked S1')
    await world.pass(2 * MINUTE)
    expect(world.state(alice)).toBe('open S1')
  }
  const failAgain = async (): Promise<void> => {
    token.failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(alice)).toBe('locked S1')
  }
  await lastsFor(10)
  await failAgain()
  await lastsFor(30)
  await failAgain()
  await lastsFor(60)
  await world.pass(121 * MINUTE)
  await failAgain()
  await lastsFor(10)
})

test('a hold that ends by itself leaves the review queue, also where the breaker closes by hand', async () => {
  const limit = { of: 'all', only: [], max: { locks: 1 }, perMs: 60 * MINUTE } as const
  const breaker = { limits: [limit], reset: 'manual', approvals: 1 } as const
  const world = await ApiWorld.open({ policy: TTL, breaker })
  worlds.push(world)
  for (const name of ['alice', 'bob']) {
    world.addToken(`S-${name}`, world.addUser(name), { failcount: MAX_FAILURES })
  }
  await world.resync()
  expect([world.locks(), (await world.store.reviews.counts()).waiting]).toEqual([1, 1])
  await world.pass(11 * MINUTE)
  expect([world.locks(), (await world.store.reviews.counts()).waiting]).toEqual([0, 0])
})

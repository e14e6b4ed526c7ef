import { afterEach, expect, test } from 'vitest'
import type { AccountKey } from '../../../src/core/names.ts'
import type { ObservedState } from '../../../src/core/account/state.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import { ApiWorld, MAX_FAILURES } from '../source/api-world.ts'
import { withMembers } from '../with-members.ts'

/** A directory of two servers: the first took our lock, the second, which answers now, has not got it yet. */

const FIRST = 'ldap://first.example.org'
const SECOND = 'ldap://second.example.org'

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

async function lockedAtFirst() {
  const world = await ApiWorld.open()
  worlds.push(world)
  const memory = world.directory
  let answering = FIRST
  /** What the first says; null: it does not answer. */
  let first: ((key: AccountKey) => Promise<ObservedState>) | null = (key) => memory.observe(key, [], 0)
  const from = (observed: ObservedState): ObservedState => ({ ...observed, server: answering })
  const directory: DirectoryPort = withMembers<DirectoryPort>(memory, {
    servers: () => [FIRST, SECOND].map((url) => ({ url, is: 'up', sinceMs: 0, reason: '' })),
    observe: async (key, duplicatesOf, maxAgeMs) => from(await memory.observe(key, duplicatesOf, maxAgeMs)),
    apply: async (change) => from(await memory.apply(change)),
    observeAt: async (key, urls) =>
      first === null || !urls.includes(FIRST) ? null : { ...(await first(key)), server: FIRST },
  })
  world.ports = { ...world.ports, directory }
  const alice = world.addUser('alice')
  const token = world.addToken('S1', alice, { failcount: MAX_FAILURES })
  await world.resync()
  expect(world.state(alice)).toBe('locked S1')
  const locked = await memory.observe(alice, [], 0)
  // From here on the second answers: what stands in memory is what stands there.
  answering = SECOND
  memory.setLock(alice, null)
  first = async () => locked
  return { world, alice, token, firstIsAway: () => (first = null) }
}

async function record(world: ApiWorld, key: AccountKey) {
  const [row] = await world.store.db
    .selectFrom('account')
    .select(['standing', 'standing_code', 'hold_count', 'owned_lock'])
    .where('key', '=', key)
    .execute()
  return {
    standing: row?.standing,
    code: row?.standing_code,
    holds: row?.hold_count,
    isOurs: (row?.owned_lock ?? null) !== null,
  }
}

test('a server that is behind does not end a hold while the one that took the lock still has it', async () => {
  const { world, alice } = await lockedAtFirst()
  const { writes } = world.directory
  await world.lookAgain(alice)
  expect(await record(world, alice)).toEqual({ standing: 'in-step', code: null, holds: 1, isOurs: true })
  expect(world.directory.writes).toBe(writes)
})

test('where the one that took the lock is away it is written again, and is no unlock by somebody', async () => {
  const { world, alice, firstIsAway } = await lockedAtFirst()
  firstIsAway()
  await world.lookAgain(alice)
  expect(world.state(alice)).toBe('locked S1')
  expect(await record(world, alice)).toEqual({ standing: 'in-step', code: null, holds: 1, isOurs: true })
})

test('a lock that nothing holds any more is not forgotten while the server that took it is away', async () => {
  const { world, alice, token, firstIsAway } = await lockedAtFirst()
  firstIsAway()
  token.failcount = 0
  await world.scan()
  expect(await record(world, alice)).toEqual({
    standing: 'failed',
    code: 'directory-unreachable',
    holds: 0,
    isOurs: true,
  })
})

test('a lock that is gone at the server that took it was taken away by somebody', async () => {
  const { world, alice } = await lockedAtFirst()
  const gone = await world.directory.observe(alice, [], 0)
  const { directory } = world.ports
  world.ports = {
    ...world.ports,
    directory: withMembers(directory, { observeAt: async () => ({ ...gone, server: FIRST }) }),
  }
  await world.lookAgain(alice)
  expect(await record(world, alice)).toEqual({ standing: 'in-step', code: null, holds: 0, isOurs: false })
})

test('a server that the configuration no longer names holds no lock back', async () => {
  const { world, alice } = await lockedAtFirst()
  const { directory } = world.ports
  const second = [{ url: SECOND, is: 'up', sinceMs: 0, reason: '' }] as const
  world.ports = { ...world.ports, directory: withMembers(directory, { servers: () => second }) }
  await world.lookAgain(alice)
  expect(await record(world, alice)).toEqual({ standing: 'in-step', code: null, holds: 0, isOurs: false })
})

import { afterEach, expect, test } from 'vitest'
import { entryFields } from '../../../src/core/events/log-entry.ts'
import { ApiWorld, MAX_FAILURES, type ApiWorldOptions } from '../source/api-world.ts'
import { withMembers } from '../with-members.ts'

/** Each change that a guard holds back is reported once, whichever guard it is. */

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

interface Site {
  readonly world: ApiWorld
  /** `login change token reason` of what was held back since the last call. */
  refused(): Promise<string[]>
}

async function site(options: ApiWorldOptions = {}): Promise<Site> {
  const world = await ApiWorld.open(options)
  worlds.push(world)
  const refused = async (): Promise<string[]> => {
    const { entries, upTo } = await world.store.accountLog.unreported(1_000)
    await world.store.accountLog.reported(upTo)
    return entries.flatMap((entry) => {
      if (!('change' in entry) || entry.event !== 'refused') return []
      const { login, change, token, reason } = entryFields(entry, 'login')
      return `${login} ${change} ${token} ${reason}`
    })
  }
  // What a new store has is not reported.
  await refused()
  return { world, refused }
}

test('by the breaker: the lock alone, since serials flow all the same', async () => {
  const limit = { of: 'all', only: [], max: { locks: 1 }, perMs: 3_600_000 } as const
  const { world, refused } = await site({ breaker: { limits: [limit], reset: 'auto', approvals: 1 } })
  const [alice, bob] = [world.addUser('alice'), world.addUser('bob')]
  const tokens = [world.addToken('S1', alice), world.addToken('S2', bob)]
  await world.resync()
  for (const token of tokens) {
    token.failcount = MAX_FAILURES
    await world.scan()
  }
  expect(await refused()).toEqual(['bob lock S2 breaker'])
  world.addToken('S3', bob)
  await world.resync()
  expect(await refused()).toEqual([])
  expect(world.state(bob)).toBe('open S2 S3')
  await world.lookAgain(bob)
  expect(await refused()).toEqual([])
})

test('while nobody knows whether the account is protected', async () => {
  const { world, refused } = await site()
  const alice = world.addUser('alice')
  const token = world.addToken('S1', alice)
  await world.resync()
  const { directory } = world.ports
  let said = 'the groups cannot be read'
  world.ports = {
    ...world.ports,
    directory: withMembers(directory, {
      observe: async (...call) => ({
        ...(await directory.observe(...call)),
        protectionUnread: { code: 'directory-unreachable', reason: said },
      }),
    }),
  }
  token.failcount = MAX_FAILURES
  await world.scan()
  expect(await refused()).toEqual(['alice lock S1 protection-unread'])
  said = 'the groups cannot be read either'
  await world.lookAgain(alice)
  expect(await refused()).toEqual([])
})

test('by the breaker of losses: the serial that stays, and the lock that its token made', async () => {
  const { world, refused } = await site({
    lossBreaker: { maxLosses: 1, share: 1, perMs: 3_600_000, reset: 'manual' },
  })
  const users = ['alice', 'bob', 'carol'].map((name) => world.addUser(name))
  const tokens = users.map((user, at) => world.addToken(`S${at}`, user, { failcount: at === 2 ? MAX_FAILURES : 0 }))
  await world.resync()
  for (const token of tokens) world.assign(token, null)
  for (const user of users) {
    await world.store.snapshots.markKeysForRefresh([user])
    await world.settle()
  }
  expect(await refused()).toEqual([
    'bob unregister S1 loss-breaker',
    'carol unregister S2 loss-breaker',
    'carol unlock S2 loss-breaker',
  ])
  await world.resync()
  expect(await refused()).toEqual([])
})

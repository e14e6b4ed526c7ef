import { afterEach, expect, test } from 'vitest'
import type { AccountKey } from '../../../src/core/names.ts'
import type { DryRunSettings } from '../../../src/core/guards/guard.ts'
import { ApiWorld, MAX_FAILURES, type ApiWorldOptions } from '../source/api-world.ts'
import { withMembers } from '../with-members.ts'

/** What the guards hold back, and what stays to be done meanwhile. */

const FOREIGN = '20200101000000Z'
const DRY: DryRunSettings = { isForAll: true, directories: [], realms: [] }

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

async function withAlice(options: ApiWorldOptions = {}) {
  const world = await ApiWorld.open(options)
  worlds.push(world)
  const alice = world.addUser('alice')
  return { world, alice, token: world.addToken('S1', alice) }
}

async function status(world: ApiWorld, key: AccountKey): Promise<string | undefined> {
  const accounts = await world.store.reports.accounts({ limit: 10 })
  return accounts.find((account) => account.key === key)?.standing
}

test('on a dry run nobody is locked, and no token is disabled for a lock of somebody else', async () => {
  const { world, alice, token } = await withAlice({
    guards: { dryRun: DRY, breaker: null },
    policy: { mirrorDirectoryLocks: 'disable-tokens' },
  })
  token.failcount = MAX_FAILURES
  await world.resync()
  expect([world.state(alice), await status(world, alice)]).toEqual(['open', 'dry-run'])
  token.failcount = 0
  await world.scan()
  world.directory.setLock(alice, FOREIGN)
  await world.lookAgain(alice)
  expect(token.active).toBe(true)
})

test('while nobody knows whether an account is protected it is not locked', async () => {
  const { world, alice, token } = await withAlice()
  await world.resync()
  const { directory } = world.ports
  const protectionUnread = { code: 'directory-unreachable', reason: 'the groups cannot be read' } as const
  const unread = withMembers(directory, {
    observe: async (...call) => ({ ...(await directory.observe(...call)), protectionUnread }),
  })
  const { ports } = world
  world.ports = { ...ports, directory: unread }
  token.failcount = MAX_FAILURES
  await world.scan()
  expect(world.state(alice)).toBe('open S1')
  world.ports = ports
  await world.lookAgain(alice)
  expect(world.state(alice)).toBe('locked S1')
})

test('a hint that could not be followed, as privacyIDEA did not answer, is followed once it does', async () => {
  const { world, alice, token } = await withAlice()
  await world.resync()
  world.simulator.world.isUserStoreUp = false
  await world.store.snapshots.markKeysForRefresh([alice])
  await world.settle()
  token.failcount = MAX_FAILURES
  world.simulator.world.isUserStoreUp = true
  await world.pass(60_000)
  expect(world.state(alice)).toBe('locked S1')
})

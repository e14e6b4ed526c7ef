import { expect, test } from 'vitest'
import { parseLogin, parseRealm, parseResolverName, parseUserId } from '../../../src/core/names.ts'
import type { OwnerQuery } from '../../../src/ports/privacyidea.ts'
import { openPrivacyIdea } from '../../../src/privacyidea/open-privacyidea.ts'
import { sourceWithBreakers } from '../../../src/reconcile/source/resolver-circuit-breaker.ts'
import { codeOf } from '../../directory/contract.ts'
import { startSimulator } from '../../privacyidea/simulator/simulator.ts'
import { sourceSettings } from '../../privacyidea/source-settings.ts'
import { ApiWorld } from './api-world.ts'

const OWNERS = 30

function ownerCalled(name: string, resolver = 'ldap1'): OwnerQuery {
  return {
    login: parseLogin(name),
    realm: parseRealm('r1'),
    resolver: parseResolverName(resolver),
    userId: parseUserId(`id-${name}`),
  }
}

test('while a user store is down one owner is asked about at a time, and others do not wait for it', async () => {
  await using simulator = await startSimulator()
  const { stock, realms } = simulator.world
  realms.set('r2', ['other'])
  const owners = Array.from({ length: OWNERS }, (_, index) => `u${index}`)
  for (const name of owners) stock.addToken(`S${name}`, { userId: stock.addUser(name, `id-${name}`).userId })
  const clock = { nowMs: () => 1_000_000 + aheadMs, random: () => 0 }
  let aheadMs = 0
  const login = { kind: 'password', user: 'admin', realm: null, password: { env: 'X' } } as const
  await using source = sourceWithBreakers(
    openPrivacyIdea(sourceSettings(simulator.url, { login }), () => 'secret', clock),
    clock,
  )
  const countOf = async (name: string): Promise<number> => (await source.tokensOfOwner(ownerCalled(name))).length
  for (const name of owners) expect(await countOf(name)).toBe(1)

  simulator.world.isUserStoreUp = false
  expect(await codeOf(countOf('u0'))).toBe('source-resolver')
  const before = simulator.requests
  for (const name of owners) expect(await codeOf(countOf(name))).toBe('source-resolver')
  expect(simulator.requests).toBe(before)
  // Of another user store nobody knows anything bad.
  await source.tokensOfOwner(ownerCalled('elsewhere', 'other'))
  expect(simulator.requests).toBeGreaterThan(before)

  aheadMs += 60_000
  const asked = simulator.requests
  await Promise.all(owners.map(async (name) => expect(await codeOf(countOf(name))).toBe('source-resolver')))
  expect(simulator.requests - asked).toBeLessThanOrEqual(2)

  simulator.world.isUserStoreUp = true
  aheadMs += 60_000
  for (const name of owners) expect(await countOf(name)).toBe(1)
})

test('while a user store is down privacyIDEA is not asked about everybody in it who is to be looked at', async () => {
  await using world = await ApiWorld.open()
  const keys = Array.from({ length: OWNERS }, (_, index) => world.addUser(`u${index}`))
  keys.forEach((key, index) => world.addToken(`S${index}`, key))
  await world.resync()
  world.simulator.world.isUserStoreUp = false
  await world.store.snapshots.markKeysForRefresh(keys)
  await world.settle()
  const before = world.simulator.requests
  await world.store.snapshots.markKeysForRefresh(keys)
  await world.settle()
  expect(world.simulator.requests - before).toBeLessThanOrEqual(2)
  world.simulator.world.isUserStoreUp = true
  // The first of them finds out.
  await world.pass(60_000)
  await world.pass(60_000)
  const [waiting] = await world.store.db
    .selectFrom('account')
    .select((select) => select.fn.countAll<number>().as('n'))
    .where('standing', '<>', 'in-step')
    .execute()
  expect(waiting).toEqual({ n: 0 })
})

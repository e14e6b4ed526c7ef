import { expect, test } from 'vitest'
import type { AccountKey } from '../../src/core/names.ts'
import { reconcileAccount } from '../../src/reconcile/account/reconcile-account.ts'
import type { Claim } from '../../src/ports/store/store.ts'
import { ApiWorld, login, MAX_FAILURES, realm } from './source/api-world.ts'
import { withMembers } from './with-members.ts'

/** How long an account stays with the worker that it was handed to. */

const TOKENS = 5
/** As slow as a directory, and a privacyIDEA, may be without being given up. */
const DIRECTORY_TAKES_MS = 12_000
const PRIVACYIDEA_TAKES_MS = 40_000

/** Alice with tokens that are not in the directory yet, and one of them full; claimed. */
async function claimedAlice(world: ApiWorld): Promise<{ alice: AccountKey; claim: Claim }> {
  const alice = world.addUser('alice')
  for (let number = 0; number < TOKENS; number++) world.addToken(`S${number}`, alice)
  world.addToken('FULL', alice, { failcount: MAX_FAILURES })
  const { dn } = world.directory.account(alice)
  await world.store.snapshots.markForRefresh([{ key: alice, dn, login: login('alice'), realm: realm('r1') }])
  const [claim] = await world.store.queue.claim(1, world.clock.nowMs())
  if (claim === undefined) throw new Error('nothing was claimed')
  return { alice, claim }
}

/** Works on the claim with slow servers; another worker asks for accounts after each of their answers. */
async function workSlowly(world: ApiWorld, claim: Claim): Promise<{ startedMs: number; handedOut: number }> {
  const startedMs = world.clock.nowMs()
  let handedOut = 0
  const slow = async <Value>(takesMs: number, work: Promise<Value>): Promise<Value> => {
    const value = await work
    world.clock.aheadMs += takesMs
    handedOut += (await world.store.queue.claim(1, world.clock.nowMs())).length
    return value
  }
  const { directory, snapshot } = world.ports
  if (snapshot === null) throw new Error('this world asks privacyIDEA')
  const source = withMembers(snapshot.source, {
    tokensOfOwner: (owner) => slow(PRIVACYIDEA_TAKES_MS, snapshot.source.tokensOfOwner(owner)),
  })
  const slowDirectory = withMembers(directory, {
    observe: (key, duplicatesOf, maxAgeMs) => slow(DIRECTORY_TAKES_MS, directory.observe(key, duplicatesOf, maxAgeMs)),
    apply: (change) => slow(DIRECTORY_TAKES_MS, directory.apply(change)),
  })
  await reconcileAccount(claim, { ...world.ports, directory: slowDirectory, snapshot: { ...snapshot, source } })
  return { startedMs, handedOut }
}

test('an account that takes minutes, as the servers are slow, is handed to nobody else meanwhile', async () => {
  await using world = await ApiWorld.open()
  const { alice, claim } = await claimedAlice(world)
  const { startedMs, handedOut } = await workSlowly(world, claim)
  expect(world.clock.nowMs() - startedMs).toBeGreaterThan(120_000)
  expect(world.state(alice)).toBe('locked FULL S0 S1 S2 S3 S4')
  expect(handedOut).toBe(0)
})

test('what is left undone by a worker that hangs for longer than its lease goes to the next', async () => {
  await using world = await ApiWorld.open()
  const { claim } = await claimedAlice(world)
  world.clock.aheadMs += 59_000
  expect(await world.store.queue.claim(1, world.clock.nowMs())).toEqual([])
  world.clock.aheadMs += 2_000
  expect(await world.store.queue.claim(1, world.clock.nowMs())).toMatchObject([{ key: claim.key }])
})

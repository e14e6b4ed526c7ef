import { expect, test, vi } from 'vitest'
import { Worker } from '../../src/reconcile/worker.ts'
import { eventually } from '../servers/eventually.ts'
import { ApiWorld, login, MAX_FAILURES, realm } from './source/api-world.ts'
import { withMembers } from './with-members.ts'

/** A turn that waits for one server longer than its lease lasts. */

const LEASE_MS = 60_000
/** Renewals while nothing but the reading goes on: together they take longer than a lease. */
const RENEWALS = 10
const BETWEEN_MS = 20_000
const RENEW_EVERY_MS = 20

test('an account whose owner privacyIDEA takes longer to answer for than a lease lasts is read once, and locked', async () => {
  vi.stubEnv('LOCKSTEP_INTERNAL_LEASE_MS', String(LEASE_MS))
  await using world = await ApiWorld.open()
  vi.unstubAllEnvs()
  const alice = world.addUser('alice')
  world.addToken('FULL', alice, { failcount: MAX_FAILURES })
  const { dn } = world.directory.account(alice)
  await world.store.snapshots.markForRefresh([{ key: alice, dn, login: login('alice'), realm: realm('r1') }])
  const { snapshot } = world.ports
  if (snapshot === null) throw new Error('this world asks privacyIDEA')
  let reads = 0
  const gate = Promise.withResolvers<void>()
  const source = withMembers(snapshot.source, {
    async tokensOfOwner(owner) {
      reads++
      await gate.promise
      return snapshot.source.tokensOfOwner(owner)
    },
  })
  let lost = 0
  const errors: unknown[] = []
  const ports = { ...world.ports, snapshot: { ...snapshot, source } }
  const queue = withMembers(world.ports.queue, { renewEveryMs: RENEW_EVERY_MS })
  const worker = new Worker(
    { ...ports, queue },
    {
      giveUpAfterMs: 86_400_000,
      onLeaseLost: () => void lost++,
      onError: (thrown) => void errors.push(thrown),
    },
  )
  const until = () => world.store.db.selectFrom('queue').select('lease_until_ms').executeTakeFirst()
  worker.start()
  try {
    await eventually('the reading', () => reads === 1)
    for (let renewal = 0; renewal < RENEWALS; renewal++) {
      const before = Number((await until())?.lease_until_ms)
      world.clock.aheadMs += BETWEEN_MS
      await eventually('a renewal', async () => Number((await until())?.lease_until_ms) >= before + BETWEEN_MS)
    }
    gate.resolve()
    await eventually('the lock', () => world.state(alice) === 'locked FULL')
    await worker.whenIdle()
    expect([lost, errors]).toEqual([0, []])
    expect(reads).toBe(1)
  } finally {
    gate.resolve()
    await worker.stop()
  }
})

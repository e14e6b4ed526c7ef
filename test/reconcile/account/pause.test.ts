import { expect, test } from 'vitest'
import { reconcileAccount } from '../../../src/reconcile/account/reconcile-account.ts'
import type { Ports } from '../../../src/reconcile/ports.ts'
import { ApiWorld, MAX_FAILURES } from '../source/api-world.ts'

test('a pause that comes after the change was planned takes it back, and it is made after the resume', async () => {
  await using world = await ApiWorld.open()
  const alice = world.addUser('alice')
  const token = world.addToken('S1', alice)
  await world.resync()
  expect(world.state(alice)).toBe('open S1')
  token.failcount = MAX_FAILURES
  await world.scanner.scan()
  const [claim] = await world.store.queue.claim(1, world.clock.nowMs())
  if (claim === undefined) throw new Error('no account is due')
  const { ledger } = world.ports
  const ports: Ports = {
    ...world.ports,
    ledger: {
      ...ledger,
      async writeAhead(held, change) {
        const refusal = await ledger.writeAhead(held, change)
        await world.store.switches.pause(null, 'anna', 'stop')
        world.clock.aheadMs += 100
        return refusal
      },
    },
  }
  expect(await reconcileAccount(claim, ports)).toMatchObject({ standing: 'paused', applied: 0 })
  expect(world.state(alice)).toBe('open S1')
  expect(await world.store.maintenance.openChanges()).toEqual([])
  expect(await world.store.switches.resume(null, 'anna')).toBe(1)
  await world.pass(100)
  expect(world.state(alice)).toBe('locked S1')
})

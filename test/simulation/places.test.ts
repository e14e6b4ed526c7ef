import { expect, test } from 'vitest'
import { placesSchedules as schedules, playPlaces as play } from './places.ts'
import { runSchedules } from './run-schedules.ts'
import { MEMORY_LOCKED, openWorldStore, VirtualClock, World } from './world.ts'

/** The same share as everything else together would double the time. */
const SHARE = 0.1

test.each(['respect', 'relock'] as const)(
  'a lock of several places comes out right in each of them, whatever others set and take away: %s',
  { timeout: 1_200_000 },
  (policy) => runSchedules(policy, SHARE, { schedules, play }),
)

test('places that the configuration no longer names are given back as far as they still hold what was written', async () => {
  const clock = new VirtualClock()
  await using store = await openWorldStore(clock)
  const world = new World(store, clock, 'x', { onForeignUnlock: 'respect', lockTtlMs: null }, 'several')
  const [alice, bob] = world.people
  if (alice === undefined || bob === undefined) throw new Error('nobody is there')
  for (const { login } of world.people) await world.take(world.newEvent('lock', null, login))
  await world.quiesce()
  world.directory.lockPlaces = 'one'
  await world.markAll()
  await world.quiesce()
  expect(world.directory.account(bob.key), 'a change of the configuration unlocks nobody').toMatchObject({
    lockValues: [MEMORY_LOCKED],
    denied: ['mail', 'vpn'],
  })
  world.directory.edit(alice.key, { denied: ['mail'] })
  for (const { login } of world.people) await world.take(world.newEvent('unlock', null, login))
  await world.quiesce()
  expect(world.directory.account(bob.key)).toMatchObject({ lockValues: [], denied: [], allowed: ['login'] })
  expect(world.directory.account(alice.key)).toMatchObject({ lockValues: [], denied: ['mail'], allowed: [] })
  const records = await store.db.selectFrom('journal').select('body').execute()
  expect(JSON.stringify(records)).toContain('denied at uid=alicex')
})

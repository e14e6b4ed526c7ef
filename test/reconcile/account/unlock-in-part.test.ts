import { expect, test } from 'vitest'
import type { LostAnswer } from '../../support/memory-account.ts'
import { MEMORY_LOCKED, openWorldStore, VirtualClock, World, type Person } from '../../simulation/world.ts'

/** A lock of several places, an unlock of it without an outcome, and others who removed one of its places meanwhile. */

const LOCKED = { lockValues: [MEMORY_LOCKED], denied: ['mail', 'vpn'], allowed: [] }
const OPEN = { lockValues: [], denied: [], allowed: ['login'] }
/** Longer than a reading is used. */
const READING_AGE_MS = 2_000
/** The name's end says whether a write can assert that the entry is as it was read. */
const WITH_VERSIONS = 'x1'

async function withLocked(run: (world: World, alice: Person) => Promise<void>): Promise<void> {
  const clock = new VirtualClock()
  await using store = await openWorldStore(clock)
  const world = new World(store, clock, WITH_VERSIONS, { onForeignUnlock: 'respect', lockTtlMs: null }, 'several')
  const [alice] = world.people
  if (alice === undefined) throw new Error('nobody is there')
  await world.take(world.newEvent('lock', world.serials[0] ?? null, alice.login))
  await world.quiesce()
  expect(world.directory.account(alice.key)).toMatchObject(LOCKED)
  await run(world, alice)
}

async function unlockAndLose(world: World, { login }: Person, how: LostAnswer): Promise<void> {
  world.pass(READING_AGE_MS)
  world.directory.faults.lostAnswers.push(how)
  await world.take(world.newEvent('unlock', world.serials[0] ?? null, login))
  await world.work()
}

test('the rest of a lock goes where the account was renamed before and after its unlock, and others removed a part of it', async () => {
  await withLocked(async (world, alice) => {
    world.rename(alice.key)
    await unlockAndLose(world, alice, 'not-written')
    world.rename(alice.key)
    world.directory.edit(alice.key, { denied: ['mail'] })
    await world.quiesce()
    expect(world.directory.account(alice.key)).toMatchObject(OPEN)
    expect(await world.ldif.listPending('unlock')).toEqual([])
  })
})

test('a person adopts what an unlock without an outcome left of a lock, also after others removed a part of it', async () => {
  await withLocked(async (world, alice) => {
    await unlockAndLose(world, alice, 'not-written')
    world.rename(alice.key)
    await world.quiesce()
    world.directory.edit(alice.key, { denied: ['mail'] })
    await world.markAll()
    await world.quiesce()
    expect(world.directory.account(alice.key), 'it counts as theirs').toMatchObject({ ...LOCKED, denied: ['mail'] })
    expect((await world.store.findings.open()).map(({ kind }) => kind)).toEqual(['late-lock-unclear'])

    await world.store.records.orderAdoption(alice.key, { actor: 'anna', reason: 'nobody else locked it' })
    await world.quiesce()
    expect(world.directory.account(alice.key)).toMatchObject(OPEN)
    expect(await world.store.findings.open()).toEqual([])
    const states = await world.store.db.selectFrom('change').select('state').where('kind', '=', 'unlock').execute()
    expect(
      states.map(({ state }) => state),
      'the unlock that was lost did not happen',
    ).toEqual(['not-applied', 'applied'])
  })
})

import { afterEach, describe, expect, test } from 'vitest'
import { MEMORY_LOCKED } from '../support/memory-directory.ts'
import { ApiWorld, login, MAX_FAILURES, realm } from './source/api-world.ts'

/** Events whose account cannot be found yet: what counts towards giving them up, and what does not. */

const HOUR_MS = 3_600_000

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

async function open(): Promise<ApiWorld> {
  const world = await ApiWorld.open()
  worlds.push(world)
  return world
}

async function passHours(world: ApiWorld, hours: number): Promise<void> {
  for (let quarter = 0; quarter < hours * 4; quarter++) await world.pass(HOUR_MS / 4)
}

async function waiting(world: ApiWorld): Promise<(string | null)[]> {
  const events = await world.store.reports.events({ state: 'waiting', limit: 10 })
  return events.map(({ whyCode }) => whyCode)
}

const ALICE = { kind: 'lock', login: login('alice'), realm: realm('r1') } as const

describe('an event that waits longer than events are kept', () => {
  test('locks when the directory that could not be reached comes back', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    world.addToken('A1', alice, { failcount: MAX_FAILURES })
    world.directory.faults.isDown = true
    await world.hint([ALICE])
    await passHours(world, 40)
    expect(await waiting(world)).toEqual(['directory-unreachable'])
    world.directory.faults.isDown = false
    await passHours(world, 1)
    expect(world.directory.account(alice).lockValues).toEqual([MEMORY_LOCKED])
    expect(await waiting(world)).toEqual([])
  })

  test('locks when the privacyIDEA that could not be reached comes back', async () => {
    const world = await open()
    const alice = world.addUser('alice')
    const token = world.addToken('A1', alice, { failcount: MAX_FAILURES })
    world.simulator.faults.htmlStatus = 503
    await world.hint([{ kind: 'lock', serial: 'A1' as never }])
    await passHours(world, 40)
    expect(await waiting(world)).toEqual(['source-unreachable'])
    world.simulator.faults.htmlStatus = 0
    await passHours(world, 1)
    expect(world.directory.account(alice).lockValues).toEqual([MEMORY_LOCKED])
    expect(token.failcount).toBe(MAX_FAILURES)
  })

  test('ends where only a person could change what it waits for, and an outage meanwhile does not count', async () => {
    const world = await open()
    await world.hint([ALICE])
    await passHours(world, 12)
    expect(await waiting(world)).toEqual(['unknown-user'])
    world.directory.faults.isDown = true
    await passHours(world, 30)
    world.directory.faults.isDown = false
    await passHours(world, 8)
    expect(await waiting(world)).toEqual(['unknown-user'])
    await passHours(world, 8)
    expect(await waiting(world)).toEqual([])
  })

  test('is still there after days during which nothing ran', async () => {
    const world = await open()
    await world.hint([ALICE])
    await world.pass(1_000)
    await world.pass(96 * HOUR_MS)
    await passHours(world, 12)
    expect(await waiting(world)).toEqual(['unknown-user'])
  })
})

import fc from 'fast-check'
import { expect } from 'vitest'
import { integerOf } from '../../src/core/account/bit.ts'
import type { Event } from '../../src/core/events/event.ts'
import { parseChangeLdif } from '../../src/core/ldif.ts'
import type { AccountKey } from '../../src/core/names.ts'
import { MEMORY_DISABLED } from '../support/memory-directory.ts'
import type { Store } from '../../src/store/store.ts'
import {
  checkReplanIsEmpty,
  comeToRest,
  event,
  playMove,
  READING_AGE_MS,
  trouble,
  work,
  type Move,
} from './schedules.ts'
import { decideUnclearLocks } from './unclear-locks.ts'
import { World, type VirtualClock } from './world.ts'

/**
 * Random schedules for a lock that is one bit of an integer, of which others change the other bits at any time, and set and
 * clear the bit itself.
 */

export type BitMove = Move | { readonly do: 'bits'; readonly person: number; readonly flips: number }

const OTHER_BITS = [0x10, 0x20, 0x200, 0x10000, 0x40000, 2 ** 31]

export const bitSchedules: fc.Arbitrary<BitMove[]> = fc.array(
  fc.oneof<fc.MaybeWeightedArbitrary<BitMove>[]>(
    { weight: 4, arbitrary: event },
    { weight: 4, arbitrary: work },
    { weight: 2, arbitrary: trouble },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('bits' as const),
        person: fc.integer({ min: 0, max: 1 }),
        flips: fc.oneof(fc.constantFrom(...OTHER_BITS), fc.constant(MEMORY_DISABLED)),
      }),
    },
  ),
  { minLength: 1, maxLength: 12 },
)

/** What others left: their bits, with the lock's where they set it. */
type Left = Map<AccountKey, number>
const UNTOUCHED = 512

export async function playBits(
  store: Store,
  clock: VirtualClock,
  tag: string,
  moves: readonly BitMove[],
  onForeignUnlock: 'respect' | 'relock',
): Promise<World> {
  const world = new World(store, clock, tag, { onForeignUnlock, lockTtlMs: null }, 'bit')
  await world.leave()
  const left: Left = new Map(world.people.map(({ key }) => [key, UNTOUCHED]))
  const late: Event[] = []
  for (const move of moves) {
    if (move.do === 'bits') await interfere(world, move, left)
    else await playMove(world, move, new Map(), late)
  }
  await comeToRest(world, late)
  const isTheirs = (key: AccountKey): boolean => ((left.get(key) ?? 0) & MEMORY_DISABLED) !== 0
  await decideUnclearLocks(
    world,
    (key) => (isTheirs(key) ? 'the whole' : 'nothing'),
    () => undefined,
  )
  await checkBits(world, left)
  return world
}

const controlOf = (world: World, key: AccountKey): number =>
  integerOf(world.directory.account(key).control) ?? Number.NaN

async function interfere(world: World, move: Extract<BitMove, { do: 'bits' }>, left: Left): Promise<void> {
  const key = world.people[move.person]?.key
  const theirs = key === undefined ? undefined : left.get(key)
  if (key === undefined || theirs === undefined) return
  const now = controlOf(world, key)
  const isLock = move.flips === MEMORY_DISABLED
  const isSet = (now & MEMORY_DISABLED) !== 0
  if (isLock && !isSet) {
    // Their bit cannot be told from ours while ours is on record, or a write of it on its way.
    world.pass(READING_AGE_MS)
    if ((await world.store.maintenance.pendingNamesOf(key)).length > 0) return
  }
  world.directory.edit(key, { control: [String(now ^ move.flips)] })
  const flipped = isLock ? (isSet ? theirs & ~MEMORY_DISABLED : theirs | MEMORY_DISABLED) : theirs ^ move.flips
  left.set(key, flipped)
  world.othersWrote(key)
  await world.markAll()
  // Seen by a look before anything else happens: what comes later is another story.
  if (isLock && !world.directory.faults.isDown) await world.work()
}

async function checkBits(world: World, left: Left): Promise<void> {
  const pending = new Set(await world.ldif.listPending('unlock'))
  const expected = new Set<string>()
  for (const { key } of world.people) {
    const { holds } = await world.store.desired.of(key, world.nowMs)
    const [record] = await world.store.reports.find(key, 1)
    const theirs = left.get(key) ?? Number.NaN
    const isTheirLock = (theirs & MEMORY_DISABLED) !== 0
    const isOurs = holds.length > 0 && !isTheirLock
    expect(controlOf(world, key), 'the bit follows the holds, all others are as others left them').toBe(
      isOurs ? theirs | MEMORY_DISABLED : theirs,
    )
    expect(record?.lockedByUs ?? false, 'what is ours').toBe(isOurs)
    if (isOurs) for (const hold of holds) expected.add(hold.name)
  }
  expect(pending, 'unlock/ equals the locked set').toEqual(expected)
  expect(await world.ldif.listPending('lock'), 'no lock is in work').toEqual([])
  await checkUndo(world, pending, left)
  await checkReplanIsEmpty(world)
}

/** Each waiting file, applied by hand, gives the account back as others left it. */
async function checkUndo(world: World, pending: ReadonlySet<string>, left: Left): Promise<void> {
  for (const name of pending) {
    const { entries } = parseChangeLdif((await world.ldif.readPending('unlock', name)) ?? '')
    const account = world.directory.accounts().find((each) => each.dn === entries[0]?.dn)
    if (account === undefined) throw new Error(`unlock/${name}.ldif names no account`)
    const [removed, added, ...more] = entries.flatMap((entry) => entry.modifications)
    expect(more).toEqual([])
    expect(removed?.values, `what unlock/${name}.ldif takes out`).toEqual(account.control)
    expect(integerOf(added?.values ?? []), `unlock/${name}.ldif gives the account back`).toBe(left.get(account.key))
  }
}

import fc from 'fast-check'
import { expect } from 'vitest'
import type { Event } from '../../src/core/events/event.ts'
import { parseChangeLdif } from '../../src/core/ldif.ts'
import type { AccountKey } from '../../src/core/names.ts'
import { sameValues, type AttributeValue } from '../../src/core/account/state.ts'
import type { MemoryAccount } from '../support/memory-account.ts'
import { MEMORY_LOCK_ATTRIBUTE, MEMORY_PLACES_ELSEWHERE } from '../support/memory-directory.ts'
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
import { MEMORY_LOCKED, World, type VirtualClock } from './world.ts'

/**
 * Random schedules for a lock of several places (a custom lock), of which others may set or take away each by itself.
 * Nobody's hold: every place stands as others left it last. A hold: all are locked.
 */

export type PlacesMove =
  Move | { readonly do: 'place'; readonly person: number; readonly place: number; readonly isLocked: boolean }

export const placesSchedules: fc.Arbitrary<PlacesMove[]> = fc.array(
  fc.oneof<fc.MaybeWeightedArbitrary<PlacesMove>[]>(
    { weight: 4, arbitrary: event },
    { weight: 4, arbitrary: work },
    { weight: 2, arbitrary: trouble },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('place' as const),
        person: fc.integer({ min: 0, max: 1 }),
        place: fc.integer({ min: 0, max: MEMORY_PLACES_ELSEWHERE.length }),
        isLocked: fc.boolean(),
      }),
    },
  ),
  { minLength: 1, maxLength: 12 },
)

/** The values that others left, by attribute. */
type Left = Pick<MemoryAccount, 'lockValues' | 'denied' | 'allowed'>

const UNTOUCHED: Left = { lockValues: [], denied: [], allowed: ['login'] }
const EVERY_PLACE: Left = { lockValues: [MEMORY_LOCKED], denied: ['mail', 'vpn'], allowed: [] }

export async function playPlaces(
  store: Store,
  clock: VirtualClock,
  tag: string,
  moves: readonly PlacesMove[],
  onForeignUnlock: 'respect' | 'relock',
): Promise<World> {
  const world = new World(store, clock, tag, { onForeignUnlock, lockTtlMs: null }, 'several')
  await world.leave()
  const left = new Map<AccountKey, Left>(world.people.map(({ key }) => [key, UNTOUCHED]))
  const late: Event[] = []
  for (const move of moves) {
    if (move.do === 'place') await interfere(world, move, left)
    else await playMove(world, move, new Map(), late)
  }
  await comeToRest(world, late)
  const leftAt = (key: AccountKey): Left => left.get(key) ?? UNTOUCHED
  await decideUnclearLocks(
    world,
    (key) => (isEvery(leftAt(key)) ? 'the whole' : isUntouched(leftAt(key)) ? 'nothing' : 'a part'),
    (key) => {
      world.directory.edit(key, leftAt(key))
    },
  )
  await checkPlaces(world, left)
  return world
}

async function interfere(
  world: World,
  move: Extract<PlacesMove, { do: 'place' }>,
  left: Map<AccountKey, Left>,
): Promise<void> {
  const key = world.people[move.person]?.key
  const before = key === undefined ? undefined : left.get(key)
  if (key === undefined || before === undefined) return
  const { isLocked } = move
  const place = MEMORY_PLACES_ELSEWHERE[move.place]
  // An equal value of somebody else cannot be told from ours while ours is on record, or a write of it on its way.
  if (isLocked && place !== undefined) {
    world.pass(READING_AGE_MS)
    if ((await world.store.maintenance.pendingNamesOf(key)).length > 0) return
  }
  const edit = (values: Left): Left => {
    if (place === undefined) return { ...values, lockValues: isLocked ? ['20200101000000Z'] : [] }
    const others = values[place.attribute].filter((value) => value !== place.locked)
    const stands = isLocked === (place.mode === 'value')
    return { ...values, [place.attribute]: stands ? [...others, place.locked] : others }
  }
  // The places alone: who wrote last is others from now on.
  world.directory.edit(key, edit(placesOf(world.directory.account(key))))
  left.set(key, edit(before))
  world.othersWrote(key)
  await world.markAll()
  // Seen by a look before anything else happens: what comes later is another story.
  if (!world.directory.faults.isDown) await world.work()
}

async function checkPlaces(world: World, left: ReadonlyMap<AccountKey, Left>): Promise<void> {
  const pending = new Set(await world.ldif.listPending('unlock'))
  const expected = new Set<string>()
  for (const { key } of world.people) {
    const { holds } = await world.store.desired.of(key, world.nowMs)
    const [record] = await world.store.reports.find(key, 1)
    const account = world.directory.account(key)
    const theirs = left.get(key) ?? UNTOUCHED
    if (holds.length > 0) expectPlaces(account, EVERY_PLACE, 'an account with a hold is locked in every place')
    else expectPlaces(account, theirs, 'an account without a hold stands as others left it')
    const isOurs = holds.length > 0 && !isEvery(theirs)
    expect(record?.lockedByUs ?? false, 'what is ours').toBe(isOurs)
    if (isOurs) for (const hold of holds) expected.add(hold.name)
  }
  expect(pending, 'unlock/ equals the locked set').toEqual(expected)
  expect(await world.ldif.listPending('lock'), 'no lock is in work').toEqual([])
  await checkUndo(world, pending, left)
  await checkReplanIsEmpty(world)
}

function expectPlaces(account: Left, expected: Left, what: string): void {
  const sorted = ({ lockValues, denied, allowed }: Left) => [lockValues, [...denied].toSorted(), allowed]
  expect(sorted(account), what).toEqual(sorted(expected))
}

function placesOf({ lockValues, denied, allowed }: Left): Left {
  return { lockValues, denied, allowed }
}

function isEvery(values: Left): boolean {
  return isSame(values, EVERY_PLACE)
}

function isUntouched(values: Left): boolean {
  return isSame(values, UNTOUCHED)
}

function isSame(a: Left, b: Left): boolean {
  return (['lockValues', 'denied', 'allowed'] as const).every((name) => sameValues(a[name], b[name]))
}

/** Each waiting file, applied by hand, gives the account back as others left it. */
async function checkUndo(
  world: World,
  pending: ReadonlySet<string>,
  left: ReadonlyMap<AccountKey, Left>,
): Promise<void> {
  for (const name of pending) {
    const { entries } = parseChangeLdif((await world.ldif.readPending('unlock', name)) ?? '')
    const account = world.directory.accounts().find((each) => each.dn === entries[0]?.dn)
    if (account === undefined) throw new Error(`unlock/${name}.ldif names no account`)
    const now: Record<string, readonly AttributeValue[]> = {
      [MEMORY_LOCK_ATTRIBUTE]: account.lockValues,
      denied: account.denied,
      allowed: account.allowed,
    }
    for (const { op, attribute, values } of entries.flatMap((entry) => entry.modifications)) {
      const current = now[attribute] ?? []
      if (op === 'delete') {
        expect(current, `what unlock/${name}.ldif takes out`).toEqual(expect.arrayContaining([...values]))
        now[attribute] = current.filter((value) => !values.includes(value))
      } else now[attribute] = [...current, ...values]
    }
    const after = {
      lockValues: now[MEMORY_LOCK_ATTRIBUTE] ?? [],
      denied: now['denied'] ?? [],
      allowed: now['allowed'] ?? [],
    }
    expectPlaces(after, left.get(account.key) ?? UNTOUCHED, `unlock/${name}.ldif gives the account back`)
  }
}

import fc from 'fast-check'
import { expect } from 'vitest'
import { TOKEN_EVENT_KINDS, type Event } from '../../src/core/events/event.ts'
import { parseChangeLdif } from '../../src/core/ldif.ts'
import type { AccountKey } from '../../src/core/names.ts'
import { sameValues, type AttributeValue } from '../../src/core/account/state.ts'
import { MAY_ARRIVE_MS } from '../../src/core/account/late.ts'
import type { LostAnswer } from '../support/memory-account.ts'
import type { Store } from '../../src/store/store.ts'
import { decideUnclearLocks } from './unclear-locks.ts'
import { MEMORY_LOCKED, World, type VirtualClock } from './world.ts'

/** Random schedules, and what must hold after each of them. */

export type Move =
  | {
      readonly do: 'event'
      readonly kind: Event['kind']
      readonly serial: number
      readonly person: number
      readonly how: 'now' | 'late' | 'lost' | 'twice'
    }
  | {
      readonly do: 'foreign-lock' | 'foreign-unlock' | 'foreign-serial'
      readonly person: number
      readonly canonical: boolean
    }
  | { readonly do: 'down' | 'up' | 'work' | 'deliver' }
  | { readonly do: 'lose-answer'; readonly how: LostAnswer }
  /** A write that was on its way arrives. */
  | { readonly do: 'arrive' }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'crash'; readonly after: number }
  | { readonly do: 'rename'; readonly person: number }

export const event = fc.record({
  do: fc.constant('event' as const),
  kind: fc.constantFrom(...TOKEN_EVENT_KINDS),
  serial: fc.integer({ min: -1, max: 2 }),
  person: fc.integer({ min: -1, max: 1 }),
  how: fc.constantFrom('now', 'now', 'now', 'late', 'lost', 'twice' as const),
}) as fc.Arbitrary<Move>

const foreign = fc.record({
  do: fc.constantFrom('foreign-lock', 'foreign-unlock', 'foreign-serial' as const),
  person: fc.integer({ min: 0, max: 1 }),
  canonical: fc.boolean(),
}) as fc.Arbitrary<Move>

export const trouble = fc.oneof(
  fc.record({ do: fc.constantFrom('down', 'up', 'up', 'deliver' as const) }),
  fc.record({
    do: fc.constant('lose-answer' as const),
    how: fc.constantFrom('written', 'not-written', 'late', 'late'),
  }),
  fc.constant({ do: 'arrive' as const }),
  fc.record({ do: fc.constant('crash' as const), after: fc.integer({ min: 1, max: 25 }) }),
  fc.record({ do: fc.constant('rename' as const), person: fc.integer({ min: 0, max: 1 }) }),
) as fc.Arbitrary<Move>

export const work = fc.constant<Move>({ do: 'work' })

export const schedules: fc.Arbitrary<Move[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: event },
    { weight: 4, arbitrary: work },
    { weight: 2, arbitrary: trouble },
    { weight: 1, arbitrary: foreign },
  ),
  { minLength: 1, maxLength: 12 },
)

/** Longer than a reading is used. */
export const READING_AGE_MS = 2_000

/** What others did to an account, as far as it must survive. */
interface Foreign {
  lock: AttributeValue | null
}

export async function play(
  store: Store,
  clock: VirtualClock,
  tag: string,
  moves: readonly Move[],
  onForeignUnlock: 'respect' | 'relock',
  hidesWriters = false,
): Promise<World> {
  const world = new World(store, clock, tag, { onForeignUnlock, lockTtlMs: null })
  await world.leave()
  world.directory.faults.hidesWriters = hidesWriters
  const others = new Map<AccountKey, Foreign>(world.people.map((person) => [person.key, { lock: null }]))
  const late: Event[] = []
  for (const move of moves) await playMove(world, move, others, late)
  await comeToRest(world, late)
  const isForeign = (key: AccountKey): boolean => (others.get(key)?.lock ?? null) !== null
  await decideUnclearLocks(
    world,
    (key) => (isForeign(key) ? 'the whole' : 'nothing'),
    () => undefined,
  )
  await checkInvariants(world, others)
  return world
}

/** All is well again, what was late comes in, and everything is looked at once more. */
export async function comeToRest(world: World, late: readonly Event[]): Promise<void> {
  world.directory.faults.isDown = false
  world.directory.faults.lostAnswers.length = 0
  world.crashIn = null
  for (const each of late.toReversed()) await world.take(each)
  await world.quiesce()
  while (world.directory.onTheWay.length > 0) {
    if (world.directory.deliver()) world.lateWrites++
    world.pass(MAY_ARRIVE_MS / 100)
    await world.quiesce()
  }
  // What came late is found without an event.
  world.pass(MAY_ARRIVE_MS)
  await world.quiesce()
  await world.markAll()
  await world.quiesce()
}

export async function checkReplanIsEmpty(world: World): Promise<void> {
  const writes = world.directory.writes
  await world.markAll()
  await world.quiesce()
  expect(world.directory.writes, 'a replan is empty').toBe(writes)
}

export async function playMove(
  world: World,
  move: Move,
  others: Map<AccountKey, Foreign>,
  late: Event[],
): Promise<void> {
  switch (move.do) {
    case 'event': {
      const told = world.newEvent(
        move.kind as never,
        world.serials[move.serial] ?? null,
        world.people[move.person]?.login ?? null,
      )
      if (move.how === 'late') late.push(told)
      if (move.how === 'now' || move.how === 'twice') await world.take(told)
      if (move.how === 'twice') await world.take(told)
      return
    }
    case 'work':
      return world.work()
    case 'deliver': {
      const next = late.pop()
      if (next !== undefined) await world.take(next)
      return
    }
    case 'down':
    case 'up':
      world.directory.faults.isDown = move.do === 'down'
      return
    case 'lose-answer':
      world.directory.faults.lostAnswers.push(move.how)
      return
    case 'arrive':
      if (world.directory.deliver()) world.lateWrites++
      return
    case 'pass':
      return world.pass(move.ms)
    case 'crash':
      world.crashIn ??= move.after
      return
    case 'rename': {
      const person = world.people[move.person]
      if (person !== undefined) world.rename(person.key)
      return
    }
    case 'foreign-lock':
    case 'foreign-unlock':
    case 'foreign-serial':
      return interfere(world, move, others)
  }
}

async function interfere(
  world: World,
  move: Extract<Move, { canonical: boolean }>,
  others: Map<AccountKey, Foreign>,
): Promise<void> {
  const person = world.people[move.person]
  const other = person === undefined ? undefined : others.get(person.key)
  if (person === undefined || other === undefined) return
  if (move.do === 'foreign-serial') {
    world.directory.addSerialValue(person.key, 'Room 7')
    return world.othersWrote(person.key)
  }
  // While our lock is on record, and between the reading that a lock is planned on and its outcome, an equal value of
  // somebody else cannot be told from ours: nobody sets one then.
  if (move.canonical) world.pass(READING_AGE_MS)
  const isOnRecord = (await world.store.maintenance.pendingNamesOf(person.key)).length > 0
  // Nobody looks while the directory is down, and our next write to the entry hides who wrote before.
  const isDistinct = !world.directory.faults.isDown
  const value = move.canonical && !isOnRecord && isDistinct ? MEMORY_LOCKED : '20200101000000Z'
  if (move.do === 'foreign-unlock') {
    world.directory.setLock(person.key, null)
    other.lock = null
  } else {
    world.directory.setLock(person.key, value)
    other.lock = value
  }
  world.othersWrote(person.key)
  // Somebody looks at it, or the next resync does.
  await world.markAll()
  if (move.do === 'foreign-unlock' || other.lock !== null) await settleForeign(world)
}

/** Seen by a look before anything else happens: what comes later is another story. */
async function settleForeign(world: World): Promise<void> {
  if (!world.directory.faults.isDown) await world.work()
}

export async function checkInvariants(world: World, others: ReadonlyMap<AccountKey, Foreign>): Promise<void> {
  const pending = new Set(await world.ldif.listPending('unlock'))
  const expected = new Set<string>()
  for (const { key } of world.people) {
    const desired = await world.store.desired.of(key, world.nowMs)
    const [record] = await world.store.reports.find(key, 1)
    const account = world.directory.account(key)
    const foreign = others.get(key)?.lock ?? null
    const holds = desired.holds.map((hold) => hold.name as string)
    const isLocked = account.lockValues.length > 0
    if (foreign !== null) expect(account.lockValues, 'a foreign lock survives').toEqual([foreign])
    if (holds.length > 0 && foreign === null) expect(isLocked, 'an account with a hold is locked').toBe(true)
    if (holds.length > 0 && foreign !== null)
      expect(record?.standing, 'a reason says why it is not locked by us').toBe('foreign-lock')
    if (holds.length === 0 && foreign === null) expect(isLocked, 'an account without a hold is not locked').toBe(false)
    expect(record?.lockedByUs ?? false, 'what is ours').toBe(holds.length > 0 && foreign === null)
    if (holds.length > 0 && foreign === null) for (const hold of holds) expected.add(hold)
    const carried = world.directory.serialsOf(key)
    for (const serial of desired.serials) {
      if (record?.standing !== 'conflict') expect(carried, 'an assigned serial is carried').toContain(serial)
    }
    for (const serial of desired.gone) expect(carried, 'a serial that is gone is not carried').not.toContain(serial)
  }
  expect(pending, 'unlock/ equals the locked set').toEqual(expected)
  expect(await world.ldif.listPending('lock'), 'no lock is in work').toEqual([])
  await checkUndo(world, pending)
  await checkReplanIsEmpty(world)
}

/** Each waiting file, applied by hand, gives the account back as it was. */
async function checkUndo(world: World, pending: ReadonlySet<string>): Promise<void> {
  for (const name of pending) {
    const { entries } = parseChangeLdif((await world.ldif.readPending('unlock', name)) ?? '')
    const [entry] = entries
    const account = world.directory.accounts().find((each) => each.dn === entry?.dn)
    let values: readonly AttributeValue[] = account?.lockValues ?? []
    for (const modification of entry?.modifications ?? []) {
      if (modification.op === 'delete') values = values.filter((value) => !modification.values.includes(value))
      else values = [...values, ...modification.values]
    }
    expect(sameValues(values, []), `unlock/${name}.ldif gives the account back`).toBe(true)
  }
}

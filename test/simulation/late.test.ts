import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runSchedules } from './run-schedules.ts'
import { play, type Move } from './schedules.ts'

/** One token of one person, and a network that holds writes back for as long as it likes. */

const SHARE = 0.01

const said = fc.record({
  do: fc.constant('event' as const),
  kind: fc.constantFrom('lock', 'unlock', 'lock', 'unlock', 'register', 'unregister' as const),
  serial: fc.constant(0),
  person: fc.constant(0),
  how: fc.constant('now' as const),
}) as fc.Arbitrary<Move>

const held = fc.constantFrom<Move>({ do: 'lose-answer', how: 'late' })
const work = fc.constant<Move>({ do: 'work' })
const passes = fc.constantFrom<Move>({ do: 'pass', ms: 6_000 }, { do: 'pass', ms: 40_000 })
const arrives = fc.constant<Move>({ do: 'arrive' })
const byOthers = fc.record({
  do: fc.constantFrom('foreign-lock', 'foreign-unlock' as const),
  person: fc.constant(0),
  canonical: fc.boolean(),
}) as fc.Arbitrary<Move>

/** What is said is worked on, and the write may be held back. */
const turns = fc.tuple(said, fc.oneof(held, work), work, fc.oneof(passes, work), work)

function schedules(others: boolean): fc.Arbitrary<Move[]> {
  const single = fc.oneof(arrives, arrives, passes, ...(others ? [byOthers] : [])).map((move) => [move])
  const parts = fc.oneof({ weight: 3, arbitrary: turns.map((moves) => [...moves]) }, { weight: 1, arbitrary: single })
  return fc.array(parts, { minLength: 2, maxLength: 6 }).map((all) => all.flat())
}

test.each([
  ['and who wrote to an entry can be read', false, true],
  ['and nobody can read who wrote to an entry', true, false],
] as const)('writes that arrive late leave no account locked or open that should not be: %s', async (...row) => {
  const [, hidesWriters, others] = row
  for (const policy of ['respect', 'relock'] as const) {
    let late = 0
    let runs = 0
    await runSchedules(policy, SHARE, {
      schedules: schedules(others),
      async play(store, clock, tag, moves, onForeignUnlock) {
        const world = await play(store, clock, tag, moves, onForeignUnlock, hidesWriters)
        const taken = await store.db.selectFrom('event').select('id').where('kind', '=', 'directory-unlock').execute()
        const byNobody = moves.every((move) => move.do !== 'foreign-lock' && move.do !== 'foreign-unlock')
        if (byNobody) expect(taken, 'a late unlock of ours is nobody else’s').toEqual([])
        late += world.lateWrites
        runs++
        return { crashes: 1 }
      },
    })
    expect(late, 'writes that arrived late').toBeGreaterThan(runs / 10)
  }
})

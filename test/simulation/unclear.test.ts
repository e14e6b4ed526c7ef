import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/store/store.ts'
import { playBits, type BitMove } from './bit.ts'
import { playPlaces, type PlacesMove } from './places.ts'
import { runSchedules } from './run-schedules.ts'
import { play, type Move } from './schedules.ts'
import { openWorldStore, VirtualClock, type World } from './world.ts'

/** One token of one person, writes whose outcome is not on record, and others who write to the entry beside the lock. */

const SHARE = 0.002

const lock: Move = { do: 'event', kind: 'lock', serial: 0, person: 0, how: 'now' }
const unlock: Move = { do: 'event', kind: 'unlock', serial: 0, person: 0, how: 'now' }
const work: Move = { do: 'work' }
const arrive: Move = { do: 'arrive' }
const rename: Move = { do: 'rename', person: 0 }
const written: Move = { do: 'lose-answer', how: 'written' }
const notWritten: Move = { do: 'lose-answer', how: 'not-written' }
const late: Move = { do: 'lose-answer', how: 'late' }
const pass: Move = { do: 'pass', ms: 6_000 }
/** After the first change was written, before its answer is on record. */
const crash: Move = { do: 'crash', after: 12 }

type Play<Each> = (
  store: Store,
  clock: VirtualClock,
  tag: string,
  moves: readonly Each[],
  policy: 'respect' | 'relock',
) => Promise<World>

/** Worlds with an even number in their tag cannot assert that an entry is as it was read; the others can. */
const WITH_VERSIONS = 'x1'
const WITHOUT_VERSIONS = 'x2'

describe('one attribute', () => {
  unclearLocks<Move>({ do: 'foreign-serial', person: 0, canonical: false }, play)
})
describe('one bit of an integer', () => {
  unclearLocks<BitMove>({ do: 'bits', person: 0, flips: 0x10 }, playBits)
})
describe('several places', () => {
  unclearLocks<PlacesMove>({ do: 'place', person: 0, place: 1, isLocked: false }, playPlaces)
})

function unclearLocks<Each>(beside: Each, playIn: Play<Each | Move>): void {
  const played = async (moves: readonly (Each | Move)[], tag: string): Promise<number> => {
    const clock = new VirtualClock()
    await using store = await openWorldStore(clock)
    const world = await playIn(store, clock, tag, moves, 'respect')
    return world.unclearLocks
  }

  const lostLocks: readonly [string, readonly Move[]][] = [
    ['its process crashed', [crash, lock, work]],
    ['its answer was lost', [written, lock, work]],
    ['it came late', [late, lock, work, arrive]],
  ]
  test.each(
    lostLocks.flatMap(([why, moves]) => [
      [why, 'wrote beside it', [...moves, beside]] as const,
      [why, 'renamed the entry', [...moves, rename]] as const,
    ]),
  )('a lock that nobody looked at since (%s) is theirs once others %s, until a person decides', async (...row) => {
    const [, , moves] = row
    expect(await played(moves, WITH_VERSIONS)).toBe(1)
    expect(await played(moves, WITHOUT_VERSIONS)).toBe(1)
  })

  test('a lock that stands after an unlock without an outcome is theirs where the entry has changed since', async () => {
    const moves = [lock, work, pass, notWritten, unlock, work, rename]
    expect(await played(moves, WITH_VERSIONS)).toBe(1)
    expect(await played(moves, WITHOUT_VERSIONS), 'where that is not known it is ours').toBe(0)
  })

  test('a lock is ours where the entry was looked at before others wrote to it, or our write came after theirs', async () => {
    expect(await played([written, lock, work, pass, work, rename], WITHOUT_VERSIONS)).toBe(0)
    expect(await played([rename, lock, work], WITHOUT_VERSIONS)).toBe(0)
    expect(await played([late, lock, work, rename, pass, work, rename], WITHOUT_VERSIONS)).toBe(0)
  })

  test(
    'whatever others write while an outcome is not on record, a person has the last word',
    { timeout: 600_000 },
    async () => {
      const others = fc.constantFrom<Each | Move>(beside, rename)
      const lost = fc.constantFrom(written, notWritten, late, late, work)
      const turn = fc.tuple(
        lost,
        fc.constantFrom(lock, unlock),
        fc.constant(work),
        fc.oneof(others, fc.constantFrom(arrive, work, pass)),
        others,
      )
      const schedules = fc.array(turn, { minLength: 1, maxLength: 4 }).map((turns) => turns.flat())
      for (const policy of ['respect', 'relock'] as const) {
        let runs = 0
        let unclear = 0
        await runSchedules<Each | Move>(policy, SHARE, {
          schedules,
          async play(...values) {
            const world = await playIn(...values)
            runs++
            unclear += world.unclearLocks
            return { crashes: 1 }
          },
        })
        expect(unclear, 'locks of which a person decided').toBeGreaterThan(runs / 20)
      }
    },
  )
}

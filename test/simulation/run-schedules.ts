import fc from 'fast-check'
import { expect } from 'vitest'
import type { Store } from '../../src/store/store.ts'
import { openWorldStore, randomSeed, VirtualClock } from './world.ts'

/** A new store now and then: its tables keep what the worlds before left in journal and changes. */
const RUNS_PER_STORE = 250

/** With fewer, none of them may have crashed, and nothing be proven about crashes. */
const RUNS_LEAST = RUNS_PER_STORE

/** The gate is the same for everybody, so that it fails for a change and not by chance. */
const SEED = 20_261_124

type Policy = 'respect' | 'relock'

/** What is played, and how; every run in a world of its own. */
export interface Game<Move> {
  readonly schedules: fc.Arbitrary<Move[]>
  play(
    store: Store,
    clock: VirtualClock,
    tag: string,
    moves: readonly Move[],
    policy: Policy,
  ): Promise<{ crashes: number }>
}

/**
 * Runs a share of LOCKSTEP_SCHEDULES (100,000) under one policy. LOCKSTEP_SEED names other schedules; `random` draws them.
 */
export async function runSchedules<Move>(onForeignUnlock: Policy, share: number, game: Game<Move>): Promise<void> {
  const asks = Math.ceil(Number(process.env['LOCKSTEP_SCHEDULES'] ?? 100_000) * share)
  const runs = Math.max(RUNS_LEAST, asks)
  const asked = process.env['LOCKSTEP_SEED']
  const seed = asked === 'random' ? randomSeed() : Number(asked ?? SEED)
  console.log(`${onForeignUnlock}: ${runs} schedules, seed ${seed}`)
  let crashes = 0
  for (let done = 0; done < runs; done += RUNS_PER_STORE) {
    const clock = new VirtualClock()
    await using store = await openWorldStore(clock)
    let run = 0
    await fc.assert(
      fc.asyncProperty(game.schedules, async (moves) => {
        const world = await game.play(store, clock, `x${++run}`, moves, onForeignUnlock)
        crashes += world.crashes
      }),
      {
        numRuns: Math.min(RUNS_PER_STORE, runs - done),
        seed: seed + done,
        endOnFailure: process.env['LOCKSTEP_SHRINK'] === 'no',
      },
    )
  }
  expect(crashes, 'schedules that crashed').toBeGreaterThan(runs / 100)
}

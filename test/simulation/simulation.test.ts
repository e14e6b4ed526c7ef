import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openWorldStore, randomSeed, VirtualClock } from './world.ts'
import { play, schedules } from './schedules.ts'

/** 100,000 schedules are shared by the files simulation*.test.ts, so that both cores work; LOCKSTEP_SCHEDULES sets another number. */
const RUNS = Math.ceil(Number(process.env['LOCKSTEP_SCHEDULES'] ?? 100_000) / 2)
const RUNS_PER_STORE = 250

export async function runSchedules(part: string, isRelocking: (run: number) => boolean): Promise<void> {
  const seed = Number(process.env['LOCKSTEP_SEED'] ?? randomSeed())
  console.log(`${part}: ${RUNS} schedules, seed ${seed} (LOCKSTEP_SEED repeats it)`)
  let crashes = 0
  for (let done = 0; done < RUNS; done += RUNS_PER_STORE) {
    const clock = new VirtualClock()
    await using store = await openWorldStore(clock)
    let run = 0
    await fc.assert(
      fc.asyncProperty(schedules, async (moves) => {
        run++
        const world = await play(store, clock, `x${run}`, moves, isRelocking(run))
        crashes += world.crashes
      }),
      { numRuns: Math.min(RUNS_PER_STORE, RUNS - done), seed: seed + done },
    )
  }
  expect(crashes).toBeGreaterThan(RUNS / 100)
}

test(
  'whatever is lost, doubled, reordered, broken or edited by others, accounts come out right (respect)',
  { timeout: 1_800_000 },
  () => runSchedules('respect', () => false),
)

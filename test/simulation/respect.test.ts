import { test } from 'vitest'
import { runSchedules } from './run-schedules.ts'
import { play, schedules } from './schedules.ts'

test(
  'whatever is lost, doubled, reordered, broken or edited by others, accounts come out right; an unlock by others is respected',
  { timeout: 2_400_000 },
  () => runSchedules('respect', 0.5, { schedules, play }),
)

import { test } from 'vitest'
import { bitSchedules as schedules, playBits as play } from './bit.ts'
import { runSchedules } from './run-schedules.ts'

/** As for a lock of several places: the same share as everything else together would double the time. */
const SHARE = 0.02

test.each(['respect', 'relock'] as const)(
  'a lock that is one bit comes out right, whatever others do to it and to the bits beside it: %s',
  { timeout: 1_200_000 },
  (policy) => runSchedules(policy, SHARE, { schedules, play }),
)

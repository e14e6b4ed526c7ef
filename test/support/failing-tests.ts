import { writeFileSync } from 'node:fs'
import { expect } from 'vitest'
import { lockstep, lockstepTest as test, slapd, startOwn } from './fixture.ts'

/** What fixture.test.ts has another vitest run: a test that fails while servers run. */

test.override('slapdOptions', { users: 1 })

test('fails', async () => {
  const own = await startOwn()
  const started = {
    pids: [slapd.pid, lockstep.pid, own.pid],
    dirs: [slapd.dir, lockstep.dir, own.dir],
  }
  writeFileSync(process.env['LOCKSTEP_TEST_STARTED'] ?? '', JSON.stringify(started))
  expect('this').toBe('that')
})

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { createLockstep } from '../../support/lockstep.ts'

/** A disk that loses what was written: whoever wrote it ends and says so; the next start finds what was not finished. */

const NODE_OPTIONS = `--import=${new URL('../../servers/failing-sync.ts', import.meta.url).href}`
const SAID = /the store \S+ cannot be put on disk: EIO[^]*Check the disk, then start Lockstep again/

test('the daemon ends with an error, so that it is started again, and goes on from there', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  const flag = join(slapd.dir, 'fail-sync')
  await using lockstep = await createLockstep(slapd, { env: { NODE_OPTIONS, FAIL_SYNC_FILE: flag } })
  const daemon = lockstep.startServing()
  await lockstep.untilReady()
  writeFileSync(flag, '')
  const ended = once(daemon, 'exit')
  await lockstep.shim('lock', ['--user', 'u1', '--realm', 'r1'])
  expect(await ended).toEqual([69, null])
  expect(lockstep.log()).toMatch(SAID)
  await lockstep.stop()

  expect((await lockstep.cliWith({ NODE_OPTIONS: '' }, 'drain')).code).toBe(0)
  const accounts = await lockstep.cliWith({ NODE_OPTIONS: '' }, 'accounts', '--locked', '--json')
  expect(accounts.json<{ accounts: unknown[] }>().accounts).toHaveLength(1)
})

test.each([1, 2, 3, 4, 5, 6])('a command ends, wherever the sync fails (number %i)', async (at) => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  const env = { NODE_OPTIONS, FAIL_SYNC_AT: String(at) }
  const ran = await lockstep.cliWith(env, 'lock', 'u1', '--reason', 'x')
  expect(ran.ms).toBeLessThan(10_000)
  expect(ran.code).toBe(69)
  expect(ran.stderr).toMatch(SAID)
})

test.each([1, 2, 3, 4, 5, 6])('a drain ends at once, wherever the sync fails (number %i)', async (at) => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  await lockstep.shim('lock', ['--user', 'u1', '--realm', 'r1'])
  const ran = await lockstep.cliWith({ NODE_OPTIONS, FAIL_SYNC_AT: String(at) }, 'drain', '--timeout', '30s')
  expect(ran.ms).toBeLessThan(10_000)
  expect(ran.code).toBe(69)
  expect(ran.stderr).toMatch(SAID)
})

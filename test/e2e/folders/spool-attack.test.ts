import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { look } from '../../support/account-view.ts'
import { eventually } from '../../servers/eventually.ts'
import { openReadOnly, startLockstep, type Lockstep } from '../../support/lockstep.ts'

/** What privacyIDEA's user can do to the daemon, since it may write into the spool. */

const TICKS_PER_SECOND = 100
const FOLDERS = 6_000
/** Of one processor. */
const SHARE_MAX = 0.15
const MEASURE_MS = 5_000

function cpuSeconds({ pid }: Lockstep): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** A share of the time that passed: a busy machine only makes it smaller. */
async function shareOf(lockstep: Lockstep): Promise<number> {
  const [before, startedMs] = [cpuSeconds(lockstep), performance.now()]
  await delay(MEASURE_MS)
  return (cpuSeconds(lockstep) - before) / ((performance.now() - startedMs) / 1000)
}

function attack(lockstep: Lockstep, script: string): ChildProcess & Disposable {
  const child = spawn(process.execPath, ['-e', script, join(lockstep.spoolDir, 'new')], { stdio: 'ignore' })
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill('SIGKILL') })
}

const TOUCH = `
  const { writeFileSync, utimesSync } = require('node:fs')
  const file = process.argv[1] + '/.touched'
  writeFileSync(file, '')
  for (let at = 1; ; at++) utimesSync(file, at, at)`
const COME_AND_GO = `
  const { writeFileSync, unlinkSync } = require('node:fs')
  for (;;) { writeFileSync(process.argv[1] + '/.there', ''); unlinkSync(process.argv[1] + '/.there') }`

test.each([
  ['a file that is touched in a loop', TOUCH],
  ['a file that comes and goes in a loop', COME_AND_GO],
])('thousands of folders and %s burn no processor, and an event is taken all the same', async (_name, script) => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  for (let each = 0; each < FOLDERS; each++) mkdirSync(join(lockstep.spoolDir, 'new', `folder${each}`))
  using attacker = attack(lockstep, script)
  const share = await shareOf(lockstep)
  console.log(`the daemon took ${Math.round(100 * share)} % of a processor`)
  expect(share).toBeLessThan(SHARE_MAX)
  expect(attacker.exitCode).toBeNull()
  await lockstep.shim('register', ['--serial', 'S1', '--user', 'u1', '--realm', 'r1'])
  await lockstep.shim('lock', ['--serial', 'S1', '--user', 'u1', '--realm', 'r1'])
  await eventually('the account is locked', async () => !(await look(slapd, 'u1')).canBind)
})

test('junk without end makes a bounded number of records, and one that says how many there were', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  const count = 3_000
  const junk = `
    const { writeFileSync } = require('node:fs')
    for (let at = 0; at < ${count}; at++) writeFileSync(process.argv[1] + '/junk' + at, 'junk' + at)`
  const written = attack(lockstep, junk)
  await new Promise((resolve) => written.once('exit', resolve))
  await lockstep.shim('lock', ['--serial', 'S1', '--user', 'u1', '--realm', 'r1'])
  await eventually('the account is locked', async () => !(await look(slapd, 'u1')).canBind, 60_000)
  await lockstep.settled(60_000)
  using store = openReadOnly(lockstep.storeFile)
  const records = store.prepare(`select body from journal where kind = 'refused'`).all()
  expect(records.length).toBeGreaterThan(100)
  expect(records.length).toBeLessThan(400)
  expect(String(records.at(-1)?.['body'])).toContain('are not on record one by one')
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
})

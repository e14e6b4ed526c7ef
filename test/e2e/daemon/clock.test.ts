import { utimesSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { look } from '../../support/account-view.ts'
import { startLockstep, type Lockstep } from '../../support/lockstep.ts'

/** A clock that is wrong: the newest event decides, so that it must not decide which one that is. */

const THREE_DAYS_MS = 3 * 24 * 3_600_000
const OF_U1 = ['--serial', 'S1', '--user', 'u1', '--realm', 'r1']

/** What is on record becomes three days younger: as if the clock had been set back by that. */
function setBack({ storeFile }: Lockstep): void {
  using store = Object.assign(new DatabaseSync(storeFile), { [Symbol.dispose]: () => store.close() })
  store
    .prepare('update event set received_ms = received_ms + ?, taken_at_us = taken_at_us + ?')
    .run(THREE_DAYS_MS, THREE_DAYS_MS * 1000)
}

test('after the clock was set back three days, events go on to count, in their order, and all say what is wrong', async () => {
  await using slapd = await startSlapd({ users: 3, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  const isLocked = (state: boolean) => async () => (await look(slapd, 'u1')).canBind !== state
  for (const kind of ['register', 'lock'] as const) await lockstep.shim(kind, OF_U1)
  await eventually('it is locked', isLocked(true))
  await lockstep.shim('unlock', OF_U1)
  await eventually('it is open', isLocked(false))
  await lockstep.stop()
  setBack(lockstep)
  await lockstep.serve()
  for (let round = 0; round < 2; round++) {
    await lockstep.shim('lock', OF_U1)
    await eventually('it is locked again', isLocked(true))
    await lockstep.shim('unlock', OF_U1)
    await eventually('it is open again', isLocked(false))
  }
  await eventually('the log names it', () => /^warn clock-behind .*timedatectl/m.test(lockstep.log()))
  const { findings } = await lockstep.json<{ findings: { code: string }[] }>('status')
  expect(findings.map(({ code }) => code)).toContain('clock-behind')
  expect((await lockstep.cli('status')).stdout).toContain('the clock of this machine is wrong, or was')
  const doctor = await lockstep.cli('doctor')
  expect(doctor.stdout).toMatch(/the clock shows .* the newest event on record came in at/)
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
})

test('what waits for a time that was near is not waited for until the clock is there again', async () => {
  await using slapd = await startSlapd({ users: 3, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  await slapd.stop()
  await lockstep.shim('lock', OF_U1)
  await eventually('it is tried', async () => {
    const { waits } = await lockstep.json<{ waits: { code: string }[] }>('status')
    return waits.some(({ code }) => code.startsWith('directory-'))
  })
  await lockstep.stop()
  using store = Object.assign(new DatabaseSync(lockstep.storeFile), { [Symbol.dispose]: () => store.close() })
  store
    .prepare('update event set received_ms = received_ms + ?, next_try_ms = next_try_ms + ?')
    .run(THREE_DAYS_MS, THREE_DAYS_MS)
  store.prepare('update queue set due_ms = due_ms + ?').run(THREE_DAYS_MS)
  await slapd.start()
  await lockstep.serve()
  await eventually('it is locked', async () => !(await look(slapd, 'u1')).canBind)
})

test('an event of the future counts as of now, with a warning and no error, and the doctor names the clock', async () => {
  await using slapd = await startSlapd({ users: 3, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  lockstep.spool({ kind: 'lock', args: OF_U1, takenAtMs: Date.now() + THREE_DAYS_MS })
  await eventually('it is locked', async () => !(await look(slapd, 'u1')).canBind)
  await eventually('the log warns', () => /^warn spool .*up to 259200 s ahead/m.test(lockstep.log()))
  expect(lockstep.log()).not.toMatch(/^error/m)
  await lockstep.shim('unlock', OF_U1)
  await eventually('it is open', async () => (await look(slapd, 'u1')).canBind)
  const future = (Date.now() + THREE_DAYS_MS) / 1000
  utimesSync(join(lockstep.spoolDir, 'new'), future, future)
  const doctor = await lockstep.cli('doctor')
  expect(doctor.stdout).toMatch(/the clock shows .*\/new was changed at/)
  expect(doctor.stdout).toContain('timedatectl set-ntp true')
})

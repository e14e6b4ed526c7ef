import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look } from '../../support/account-view.ts'
import { lockstep, lockstepTest as test, newUser, slapd, user } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** The directory is down, or hangs: events are taken as ever, and carried out by themselves afterwards. */

/** The shim takes a few ms; a busy test machine takes its time to start any process. */
const SHIM_MS_MAX = 500
/** The directory's return is noticed within 5 s. */
const BACK_MS_MAX = 8_000

test.override('slapdOptions', { users: 20 })
test.override('lockstepOptions', { directory: 'operationTimeout: 1s' })

async function spooled(...call: Parameters<Lockstep['shim']>): Promise<void> {
  const ran = await lockstep.shim(...call)
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
  expect(ran.ms).toBeLessThan(SHIM_MS_MAX)
}

async function reason(code: string): Promise<string> {
  return eventually(`status tells ${code}`, async () => {
    const { waits } = await lockstep.json<{ waits: { code: string; why: { text: string } | null }[] }>('status')
    return waits.find((wait) => wait.code === code)?.why?.text
  })
}

test('while the directory is down the shims return as ever; it is carried out by itself when slapd is back', async () => {
  await slapd.stop()
  await spooled('register', asAdmin('DOWN1', user))
  await spooled('lock', asNobody(null, user))
  expect(await reason('directory-unreachable')).toContain(slapd.url)
  await slapd.start()
  await eventually('the account is locked', async () => !(await look(slapd, user)).canBind, BACK_MS_MAX)
  // Each event has its own next try: the lock may be there before the serial that it is then filed under.
  await eventually('the serial is there', async () => (await look(slapd, user)).descriptions.length > 0, BACK_MS_MAX)
  expect((await look(slapd, user)).descriptions).toEqual(['privacyIDEA:DOWN1'])
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).toContain('DOWN1.ldif')
  expect((await lockstep.json<{ waits: unknown[] }>('status')).waits).toEqual([])
})

test('an unlock that came while the directory was down is carried out by itself as well', async () => {
  await spooled('register', asAdmin('DOWN2', user))
  await spooled('lock', asNobody('DOWN2', user))
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  await slapd.stop()
  await spooled('unlock', asAdmin('DOWN2', null))
  await reason('directory-unreachable')
  await slapd.start()
  await eventually('the account is open', async () => (await look(slapd, user)).canBind, BACK_MS_MAX)
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).not.toContain('DOWN2.ldif')
})

test('while the directory hangs the shims return as ever; it is carried out by itself when slapd goes on', async () => {
  await spooled('register', asAdmin('HANG1', user))
  await lockstep.settled()
  slapd.pause()
  try {
    await spooled('lock', asNobody('HANG1', user))
    await reason('directory-timeout')
  } finally {
    slapd.resume()
  }
  await eventually('the account is locked', async () => !(await look(slapd, user)).canBind, BACK_MS_MAX)
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).toContain('HANG1.ldif')
})

test('with the directory and the daemon down nothing is lost, whichever comes back first', async () => {
  await lockstep.kill9()
  await slapd.stop()
  await spooled('register', asAdmin('BOTH1', user))
  await spooled('lock', asNobody(null, user))
  await lockstep.serve()
  await reason('directory-unreachable')
  await lockstep.kill9()
  await lockstep.serve()
  await slapd.start()
  await eventually('the account is locked', async () => !(await look(slapd, user)).canBind, BACK_MS_MAX)
  await eventually('the serial is there', async () => (await look(slapd, user)).descriptions.length > 0, BACK_MS_MAX)
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).toContain('BOTH1.ldif')
})

test('a slapd that stops and starts under load ends with every account as it should be', async () => {
  const many = Array.from({ length: 10 }, () => newUser())
  for (const each of many) lockstep.spool({ kind: 'lock', args: asNobody(null, each), takenAtMs: Date.now() })
  await slapd.stop()
  await slapd.start()
  for (const each of many) {
    await eventually(`${each} is locked`, async () => !(await look(slapd, each)).canBind, BACK_MS_MAX)
  }
  await lockstep.settled()
  for (const each of many) lockstep.spool({ kind: 'unlock', args: asAdmin(null, each), takenAtMs: Date.now() })
  await slapd.stop()
  await slapd.start()
  for (const each of many) {
    await eventually(`${each} is open`, async () => (await look(slapd, each)).canBind, BACK_MS_MAX)
  }
  await lockstep.settled()
  expect(lockstep.ldif('unlock').filter((name) => name.startsWith('account.'))).toEqual([])
})

import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { look } from '../../support/account-view.ts'
import { startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** Two directories, a realm for each, and the same logins in both: two accounts of two people. */

const BACK_MS_MAX = 10_000

let stack: AsyncDisposableStack
let corp: Slapd
let legacy: Slapd
let lockstep: Lockstep
beforeAll(async () => {
  stack = new AsyncDisposableStack()
  ;[corp, legacy] = await Promise.all([
    startSlapd({ users: 4, dbNoSync: true }),
    startSlapd({ users: 4, dbNoSync: true }),
  ])
  stack.use(corp)
  stack.use(legacy)
  lockstep = stack.use(await startLockstep(corp, { legacy, realms: '{ r1: corp, r2: legacy }' }))
})
afterAll(() => stack.disposeAsync())

test('a login that exists in both is told apart by its realm', async () => {
  await lockstep.shim('register', asAdmin('A1', 'u1', 'r1'))
  await lockstep.shim('register', asAdmin('B1', 'u1', 'r2'))
  await lockstep.shim('lock', asNobody('B1', 'u1', 'r2'))
  await lockstep.settled()
  expect(await look(corp, 'u1')).toEqual({ canBind: true, lockedTime: null, descriptions: ['privacyIDEA:A1'] })
  expect(await look(legacy, 'u1')).toMatchObject({ canBind: false, descriptions: ['privacyIDEA:B1'] })
  await lockstep.shim('unlock', asAdmin('B1', 'u1', 'r2'))
  await lockstep.settled()
  expect((await look(legacy, 'u1')).canBind).toBe(true)
})

test('while one directory is down the other locks and unlocks as ever; only a new serial waits, with the reason', async () => {
  await legacy.stop()
  await lockstep.shim('register', asAdmin('A2', 'u2', 'r1'))
  await lockstep.shim('lock', asNobody('A2', 'u2', 'r1'))
  await eventually('u2 is locked', async () => !(await look(corp, 'u2')).canBind, BACK_MS_MAX)
  expect((await look(corp, 'u2')).descriptions).toEqual([])
  const why = await eventually('status says what waits', async () => {
    const { waits } = await lockstep.json<{ waits: { code: string; why: { text: string } }[] }>('status')
    return waits.find(({ code }) => code === 'directory-unreachable')?.why.text
  })
  expect(why).toContain('serial A2 is not written yet: whether another account carries it could not be asked')
  expect(why).toContain(legacy.url)
  await lockstep.shim('unlock', asAdmin('A2', 'u2', 'r1'))
  await eventually('u2 is open', async () => (await look(corp, 'u2')).canBind, BACK_MS_MAX)
  await legacy.start()
  await eventually('the serial is there', async () => (await look(corp, 'u2')).descriptions.length > 0, BACK_MS_MAX)
  await lockstep.settled()
  expect((await lockstep.json<{ waits: unknown[] }>('status')).waits).toEqual([])
})

test('a serial that another account of the other directory carries is a conflict', async () => {
  const text = `dn: ${legacy.userDn('u3')}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:A3\n`
  expect((await legacy.ldapmodify(text)).code).toBe(0)
  await lockstep.shim('register', asAdmin('A3', 'u3', 'r1'))
  await lockstep.settled()
  const { waits } = await lockstep.json<{ waits: unknown[] }>('status')
  expect(waits).toMatchObject([{ code: 'serial-conflict' }])
  expect((await look(corp, 'u3')).descriptions).toEqual([])
})

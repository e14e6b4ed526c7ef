import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect } from 'vitest'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import { eventually } from '../../servers/eventually.ts'
import { startTcpProxy } from '../../servers/tcp-proxy.ts'
import { everythingOf, look, serialsOf } from '../../support/account-view.ts'
import { createApiLockstep } from '../../support/api-servers.ts'
import { createOwn, opened, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import { openReadOnly, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** A backup of the store is put back, and the LDIF folders and the directory are newer; or the other way round. */

const PEOPLE = Array.from({ length: 14 }, (_, at) => `u${at + 1}`)

test.override('slapdOptions', { users: PEOPLE.length })

function backUp(lockstep: Lockstep, which: 'state' | 'ldif'): void {
  const from = which === 'state' ? dirname(lockstep.storeFile) : lockstep.ldifDir
  const to = join(lockstep.dir, `backup-${which}`)
  if (existsSync(to)) rmSync(to, { recursive: true })
  mkdirSync(to)
  cpSync(from, to, { recursive: true, preserveTimestamps: true })
}

function putBack(lockstep: Lockstep, which: 'state' | 'ldif'): void {
  const to = which === 'state' ? dirname(lockstep.storeFile) : lockstep.ldifDir
  rmSync(to, { recursive: true })
  cpSync(join(lockstep.dir, `backup-${which}`), to, { recursive: true, preserveTimestamps: true })
}

function unproven(lockstep: Lockstep): number {
  using store = openReadOnly(lockstep.storeFile)
  return Number(store.prepare('select count(*) as n from evidence').get()?.['n'])
}

async function proven(lockstep: Lockstep): Promise<void> {
  await eventually('every file was held against the directory', () => unproven(lockstep) === 0)
  await lockstep.settled()
}

async function findings(lockstep: Lockstep): Promise<{ code: string; params: object }[]> {
  return (await lockstep.json<{ findings: { code: string; params: object }[] }>('status')).findings
}

async function backToBackup(lockstep: Lockstep): Promise<void> {
  await lockstep.kill9()
  putBack(lockstep, 'state')
}

test('mode events: with a restored store the locks made since stand with their files, and open as they were', async () => {
  const lockstep = await startOwn()
  await lockstep.shim('register', asAdmin('A1', 'u1'))
  await lockstep.settled()
  const before = await everythingOf(slapd, 'u1')
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  await lockstep.shim('lock', asNobody('A1', 'u1'))
  // Accounts that the backup has never heard of.
  await lockstep.shim('register', asAdmin('B1', 'u2'))
  await lockstep.shim('lock', asNobody('B1', 'u2'))
  await lockstep.json('lock', 'u3', '--reason', 'on leave')
  await lockstep.settled()
  const files = lockstep.ldif('unlock')
  expect(files).toHaveLength(3)
  await backToBackup(lockstep)
  await lockstep.serve()
  await proven(lockstep)
  expect(lockstep.ldif('unlock')).toEqual(files)
  for (const user of ['u1', 'u2', 'u3']) expect((await look(slapd, user)).canBind).toBe(false)
  // Three locks, and the serial of an account that the backup did not have.
  await eventually('all four are told', async () => JSON.stringify(await findings(lockstep)).includes('"adopted":4'))
  const { accounts } = await lockstep.json<{ accounts: { holds: { name: string }[] }[] }>('accounts', '--locked')
  expect(accounts.flatMap(({ holds }) => holds.map(({ name }) => `${name}.ldif`)).toSorted()).toEqual(files)
  await lockstep.shim('unlock', asAdmin('A1', null))
  await lockstep.shim('unlock', asAdmin('B1', null))
  await lockstep.json('unlock', 'u3', '--reason', 'back')
  await lockstep.settled()
  expect(await everythingOf(slapd, 'u1')).toBe(before)
  for (const user of ['u2', 'u3']) expect((await look(slapd, user)).canBind).toBe(true)
  expect(lockstep.ldif('unlock')).toEqual([])
  await lockstep.shim('unregister', asAdmin('B1', null))
  await lockstep.settled()
  expect(serialsOf(await look(slapd, 'u2'))).toEqual([])
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
  await lockstep.restart()
  expect(await findings(lockstep)).toEqual([])
})

test('a lock that was released since the backup is not written again, not even where policy relocks', async () => {
  const lockstep = await createOwn({ yaml: 'policy: { onForeignUnlock: relock }\n' })
  await lockstep.serve()
  await lockstep.shim('register', asAdmin('C1', 'u4'))
  await lockstep.shim('lock', asNobody('C1', 'u4'))
  await lockstep.json('lock', 'u5', '--reason', 'on leave')
  await lockstep.settled()
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  await lockstep.shim('unlock', asAdmin('C1', 'u4'))
  await lockstep.json('unlock', 'u5', '--reason', 'back')
  await lockstep.settled()
  await backToBackup(lockstep)
  const since = await slapd.ldapsearch('-b', slapd.base, '(objectClass=*)', '*', '+')
  await lockstep.serve()
  await proven(lockstep)
  expect(await slapd.ldapsearch('-b', slapd.base, '(objectClass=*)', '*', '+')).toBe(since)
  expect(lockstep.ldif('unlock')).toEqual([])
  expect(await findings(lockstep)).toMatchObject([{ code: 'store-older-than-folders', params: { released: 2 } }])
  expect(await lockstep.json('accounts', '--locked')).toEqual({ accounts: [], isCut: false })
})

test('an unlock by hand before the start with a restored store opens the account that was locked since', async () => {
  const lockstep = await startOwn()
  await lockstep.shim('register', asAdmin('M1', 'u13'))
  await lockstep.settled()
  const before = await everythingOf(slapd, 'u13')
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  await lockstep.shim('lock', asNobody('M1', 'u13'))
  await lockstep.settled()
  await backToBackup(lockstep)
  await lockstep.json('unlock', 'u13', '--reason', 'back')
  expect(await everythingOf(slapd, 'u13')).toBe(before)
  await lockstep.serve()
  await proven(lockstep)
  expect((await look(slapd, 'u13')).canBind).toBe(true)
  expect(lockstep.ldif('unlock')).toEqual([])
})

test('a lock and a serial of the same account, both newer than the restored store, are ours again', async () => {
  const lockstep = await startOwn()
  await lockstep.shim('register', asAdmin('N1', 'u14'))
  await lockstep.settled()
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  await lockstep.shim('register', asAdmin('N2', 'u14'))
  await lockstep.shim('lock', asNobody('N1', 'u14'))
  await lockstep.settled()
  await backToBackup(lockstep)
  await lockstep.serve()
  await eventually('both are told', async () => JSON.stringify(await findings(lockstep)).includes('"adopted":2'))
  await proven(lockstep)
  expect(lockstep.ldif('unregister')).toEqual(['N1.ldif', 'N2.ldif'])
  await lockstep.shim('unlock', asAdmin('N1', null))
  await lockstep.shim('unregister', asAdmin('N2', null))
  await lockstep.settled()
  expect((await look(slapd, 'u14')).canBind).toBe(true)
  expect(serialsOf(await look(slapd, 'u14'))).toEqual(['N1'])
})

test('while the directory cannot be reached the files stay, and are adopted when it is back', async () => {
  const proxy = opened.use(await startTcpProxy(Number(new URL(slapd.url).port)))
  const lockstep = await startOwn({}, { ...slapd, url: `ldap://127.0.0.1:${proxy.port}` })
  await lockstep.shim('register', asAdmin('D1', 'u6'))
  await lockstep.settled()
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  await lockstep.shim('lock', asNobody('D1', 'u6'))
  await lockstep.settled()
  await backToBackup(lockstep)
  await proxy.refuse()
  await lockstep.serve()
  await eventually('it is named', async () => (await findings(lockstep)).some(({ code }) => code === 'unproven-files'))
  // A second start, whose record was written since, must not conclude anything either.
  await lockstep.restart()
  expect(lockstep.ldif('unlock')).toEqual(['D1.ldif'])
  expect(await lockstep.json('status')).toMatchObject({ health: 'attention' })
  await proxy.mend()
  await proven(lockstep)
  expect(await findings(lockstep)).toMatchObject([{ code: 'store-older-than-folders' }])
  await lockstep.shim('unlock', asAdmin('D1', null))
  await lockstep.settled()
  expect((await look(slapd, 'u6')).canBind).toBe(true)
})

test('a file of which nothing stands any more is history, with a line in the log', async () => {
  const lockstep = await startOwn()
  await lockstep.shim('register', asAdmin('E1', 'u7'))
  await lockstep.settled()
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  await lockstep.shim('lock', asNobody('E1', 'u7'))
  await lockstep.settled()
  await backToBackup(lockstep)
  expect((await slapd.ldapmodify('', slapd.admin, ['-f', join(lockstep.ldifDir, 'unlock', 'E1.ldif')])).code).toBe(0)
  await lockstep.serve()
  await proven(lockstep)
  expect(lockstep.ldif('unlock')).toEqual([])
  expect(lockstep.ldif('unlock/history').filter((name) => name.startsWith('E1--'))).toHaveLength(1)
  expect(lockstep.log()).toContain('of which nothing is')
  expect((await look(slapd, 'u7')).canBind).toBe(true)
})

test('restored folders beside a newer store lock and unlock nobody', async () => {
  const lockstep = await startOwn()
  for (const [serial, user] of [
    ['F1', 'u8'],
    ['G1', 'u9'],
  ] as const) {
    await lockstep.shim('register', asAdmin(serial, user))
  }
  await lockstep.shim('lock', asNobody('F1', 'u8'))
  await lockstep.settled()
  await lockstep.stop()
  backUp(lockstep, 'ldif')
  await lockstep.serve()
  await lockstep.shim('unlock', asAdmin('F1', 'u8'))
  await lockstep.shim('lock', asNobody('G1', 'u9'))
  await lockstep.settled()
  // Somebody else locks the one that is open by now, with the value that a lock of ours has, too.
  await slapd.ldapmodify(
    `dn: ${slapd.userDn('u8')}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n`,
  )
  await lockstep.kill9()
  putBack(lockstep, 'ldif')
  const since = await slapd.ldapsearch('-b', slapd.base, '(objectClass=*)', '*', '+')
  await lockstep.serve()
  await proven(lockstep)
  expect(await slapd.ldapsearch('-b', slapd.base, '(objectClass=*)', '*', '+')).toBe(since)
  // The folders fit the record again.
  expect(lockstep.ldif('unlock')).toEqual(['G1.ldif'])
  expect(await findings(lockstep)).toEqual([])
})

async function fill(simulator: Simulator, user: string, serial: string): Promise<void> {
  const { stock, admins } = simulator.world
  admins.set('lockstep', 'lockstep-secret')
  const text = await slapd.ldapsearch('-b', slapd.userDn(user), '-s', 'base', '(objectClass=*)', 'entryUUID')
  const userId = /^entryUUID: (.*)$/m.exec(text)?.[1] ?? ''
  stock.addUser(user, userId)
  stock.addToken(serial, { userId, maxfail: 3 })
}

test('mode api: a lock made since the backup is ours again, and follows privacyIDEA’s unlock', async () => {
  const simulator = opened.use(await startSimulator())
  await fill(simulator, 'u10', 'H1')
  await fill(simulator, 'u11', 'K1')
  const lockstep = opened.use(await createApiLockstep({ slapd, pi: simulator }))
  await lockstep.serve()
  await eventually('both are known', async () => serialsOf(await look(slapd, 'u11')).join() === 'K1')
  await lockstep.settled()
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  const [h1, k1] = ['H1', 'K1'].map((serial) => simulator.world.stock.token(serial))
  if (!h1 || !k1) throw new Error('no token')
  for (const token of [h1, k1]) Object.assign(token, { failcount: 3, fullSinceMs: Date.now() })
  for (const user of ['u10', 'u11']) {
    await eventually(`${user} is locked`, async () => !(await look(slapd, user)).canBind)
  }
  await lockstep.settled()
  await backToBackup(lockstep)
  // The one is reset while nothing runs, the other later.
  Object.assign(h1, { failcount: 0, fullSinceMs: null })
  await lockstep.serve()
  await eventually('u10 is open', async () => (await look(slapd, 'u10')).canBind)
  await proven(lockstep)
  expect((await look(slapd, 'u11')).canBind).toBe(false)
  expect(lockstep.ldif('unlock')).toEqual(['K1.ldif'])
  Object.assign(k1, { failcount: 0, fullSinceMs: null })
  await eventually('u11 is open', async () => (await look(slapd, 'u11')).canBind)
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).toEqual([])
})

test('mode api: while privacyIDEA is silent nothing opens that the files hold', async () => {
  const simulator = opened.use(await startSimulator())
  await fill(simulator, 'u12', 'L1')
  const lockstep = opened.use(await createApiLockstep({ slapd, pi: simulator }))
  await lockstep.serve()
  await eventually('it is known', async () => serialsOf(await look(slapd, 'u12')).join() === 'L1')
  await lockstep.settled()
  await lockstep.stop()
  backUp(lockstep, 'state')
  await lockstep.serve()
  const token = simulator.world.stock.token('L1')
  if (!token) throw new Error('no token')
  Object.assign(token, { failcount: 3, fullSinceMs: Date.now() })
  await eventually('u12 is locked', async () => !(await look(slapd, 'u12')).canBind)
  await lockstep.settled()
  await backToBackup(lockstep)
  simulator.faults.htmlStatus = 503
  Object.assign(token, { failcount: 0, fullSinceMs: null })
  await lockstep.serve()
  await eventually('every file was held against the directory', () => unproven(lockstep) === 0)
  await eventually('it was tried', () => lockstep.log().includes('privacyIDEA'))
  expect((await look(slapd, 'u12')).canBind).toBe(false)
  simulator.faults.htmlStatus = 0
  await eventually('u12 is open', async () => (await look(slapd, 'u12')).canBind, 60_000)
})

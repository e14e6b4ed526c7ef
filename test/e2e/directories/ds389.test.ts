import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readLdif, startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'
import { startDs389, type Ds389 } from '../../servers/ldap/ds389.ts'
import { addDisabledRole, disabledRoleDn, valuesAt } from '../../directory/ds389/ds389-world.ts'

/** The daemon, its shims and commands on a real 389-DS over TLS, with a service account of the documented rights. */

const START_TIMEOUT_MS = 300_000
const INACTIVATED = 53

let stack: AsyncDisposableStack
let ds: Ds389
let lockstep: Lockstep
beforeAll(async () => {
  stack = new AsyncDisposableStack()
  ds = stack.use(await startDs389())
  await addDisabledRole(ds)
  const server = { ...ds, url: ds.ldapsUrl, directoryLines: ['type: 389ds', `ca: ${ds.caFile}`] }
  lockstep = stack.use(await startLockstep(server))
}, START_TIMEOUT_MS)
afterAll(() => stack.disposeAsync())

const bind = async (login: string) => (await ds.bind(ds.userDn(login), ds.userPassword)).code
const modify = (login: string, lines: string) => ds.edit(`dn: ${ds.userDn(login)}\nchangetype: modify\n${lines}\n`)
const tell = async (kind: 'register' | 'lock' | 'unlock' | 'unregister', serial: string | null, login: string) => {
  expect(await lockstep.shim(kind, asNobody(serial, login))).toMatchObject({ code: 0 })
  await lockstep.settled()
}
const standing = async (login: string) => {
  const { accounts } = await lockstep.json<{ accounts: { account: { standing: string } }[] }>('show', login)
  return accounts[0]?.account
}

test('a token’s life: registered, locked, unlocked and unregistered', async () => {
  await tell('register', 'T1', 'u1')
  expect(await valuesAt(ds, 'u1', 'description')).toEqual(['privacyIDEA:T1'])
  await tell('lock', 'T1', 'u1')
  expect(await bind('u1')).toBe(INACTIVATED)
  expect(await standing('u1')).toMatchObject({ standing: 'in-step', effective: 'yes' })
  expect(lockstep.ldif('unlock')).toEqual(['T1.ldif'])
  await tell('unlock', 'T1', 'u1')
  expect(await bind('u1')).toBe(0)
  expect(lockstep.ldif('unlock')).toEqual([])
  await tell('unregister', 'T1', 'u1')
  expect(await valuesAt(ds, 'u1', 'description')).toEqual([])
})

test('the file that waits gives a locked account back as it was, by the stock tool, and that is seen', async () => {
  await modify('u2', 'add: nsAccountLock\nnsAccountLock: banana')
  await tell('register', 'T2', 'u2')
  await tell('lock', 'T2', 'u2')
  expect(await bind('u2')).toBe(INACTIVATED)
  await ds.edit(readLdif(lockstep, 'unlock/T2.ldif'))
  expect(await bind('u2')).toBe(0)
  expect(await valuesAt(ds, 'u2', 'nsAccountLock')).toEqual(['banana'])
  await lockstep.restart()
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).toEqual([])
  expect(await bind('u2')).toBe(0)
})

test('a role’s lock is left alone, and ours is written once the role is gone', async () => {
  await modify('u3', `add: nsRoleDN\nnsRoleDN: ${disabledRoleDn(ds)}`)
  await tell('register', 'T3', 'u3')
  await tell('lock', 'T3', 'u3')
  expect((await standing('u3'))?.standing).toBe('foreign-lock')
  await modify('u3', `delete: nsRoleDN\nnsRoleDN: ${disabledRoleDn(ds)}`)
  expect(await bind('u3')).toBe(0)
  await lockstep.restart()
  await lockstep.settled()
  expect(await bind('u3')).toBe(INACTIVATED)
  await tell('unlock', 'T3', 'u3')
  expect(await bind('u3')).toBe(0)
})

test('a store that was lost is rebuilt from the directory and the files, and the lock is ours again', async () => {
  await tell('register', 'T4', 'u4')
  await tell('lock', 'T4', 'u4')
  await modify('u5', 'add: nsAccountLock\nnsAccountLock: TRUE')
  await lockstep.stop()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${lockstep.storeFile}${suffix}`, { force: true })
  const report = await lockstep.json<{ holds: number; serials: number; lockedByOthers: string[] }>('rebuild')
  expect(report).toMatchObject({ holds: 1, lockedByOthers: [] })
  await lockstep.serve()
  await tell('unlock', 'T4', 'u4')
  expect(await bind('u4')).toBe(0)
  expect(await bind('u5')).toBe(INACTIVATED)
})

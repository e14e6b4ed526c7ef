import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { look, lookAtAll } from '../../support/account-view.ts'
import { createOwn, opened, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import { startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** What keeps a mistake from doing harm. */

const USERS = 12
const PEOPLE = Array.from({ length: USERS }, (_, at) => `u${at + 1}`)

test.override('slapdOptions', { users: USERS })

async function lockedCount(): Promise<number> {
  return [...(await lookAtAll(slapd)).values()].filter(({ lockedTime }) => lockedTime !== null).length
}

async function waitingCodes(lockstep: Lockstep): Promise<string[]> {
  const { waits } = await lockstep.json<{ waits: { code: string }[] }>('status')
  return waits.map(({ code }) => code)
}

test('the breaker lets so many locks through and no more; unlocks flow, and the others wait', async () => {
  const lockstep = await startOwn({ breaker: '{ maxLocks: 5, per: 1h }' })
  const nowMs = Date.now() - 1_000
  for (const user of PEOPLE) lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: nowMs })
  await lockstep.settled()
  expect(await lockedCount()).toBe(5)
  expect(lockstep.ldif('unlock')).toHaveLength(5)
  expect(await waitingCodes(lockstep)).toEqual(Array.from({ length: USERS - 5 }, () => 'breaker'))
  for (const user of PEOPLE) lockstep.spool({ kind: 'unlock', args: asAdmin(null, user), takenAtMs: nowMs + 1 })
  await lockstep.settled()
  expect(await lockedCount()).toBe(0)
  expect(await waitingCodes(lockstep)).toEqual([])
})

test('the breaker counts over several drains at once as well', async () => {
  const lockstep = await createOwn({ breaker: '{ maxLocks: 5, per: 1h }' })
  for (const user of PEOPLE) lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: Date.now() })
  const ran = await Promise.all([1, 2, 3].map(() => lockstep.drain()))
  expect(ran.map(({ code }) => code)).toEqual([75, 75, 75])
  expect(await lockedCount()).toBe(5)
})

test('what the breaker held back is locked by itself when its window has passed', async () => {
  const lockstep = await startOwn({ breaker: '{ maxLocks: 6, per: 3s }' })
  for (const user of PEOPLE) lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: Date.now() })
  await lockstep.settled()
  await eventually('everybody is locked', async () => (await lockedCount()) === USERS)
})

test('a protected account is never locked, by its DN or by a filter, and status says why', async () => {
  const filter = '(loginShell=/bin/zsh)'
  const shell = `dn: ${slapd.userDn('u2')}\nchangetype: modify\nreplace: loginShell\nloginShell: /bin/zsh\n`
  expect((await slapd.ldapmodify(shell)).code).toBe(0)
  const guards = `{ breaker: null, protect: { dns: ['${slapd.userDn('u1')}'], filter: '${filter}' } }`
  const lockstep = await startOwn({ guards })
  for (const user of ['u1', 'u2', 'u3']) await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(true)
  expect((await look(slapd, 'u2')).canBind).toBe(true)
  expect((await look(slapd, 'u3')).canBind).toBe(false)
  expect(await waitingCodes(lockstep)).toEqual(['protected', 'protected'])
})

test('a dry run writes nothing into the directory and says so; afterwards it is carried out', async () => {
  const guards = '{ breaker: null, dryRun: true }'
  const lockstep = await startOwn({ guards })
  await lockstep.shim('register', asAdmin('DRY1', 'u1'))
  await lockstep.shim('lock', asNobody('DRY1', 'u1'))
  await lockstep.settled()
  expect(await look(slapd, 'u1')).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
  expect((await lockstep.cli('status')).stdout).toContain('DRY RUN')
  expect(await lockstep.cli('status', '--check')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('dry-run (of=everything)'),
  })
  expect(await waitingCodes(lockstep)).toEqual(['dry-run'])
  for (const folder of ['lock', 'unlock', 'unregister', 'register/history']) expect(lockstep.ldif(folder)).toEqual([])
  await lockstep.stop()
  lockstep.editConfig((yaml) => yaml.replace('dryRun: true', 'dryRun: false'))
  await lockstep.serve()
  await lockstep.settled()
  expect(await look(slapd, 'u1')).toMatchObject({ canBind: false, descriptions: ['privacyIDEA:DRY1'] })
})

test.each([
  ['everything', 'true', ''],
  ['directory', '{ directories: [corp] }', 'corp'],
  ['realm', '{ realms: [r1] }', 'r1'],
])('a dry run of %s is a warning, also where nothing waits', async (of, dryRun, name) => {
  const lockstep = await startOwn({ guards: `{ breaker: null, dryRun: ${dryRun} }` })
  expect(await lockstep.json('status')).toMatchObject({
    health: 'attention',
    healthReasons: [{ code: 'dry-run', gravity: 'warning', params: { of, name } }],
  })
  expect((await lockstep.cli('healthcheck')).code).toBe(0)
})

test('with lockTtl a token’s hold ends by itself, and a person’s does not', async () => {
  const lockstep = await startOwn({ yaml: 'policy: { lockTtl: 2s }\n' })
  await lockstep.json('lock', 'u2', '--reason', 'suspended')
  await lockstep.shim('lock', asNobody(null, 'u1'))
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)
  await eventually('u1 is open again', async () => (await look(slapd, 'u1')).canBind)
  expect((await look(slapd, 'u2')).canBind).toBe(false)
})

test('a lock that the directory would not enforce is told, not hidden', async () => {
  const other = opened.use(await startSlapd({ users: 1, dbNoSync: true, pwdLockout: false }))
  const lockstep = opened.use(await startLockstep(other))
  await lockstep.shim('lock', asNobody(null, 'u1'))
  await lockstep.settled()
  expect(await waitingCodes(lockstep)).toEqual(['not-effective'])
  expect(await lockstep.json('status')).toMatchObject({
    health: 'attention',
    waits: [{ why: { code: 'lock-not-effective', text: expect.stringContaining('pwdLockout') } }],
  })
  const ran = await lockstep.cli('lock', 'u1', '--reason', 'x')
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 69, stderr: '' })
  expect(ran.stdout).toMatch(/: the lock is written and is not enforced: .*pwdLockout: FALSE/)
})

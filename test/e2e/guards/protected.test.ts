import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look } from '../../support/account-view.ts'
import { slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** Accounts that are never locked, as the list of them changes. */

const ADMINS = 'cn=admins,ou=groups,dc=example,dc=org'
const PEOPLE = ['u1', 'u2', 'u3', 'u4']

test.override('slapdOptions', {
  users: PEOPLE.length,
  extraLdif: `dn: ${ADMINS}\nobjectClass: groupOfNames\ncn: admins\nmember: uid=u1,ou=people,dc=example,dc=org\n`,
})

interface Shown {
  readonly account: {
    readonly standing: string
    readonly standingReason: { readonly code: string; readonly text: string } | null
    readonly lockedByUs: boolean
    readonly holds: unknown[]
  }
}

async function shownOf(lockstep: Lockstep, login: string): Promise<Shown | undefined> {
  return (await lockstep.json<{ accounts: Shown[] }>('show', login)).accounts[0]
}

test('whoever is put on the list is unlocked, keeps his hold on record, and is locked when taken off again', async () => {
  const lockstep = await startOwn({ guards: '{ breaker: null, protect: { groups: [] } }' })
  for (const user of ['u1', 'u2']) await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)

  lockstep.editConfig((yaml) => yaml.replace('groups: []', `groups: ['${ADMINS}']`))
  await lockstep.restart()
  await lockstep.settled()
  expect([(await look(slapd, 'u1')).canBind, (await look(slapd, 'u2')).canBind]).toEqual([true, false])
  const shown = await shownOf(lockstep, 'u1')
  expect(shown?.account).toMatchObject({ standing: 'protected', lockedByUs: false, holds: [{}] })
  expect(shown?.account.standingReason?.text).toContain(ADMINS)
  await eventually('the log tells it', () => /^warn protected .*uid=u1,/m.test(lockstep.log()))
  expect(await lockstep.json<object>('status')).toMatchObject({
    findings: [{ code: 'protected', subject: 'corp' }],
    locked: [{ login: 'u2' }],
    lockedCount: 1,
  })

  lockstep.editConfig((yaml) => yaml.replace(`groups: ['${ADMINS}']`, 'groups: []'))
  await lockstep.restart()
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)
  expect(await lockstep.json<object>('status')).toMatchObject({ findings: [], health: 'ok' })
})

test('many refusals are one finding and one line of the log, and a person’s lock is refused as well', async () => {
  const guards = `{ breaker: null, protect: { subtrees: ['${slapd.peopleDn}'] } }`
  const lockstep = await startOwn({ guards })
  for (const user of PEOPLE) await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  expect((await lockstep.cli('lock', 'u4', '--reason', 'x')).code).toBe(77)
  const { findings } = await lockstep.json<{ findings: unknown[] }>('status')
  expect(findings).toHaveLength(1)
  await lockstep.stop()
  expect(lockstep.log().match(/^warn protected /gm)).toHaveLength(1)
  expect(lockstep.log()).not.toContain('account is protected')
})

test('an undo of a protected account waits for what it ordered alone', async () => {
  const lockstep = await startOwn({ guards: '{ breaker: null, protect: { groups: [] } }' })
  const since = new Date().toISOString()
  await lockstep.shim('register', asAdmin('UNDONE1', 'u1'))
  await lockstep.shim('lock', asNobody('UNDONE1', 'u1'))
  await lockstep.settled()
  await lockstep.json('lock', 'u1', '--reason', 'has left')
  lockstep.editConfig((yaml) => yaml.replace('groups: []', `groups: ['${ADMINS}']`))
  expect((await lockstep.cli('reload')).code).toBe(0)
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(true)
  const undone = await lockstep.cli('undo', '--since', since, '--yes')
  expect({ code: undone.code, stderr: undone.stderr }).toEqual({ code: 0, stderr: '' })
  expect(undone.stdout).toContain('reverted')
  expect((await look(slapd, 'u1')).descriptions).toEqual([])
})

test('while a protected group cannot be read nobody is locked, and who is stays so', async () => {
  const lockstep = await startOwn({ guards: '{ breaker: null, protect: { groups: [] } }' })
  await lockstep.shim('lock', asNobody(null, 'u2'))
  await lockstep.settled()
  lockstep.editConfig((yaml) => yaml.replace('groups: []', "groups: ['cn=gone,ou=groups,dc=example,dc=org']"))
  await lockstep.restart()
  await lockstep.shim('lock', asNobody(null, 'u3'))
  await lockstep.settled()
  expect([(await look(slapd, 'u2')).canBind, (await look(slapd, 'u3')).canBind]).toEqual([false, true])
  const shown = await shownOf(lockstep, 'u3')
  expect(shown?.account).toMatchObject({ standing: 'failed', holds: [{}] })
  expect(shown?.account.standingReason?.text).toMatch(
    /cannot be determined whether the account is protected: .*cn=gone/,
  )
  const group = 'dn: cn=gone,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: gone\nmember: cn=nobody\n'
  expect((await slapd.ldapmodify(group, slapd.admin, ['-a'])).code).toBe(0)
  await eventually('u3 is locked', async () => !(await look(slapd, 'u3')).canBind)
})

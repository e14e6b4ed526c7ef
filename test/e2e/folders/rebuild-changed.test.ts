import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look } from '../../support/account-view.ts'
import { newUser, opened, slapd, slapdTest as test, user } from '../../support/fixture.ts'
import { createLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** The database is lost, and the directory is no longer as the LDIF folders have it. */

interface Rebuilt {
  readonly holds: number
  readonly appliedByHand: number
  readonly lockedByOthers: readonly string[]
  readonly leftAlone: readonly string[]
  readonly problems: readonly string[]
}

const SERVICE = 'cn=lockstep,ou=services,dc=example,dc=org'
const GROUP = 'cn=locked-out,ou=groups,dc=example,dc=org'
const CUSTOM = [
  'lock:',
  '      - set: { loginShell: /usr/sbin/nologin }',
  '      - add: { carLicense: [locked-a, locked-b] }',
]
const WITH_GROUP = [...CUSTOM, "      - add: { member: '{dn}' }", `        dn: ${GROUP}`]

let lockstep: Lockstep
let serial = ''

test.override('slapdOptions', {
  users: 20,
  accessRules: `access to attrs=loginShell,carLicense by dn.exact="${SERVICE}" write by users read
access to dn.subtree="ou=groups,dc=example,dc=org" attrs=member by dn.exact="${SERVICE}" write by users read`,
  extraLdif: `dn: ${GROUP}\nobjectClass: groupOfNames\ncn: locked-out\nmember: cn=nobody\n`,
})
beforeEach(async () => {
  serial = `CHANGED${user.slice(1)}`
  lockstep = opened.use(await createLockstep(slapd))
})

function custom(lines: readonly string[]): void {
  lockstep.editConfig((yaml) => yaml.replace('type: openldap', `type: custom\n    ${lines.join('\n')}`))
}

async function lockedByToken(): Promise<void> {
  await lockstep.serve()
  await lockstep.shim('register', asAdmin(serial, user))
  await lockstep.shim('lock', asNobody(serial, user))
  await lockstep.settled()
}

async function databaseIsLost(): Promise<void> {
  await lockstep.kill9()
  const dir = dirname(lockstep.storeFile)
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true })
}

async function modify(text: string): Promise<void> {
  const ran = await slapd.ldapmodify(text)
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
}

/** The login stays: the entry keeps its old uid beside the new one. */
async function rename(): Promise<string> {
  const name = `uid=${user}-renamed`
  await modify(`dn: ${slapd.userDn(user)}\nchangetype: modrdn\nnewrdn: ${name}\ndeleteoldrdn: 0\n`)
  return `${name},${slapd.peopleDn}`
}

async function valuesOf(dn: string, attribute: string): Promise<string[]> {
  const text = await slapd.ldapsearch('-b', dn, '-s', 'base', '(objectClass=*)', attribute)
  return text
    .split('\n')
    .flatMap((line) => (line.startsWith(`${attribute}: `) ? [line.slice(attribute.length + 2)] : []))
}

function unlockFile(): string {
  return readFileSync(join(lockstep.ldifDir, 'unlock', `${serial}.ldif`), 'utf8')
}

async function unlockedByToken(): Promise<void> {
  await lockstep.shim('unlock', asAdmin(serial, null))
  await lockstep.settled()
}

test('an account that was renamed meanwhile keeps its hold, and its file names it as it is called now', async () => {
  await lockedByToken()
  await databaseIsLost()
  const dn = await rename()
  const report = await lockstep.json<Rebuilt>('rebuild')
  expect(report).toMatchObject({ holds: 1, appliedByHand: 0, lockedByOthers: [], problems: [] })
  expect(unlockFile()).toContain(`dn: ${dn}\n`)
  expect(await lockstep.json('rebuild')).toEqual(report)
  await lockstep.serve()
  await lockstep.settled()
  expect(await slapd.ldapwhoami(dn, slapd.userPassword)).toBe(false)
  const file = join(lockstep.ldifDir, 'unlock', `${serial}.ldif`)
  expect((await slapd.ldapmodify('', slapd.admin, ['-f', file])).code).toBe(0)
  expect(await slapd.ldapwhoami(dn, slapd.userPassword)).toBe(true)
})

test('a renamed account that was unlocked by hand is not locked again', async () => {
  await lockedByToken()
  await databaseIsLost()
  const dn = await rename()
  await modify(`dn: ${dn}\nchangetype: modify\nreplace: pwdAccountLockedTime\n`)
  expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ holds: 0, appliedByHand: 1, problems: [] })
  await lockstep.serve()
  await lockstep.settled()
  expect(await slapd.ldapwhoami(dn, slapd.userPassword)).toBe(true)
})

test('a file whose account is locked in another way by now is kept and named, also over the next starts', async () => {
  await lockedByToken()
  await databaseIsLost()
  const stamp = new Date().toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  const lock = `replace: pwdAccountLockedTime\npwdAccountLockedTime: ${stamp}\n`
  await modify(`dn: ${slapd.userDn(user)}\nchangetype: modify\n${lock}`)
  const before = unlockFile()
  const ran = await lockstep.cli('rebuild', '--json')
  expect({ code: ran.code, ...ran.json<Rebuilt>() }).toMatchObject({
    code: 65,
    holds: 0,
    appliedByHand: 0,
    lockedByOthers: [slapd.userDn(user)],
    leftAlone: [serial],
    problems: [
      `unlock/${serial}.ldif left alone: ${slapd.userDn(user)} is locked, but not by what the file takes away`,
    ],
  })
  for (let starts = 0; starts < 2; starts++) {
    await lockstep.serve()
    await lockstep.settled()
    await lockstep.stop()
    expect(unlockFile()).toBe(before)
  }
  expect((await look(slapd, user)).lockedTime).toBe(stamp)
  expect(lockstep.log()).toContain(`unlock/${serial}.ldif`)
})

test('a lock --for ends after a rebuild when it was to end', async () => {
  await lockstep.serve()
  type Shown = { account: { holds: { name: string; until: string }[] } }
  const { account } = await lockstep.json<Shown>('lock', user, '--reason', 'on leave', '--for', '1h')
  const other = newUser()
  const soon = await lockstep.json<Shown>('lock', other, '--reason', 'a moment', '--for', '8s')
  await databaseIsLost()
  expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ holds: 2, problems: [] })
  await lockstep.serve()
  await lockstep.settled()
  const [shown] = (await lockstep.json<{ accounts: Shown[] }>('show', slapd.userDn(user))).accounts
  expect(shown?.account.holds).toMatchObject([{ name: account.holds[0]?.name, until: account.holds[0]?.until }])
  const untilMs = Date.parse(soon.account.holds[0]?.until ?? '')
  await eventually(
    'the shorter one is open again',
    async () => (await look(slapd, other)).canBind,
    untilMs - Date.now() + 10_000,
  )
  expect(Date.now()).toBeGreaterThanOrEqual(untilMs)
  expect((await look(slapd, user)).canBind).toBe(false)
})

describe('a custom lock', () => {
  test('of several places and values of a renamed account is found again, and gives all of it back', async () => {
    custom(CUSTOM)
    const shell = await valuesOf(slapd.userDn(user), 'loginShell')
    await lockedByToken()
    await databaseIsLost()
    const dn = await rename()
    expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ holds: 1, appliedByHand: 0, problems: [] })
    await lockstep.serve()
    await unlockedByToken()
    expect(await valuesOf(dn, 'loginShell')).toEqual(shell)
    expect(await valuesOf(dn, 'carLicense')).toEqual([])
    expect(lockstep.ldif('unlock')).toEqual([])
  })

  test.each([
    ['one place', `replace: loginShell\nloginShell: /bin/sh\n`],
    ['one value', `delete: carLicense\ncarLicense: locked-a\n`],
    [
      'one place and one value',
      `replace: loginShell\nloginShell: /bin/sh\n-\ndelete: carLicense\ncarLicense: locked-b\n`,
    ],
  ])('from which %s was taken by hand is still on record, and the unlock leaves nothing of ours', async (_, change) => {
    custom(CUSTOM)
    await lockedByToken()
    await databaseIsLost()
    await modify(`dn: ${slapd.userDn(user)}\nchangetype: modify\n${change}`)
    expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ holds: 1, appliedByHand: 0, problems: [] })
    await lockstep.serve()
    await lockstep.settled()
    for (const ours of ['nologin', 'locked-a', 'locked-b']) expect(unlockFile()).toContain(ours)
    await unlockedByToken()
    expect(await valuesOf(slapd.userDn(user), 'loginShell')).not.toContain('/usr/sbin/nologin')
    expect(await valuesOf(slapd.userDn(user), 'carLicense')).toEqual([])
    expect(lockstep.ldif('unlock')).toEqual([])
  })

  test('whose group still holds the former name of the account is restored, and what is left is told', async () => {
    custom(WITH_GROUP)
    const former = slapd.userDn(user)
    await lockedByToken()
    await databaseIsLost()
    const dn = await rename()
    const ran = await lockstep.cli('rebuild', '--json')
    expect(ran.code).toBe(65)
    expect(ran.json<Rebuilt>()).toMatchObject({ holds: 1, appliedByHand: 0 })
    expect(ran.json<Rebuilt>().problems).toEqual([
      expect.stringContaining(`member of ${GROUP} may still hold a former name`),
    ])
    expect(lockstep.ldif('unlock/history')).toEqual([expect.stringMatching(new RegExp(`^${serial}--`))])
    await lockstep.serve()
    await lockstep.settled()
    expect(await valuesOf(GROUP, 'member')).toEqual(expect.arrayContaining([former, dn]))
    await unlockedByToken()
    expect(await valuesOf(GROUP, 'member')).toEqual(['cn=nobody', former])
    expect(await valuesOf(dn, 'carLicense')).toEqual([])
  })

  test('whose group the server renamed with the account is ours as before', async () => {
    custom(WITH_GROUP)
    const former = slapd.userDn(user)
    await lockedByToken()
    await databaseIsLost()
    const dn = await rename()
    await modify(`dn: ${GROUP}\nchangetype: modify\ndelete: member\nmember: ${former}\n-\nadd: member\nmember: ${dn}\n`)
    expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ holds: 1, appliedByHand: 0, problems: [] })
    await lockstep.serve()
    await unlockedByToken()
    expect(await valuesOf(GROUP, 'member')).not.toContain(dn)
    expect(lockstep.ldif('unlock')).toEqual([])
  })
})

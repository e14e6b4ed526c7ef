import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import { type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** Somebody takes the LDIF folders away from under a daemon. */

const PEOPLE = ['u1', 'u2', 'u3', 'u4']

let lockstep: Lockstep
test.override('slapdOptions', { users: PEOPLE.length })
beforeEach(async () => {
  lockstep = await startOwn()
  await lockstep.shim('register', asAdmin('A1', 'u1'))
  await lockstep.shim('register', asAdmin('B1', 'u2'))
  await lockstep.shim('lock', asNobody('A1', 'u1'))
  await lockstep.settled()
})

async function isNamed(): Promise<boolean> {
  const { findings } = await lockstep.json<{ findings: { code: string }[] }>('status')
  return findings.some(({ code }) => code === 'folders-made-again')
}

function recordsOf(path: string): string {
  const text = readFileSync(join(lockstep.ldifDir, path), 'utf8')
  return text.slice(text.indexOf('\nversion:'))
}

const WAITING = ['unlock/A1.ldif', 'unregister/A1.ldif', 'unregister/B1.ldif']

function areBack(): boolean {
  return WAITING.every((path) => existsSync(join(lockstep.ldifDir, path)))
}

test.each([
  ['all of them', '.'],
  ['unlock/ with its history', 'unlock'],
  ['lock/', 'lock'],
  ['unregister/', 'unregister'],
  ['a history', 'lock/history'],
])(
  '%s vanish: locks go on, they are there again with the files that wait, and status names it',
  async (_what, gone) => {
    const before = WAITING.map(recordsOf)
    rmSync(join(lockstep.ldifDir, gone), { recursive: true })
    await lockstep.shim('lock', asNobody('B1', 'u2'))
    await lockstep.shim('register', asAdmin('C1', 'u3'))
    await lockstep.settled()
    expect((await look(slapd, 'u2')).canBind).toBe(false)
    expect(serialsOf(await look(slapd, 'u3'))).toEqual(['C1'])
    await eventually('the waiting files are back', areBack)
    expect(WAITING.map(recordsOf)).toEqual(before)
    expect(lockstep.ldif('unlock')).toEqual(['A1.ldif', 'B1.ldif'])
    await eventually('status names it', isNamed)
    for (const serial of ['A1', 'B1']) await lockstep.shim('unlock', asAdmin(serial, null))
    await lockstep.settled()
    for (const user of ['u1', 'u2']) expect((await look(slapd, user)).canBind).toBe(true)
    expect(lockstep.ldif('unlock')).toEqual([])
  },
)

test('an empty folder in the place of theirs is filled with what waits', async () => {
  const before = WAITING.map(recordsOf)
  renameSync(lockstep.ldifDir, `${lockstep.ldifDir}.old`)
  mkdirSync(lockstep.ldifDir, { mode: 0o750 })
  await eventually('the waiting files are back', areBack)
  expect(WAITING.map(recordsOf)).toEqual(before)
  await eventually('status names it', isNamed)
})

test('a folder that cannot be used holds locks back and says so, and they are done when it is back', async () => {
  renameSync(lockstep.ldifDir, `${lockstep.ldifDir}.old`)
  // Not even root can make folders below a link that is refused.
  const target = `${lockstep.dir}/elsewhere`
  mkdirSync(target)
  const { symlinkSync } = await import('node:fs')
  symlinkSync(target, lockstep.ldifDir)
  await lockstep.shim('lock', asNobody('B1', 'u2'))
  await eventually('the log says so', () => lockstep.log().includes('is a symbolic link'))
  expect((await look(slapd, 'u2')).canBind).toBe(true)
  rmSync(lockstep.ldifDir)
  renameSync(`${lockstep.ldifDir}.old`, lockstep.ldifDir)
  await eventually('u2 is locked', async () => !(await look(slapd, 'u2')).canBind, 60_000)
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).toEqual(['A1.ldif', 'B1.ldif'])
})

import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { startSimulator } from '../../privacyidea/simulator/simulator.ts'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { everythingOf, look } from '../../support/account-view.ts'
import { createApiLockstep, serveSwept } from '../../support/api-servers.ts'
import { opened, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** A directory is given up, or all of Lockstep: everything of ours is released, and that is proven by a search. */

const PEOPLE = ['u1', 'u2', 'u3', 'u4']

test.override('slapdOptions', { users: PEOPLE.length })

/** Two serials, a lock by a token and one by hand. */
async function fill(lockstep: Lockstep): Promise<void> {
  await lockstep.shim('register', asAdmin('T1', 'u1'))
  await lockstep.shim('register', asAdmin('T2', 'u2'))
  await lockstep.shim('lock', asNobody('T1', 'u1'))
  await lockstep.cli('lock', 'u3', '--reason', 'x')
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)
}

interface Retired {
  readonly applied: boolean
  readonly directories: readonly {
    readonly locks: number
    readonly serials: number
    readonly before: { readonly locks: number; readonly serials: number }
    readonly left: readonly { readonly dn: string; readonly why: string }[]
    readonly others: { readonly locks: number; readonly serials: number }
    readonly gone: number
    readonly isProven: boolean
  }[]
}

const by = (lines: string): string => `${lines}\n`

async function addByHand(login: string, attribute: string, value: string): Promise<void> {
  const { code } = await slapd.ldapmodify(
    by(`dn: ${slapd.userDn(login)}\nchangetype: modify\nadd: ${attribute}\n${attribute}: ${value}`),
  )
  expect(code).toBe(0)
}

test('it shows first; then every account is as it was before, on record, and what others wrote stays', async () => {
  const before = await Promise.all(PEOPLE.map((login) => everythingOf(slapd, login)))
  const lockstep = await startOwn()
  await fill(lockstep)
  await addByHand('u4', 'description', 'privacyIDEA:OTHERS')
  await addByHand('u4', 'pwdAccountLockedTime', '000001010000Z')
  const shown = await lockstep.json<Retired>('retire', 'corp')
  expect(shown).toMatchObject({ applied: false, directories: [{ locks: 2, serials: 2 }] })
  expect((await look(slapd, 'u1')).canBind).toBe(false)
  const done = await lockstep.json<Retired>('retire', 'corp', '--yes')
  expect(done).toMatchObject({
    applied: true,
    directories: [{ before: { locks: 2, serials: 2 }, left: [], others: { locks: 1, serials: 1 }, isProven: true }],
  })
  const after = await Promise.all(PEOPLE.map((login) => everythingOf(slapd, login)))
  expect(after.slice(0, 3)).toEqual(before.slice(0, 3))
  expect(await look(slapd, 'u4')).toMatchObject({ canBind: false, descriptions: ['privacyIDEA:OTHERS'] })
  expect([...lockstep.ldif('unlock'), ...lockstep.ldif('unregister')]).toEqual([])
  expect(lockstep.ldif('unlock/history').length).toBeGreaterThan(0)
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
  expect((await lockstep.cli('status')).stdout).toContain('directory corp is retired')
})

test('nobody is locked there any more, until the order is taken back', async () => {
  const lockstep = await startOwn()
  await fill(lockstep)
  await lockstep.json('retire', 'corp', '--yes')
  await lockstep.shim('lock', asNobody('T2', 'u2'))
  await lockstep.shim('register', asAdmin('T4', 'u4'))
  await lockstep.settled()
  await lockstep.restart()
  await lockstep.settled()
  for (const login of PEOPLE) expect(await look(slapd, login)).toMatchObject({ canBind: true, descriptions: [] })
  await lockstep.json('retire', 'corp', '--cancel')
  await lockstep.settled()
  for (const login of ['u1', 'u2', 'u3']) expect((await look(slapd, login)).canBind).toBe(false)
  expect((await look(slapd, 'u4')).descriptions).toEqual(['privacyIDEA:T4'])
})

interface Shown {
  readonly accounts: readonly {
    readonly serials: readonly string[]
    readonly retired: { readonly by: string } | null
    readonly timeline: readonly {
      what: string
      serial: string | null
      actor: string
      reason: { code: string } | null
    }[]
  }[]
}

const showOf = async (lockstep: Lockstep, login: string): Promise<Shown['accounts'][number]> => {
  const [shown] = (await lockstep.json<Shown>('show', login)).accounts
  if (shown === undefined) throw new Error(`nothing on record about ${login}`)
  return shown
}

test('after it the record has nothing of ours there, and everything again once the order is taken back', async () => {
  const lockstep = await startOwn()
  await fill(lockstep)
  const since = new Date().toISOString()
  await lockstep.json('retire', 'corp', '--yes')
  expect(await lockstep.json<Retired>('retire', 'corp')).toMatchObject({ directories: [{ locks: 0, serials: 0 }] })
  expect((await lockstep.cli('retire', 'corp')).stdout).toMatch(/corp +nothing/)
  expect(await showOf(lockstep, 'u1')).toMatchObject({ serials: [], retired: { by: expect.any(String) } })
  const undo = await lockstep.json<{ steps: { skipped: { code: string } | null }[] }>('undo', '--since', since)
  expect(undo.steps).toHaveLength(4)
  expect(new Set(undo.steps.map(({ skipped }) => skipped?.code))).toEqual(new Set(['directory-retired']))
  const locked = await lockstep.cli('lock', 'u4', '--reason', 'x')
  expect(locked).toMatchObject({ code: 75, stderr: expect.stringContaining('directory corp is retired') })
  await lockstep.json('retire', 'corp', '--cancel')
  await lockstep.settled()
  expect(await showOf(lockstep, 'u1')).toMatchObject({ serials: ['T1'], retired: null })
  expect(await lockstep.json<Retired>('retire', 'corp')).toMatchObject({ directories: [{ locks: 2, serials: 2 }] })
})

test('an order that is held back shows what is still to be released', async () => {
  const lockstep = await startOwn()
  await fill(lockstep)
  await lockstep.json('pause', '--reason', 'x')
  expect((await lockstep.cli('retire', 'corp', '--yes')).code).toBe(75)
  expect(await lockstep.json<Retired>('retire', 'corp')).toMatchObject({ directories: [{ locks: 2, serials: 2 }] })
  expect(await showOf(lockstep, 'u1')).toMatchObject({ serials: ['T1'] })
})

test('waiting files are made again for what stands there alone', async () => {
  const lockstep = await startOwn()
  await fill(lockstep)
  await lockstep.json('retire', 'corp', '--yes')
  renameSync(lockstep.ldifDir, `${lockstep.ldifDir}-lost`)
  await eventually('the folders are made again', async () =>
    (await lockstep.cli('status', '--json')).stdout.includes('folders-made-again'),
  )
  expect([...lockstep.ldif('unlock'), ...lockstep.ldif('unregister')]).toEqual([])
})

test('the log and the record say that the order released it, and who gave it', async () => {
  const lockstep = await startOwn()
  await fill(lockstep)
  await lockstep.cliWith({ SUDO_USER: 'anna' }, 'retire', 'corp', '--yes')
  await eventually(
    'all is in the log',
    () => (lockstep.log().match(/^info un(?:locked|registered) /gm) ?? []).length === 4,
  )
  const released = lockstep.log().match(/^info un(?:locked|registered) .*$/gm) ?? []
  for (const line of released) expect(line).toMatch(/ reason=directory-retired by=anna[ @]/)
  const { timeline } = await showOf(lockstep, 'u1')
  for (const what of ['unlock applied', 'unregister applied']) {
    expect(timeline.find((entry) => entry.what === what)).toMatchObject({
      actor: expect.stringContaining('anna'),
      reason: { code: 'directory-retired' },
    })
  }
})

test('what was enrolled while it was retired is there soon after the order was taken back', async () => {
  const pi = opened.use(await startSimulator({ version: '3.14' }))
  const { stock, admins } = pi.world
  admins.set('lockstep', 'lockstep-secret')
  const found = await slapd.ldapsearch('-b', slapd.userDn('u1'), '-s', 'base', '(uid=*)', 'entryUUID')
  const userId = /^entryUUID: (\S+)/m.exec(found)?.[1] ?? ''
  stock.addUser('u1', userId)
  const lockstep = opened.use(await createApiLockstep({ slapd, pi }))
  await serveSwept(lockstep)
  await lockstep.json('retire', 'corp', '--yes')
  stock.addToken('NEW1', { userId })
  expect(await lockstep.json<object>('retire', 'corp', '--cancel')).toMatchObject({ changed: true, resync: 'daemon' })
  await eventually('it carries its serial', async () => (await look(slapd, 'u1')).descriptions.length === 1)
  await lockstep.stop()
  await lockstep.cli('retire', 'corp', '--yes')
  expect((await lockstep.cli('retire', 'corp', '--cancel')).stdout).toContain('Next: lockstep resync')
})

test('after it the form may change, and everything is written anew in the new one', async () => {
  const lockstep = await startOwn()
  await fill(lockstep)
  lockstep.editConfig((yaml) => yaml.replace('privacyIDEA:{serial}', 'PI={serial}'))
  expect((await lockstep.cli('reload')).code).toBe(78)
  expect((await lockstep.cli('retire', 'corp', '--yes')).code).toBe(0)
  expect((await lockstep.cli('reload')).code).toBe(0)
  await lockstep.settled()
  expect(await look(slapd, 'u1')).toMatchObject({ canBind: false, descriptions: ['PI=T1'] })
  expect((await lockstep.cli('status')).stdout).not.toContain('retired')
})

test('after it the directory may go, without a daemon too', async () => {
  const legacy = opened.use(await startSlapd({ users: 1, dbNoSync: true }))
  const lockstep = await startOwn({ legacy, realms: '{ r1: corp, r2: legacy }' })
  await lockstep.shim('lock', asNobody(null, 'u1', 'r2'))
  await lockstep.settled()
  await lockstep.stop()
  expect((await look(legacy, 'u1')).canBind).toBe(false)
  expect((await lockstep.cli('retire', 'legacy', '--yes')).code).toBe(0)
  expect((await look(legacy, 'u1')).canBind).toBe(true)
  lockstep.editConfig((yaml) =>
    yaml.replace(/^ {2}legacy:\n(?: {4}.*\n)+/m, '').replace('{ r1: corp, r2: legacy }', '{ r1: corp }'),
  )
  await lockstep.serve()
  await lockstep.settled()
  expect(await lockstep.json<object>('status')).toMatchObject({ health: 'ok', retired: [] })
})

test('what a dry run holds back is named, and nothing is proven', async () => {
  const lockstep = await startOwn()
  await fill(lockstep)
  lockstep.editConfig((yaml) => yaml.replace('breaker: null', 'breaker: null, dryRun: true'))
  expect((await lockstep.cli('reload')).code).toBe(0)
  const ran = await lockstep.cli('retire', 'corp', '--yes', '--json')
  expect(ran.code).toBe(75)
  const [report] = ran.json<Retired>().directories
  expect(report?.isProven).toBe(false)
  expect(report?.left.map(({ dn }) => dn).toSorted()).toEqual(['u1', 'u2', 'u3'].map((login) => slapd.userDn(login)))
  expect(report?.left[0]?.why).toContain('dry run')
  expect((await look(slapd, 'u1')).canBind).toBe(false)
})

test('a directory that is down leaves the order on record, and the next one finishes it', async () => {
  const legacy = opened.use(await startSlapd({ users: 1, dbNoSync: true }))
  const lockstep = await startOwn({ legacy, realms: '{ r1: corp, r2: legacy }' })
  await lockstep.shim('lock', asNobody(null, 'u1', 'r2'))
  await lockstep.settled()
  await legacy.stop()
  expect((await lockstep.cli('retire', 'legacy', '--yes')).code).toBe(75)
  await legacy.start()
  expect((await lockstep.cli('retire', 'legacy', '--yes')).code).toBe(0)
  expect((await look(legacy, 'u1')).canBind).toBe(true)
})

test('to uninstall it: handlers, policies and shims go as well, and only those of Lockstep', async () => {
  const pi = opened.use(await startSimulator({ version: '3.14' }))
  const lockstep = await startOwn()
  writeFileSync(join(lockstep.dir, 'admin-password'), 'secret', { mode: 0o600 })
  writeFileSync(join(lockstep.shimDir, 'of-others'), '#!/bin/sh\n', { mode: 0o755 })
  const admin = ['--url', pi.url, '--user', 'admin', '--password-file', join(lockstep.dir, 'admin-password')]
  const setup = ['privacyidea', 'setup', '--yes', '--via', 'script', '--policies', '--keep-admins', ...admin]
  const made = await lockstep.cli(...setup, '--scripts-dir', lockstep.shimDir)
  expect(made.stderr + made.stdout).not.toContain('nothing was changed')
  await fill(lockstep)
  const removal = ['retire', '--scripts-dir', lockstep.shimDir, ...admin]
  const shown = await lockstep.cli(...removal)
  expect(shown.stdout).toContain('Nothing was changed')
  expect(readdirSync(lockstep.shimDir)).toHaveLength(5)
  const done = await lockstep.cli(...removal, '--yes')
  expect(done.stderr).toBe('')
  expect(done.code).toBe(0)
  expect(done.stdout).toContain('nothing of ours is left')
  expect(done.stdout).toContain('systemctl disable --now lockstep')
  const { configFile, storeFile, ldifDir, spoolDir } = lockstep
  const named = [configFile, join(lockstep.dir, 'ldap-password'), storeFile, ldifDir, spoolDir]
  for (const path of named) expect(done.stdout).toContain(path)
  expect(done.stdout).not.toMatch(/\/etc\/lockstep|\/var\/lib\/lockstep/)
  expect(readdirSync(lockstep.shimDir)).toEqual(['of-others'])
  const again = await lockstep.cli(...removal, '--yes', '--json')
  expect(again.document<object>()).toMatchObject({
    ok: true,
    data: { elsewhere: { setup: { handlers: 0, policies: 0 }, shims: { paths: [] } } },
  })
  for (const login of PEOPLE) expect((await look(slapd, login)).canBind).toBe(true)
})

test('without an administrator it says what was not looked at, and is not finished', async () => {
  const lockstep = await startOwn()
  const ran = await lockstep.cli('retire', '--scripts-dir', lockstep.shimDir, '--yes')
  expect(ran.code).toBe(75)
  expect(ran.stderr).toContain('lockstep privacyidea setup --remove --policies')
})

test('what was not looked at is named, with the command; and what is left lies where the configuration says', async () => {
  const lockstep = await startOwn()
  const shown = await lockstep.cli('retire')
  expect(shown.code).toBe(0)
  expect(shown.stderr).toContain('lockstep retire --user ADMIN')
  expect(shown.stderr).toContain('lockstep retire --scripts-dir DIR\n')
  const given = await lockstep.cli('retire', '--scripts-dir', lockstep.shimDir)
  expect(given.stderr).not.toContain('--scripts-dir')
  expect((await lockstep.cli('retire', '--yes')).stderr).toContain('lockstep retire --scripts-dir DIR --yes')
})

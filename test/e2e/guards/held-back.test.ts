import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import { look } from '../../support/account-view.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** A dry run and a pause, of everything or of a part. */

const REALMS = '{ r1: corp, r2: corp }'

test.override('slapdOptions', { users: 3 })

interface Journal {
  readonly records: readonly {
    readonly body: { readonly is?: string; readonly would?: { kind: string; serial?: string; ldif: string }[] }
  }[]
}

test('a dry run of one realm records every change that it would have made, and the other realm is locked', async () => {
  const guards = '{ breaker: null, dryRun: { realms: [r2] } }'
  const lockstep = await startOwn({ realms: REALMS, guards })
  await lockstep.shim('register', asAdmin('DRY1', 'u1', 'r2'))
  await lockstep.shim('lock', asNobody('DRY1', 'u1', 'r2'))
  await lockstep.shim('lock', asNobody(null, 'u2', 'r1'))
  await lockstep.settled()
  expect(await look(slapd, 'u1')).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
  expect((await look(slapd, 'u2')).canBind).toBe(false)
  expect((await lockstep.cli('status')).stdout).toContain('DRY RUN: nothing is written for realm r2')
  expect(lockstep.log()).toContain('warn dry run: nothing is written for realm r2')
  const { records } = await lockstep.json<Journal>('journal')
  const last = records.findLast(({ body }) => body.is === 'dry-run')
  expect(last?.body.would).toMatchObject([{ kind: 'lock' }, { kind: 'register', serial: 'DRY1' }])
  expect(last?.body.would?.[0]?.ldif).toContain('pwdAccountLockedTime: 000001010000Z')
  await lockstep.cli('retry')
  await lockstep.settled()
  expect((await lockstep.json<Journal>('journal')).records.filter(({ body }) => body.is === 'dry-run')).toHaveLength(
    records.filter(({ body }) => body.is === 'dry-run').length,
  )
})

test('a dry run of a directory or realm that is not there is refused with the ones that are', async () => {
  const lockstep = await startOwn({ realms: REALMS, guards: '{ dryRun: { realms: [] } }' })
  lockstep.editConfig((yaml) => yaml.replace('{ realms: [] }', '{ realms: [r3], directories: [crop] }'))
  const { code, stdout, stderr } = await lockstep.cli('check')
  expect(code).toBe(78)
  expect(stdout + stderr).toMatch(
    /guards\.dryRun\.directories\[0\]: there is no directory of this name; directories are: corp/,
  )
  expect(stdout + stderr).toMatch(/guards\.dryRun\.realms\[0\]: the realm is not under realms; there are: r1, r2/)
})

test('a pause of one directory stops its changes over a restart, keeps taking events in, and says since when and why', async () => {
  const lockstep = await startOwn()
  expect((await lockstep.cli('pause', '--directory', 'crop', '--reason', 'x')).code).toBe(64)
  await lockstep.json('pause', '--directory', 'corp', '--reason', 'moving the server')
  await lockstep.restart()
  await eventually('the log tells it', () =>
    /^warn changes of directory corp are paused .*moving/m.test(lockstep.log()),
  )
  await lockstep.shim('lock', asNobody(null, 'u1'))
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(true)
  expect(lockstep.ldif('lock')).toEqual([])
  const shown = (await lockstep.cli('status')).stdout
  expect(shown).toMatch(/PAUSED of directory corp since \S+ by \S+: moving the server/)
  expect(await lockstep.json('resume', '--reason', 'over')).toMatchObject({
    paused: true,
    changed: false,
    directory: null,
  })
  expect(await lockstep.json('resume', '--directory', 'corp', '--reason', 'over')).toMatchObject({
    paused: false,
    directory: 'corp',
    accounts: 1,
  })
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)
})

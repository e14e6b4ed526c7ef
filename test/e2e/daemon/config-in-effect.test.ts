import { appendFileSync } from 'node:fs'
import { expect } from 'vitest'
import { look } from '../../support/account-view.ts'
import { slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** The daemon works with what it loaded; the file may say something else by now. */

test.override('slapdOptions', { users: 3 })

const GUARDS = '{ breaker: null, dryRun: false, protect: { dns: [] } }'
const start = async (guards = GUARDS): Promise<Lockstep> => startOwn({ guards })
const dry = (yaml: string): string => yaml.replace('dryRun: false', 'dryRun: true')
const wet = (yaml: string): string => yaml.replace('dryRun: true', 'dryRun: false')

interface Status {
  readonly health: string
  readonly healthReasons: readonly { readonly code: string; readonly text: string }[]
  readonly dryRun: boolean
  readonly configuration: {
    readonly digest: string
    readonly difference: { readonly reload: readonly string[]; readonly restart: readonly string[] } | null
    readonly mistake: string | null
  } | null
}

test('status says what the daemon does and not what the file says, and that the file was not loaded', async () => {
  const lockstep = await start()
  const before = await lockstep.json<Status>('status')
  expect(before).toMatchObject({ health: 'ok', dryRun: false, configuration: { difference: null } })
  lockstep.editConfig(dry)
  const after = await lockstep.json<Status>('status')
  expect(after.configuration?.digest).toBe(before.configuration?.digest)
  expect(after).toMatchObject({
    health: 'attention',
    dryRun: false,
    configuration: { difference: { reload: ['guards.dryRun'], restart: [] } },
  })
  const shown = (await lockstep.cli('status')).stdout
  expect(shown).toMatch(/configuration changed \d+ s ago, not loaded: guards\.dryRun \(lockstep reload\)/)
  expect(shown).not.toContain('DRY RUN')
  lockstep.editConfig((yaml) => `${wet(yaml)}# a comment changes nothing\n`)
  expect(await lockstep.json<Status>('status')).toMatchObject({ health: 'ok' })
})

test('status says that the daemon is on dry run when the file no longer does', async () => {
  const lockstep = await start(GUARDS.replace('false', 'true'))
  lockstep.editConfig(wet)
  expect((await lockstep.cli('status')).stdout).toContain('DRY RUN: nothing is written to any directory')
  const doctor = (await lockstep.cli('doctor')).stdout
  expect(doctor).toMatch(/configuration changed .*not loaded: guards\.dryRun/)
  expect(doctor).toContain('the daemon is on dry run: nothing is written to any directory')
})

test('keys whose change waits for a restart are named as such', async () => {
  const lockstep = await start()
  lockstep.editConfig((yaml) => yaml.replace(lockstep.ldifDir, `${lockstep.ldifDir}2`))
  expect(await lockstep.json<Status>('status')).toMatchObject({
    healthReasons: [
      {
        code: 'config-not-loaded',
        text: expect.stringMatching(/needs a restart: ldif\.dir \(systemctl restart lockstep\)/),
      },
    ],
    configuration: { difference: { reload: [], restart: ['ldif.dir'] } },
  })
})

test('a lock is refused where the file asks for a dry run that the daemon does not know, and an unlock works', async () => {
  const lockstep = await start()
  expect((await lockstep.cli('lock', 'u1', '--reason', 'before')).code).toBe(0)
  lockstep.editConfig(dry)
  const refused = await lockstep.cli('lock', 'u2', '--reason', 'meanwhile')
  expect(refused.code).toBe(75)
  expect(refused.stderr).toMatch(/not loaded: guards\.dryRun/)
  expect(refused.stderr).toMatch(/nothing is on record: .* says dry run of everything/)
  await lockstep.settled()
  expect((await look(slapd, 'u2')).canBind).toBe(true)
  const unlocked = await lockstep.cli('unlock', 'u1', '--reason', 'back')
  expect(unlocked.code).toBe(0)
  expect(unlocked.stderr).toContain('not loaded: guards.dryRun')
  expect((await look(slapd, 'u1')).canBind).toBe(true)
})

test('so it is where the file protects the account; another one is locked', async () => {
  const lockstep = await start()
  lockstep.editConfig((yaml) => yaml.replace('dns: []', `dns: ['${slapd.userDn('u1')}']`))
  const refused = await lockstep.cli('lock', 'u1', '--reason', 'x')
  expect(refused.code).toBe(75)
  expect(refused.stderr).toMatch(/the account is protected: its DN is in guards\.protect\.dns/)
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(true)
  expect((await lockstep.cli('lock', 'u2', '--reason', 'x')).code).toBe(0)
  expect((await look(slapd, 'u2')).canBind).toBe(false)
})

test('a drain beside a daemon on dry run writes nothing, whatever the file says', async () => {
  const lockstep = await start(GUARDS.replace('false', 'true'))
  lockstep.editConfig(wet)
  await lockstep.shim('lock', asNobody(null, 'u1'))
  const ran = await lockstep.drain()
  expect(ran.stderr).toContain('not loaded: guards.dryRun')
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(true)
  expect(lockstep.ldif('unlock')).toEqual([])
})

test('what waits for a resume is not let go where the file asks for a dry run', async () => {
  const lockstep = await start()
  await lockstep.json('pause', '--reason', 'x')
  await lockstep.shim('lock', asNobody(null, 'u1'))
  await lockstep.settled()
  lockstep.editConfig(dry)
  expect((await lockstep.cli('resume', '--reason', 'over')).code).toBe(75)
  lockstep.editConfig(wet)
  expect((await lockstep.cli('resume', '--reason', 'over')).code).toBe(0)
})

test.each([
  ['a key that is not known', '\nnonsense: 1\n'],
  ['what is no YAML', '\nguards: [\n'],
  ['a comment that is not UTF-8', Buffer.from('\n# Stra\xdfe\n', 'latin1')],
])('a file with a mistake (%s) hinders no unlock and no look; a lock is refused', async (_what, spoil) => {
  const lockstep = await start()
  expect((await lockstep.cli('lock', 'u1', '--reason', 'before')).code).toBe(0)
  appendFileSync(lockstep.configFile, spoil)
  const status = await lockstep.json<Status>('status')
  expect(status.health).toBe('attention')
  expect(status.healthReasons[0]?.code).toBe('config-mistake')
  expect((await lockstep.cli('show', 'u1')).code).toBe(0)
  expect((await lockstep.cli('lock', 'u2', '--reason', 'x')).code).toBe(78)
  expect((await lockstep.cli('unlock', 'u1', '--reason', 'back')).code).toBe(0)
  expect((await look(slapd, 'u1')).canBind).toBe(true)
})

test('with a mistake in the file a pause can be ended, and what only looks works; what writes is refused', async () => {
  const lockstep = await start()
  const exit = async (...args: string[]): Promise<number> => (await lockstep.cli(...args)).code
  expect(await exit('pause', '--reason', 'before')).toBe(0)
  await lockstep.shim('lock', asNobody(null, 'u1'))
  await lockstep.settled()
  lockstep.editConfig((yaml) => `${yaml}\nnonsense: 1\n`)
  for (const look of [
    ['accounts'],
    ['show', 'u1'],
    ['events'],
    ['journal'],
    ['review'],
    ['directory', 'show'],
    ['undo', '--since', '1h'],
    ['retire', 'corp'],
    ['retry'],
    ['status'],
    ['healthcheck'],
  ]) {
    expect({ look, code: await exit(...look) }).toEqual({ look, code: 0 })
  }
  for (const write of [
    ['lock', 'u2', '--reason', 'x'],
    ['review', 'approve', 'u1', '--reason', 'x'],
    ['review', 'resume', '--reason', 'x'],
    ['undo', '--since', '1h', '--yes'],
    ['retire', 'corp', '--yes'],
    ['retire', 'corp', '--cancel'],
    ['directory', 'accept', 'corp'],
    ['drain'],
    ['rebuild'],
  ]) {
    expect({ write, code: await exit(...write) }).toEqual({ write, code: 78 })
  }
  // What they are about is not configured, and that is what they say.
  expect((await lockstep.cli('owners')).stderr).toContain('the section privacyidea is missing')
  const doctor = await lockstep.cli('doctor')
  expect(doctor.code).toBe(78)
  expect(doctor.stdout).toContain('the configuration file cannot be loaded')
  expect(await exit('resume', '--reason', 'over')).toBe(0)
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)
  await lockstep.json('pause', '--directory', 'corp', '--reason', 'once more')
  expect(await exit('resume', '--directory', 'corp', '--reason', 'over')).toBe(0)
})

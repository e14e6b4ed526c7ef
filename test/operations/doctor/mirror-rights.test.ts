import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { privacyIdeaFindings } from '../../../src/operations/doctor/privacyidea/privacyidea.ts'
import type { Finding } from '../../../src/operations/doctor/findings.ts'
import { startSimulator } from '../../privacyidea/simulator/simulator.ts'
import type { VersionName } from '../../privacyidea/simulator/version.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { runCli } from '../../cli/run-cli.ts'

/** The rights that `policy.mirrorDirectoryLocks` needs: set-up gives them, and doctor misses them. */

const yaml = (url: string, mirror: string): string => `privacyidea: { url: '${url}', user: lockstep, passwordEnv: X }
directories:
  corp: { type: openldap, urls: [ldap://127.0.0.1], bindDn: cn=a, bindPasswordFile: password, base: dc=x }
policy: { mirrorDirectoryLocks: ${mirror} }
`

const BASE = 'tokenlist, userlist, auditlog'
const BASE_3_14 = `${BASE}, user_lock_read, authentication_log_read`

test.each([
  ['3.14', 'off', `${BASE_3_14}, reset`],
  ['3.14', 'user-lock', `${BASE_3_14}, reset, user_lock_set, user_lock_reset`],
  ['3.12', 'disable-tokens', `${BASE}, reset, disable, enable`],
])('on %s with %s set-up gives %s', async (version, mirror, action) => {
  await using dir = await makeTempDir('mirror')
  const file = join(dir.path, 'lockstep.yaml')
  writeFileSync(file, yaml('http://127.0.0.1:1', mirror))
  const ran = await runCli(['--config', file, 'privacyidea', 'setup', '--print', '--for', version])
  expect(ran.code, ran.stderr).toBe(0)
  const calls = JSON.parse(ran.stdout) as { path: string; body: { action: string } }[]
  expect(calls.find(({ path }) => path === '/policy/lockstep-run-time')?.body.action).toBe(action)
})

test('set-up gives the right to reset for unlock --reset-token, unless it is left out, and that to enroll where asked', async () => {
  await using dir = await makeTempDir('rights')
  const file = join(dir.path, 'lockstep.yaml')
  writeFileSync(file, yaml('http://127.0.0.1:1', 'off'))
  const given = async (...flags: readonly string[]): Promise<string | undefined> => {
    const ran = await runCli(['--config', file, 'privacyidea', 'setup', '--print', '--for', '3.12', ...flags])
    const calls = JSON.parse(ran.stdout) as { path: string; body: { action: string } }[]
    return calls.find(({ path }) => path === '/policy/lockstep-run-time')?.body.action
  }
  expect(await given('--no-reset')).toBe(BASE)
  expect(await given('--enroll')).toMatch(/, enrollHOTP, enrollTOTP, delete$|, enrollTOTP, enrollHOTP, delete$/)
})

async function findings(version: VersionName, mirror: string, actions: readonly string[]): Promise<readonly Finding[]> {
  await using simulator = await startSimulator({ version })
  const { world } = simulator
  world.admins.set('lockstep', 'secret')
  world.policies.set('admin', { active: true, admins: ['lockstep'], actions, body: {} })
  world.stock.addToken('S1')
  const { settings } = parseConfig(yaml(simulator.url, mirror), '/etc/lockstep/lockstep.yaml')
  return await privacyIdeaFindings(settings, { readSecret: () => 'secret', admin: null, scriptsDir: null })
}

/** The simulator knows no realms and resolvers, which are looked at as well. */
const failed = (found: readonly Finding[]): string[] =>
  found
    .filter(({ status, check }) => status === 'fail' && ['rights', 'mirror'].includes(check))
    .map(({ check, what }) => `${check}: ${what}`)

test('doctor misses the rights to disable and enable tokens, and is content with them', async () => {
  const rights = BASE.split(', ')
  expect(failed(await findings('3.12', 'disable-tokens', rights))).toEqual([
    'rights: lockstep has no right disable',
    'rights: lockstep has no right enable',
  ])
  expect(failed(await findings('3.12', 'disable-tokens', [...rights, 'disable', 'enable']))).toEqual([])
})

test('doctor warns of a missing right to reset, with what does not work without it, where the policy needs none', async () => {
  const told = async (rights: readonly string[]) =>
    (await findings('3.12', 'off', rights)).find(({ check, status }) => check === 'rights' && status !== 'ok')
  expect(await told(BASE.split(', '))).toMatchObject({
    status: 'warn',
    what: 'lockstep has no right reset',
    why: expect.stringContaining('unlock --reset-token'),
    fix: expect.stringContaining('setup --policies'),
  })
  expect(await told([...BASE.split(', '), 'reset'])).toBeUndefined()
})

test('doctor says that a version before 3.14 has no user lockouts', async () => {
  expect(failed(await findings('3.12', 'user-lock', BASE.split(', ')))).toEqual([
    'mirror: policy.mirrorDirectoryLocks is user-lock, and privacyIDEA 3.12.3 has no user lockouts',
  ])
})

test('doctor says what the clear timeout is, or that it may not be read', async () => {
  const of = (found: readonly Finding[]): string => found.find(({ check }) => check === 'clear-timeout')?.what ?? ''
  expect(of(await findings('3.12', 'off', BASE.split(', ')))).toMatch(/cleared by a reset or a success alone/)
  expect(of(await findings('3.14', 'off', BASE_3_14.split(', ')))).toMatch(/may not be read \(right configread\)/)
})

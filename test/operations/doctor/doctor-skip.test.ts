import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { diagnose } from '../../../src/operations/doctor/doctor.ts'
import { privacyIdeaFindings } from '../../../src/operations/doctor/privacyidea/privacyidea.ts'
import type { Finding } from '../../../src/operations/doctor/findings.ts'
import { startSimulator } from '../../privacyidea/simulator/simulator.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { makeTempDir, type TempDir } from '../../servers/temp-dir.ts'
import { runCli } from '../../cli/run-cli.ts'

/** What the doctor did not look at is named so, with how to have it done, and is never `ok`. */

let slapd: Slapd
let temp: TempDir
beforeAll(async () => {
  ;[slapd, temp] = await Promise.all([startSlapd({ users: 2 }), makeTempDir('doctor-skip')])
  for (const [name, mode] of [
    ['', 0o750],
    ['ldif', 0o750],
    ['spool', 0o710],
    ['spool/tmp', 0o1730],
    ['spool/new', 0o1730],
  ] as const) {
    mkdirSync(join(temp.path, name), { recursive: true })
    chmodSync(join(temp.path, name), mode)
  }
  writeFileSync(join(temp.path, 'password'), `${slapd.servicePassword}\n`, { mode: 0o600 })
})
afterAll(async () => {
  await slapd[Symbol.asyncDispose]()
  await temp[Symbol.asyncDispose]()
})

function yaml(url = slapd.ldapsUrl): string {
  return `directories:
  corp:
    type: openldap
    urls: [${url}]
    ca: ${slapd.caFile}
    bindDn: ${slapd.serviceDn}
    bindPasswordFile: password
    base: ${slapd.peopleDn}
store: sqlite:lockstep.db
ldif: { dir: ldif }
intake: { spool: spool }
health: { file: /run/lockstep/health }
`
}

async function look(probePassword: string | null, text = yaml(), probeLogin: string | null = 'u1') {
  const { settings } = parseConfig(text, join(temp.path, 'lockstep.yaml'))
  const how = { env: {}, probeLogin, probeRealm: null, probePassword, onStep: () => undefined }
  return diagnose(settings, how)
}

function skipped(findings: readonly Finding[]): string[] {
  const found = findings.filter(({ status }) => status === 'skip')
  for (const { why, fix, what } of found) expect([why, fix], what).not.toContain('')
  return found.map(({ check }) => check)
}

/** Before the first start, without mail and without privacyIDEA's API. */
const ALWAYS = ['health', 'reach', 'mail', 'identity']

test('without the password of the test account the bind is skipped, and with it tried', async () => {
  const without = await look(null)
  expect(skipped(without).toSorted()).toEqual([...ALWAYS, 'probe-bind'].toSorted())
  expect(without.find(({ check }) => check === 'probe-bind')).toMatchObject({
    what: expect.stringContaining('its password was not given'),
    fix: expect.stringContaining('LOCKSTEP_PROBE_PASSWORD=… lockstep doctor --probe'),
  })
  expect(without.some(({ status, what }) => status === 'ok' && /not (?:tried|looked)|is tried/.test(what))).toBe(false)
  expect(skipped(await look(slapd.userPassword)).toSorted()).toEqual(ALWAYS.toSorted())
})

test('where no server answers, what is inside is skipped', async () => {
  const found = await look(null, yaml('ldaps://127.0.0.1:1'))
  expect(skipped(found)).toContain('not-reached')
  expect(found.find(({ check }) => check === 'not-reached')?.what).toMatch(
    /^schema, filter, rights, policies and limits: not looked at, since no server answers$/,
  )
})

test('the text marks them, and the summary and the JSON count them', async () => {
  const file = join(temp.path, 'lockstep.yaml')
  writeFileSync(file, yaml())
  const env = { LOCKSTEP_PROBE_PASSWORD: slapd.userPassword }
  const { code, stdout } = await runCli(['doctor', '--probe', 'u1', '--config', file], { env })
  expect(code).toBe(0)
  expect(stdout).toMatch(
    /^ {2}skip {2}not looked at, since the configuration has no section mail\n {8}why: .*\n {8}fix: /m,
  )
  const marks = stdout.match(/^ {2}skip {2}/gm)?.length ?? 0
  expect(stdout).toMatch(
    new RegExp(
      `\\n(?:All that was looked at is as it should be; ${marks} skipped\\.|0 failed, 1 to look at, ${marks} skipped\\.)\\n$`,
    ),
  )
  const ran = await runCli(['doctor', '--probe', 'u1', '--config', file, '--json'], { env })
  const { data } = ran.document<{ data: { counts: Record<string, number>; findings: Finding[] } }>()
  expect(data.counts).toMatchObject({ skip: skipped(data.findings).length, fail: 0 })
  expect(data.counts['ok']).toBe(data.findings.filter(({ status }) => status === 'ok').length)
})

async function askedOf(actions: readonly string[], password: string): Promise<readonly Finding[]> {
  await using simulator = await startSimulator({ version: '3.14' })
  const { world } = simulator
  world.admins.set('lockstep', 'secret')
  world.policies.set('admin', { active: true, admins: ['lockstep'], actions, body: {} })
  world.stock.addToken('S1')
  const text = `privacyidea: { url: '${simulator.url}', user: lockstep, passwordEnv: X }\n${yaml()}`
  const { settings } = parseConfig(text, join(temp.path, 'lockstep.yaml'))
  return await privacyIdeaFindings(settings, { readSecret: () => password, admin: null, scriptsDir: null })
}

test('what privacyIDEA does not let the service see is skipped, and what a failed login kept from being asked', async () => {
  const rights = 'tokenlist, userlist, auditlog, user_lock_read, authentication_log_read'.split(', ')
  const seen = await askedOf(rights, 'secret')
  expect(skipped(seen)).toContain('clear-timeout')
  expect(seen.find(({ check }) => check === 'clear-timeout')?.fix).toContain('configread')
  const refused = await askedOf(rights, 'wrong')
  expect(skipped(refused)).toEqual(['not-reached'])
  expect(refused.find(({ status }) => status === 'skip')?.what).toBe(
    'not looked at: version, rights, tokens, clock, realms, event handlers, search filters of resolvers',
  )
})

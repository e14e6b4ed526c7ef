import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { privacyIdeaFindings } from '../../../src/operations/doctor/privacyidea/privacyidea.ts'
import type { Finding } from '../../../src/operations/doctor/findings.ts'
import { installShims } from '../../../src/operations/setup/shims-install.ts'
import { runShims } from '../../../src/operations/setup/shims-trial.ts'
import { requestOf, SHIM_NAMES, wantedBindings } from '../../../src/privacyidea/setup/bindings.ts'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import { makeTempDir, type TempDir } from '../../servers/temp-dir.ts'
import { runCli } from '../../cli/run-cli.ts'

/** What `lockstep doctor` says of the scripts that event handlers call: nothing that it did not try. */

let simulator: Simulator
let temp: TempDir
beforeEach(async () => {
  ;[simulator, temp] = await Promise.all([startSimulator({ version: '3.14' }), makeTempDir('shims')])
  const { world } = simulator
  world.admins.set('lockstep', 'secret')
  world.policies.set('admin', { active: true, admins: ['lockstep', 'admin'], actions: ['*'], body: {} })
  world.stock.addToken('S1')
})
afterEach(async () => {
  await simulator[Symbol.asyncDispose]()
  await temp[Symbol.asyncDispose]()
})

const yaml = (): string => `privacyidea: { url: '${simulator.url}', user: lockstep, passwordEnv: X }
directories:
  corp: { type: openldap, urls: [ldap://127.0.0.1], bindDn: cn=a, bindPasswordFile: password, base: dc=x }
store: sqlite:${temp.path}/state/lockstep.db
ldif: { dir: ldif }
intake: { spool: ${temp.path}/spool }
`

/** As `lockstep privacyidea setup` leaves them. */
async function bindScripts(): Promise<void> {
  for (const name of SHIM_NAMES) simulator.world.scripts.add(name)
  const login = { username: 'admin', password: 'secret' }
  const headers = { 'content-type': 'application/json' }
  const auth = await fetch(`${simulator.url}/auth`, { method: 'POST', headers, body: JSON.stringify(login) })
  const { result } = (await auth.json()) as { result: { value: { token: string } } }
  for (const binding of wantedBindings({ via: 'script' })) {
    const body = JSON.stringify(requestOf(binding, null))
    const init = { method: 'POST', headers: { ...headers, authorization: result.value.token }, body }
    expect((await fetch(`${simulator.url}/event`, init)).status).toBe(200)
  }
}

async function look(scriptsDir: string | null, piUser: string | null = null): Promise<readonly Finding[]> {
  const { settings } = parseConfig(yaml(), join(temp.path, 'lockstep.yaml'))
  const shims = await runShims(scriptsDir ?? join(temp.path, 'usual'), piUser)
  return privacyIdeaFindings(settings, { readSecret: () => 'secret', admin: null, scriptsDir, shims })
}

function told(found: readonly Finding[]): string[] {
  return found
    .filter(({ check }) => ['bindings', 'shims', 'shims-run'].includes(check))
    .map(({ status, check, what, fix }) => `${status} ${check}: ${what}${fix === '' ? '' : ` | ${fix}`}`)
}

async function installed(): Promise<string> {
  const dir = join(temp.path, 'scripts')
  mkdirSync(dir)
  chmodSync(dir, 0o755)
  await installShims({ dir, spool: join(temp.path, 'spool'), group: null })
  return dir
}

test('scripts that are good and were not run, since privacyIDEA’s user is not known, are a warning', async () => {
  await bindScripts()
  const dir = await installed()
  chownSync(dir, process.getuid?.() ?? 0, 0)
  const found = told(await look(dir))
  expect(found[0]).toBe(
    `warn bindings: 5 event handlers, bound as they should be, by script; the scripts in ${dir} were not run: privacyIDEA’s user is not known: name it with --pi-user USER | sudo lockstep doctor --scripts-dir ${dir} --pi-user USER`,
  )
  expect(found[1]).toMatch(/^ok shims: the four scripts/)
  expect(found).toHaveLength(2)
})

test.runIf(process.getuid?.() === 0)('scripts that hand over their events are well', async () => {
  await bindScripts()
  const found = told(await look(await installed(), 'root'))
  expect(found.map((each) => each.split(':')[0])).toEqual(['ok bindings', 'ok shims', 'ok shims-run'])
})

test('a folder without scripts that was named is a failure, also of the handlers that call them', async () => {
  await bindScripts()
  const found = told(await look('/nonexist'))
  expect(found.map((each) => each.split(':')[0])).toEqual(['fail bindings', 'fail shims'])
  expect(found[1]).toContain('there are no scripts of Lockstep in /nonexist')
})

test('where no folder is named and the usual one has none, the handlers come with what was not looked at', async () => {
  await bindScripts()
  expect(told(await look(null))).toEqual([
    expect.stringMatching(
      /^warn bindings: 5 event handlers, bound .*; the scripts were not looked at: .* \| .*sudo lockstep doctor --scripts-dir DIR/,
    ),
  ])
})

test('where the handlers may not be seen, what was not looked at is said all the same', async () => {
  simulator.world.policies.set('admin', {
    ...{ active: true, admins: ['lockstep'], body: {} },
    actions: ['tokenlist', 'userlist', 'auditlog'],
  })
  expect(told(await look(null))).toEqual([
    expect.stringMatching(/^skip bindings: event handlers: not looked at/),
    expect.stringMatching(/^skip shims: the scripts were not looked at: .*--scripts-dir DIR/),
  ])
})

test('`shims test` of a folder that is not there fails', async () => {
  expect((await runCli(['shims', 'test', '/nonexist'])).code).not.toBe(0)
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { makeTempDir, type TempDir } from '../../servers/temp-dir.ts'
import { runCli, type CliResult } from '../../cli/run-cli.ts'

const ENTRY = fileURLToPath(new URL('../../../src/cli/lockstep.ts', import.meta.url))
const ANSWER_TIMEOUT_MS = 120_000

let slapd: Slapd
let dir: TempDir
beforeAll(async () => {
  slapd = await startSlapd({ users: 1 })
})
afterAll(() => slapd[Symbol.asyncDispose]())
beforeEach(async () => {
  dir = await makeTempDir('init')
})
afterEach(() => dir[Symbol.asyncDispose]())

function init(args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
  return runCli(['init', ...args], { cwd: dir.path, env })
}

function flags(): string[] {
  return ['--url', slapd.ldapsUrl, '--ca', slapd.caFile, '--bind-dn', slapd.serviceDn, '--state-dir', 'state']
}

function text(name: string): string {
  return readFileSync(join(dir.path, name), 'utf8')
}

function mode(name: string): string {
  return (statSync(join(dir.path, name)).mode & 0o777).toString(8)
}

test('flags and the environment are enough: a commented file and a private secret, which pass check', async () => {
  const { code, stdout, stderr } = await init(flags(), { LOCKSTEP_BIND_PASSWORD: slapd.servicePassword })
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/^found OpenLDAP at ldaps:/) })
  expect(stdout).toMatch(/^wrote \S+ldap-password \(mode 0600\)\nwrote \S+lockstep\.yaml \(mode 0644\)\n\nNext:\n/m)
  expect(mode('ldap-password')).toBe('600')
  expect(text('ldap-password')).toBe(`${slapd.servicePassword}\n`)
  expect(text('lockstep.yaml')).toMatch(/^# Lockstep: /)
  expect(text('lockstep.yaml')).not.toContain(slapd.servicePassword)
  const { settings, warnings } = loadConfig({ env: {}, cwd: dir.path })
  expect(warnings).toEqual([])
  expect(settings.directories[0]).toMatchObject({
    urls: [slapd.ldapsUrl],
    caFile: slapd.caFile,
    bindDn: slapd.serviceDn,
    base: slapd.base,
    userFilter: '(uid={login})',
  })
  expect(settings.store.file).toBe(join(dir.path, 'state/lockstep.db'))
  expect(await runCli(['check'], { cwd: dir.path })).toMatchObject({ code: 0 })
})

test('what it writes is what doctor finds good', async () => {
  await init([...flags(), '--base', slapd.peopleDn], { LOCKSTEP_BIND_PASSWORD: slapd.servicePassword })
  const env = { LOCKSTEP_PROBE_PASSWORD: slapd.userPassword }
  const ran = await runCli(['doctor', '--probe', 'u1', '--json'], { cwd: dir.path, env })
  const { findings } = ran.document<{ data: { findings: { area: string; status: string }[] } }>().data
  expect(
    findings.filter((finding) => finding.area === 'directory main' && !['ok', 'skip'].includes(finding.status)),
  ).toEqual([])
})

test('the section privacyidea stands there as comments, and is good once the # is taken away', async () => {
  const { code } = await init([...flags(), '--realm', 'r1'], { LOCKSTEP_BIND_PASSWORD: slapd.servicePassword })
  expect(code).toBe(0)
  expect(loadConfig({ env: {}, cwd: dir.path }).settings.privacyidea).toBeNull()
  const commented =
    /^# privacyidea:\n(?:#   .*\n)+/m.exec(text('lockstep.yaml'))?.[0] ?? expect.fail(text('lockstep.yaml'))
  const section = commented.replace(/^# /gm, '')
  writeFileSync(join(dir.path, 'lockstep.yaml'), text('lockstep.yaml').replace(commented, section))
  writeFileSync(join(dir.path, 'pi-password'), 'secret', { mode: 0o600 })
  expect(await runCli(['check'], { cwd: dir.path })).toMatchObject({ code: 0 })
  const { settings, warnings } = loadConfig({ env: {}, cwd: dir.path })
  expect(warnings).toEqual([])
  expect(settings.privacyidea).toMatchObject({ url: 'https://pi.example.org', knownToken: 'ALWAYS1' })
})

test('a password file of its own is named, not copied, and must be private', async () => {
  writeFileSync(join(dir.path, 'pw'), `${slapd.servicePassword}\n`)
  chmodSync(join(dir.path, 'pw'), 0o644)
  const open = await init([...flags(), '--bind-password-file', 'pw'])
  expect(open).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/others may read the password file \S+pw\n {2}Run: chmod 600/),
  })
  chmodSync(join(dir.path, 'pw'), 0o600)
  expect(await init([...flags(), '--bind-password-file', 'pw'])).toMatchObject({ code: 0 })
  expect(text('lockstep.yaml')).toMatch(/bindPasswordFile: pw\n/)
  expect(existsSync(join(dir.path, 'ldap-password'))).toBe(false)
})

test('with --http it makes a secret for the webhook', async () => {
  const { code, stdout } = await init([...flags(), '--http', '127.0.0.1:8640'], {
    LOCKSTEP_BIND_PASSWORD: slapd.servicePassword,
  })
  expect(code).toBe(0)
  expect(stdout).toMatch(
    /bind the webhook in privacyIDEA .*docs\/how-to\/privacyidea-events\.md; its secret is in \S+hook-secret/,
  )
  expect(mode('hook-secret')).toBe('600')
  expect(text('hook-secret')).toMatch(/^[\w-]{32}\n$/)
  expect(loadConfig({ env: {}, cwd: dir.path }).settings.intake.http).toMatchObject({
    port: 8640,
    hookSecret: { file: join(dir.path, 'hook-secret') },
  })
})

test('it replaces nothing without --force', async () => {
  writeFileSync(join(dir.path, 'lockstep.yaml'), 'mine')
  const env = { LOCKSTEP_BIND_PASSWORD: slapd.servicePassword }
  expect(await init(flags(), env)).toMatchObject({
    code: 64,
    stderr: expect.stringMatching(/lockstep\.yaml is there already\n.*--force/),
  })
  expect(text('lockstep.yaml')).toBe('mine')
  expect(readdirSync(dir.path)).toEqual(['lockstep.yaml'])
  expect(await init([...flags(), '--force'], env)).toMatchObject({ code: 0 })
  expect(text('lockstep.yaml')).toMatch(/^# Lockstep: /)
})

test.each<[name: string, args: () => string[], password: () => string, code: number, expected: RegExp]>([
  ['a wrong password', flags, () => 'hunter2', 77, /cannot bind as/],
  [
    'a wrong base',
    () => [...flags(), '--base', 'dc=nowhere'],
    () => slapd.servicePassword,
    78,
    /sees no entry dc=nowhere/,
  ],
  [
    'a server that is not there',
    () => ['--url', 'ldap://127.0.0.1:1', ...flags().slice(2)],
    () => 'x',
    75,
    /127\.0\.0\.1:1/,
  ],
  [
    'a certificate that is not trusted',
    () => flags().filter((each) => each !== '--ca' && each !== slapd.caFile),
    () => 'x',
    78,
    /certificate|authority/i,
  ],
  [
    'a URL of the web',
    () => ['--url', 'https://x', ...flags().slice(2)],
    () => 'x',
    78,
    /^lockstep: --url: .*expected an ldap:/,
  ],
  [
    'a bad filter',
    () => [...flags(), '--user-filter', '(uid=x)'],
    () => 'x',
    78,
    /^lockstep: --user-filter: .*does not hold \{login\}/,
  ],
  [
    'several bad answers',
    () => [...flags(), '--base', 'people', '--http', 'x', '--serial-format', 'pi'],
    () => 'x',
    78,
    /^lockstep: several answers are wrong:\n {2}--base: .*\n {2}--serial-format: .*\n {2}--http: /,
  ],
  [
    'a password file that is not there, before a server that is not there either',
    () => ['--url', 'ldap://127.0.0.1:1', '--bind-dn', 'cn=x', '--base', 'dc=x', '--bind-password-file', 'none'],
    () => '',
    78,
    /^lockstep: --bind-password-file: the secret file \S+none does not exist\n {2}Write the secret into it/,
  ],
  [
    'a certificate file that is not there',
    () => ['--url', 'ldaps://127.0.0.1:1', '--bind-dn', 'cn=x', '--base', 'dc=x', '--ca', 'none.pem'],
    () => 'x',
    78,
    /^lockstep: --ca: the file \S+none\.pem does not exist/,
  ],
  [
    'no account and no password, before the server is asked',
    () => ['--url', 'ldap://127.0.0.1:1'],
    () => '',
    64,
    /^lockstep: --bind-dn is missing, and there is no terminal/,
  ],
  ['no password', flags, () => '', 64, /the bind password is missing/],
  ['no server', () => [], () => '', 64, /--url and --bind-dn are missing, and there is no terminal/],
  ['a password on the command line', () => [...flags(), '--bind-password', 'hunter2'], () => '', 64, /unknown option/],
])('%s is told, and nothing is written', async (_name, args, password, code, expected) => {
  const result = await init(args(), { LOCKSTEP_BIND_PASSWORD: password() })
  expect(result).toMatchObject({ code, stdout: '' })
  expect(result.stderr).toMatch(expected)
  expect(result.stderr).not.toMatch(/hunter2|\n {4}at /)
  expect(readdirSync(dir.path)).toEqual([])
})

test.each([
  ['a folder that cannot be made', '/proc/lockstep/lockstep.yaml', 64, /^lockstep: \/proc\/lockstep cannot be written/],
  ['a file in place of a folder', '/etc/passwd/lockstep.yaml', 64, /a part of the path is no folder/],
])('%s is told with the place', async (_name, file, code, expected) => {
  const args = ['--no-probe', '--url', 'ldaps://x', '--bind-dn', 'cn=a,dc=b', '--base', 'dc=b', '--config', file]
  const ran = await init(args, { LOCKSTEP_BIND_PASSWORD: 'x' })
  expect(ran).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(expected) })
})

test('--no-probe asks no server', async () => {
  const args = ['--no-probe', '--url', 'ldaps://ldap.example.org', '--bind-dn', 'cn=a,dc=b', '--base', 'dc=b', '--json']
  const ran = await init(args, { LOCKSTEP_BIND_PASSWORD: 'x' })
  expect(ran.document()).toMatchObject({ ok: true, data: { file: join(dir.path, 'lockstep.yaml') } })
  // The folders of the system are the default of root, one beside the file that of others.
  expect(loadConfig({ env: {}, cwd: dir.path }).settings.intake.spool).toBe(
    process.getuid?.() === 0 ? '/var/spool/lockstep' : join(dir.path, 'lockstep-state/spool'),
  )
})

test('at a terminal it asks, proposes what the server says, and does not show the password', async () => {
  const answers: [question: RegExp, answer: string][] = [
    [/LDAP server \[ldaps:\/\/localhost\]: $/, 'http://localhost'],
    [/ {2}.*expected an ldap:.*\n.*LDAP server \[ldaps:\/\/localhost\]: $/, slapd.ldapsUrl],
    [/CA certificate .*\[-\]: $/, slapd.caFile],
    [/Base .*\[dc=example,dc=org\]: $/, slapd.peopleDn],
    [/Account that Lockstep binds as \(DN\): $/, slapd.serviceDn],
    [/Its password \(not shown\): $/, slapd.servicePassword],
    [/Webhook: .*\[no\]: $/, ''],
    [/How an account is found \[\(uid=\{login\}\)\]: $/, ''],
  ]
  const command = `'${process.execPath}' --disable-warning=ExperimentalWarning '${ENTRY}' init --state-dir state`
  // script(1) of bsdutils gives the command a terminal.
  const child = spawn('/usr/bin/script', ['-qfec', command, '/dev/null'], {
    cwd: dir.path,
    env: { PATH: process.env['PATH'], TERM: 'xterm' },
  })
  let shown = ''
  let since = 0
  child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()))
  // eslint-disable-next-line no-control-regex -- what a terminal gets holds control sequences
  const screen = (): string =>
    shown
      .slice(since)
      .replace(/\u001b\[[\d;?]*[A-Za-z]/g, '')
      .replace(/\r/g, '')
  for (const [question, answer] of answers) {
    await expect.poll(screen, { timeout: ANSWER_TIMEOUT_MS, interval: 5 }).toMatch(question)
    since = shown.length
    child.stdin.write(`${answer}\r`)
  }
  const [code] = await once(child, 'close')
  expect(code, shown).toBe(0)
  expect(shown).toMatch(/found OpenLDAP/)
  expect(shown).not.toContain(slapd.servicePassword)
  expect(loadConfig({ env: {}, cwd: dir.path }).settings.directories[0]?.base).toBe(slapd.peopleDn)
  expect(mode('ldap-password')).toBe('600')
})

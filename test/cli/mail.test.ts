import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeTempDir } from '../servers/temp-dir.ts'
import { runCli } from './run-cli.ts'

/** `lockstep mail` without any server. */

const YAML = `directories:
  corp:
    type: openldap
    urls: [ldap://127.0.0.1:1]
    bindDn: cn=x,dc=example,dc=org
    bindPasswordEnv: NOT_NEEDED
    base: dc=example,dc=org
store: sqlite:state/lockstep.db
mail: { smtp: smtp://127.0.0.1:1, from: a@example.org, timeZone: Europe/Berlin, contact: Tel. 1234 }
`

test('a preview shows a mail in either language, as text, HTML and JSON, and sends nothing', async () => {
  await using temp = await makeTempDir('mail-cli')
  const config = join(temp.path, 'lockstep.yaml')
  writeFileSync(config, YAML)
  const run = (...args: string[]) => runCli(['--config', config, 'mail', ...args])
  const german = await run('preview', 'locked', '--lang', 'de')
  expect(german.stdout).toMatch(/^Subject: Ihr Konto alice wurde gesperrt\n\nGuten Tag Alice Example,\n/)
  expect(german.stdout).toContain('Tel. 1234')
  const html = await run('preview', 'locked', '--html')
  expect(html.stdout).toContain('<h1>Your account was locked</h1>')
  const desk = await run('preview', 'breaker', '--json')
  expect(desk.document()).toMatchObject({ data: { subject: 'Lockstep: alice: 1 lock held back by the breaker' } })
  const digest = await run('preview', 'digest', '--to', 'help-desk', '--lang', 'de')
  expect(digest.stdout).toContain('== 41 Konten gesperrt ==')
  for (const line of digest.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
  expect((await run('preview', 'birthday')).stderr).toContain('birthday: expected one of breaker, source')
  expect((await run('preview', 'locked', '--lang', 'fr')).stderr).toContain('--lang fr: expected en or de')
})

test('what is asked for wrongly is told with what it takes', async () => {
  await using temp = await makeTempDir('mail-cli')
  const config = join(temp.path, 'lockstep.yaml')
  writeFileSync(config, YAML)
  const run = (...args: string[]) => runCli(['--config', config, 'mail', ...args])
  for (const [args, said] of [
    [['retry'], 'name the ids of mails (lockstep mail list), or --all'],
    [['drop', 'x', '--all'], 'name the ids of mails'],
    [['list', '--state', 'lost-and-found'], '--state lost-and-found: expected one of gathering'],
    [['test', 'not an address'], '"not an address" is no mail address'],
  ] as const) {
    const ran = await run(...args)
    expect([ran.code, ran.stderr]).toEqual([64, expect.stringContaining(said)])
  }
  const away = await run('test', 'you@example.org', '--json')
  expect([away.code, away.document()]).toMatchObject([75, { error: { code: 'mail-unreachable' } }])
  expect((await run('list', '--json')).document()).toMatchObject({ data: { mails: [] } })
  for (const order of ['retry', 'drop']) {
    expect((await run(order, 'x')).code).toBe(67)
    expect((await run(order, '--all')).code).toBe(0)
  }
  writeFileSync(config, YAML.replace(/^mail:.*$/m, ''))
  expect((await run('test', 'you@example.org')).stderr).toContain('no mail is configured: the section mail is missing')
})

test('without a section mail each command about mails says so', async () => {
  await using temp = await makeTempDir('mail-cli')
  const config = join(temp.path, 'lockstep.yaml')
  writeFileSync(config, YAML.replace(/^mail: .*\n/m, ''))
  for (const args of [['list'], ['retry', '--all'], ['drop', '1'], ['test', 'a@example.org']]) {
    const { code, stdout, stderr } = await runCli(['--config', config, 'mail', ...args])
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' })
    expect(stderr).toContain('no mail is configured: the section mail is missing')
  }
})

test('a mail that is not there is named', async () => {
  await using temp = await makeTempDir('mail-cli')
  const config = join(temp.path, 'lockstep.yaml')
  writeFileSync(config, YAML)
  for (const [command, can] of [
    ['retry', 'can be tried again'],
    ['drop', 'waits'],
  ] as const) {
    const ran = await runCli(['--config', config, 'mail', command, '999'])
    expect(ran).toMatchObject({
      code: 67,
      stdout: '',
      stderr: `lockstep: there is no mail 999 that ${can}\n  lockstep mail list shows the ids.\n`,
    })
    const { code, document } = await runCli(['--config', config, 'mail', command, '999', '--json'])
    expect(code).toBe(67)
    expect(document()).toMatchObject({ error: { message: `there is no mail 999 that ${can}` } })
  }
})

test('the journal says that there are no records from a number on', async () => {
  await using temp = await makeTempDir('mail-cli')
  const config = join(temp.path, 'lockstep.yaml')
  writeFileSync(config, YAML)
  const ran = await runCli(['--config', config, 'journal', '--from', '9999'])
  expect(ran).toMatchObject({ code: 0, stdout: '', stderr: 'no records from 9999 on\n' })
})

test('shims test of a folder that is not there says so, and what to do', async () => {
  await using temp = await makeTempDir('mail-cli')
  const config = join(temp.path, 'lockstep.yaml')
  writeFileSync(config, YAML)
  const dir = join(temp.path, 'nix')
  const ran = await runCli(['--config', config, 'shims', 'test', dir])
  expect(ran.code).toBe(77)
  expect(ran.stdout).toContain(`The scripts in ${dir} were not run: there is no such folder.\nNext: Name the folder`)
  expect(ran.stdout).toContain('lockstep shims install DIR')
  const none = await runCli(['--config', config, 'shims', 'test', temp.path])
  expect(none.stdout).toContain(`Next: Install them: lockstep shims install ${temp.path}\n`)
})

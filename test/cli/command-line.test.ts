import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildProgram } from '../../src/cli/main.ts'
import { processIo } from '../../src/cli/terminal/io.ts'
import { VERSION } from '../../src/cli/process/version.ts'
import { runCli, runProgram } from './run-cli.ts'

const ENTRY = fileURLToPath(new URL('../../src/cli/lockstep.ts', import.meta.url))

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'lockstep-cli-'))
  writeFileSync(join(dir, 'password'), 'pw\n', { mode: 0o600 })
  writeFileSync(join(dir, 'lockstep.yaml'), config('base: dc=example,dc=org'))
  writeFileSync(join(dir, 'bad.yaml'), config('bsae: dc=example,dc=org'))
})
afterAll(() => {
  rmSync(dir, { recursive: true, force: true })
})

function config(line: string): string {
  return `directories:
  corp:
    type: openldap
    urls: [ldaps://ldap.example.org]
    bindDn: cn=lockstep,dc=example,dc=org
    bindPasswordFile: password
    ${line}
`
}

test('the version is the one of the package', async () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  expect(JSON.parse(text)).toMatchObject({ version: VERSION })
  expect(await runCli(['--version'])).toMatchObject({ code: 0, stdout: `${VERSION}\n`, stderr: '' })
})

test('--help names every command with a line on what it does, and --config', async () => {
  const { code, stdout } = await runCli(['--help'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/--config <file>/)
  for (const command of ['init', 'check', 'doctor', 'shims', 'serve', 'drain', 'status']) {
    expect(stdout).toMatch(new RegExp(`^  ${command}\\b.* {2,}\\S`, 'm'))
  }
})

test('every command and subcommand has help of its own, on stdout', () => {
  const walk = (command: ReturnType<typeof buildProgram>): void => {
    expect(command.description(), command.name()).not.toBe('')
    for (const option of command.options) expect(option.description, `${command.name()} ${option.flags}`).not.toBe('')
    for (const child of command.commands) walk(child)
  }
  walk(buildProgram(processIo()))
})

test.each([
  [['chekc'], /lockstep: unknown command 'chekc'\n {2}Did you mean this\?\n {4}lockstep check\n/],
  [
    ['check', '--jsno'],
    /lockstep: unknown option '--jsno'\n {2}Did you mean --json\?\n {2}Run "lockstep check --help"/,
  ],
  [
    ['show', 'u1', '--reason', 'x'],
    /^lockstep: unknown option '--reason'\n {2}Run "lockstep show --help" for what it takes\.\n$/,
  ],
  [['lock', 'u1', '--reason', 'x', '--for', '9999d'], /--for 9999d: expected at most 3660d\n/],
  [
    ['help', 'lock', 'unlock'],
    /^lockstep: lockstep lock has no command 'unlock' below it\n {2}Help takes the name of one command: lockstep help lock\n$/,
  ],
  [
    ['init', '--config', '/nonexistent/new.yaml', '--url', 'ldap://127.0.0.1:1', '--yes'],
    /^lockstep: --bind-dn is missing, and --yes asks nothing\n {2}Give --bind-dn and --bind-password-file, or leave --yes out at a terminal\.\n$/,
  ],
  [['shims', 'install'], /lockstep: missing required argument 'dir'\n {2}Run "lockstep shims install --help"/],
  [['check', 'extra'], /too many arguments/],
  [['--config'], /argument missing/],
])('a slip in %j is told in words, with exit code 64', async (args, expected) => {
  const { code, stdout, stderr } = await runCli(args)
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
  expect(stderr).toMatch(expected)
})

test('without a command it prints the help and exits 64', async () => {
  const { code, stderr } = await runCli([])
  expect(code).toBe(64)
  expect(stderr).toMatch(/^Usage: lockstep/)
})

test('an error is one message and a next step, without a stack and without colours in a pipe', async () => {
  const { code, stdout, stderr } = await runCli(['check', '--config', 'nope.yaml'], { cwd: dir })
  expect({ code, stdout }).toEqual({ code: 78, stdout: '' })
  expect(stderr).toBe(
    `lockstep: the configuration file ${join(dir, 'nope.yaml')} does not exist\n  Check the path, or write the file with "lockstep init".\n`,
  )
})

test('LOCKSTEP_DEBUG adds the stack', async () => {
  const { stderr } = await runCli(['check', '--config', 'nope.yaml'], { cwd: dir, env: { LOCKSTEP_DEBUG: '1' } })
  expect(stderr).toMatch(/\n {4}at /)
})

test('check says that a file is good, and exits 0', async () => {
  const { code, stdout, stderr } = await runCli(['check'], { cwd: dir })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toBe(`${join(dir, 'lockstep.yaml')} is good. Next: lockstep doctor\n`)
})

test('check names the line of a mistake, and exits 78; --config may stand before and after', async () => {
  const after = await runCli(['check', '--config', 'bad.yaml'], { cwd: dir })
  const before = await runCli(['--config', 'bad.yaml', 'check'], { cwd: dir })
  const byEnvironment = await runCli(['check'], { cwd: dir, env: { LOCKSTEP_CONFIG: 'bad.yaml' } })
  expect(after.code).toBe(78)
  expect(after.stdout).toMatch(/bad\.yaml:7:5: directories\.corp\.bsae: unknown key; did you mean "base"\?/)
  const { code, stdout, stderr } = after
  for (const ran of [before, byEnvironment]) expect(ran).toMatchObject({ code, stdout, stderr })
})

test('check --json is one document that a script can read', async () => {
  const ran = await runCli(['check', '--json', '--config', 'bad.yaml'], { cwd: dir })
  expect(ran.code).toBe(78)
  expect(ran.document()).toEqual({
    ok: false,
    error: { code: 'has-findings', message: expect.stringMatching(/has 2 mistakes$/), hint: expect.any(String) },
    data: {
      file: join(dir, 'bad.yaml'),
      files: null,
      problems: [
        expect.objectContaining({ severity: 'error', line: 2, key: 'directories.corp.base' }),
        expect.objectContaining({ severity: 'error', line: 7, column: 5, key: 'directories.corp.bsae' }),
      ],
    },
  })
})

test('a reader that goes away early is no error', async () => {
  const child = spawn(process.execPath, [ENTRY, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = await once(child, 'close')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

test('no control or bidirectional character of an argument reaches the terminal in an error', async () => {
  const hostile = 'a\u001b[31mb\u0007\u202ec'
  const configured = ['--config', join(dir, 'lockstep.yaml')]
  for (const args of [[hostile], ['--config', hostile, 'status'], [...configured, 'lock', 'u1', '--for', hostile]]) {
    const { code, stderr } = await runCli([...args, ...(args.includes('lock') ? ['--reason', 'x'] : [])])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/ab\?\?c/)
    // eslint-disable-next-line no-control-regex -- those are what is looked for
    expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
  }
})

test('an output that cannot be written ends with 74 and one line', async () => {
  for (const args of [['version'], ['version', '--json'], ['--help']]) {
    const ran = await runProgram('/bin/sh', ['-c', 'exec "$@" >/dev/full', 'sh', process.execPath, ENTRY, ...args])
    expect([ran.code, ran.stderr], args.join(' ')).toEqual([
      74,
      expect.stringMatching(/^lockstep: the output cannot be written: ENOSPC[^\n]*\n$/),
    ])
  }
})

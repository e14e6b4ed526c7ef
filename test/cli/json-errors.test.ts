import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { processIo } from '../../src/cli/terminal/io.ts'
import { buildProgram } from '../../src/cli/main.ts'
import { CONTRACTS, contractOf } from '../../src/contract/contract.ts'
import { makeTempDir, type TempDir } from '../servers/temp-dir.ts'
import { runCli, type CliResult } from './run-cli.ts'

/** With `--json`, a script gets one document on stdout whether a command succeeds or fails. */

let dir: TempDir
beforeAll(async () => {
  dir = await makeTempDir('json-errors')
  writeFileSync(join(dir.path, 'password'), 'pw\n', { mode: 0o600 })
  mkdirSync(join(dir.path, 'is-a-folder'))
  writeFileSync(join(dir.path, 'lockstep.yaml'), config('lockstep.db', 'ldaps://127.0.0.1:1'))
  writeFileSync(join(dir.path, 'no-store.yaml'), config('is-a-folder', 'ldaps://127.0.0.1:1'))
  writeFileSync(join(dir.path, 'bad.yaml'), config('lockstep.db', 'https://example.org'))
})
afterAll(() => dir[Symbol.asyncDispose]())

function config(store: string, url: string): string {
  return `directories:
  corp:
    type: openldap
    urls: ['${url}']
    bindDn: cn=lockstep,dc=example,dc=org
    bindPasswordFile: password
    base: dc=example,dc=org
store: sqlite:${store}
ldif: { dir: ldif }
intake: { spool: spool }
`
}

interface Failure {
  readonly ok: boolean
  readonly error: { readonly code: string; readonly message: string; readonly hint: string }
}

function failureOf(ran: CliResult): Failure {
  expect(ran.stdout.trimEnd().split('\n'), ran.stdout).toHaveLength(1)
  return ran.document()
}

function takesJson(command: Command): boolean {
  return command.options.some((option) => option.long === '--json')
}

/** Every command with `--json`, and arguments that are well formed. */
function commandsWithJson(command: Command, names: readonly string[] = []): (readonly string[])[] {
  const own = takesJson(command) ? [[...names, ...argumentsOf(command)]] : []
  return [...own, ...command.commands.flatMap((child) => commandsWithJson(child, [...names, child.name()]))]
}

function argumentsOf(command: Command): string[] {
  const needed = command.options.filter(
    (option) => option.mandatory && option.required && option.defaultValue === undefined,
  )
  return [
    ...command.registeredArguments.map(() => 'x'),
    ...needed.flatMap((option) => [option.long ?? '', option.long === '--since' ? '1h' : 'x']),
  ]
}

const ALL = commandsWithJson(buildProgram(processIo()))

test('what each command prints is promised in docs/reference/json.md, and nothing more', () => {
  const promised = new Set([...CONTRACTS.keys()].map((command) => command.replace(/ --.*$/, '')))
  const printed = ALL.map((args) => contractOf(args)?.command ?? `nothing about ${args.join(' ')}`)
  expect([...new Set(printed)].toSorted()).toEqual([...promised].toSorted())
})

/** They need none. */
const WITHOUT = ['init', 'version']

test.each(ALL.filter(([name = '']) => !WITHOUT.includes(name)))(
  '%s without a configuration tells so in JSON',
  async (...command) => {
    const ran = await runCli([...command, '--json', '--config', 'nope.yaml'], { cwd: dir.path })
    expect({ code: ran.code, ...failureOf(ran) }).toEqual({
      code: 78,
      ok: false,
      error: {
        code: 'config-invalid',
        message: `the configuration file ${join(dir.path, 'nope.yaml')} does not exist`,
        hint: 'Check the path, or write the file with "lockstep init".',
      },
    })
    expect(ran.stderr).toMatch(/^lockstep: the configuration file .* does not exist\n {2}Check the path/)
  },
)

test.each<[args: readonly string[], code: number, error: string, message: RegExp, human: RegExp]>([
  [['status', '--jsn', '--json'], 64, 'usage', /^unknown option '--jsn'$/, /^lockstep: unknown option '--jsn'/],
  [['show', '--json'], 64, 'usage', /^missing required argument 'account'$/, /Run "lockstep show --help"/],
  [['lock', 'alice', '--json'], 64, 'usage', /--reason/, /--reason/],
  [['events', '--limit', 'many', '--json'], 64, 'usage', /--limit many: expected a number/, /--limit many/],
  [['init', '--config', 'new.yaml', '--json'], 64, 'usage', /--url and --bind-dn are missing/, /^lockstep: --url and/],
  [['check', '--config', '.', '--json'], 78, 'config-invalid', /is not a file/, /is not a file/],
  [['status', '--config', 'bad.yaml', '--json'], 78, 'config-invalid', /urls\[0\]/, /urls\[0\]/],
  [['status', '--config', 'no-store.yaml', '--json'], 77, 'file-not-permitted', /is-a-folder/, /is-a-folder/],
  [['show', 'nobody', '--json'], 67, 'unknown-user', /nothing is on record about nobody/, /nothing is on record/],
  [['lock', 'alice', '--reason', 'x', '--json'], 75, 'directory-unreachable', /127\.0\.0\.1:1/, /127\.0\.0\.1:1/],
])('%j fails with one document on stdout and the words on stderr', async (args, code, error, message, human) => {
  const ran = await runCli(args, { cwd: dir.path })
  expect(ran.code).toBe(code)
  const failure = failureOf(ran)
  expect(failure).toMatchObject({ ok: false, error: { code: error, message: expect.stringMatching(message) } })
  expect(failure.error.hint).toEqual(expect.any(String))
  expect(ran.stderr).toMatch(human)
})

test('without --json, and behind --, stdout stays empty', async () => {
  for (const args of [
    ['show', 'nobody'],
    ['show', '--', '--json'],
  ]) {
    const ran = await runCli(args, { cwd: dir.path })
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 67, stdout: '' })
  }
})

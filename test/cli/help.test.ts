import type { Command } from 'commander'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HELP_PAGES, helpWidth } from '../../src/cli/help/format.ts'
import { OTHER_PROGRAMS } from '../../src/cli/help/other-programs.ts'
import { processIo, type CliIo } from '../../src/cli/terminal/io.ts'
import { buildProgram } from '../../src/cli/main.ts'
import { makeTempDir, type TempDir } from '../servers/temp-dir.ts'
import { wordsOf } from '../support/command-words.ts'
import { runCli } from './run-cli.ts'

/** Help: what the commands are, how each is used, and what a slip is answered with. */

const COLUMNS = 80

let dir: TempDir
beforeAll(async () => {
  dir = await makeTempDir('help')
  writeFileSync(join(dir.path, 'password'), 'pw\n', { mode: 0o600 })
  mkdirSync(join(dir.path, 'spool'))
})
afterAll(() => dir[Symbol.asyncDispose]())

interface Named {
  readonly name: string
  readonly command: Command
}

/** Every command and subcommand that a list of help names. */
function commandsOf(parent: Command, words: readonly string[] = []): Named[] {
  return parent.commands
    .filter((command) => !(words.length > 0 && command.name() === 'help'))
    .flatMap((command) => {
      const path = [...words, command.name()]
      return [{ name: path.join(' '), command }, ...commandsOf(command, path)]
    })
}

const NAMED = commandsOf(buildProgram(processIo()))

/** Help as it is written at a terminal of so many columns. */
function helpAt(columns: number, name: string): string {
  let text = ''
  const stdout = { isTTY: true, columns, write: (part: string) => (text += part), on: () => undefined }
  const io = { ...processIo(), stdout } as unknown as CliIo
  const command = commandsOf(buildProgram(io)).find((each) => each.name === name)?.command
  command?.outputHelp()
  return text
}

test('the list of commands has named groups, a line for each command, and fits 80 columns', async () => {
  const { code, stdout } = await runCli(['--help'])
  expect(code).toBe(0)
  const lines = stdout.split('\n')
  expect(lines.filter((line) => line.length > COLUMNS)).toEqual([])
  const groups = lines.filter((line) => /^[A-Z].*:$/.test(line))
  expect(groups).toEqual(['Options:', 'Set up:', 'Run:', 'Look:', 'Act:', 'Repair:'])
  for (const { name } of NAMED.filter(({ name: each }) => !each.includes(' '))) {
    expect(
      lines.filter((line) => line.startsWith(`  ${name} `)),
      name,
    ).toHaveLength(1)
  }
  const start = lines.indexOf('Set up:')
  const end = lines.findIndex((line) => line.startsWith('How a command'))
  const listed = lines.slice(start, end).filter((line) => line.startsWith('  '))
  expect(listed).toHaveLength(NAMED.filter(({ name }) => !name.includes(' ')).length)
})

test('lockstep help, and lockstep alone, print the same list', async () => {
  const { stdout } = await runCli(['--help'])
  expect(await runCli(['help'])).toMatchObject({ code: 0, stdout })
  expect(await runCli([])).toMatchObject({ code: 64, stdout: '', stderr: stdout })
})

test.each([
  [
    ['lock', '--help'],
    ['help', 'lock'],
  ],
  [
    ['review', 'approve', '--help'],
    ['help', 'review', 'approve'],
  ],
  [
    ['review', '--help'],
    ['help', 'review'],
  ],
  [
    ['mail', 'test', '--help'],
    ['mail', 'help', 'test'],
  ],
])('%j and %j are the same', async (one, other) => {
  const { code, stdout } = await runCli(one)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^Usage: lockstep /)
  expect(await runCli(other)).toMatchObject({ code: 0, stdout })
})

test('every command has a page, and each page is one of a command', () => {
  expect(Object.keys(HELP_PAGES).toSorted()).toEqual(NAMED.map(({ name }) => name).toSorted())
})

test.each(NAMED.map(({ name }) => name))('help of %s fits 80 columns, a wide and a narrow terminal', (name) => {
  for (const columns of [60, COLUMNS, 132]) {
    const long = helpAt(columns, name)
      .split('\n')
      .filter((line) => line.length > columns && !/^ {2,}(?:sudo )?lockstep |^ {6}--/.test(line))
    expect(long).toEqual([])
  }
  expect(
    helpAt(COLUMNS, name)
      .split('\n')
      .filter((line) => line.length > COLUMNS),
  ).toEqual([])
})

test('help is 80 columns wide where the width is not known', () => {
  const stdout = (isTTY: boolean, columns: number) => ({ stdout: { isTTY, columns } }) as unknown as CliIo
  expect([stdout(false, 0), stdout(true, 0), stdout(true, 120), stdout(true, 3)].map(helpWidth)).toEqual([
    80, 80, 120, 40,
  ])
})

const EXAMPLES = NAMED.flatMap(({ name, command }) =>
  (HELP_PAGES[name]?.examples ?? []).map(([what, line]) => ({ name, command, what, line })),
)

test('the help of a group has the options of the command that is meant where none is named', () => {
  for (const [name, flag] of [
    ['review', '--realm'],
    ['mail', '--state'],
    ['recipes', '--json'],
  ] as const) {
    const text = helpAt(COLUMNS, name)
    const options = text.slice(text.indexOf('Options of list, which is meant where no command is named:'))
    expect(options, name).toMatch(new RegExp(`^Options of list.*\\n(?: .*\\n)* {2}${flag} `))
    expect(text.split('\n').filter((line) => line.length > COLUMNS)).toEqual([])
  }
  expect(helpAt(COLUMNS, 'mail')).toMatch(/--limit <number> .*\(default: "50"\)/)
  expect(helpAt(COLUMNS, 'directory')).not.toContain('Options of')
})

test('a command has one to four examples in its help, a group of commands points to those', async () => {
  for (const { name, command } of NAMED) {
    const count = EXAMPLES.filter((each) => each.name === name).length
    if (command.commands.length > 0) expect(count, name).toBe(0)
    else expect(count >= 1 && count <= 4, name).toBe(true)
  }
  expect((await runCli(['help', 'resume'])).stdout).toContain(
    'Examples:\n  # everything\n  lockstep resume --reason "maintenance is over"\n',
  )
  expect((await runCli(['help', 'lock'])).stdout).toMatch(/^Exit codes:\n {2}0 {3}locked\n(?: {2}\d\d {2}\S.*\n)+$/m)
  expect((await runCli(['help', 'review'])).stdout).toContain('How each is used: lockstep help review COMMAND')
})

/** Which command takes a line, and nothing is run. Fails as the program does. */
async function taken(line: string): Promise<string> {
  const program = buildProgram(processIo())
  let name = ''
  for (const each of commandsOf(program)) each.command.action(() => void (name = each.name))
  await program.parseAsync(wordsOf(line), { from: 'user' })
  return name
}

test.each(EXAMPLES)('the example is taken: $line', async ({ name, line }) => {
  // A group stands for its default.
  expect([name, await taken(line)]).toEqual([name, name])
})

test.each(OTHER_PROGRAMS.flatMap(({ words, run }) => run.map(([line]) => [words[0] ?? '', line] as const)))(
  'where %s is typed, %s can be run',
  async (_, line) => {
    if (/^(?:journalctl|systemctl) /.test(line)) return
    expect(await taken(line)).not.toBe('')
  },
)

test('a word of another program is no command, and stands in the table once', () => {
  const words = OTHER_PROGRAMS.flatMap((each) => each.words)
  expect(new Set(words).size).toBe(words.length)
  const names = NAMED.map(({ name }) => name)
  expect(words.filter((word) => names.includes(word))).toEqual([])
})

test.each([
  [['logs'], "unknown command 'logs'\n  Run:\n    journalctl -u lockstep  the log of the daemon\n"],
  [['log', '--follow'], "unknown command 'log'\n  Run:\n    journalctl -u lockstep "],
  [['list'], "unknown command 'list'\n  Run:\n    lockstep accounts --locked  who is locked\n"],
  [['start'], "unknown command 'start'\n  Run:\n    systemctl start lockstep  the service\n"],
  [['approve', 'alice'], "unknown command 'approve'\n  Run:\n    lockstep review  "],
  [['nonsense'], "unknown command 'nonsense'\n  All commands: lockstep --help\n"],
  [['help', 'nonsense'], "unknown command 'nonsense'\n  All commands: lockstep --help\n"],
  [['help', 'logs'], "unknown command 'logs'\n  Run:\n    journalctl "],
  [['help', 'review', 'nonsense'], "unknown command 'nonsense' of lockstep review\n  There are: list, show, approve, "],
  [['review', 'nonsense'], "unknown command 'nonsense' of lockstep review\n  There are: list, show, approve, "],
  [['mail', 'snd'], "unknown command 'snd' of lockstep mail\n  There are: list, "],
  [
    ['recipes', 'aply'],
    "unknown command 'aply' of lockstep recipes\n  Did you mean this?\n    lockstep recipes apply\n",
  ],
  [
    ['directory', 'shwo'],
    "unknown command 'shwo' of lockstep directory\n  Did you mean this?\n    lockstep directory show\n",
  ],
  [['shims', 'nonsense'], "unknown command 'nonsense' of lockstep shims\n  There are: install, test. "],
  [['privacyidea', 'nonsense'], "unknown command 'nonsense' of lockstep privacyidea\n  There are: setup. "],
  [['unlok', 'alice'], "unknown command 'unlok'\n  Did you mean this?\n    lockstep unlock\n"],
])('%j ends with 64, and says what to run', async (args, expected) => {
  const { code, stdout, stderr } = await runCli(args)
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
  expect(stderr).toContain(`lockstep: ${expected}`)
  expect(stderr.match(/unknown command/g)).toHaveLength(1)
})

test('logs is not taken for lock', async () => {
  expect((await runCli(['logs'])).stderr).not.toMatch(/lockstep lock|mean/)
})

test('an unknown command with --json is one document, which says the same', async () => {
  const ran = await runCli(['recipes', 'aply', '--json'])
  expect([ran.code, JSON.parse(ran.stdout)]).toEqual([
    64,
    {
      ok: false,
      error: {
        code: 'usage',
        message: "unknown command 'aply' of lockstep recipes",
        hint: 'Did you mean this?\n  lockstep recipes apply',
      },
    },
  ])
})

test('version names what the program runs on, also as JSON; --version and -V print one line', async () => {
  const { code, stdout } = await runCli(['version'])
  expect(code).toBe(0)
  const lines = stdout.trimEnd().split('\n')
  expect(lines.map((line) => line.slice(0, 14).trimEnd())).toEqual([
    ...['Lockstep', 'Node.js', 'OpenSSL', 'SQLite', 'V8', 'store schema', 'platform'],
  ])
  const { node, sqlite, openssl } = process.versions
  expect(stdout).toContain(`Node.js       ${node}\n`)
  const ran = await runCli(['version', '--json'])
  expect(ran.document()).toMatchObject({ ok: true, data: { node, sqlite, openssl, storeSchema: expect.any(Number) } })
  for (const option of ['--version', '-V']) {
    expect(await runCli([option])).toMatchObject({ code: 0, stdout: `${lines[0]?.slice(14)}\n` })
  }
})

import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { cellWidth } from '../../../src/cli/terminal/cells.ts'
import { eventually } from '../../servers/eventually.ts'
import { runOnTerminal, startOnTerminal, type Terminal } from '../../servers/debian/terminal.ts'
import { runProgram } from '../../cli/run-cli.ts'
import { lockstep, lockstepTest as test } from '../../support/fixture.ts'
import { documentIn } from '../../support/json-contract.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** `lockstep status --watch`, on a terminal and through a pipe. */

const ENTER = '\u001b[?1049h'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const CTRL_C = String.raw`\x03`

test.override('slapdOptions', { users: 5 })

function programOf(...args: readonly string[]): string[] {
  const program = fileURLToPath(new URL('../../../bin/lockstep', import.meta.url))
  return [program, '--config', lockstep.configFile, 'status', ...args]
}

/** Nobody else opens the store until it is disposed. */
function openLocked(file: string): Disposable {
  const database = new DatabaseSync(file, { timeout: 5_000 })
  database.exec('pragma locking_mode = exclusive; begin exclusive; commit')
  return { [Symbol.dispose]: () => database.close() }
}

/** What was drawn last, and what of it is drawn over the picture before. */
function picturesOf(terminal: Terminal): string[][] {
  const [, ...pictures] = terminal.raw().split('\u001b[H')
  return pictures.map((picture) => picture.replaceAll('\u001b[K', '').split('\u001b[J')[0]?.split('\r\n') ?? [])
}

function lastOf(terminal: Terminal): string[] {
  return picturesOf(terminal).at(-1) ?? []
}

test('on a terminal it is drawn over, follows what happens, and Ctrl-C leaves the terminal as it was, with 0', async () => {
  await using terminal = startOnTerminal(programOf('--watch', '100ms'))
  await eventually('three pictures', () => picturesOf(terminal).length >= 3)
  expect(lastOf(terminal)[0]).toMatch(/^lockstep status, \d\d:\d\d:\d\d; Ctrl-C ends it$/)
  lockstep.spool({ kind: 'lock', args: asNobody(null, 'u1'), takenAtMs: Date.now() })
  await eventually('the lock is shown', () => lastOf(terminal).some((line) => line.startsWith('u1 ')))
  terminal.type(CTRL_C)
  expect(await terminal.ended()).toBe(0)
  const raw = terminal.raw()
  expect([raw.split(ENTER).length, raw.split(LEAVE).length]).toEqual([2, 2])
  expect(raw.startsWith(ENTER)).toBe(true)
  expect(raw.endsWith(LEAVE)).toBe(true)
  // Nothing is cleared before it is drawn anew, which would flicker.
  expect(raw).not.toContain('\u001b[2J')
})

test('another size is drawn at once: narrower lines, and what does not fit is counted', async () => {
  await using terminal = startOnTerminal(programOf('--watch', '1d'), { columns: 100, rows: 40 })
  await eventually('the first picture', () => picturesOf(terminal).length === 1 && lastOf(terminal).length > 5)
  terminal.resize(44, 8)
  await eventually('the second picture', () => picturesOf(terminal).length >= 2 && lastOf(terminal).length >= 7)
  const picture = lastOf(terminal)
  expect(picture.filter((line) => cellWidth(line) > 44)).toEqual([])
  expect(picture).toHaveLength(7)
  expect(picture.at(-1)).toMatch(/^… \d+ more lines$/)
  terminal.type(CTRL_C)
  expect(await terminal.ended()).toBe(0)
})

test('it goes on where the store is busy, the configuration has a mistake and the daemon is started anew', async () => {
  await using terminal = startOnTerminal(programOf('--watch', '100ms'))
  await eventually('it serves', () => lastOf(terminal).some((line) => line.includes(`process ${lockstep.pid},`)))
  await lockstep.stop()
  await eventually('it does not', () => lastOf(terminal).some((line) => line.includes('not running')))
  {
    using _ = openLocked(lockstep.storeFile)
    await eventually('it shows why not', () => lastOf(terminal).includes('It is looked at again.'))
    expect(lastOf(terminal).join(' ')).toMatch(/store .* (?:busy|locked|in use)/)
  }
  await eventually('it goes on', () => lastOf(terminal).some((line) => line.includes('not running')))
  lockstep.editConfig((yaml) => yaml.replace('directories:', 'directries:'))
  await eventually('it shows the mistake', () => lastOf(terminal).some((line) => line.includes('directries')))
  lockstep.editConfig((yaml) => yaml.replace('directries:', 'directories:'))
  await lockstep.serve()
  await eventually('it serves anew', () => lastOf(terminal).some((line) => line.includes(`process ${lockstep.pid},`)))
  terminal.type(CTRL_C)
  expect(await terminal.ended()).toBe(0)
})

test('through a pipe it prints one block after the other, with --json one document a line, until it is ended', async () => {
  const read = async (args: readonly string[], isEnough: (text: string) => boolean): Promise<string> => {
    const child = lockstep.startBeside('status', '--watch', '100ms', ...args)
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()))
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    await eventually('enough', () => isEnough(text))
    child.kill('SIGINT')
    expect(await closed).toBe(0)
    return text
  }
  const blocks = await read([], (text) => text.split('\ndaemon ').length >= 3)
  expect(blocks).not.toContain('\u001b')
  expect(blocks).toMatch(/\n\n(?:ok|attention)/)
  const lines = await read(['--json'], (text) => text.split('\n').length >= 4)
  for (const line of lines.trimEnd().split('\n')) {
    expect(documentIn(line, ['status', '--json'], 0)).toMatchObject({ ok: true })
  }
})

test('it ends where nobody reads on', async () => {
  const command = `'${programOf('--watch', '100ms').join("' '")}' | head -n 1; exit "\${PIPESTATUS[0]}"`
  const { code, lines } = await runOnTerminal(['bash', '-c', command])
  expect([code, lines.length]).toEqual([0, 1])
})

test.each([
  [['--check', '--watch'], '--check looks once'],
  [['--watch', '5'], 'expected a duration'],
  [['--watch', '1ms'], 'expected 100ms to 1d'],
])('%j is refused', async (args, why) => {
  const ran = await lockstep.cli('status', ...args)
  expect([ran.code, ran.stderr]).toEqual([64, expect.stringContaining(why)])
})

test('a configuration that is not there ends it at once', async () => {
  const { code, raw } = await runOnTerminal(
    programOf('--watch').map((each) => each.replace('lockstep.yaml', 'none.yaml')),
  )
  expect(code).toBe(78)
  expect(raw).not.toContain(ENTER)
})

test('a terminal that takes no escape sequences gets block after block; a full output ends it with 74', async () => {
  await using terminal = startOnTerminal(['env', 'TERM=dumb', ...programOf('--watch', '100ms')])
  await eventually('three blocks', () => terminal.raw().split('\nqueue').length > 3)
  expect(terminal.raw()).not.toContain('\u001b')
  terminal.type(CTRL_C)
  expect(await terminal.ended()).toBe(0)
  const ran = await runProgram('/bin/sh', ['-c', 'exec "$@" >/dev/full', 'sh', ...programOf('--watch', '100ms')])
  expect([ran.code, ran.stderr]).toEqual([
    74,
    expect.stringMatching(/^lockstep: the output cannot be written: [^\n]*\n$/),
  ])
})

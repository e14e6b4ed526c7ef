import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseChangeLdif } from '../../src/core/ldif.ts'
import { openLdifFolders } from '../../src/ldif/folders.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { change, hold } from './changes.ts'

const KILLS = 100
const AT_ONCE = 4
const RUN_MS_MAX = 120
const WRITER = fileURLToPath(new URL('./crash-writer.ts', import.meta.url))

/** Runs the writer, kills it some time after its first word, and returns the last word on each name. */
async function runAndKill(dir: string, worker: string, afterMs: number): Promise<Map<string, Set<string>>> {
  const child = spawn(process.execPath, [WRITER, dir, worker], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  let timer: NodeJS.Timeout | undefined
  child.stdout.on('data', (chunk: Buffer) => {
    timer ??= setTimeout(() => child.kill('SIGKILL'), afterMs)
    said += chunk.toString('utf8')
  })
  const signal = await new Promise((resolve) => child.once('close', (_, by) => resolve(by)))
  clearTimeout(timer)
  expect(signal, 'the writer ended by itself').toBe('SIGKILL')
  const done = new Map<string, Set<string>>()
  // The last line may be cut off.
  for (const line of said.split('\n').slice(1, -1)) {
    const [what = '', name = ''] = line.split(' ')
    done.set(name, (done.get(name) ?? new Set()).add(what))
  }
  return done
}

function files(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(dir, name)).isFile())
}

/** Every file that a person sees is whole, and says what its place says. */
function expectWholeFiles(dir: string, names: readonly string[]): void {
  for (const name of names) {
    const [folder = '', ...rest] = name.split('/')
    const holdName = (rest.at(-1) ?? '').replace(/\.ldif$/, '').replace(/--\d{8}T.*$/, '')
    const { entries, header } = parseChangeLdif(readFileSync(join(dir, name), 'utf8'))
    const expected = change(folder === 'lock' || folder === 'unlock' ? 'lock' : 'register', [hold(holdName)])
    const isForward = folder === 'lock' || folder === 'register'
    expect(entries, name).toEqual(isForward ? expected.forward : expected.inverse)
    expect(header.account, name).toBe('corp/a1')
  }
}

/** What the port said is on disk is there. */
function expectKept(dir: string, done: ReadonlyMap<string, ReadonlySet<string>>): void {
  for (const [name, what] of done) {
    const round = Number(name.split('-')[1])
    const mayBeUnlocked = round % 2 === 1 && what.has('registered')
    if (what.has('locked') && !mayBeUnlocked) expect(existsSync(join(dir, `unlock/${name}.ldif`)), name).toBe(true)
    if (what.has('registered')) {
      expect(
        readdirSync(join(dir, 'register/history')).some((file) => file.startsWith(`${name}--`)),
        name,
      ).toBe(true)
      expect(existsSync(join(dir, `lock/${name}.ldif`)), name).toBe(false)
    }
    if (what.has('unlocked')) expect(existsSync(join(dir, `unlock/${name}.ldif`)), name).toBe(false)
    if (what.has('unregistered')) expect(existsSync(join(dir, `unregister/${name}.ldif`)), name).toBe(false)
  }
}

test(`after ${KILLS} kills at random times every visible file is whole, and what was said to be on disk is there`, async () => {
  let confirmed = 0
  let unfinished = 0
  const kill = async (number: number): Promise<void> => {
    await using temp = await makeTempDir('crash')
    const afterMs = (RUN_MS_MAX * number) / KILLS + Math.random() * 5
    const done = await runAndKill(temp.path, number % 2 === 0 ? 'never' : 'always', afterMs)
    confirmed += done.size
    const visible = files(temp.path).filter((name) => !/(^|\/)\./.test(name))
    unfinished += files(temp.path).length - visible.length
    expectWholeFiles(temp.path, visible)
    expectKept(temp.path, done)
    await using ldif = await openLdifFolders({ dir: temp.path })
    await ldif.sweep([hold('first')])
    const swept = files(temp.path)
    expect(swept.filter((name) => /(^|\/)\./.test(name) || /^lock\/[^/]+\.ldif$/.test(name))).toEqual([
      'lock/first.ldif',
    ])
    expect(swept.filter((name) => !name.startsWith('lock/'))).toEqual(
      visible.filter((name) => !name.startsWith('lock/')),
    )
  }
  let next = 0
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < KILLS) await kill(next++)
    }),
  )
  // The test is none when nothing was going on at the time of the kills.
  expect(confirmed).toBeGreaterThan(KILLS)
  expect(unfinished).toBeGreaterThan(KILLS / 10)
}, 300_000)

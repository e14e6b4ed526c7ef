import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { look } from '../../support/account-view.ts'
import { createOwn, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** One daemon, one store, one set of folders; and what happens where somebody takes them apart. */

const LOCKSTEP = fileURLToPath(new URL('../../../bin/lockstep', import.meta.url))
const PEOPLE = ['u1', 'u2', 'u3']
const isRoot = process.getuid?.() === 0

test.override('slapdOptions', { users: PEOPLE.length })

async function canBind(login: string): Promise<boolean> {
  return (await look(slapd, login)).canBind
}

async function locked(lockstep: Lockstep, login: string): Promise<void> {
  await lockstep.shim('lock', asNobody(null, login))
  await eventually(`${login} is locked`, async () => !(await canBind(login)))
}

const MARK = '.lockstep-store'

interface Status {
  readonly health: string
  readonly healthReasons: readonly { readonly code: string; readonly text: string }[]
  readonly daemon: { readonly pid: number } | null
  readonly configuration: { readonly difference: { readonly restart: readonly string[] } | null } | null
}

/** The file names another store from now on. @returns that one */
function editStore(lockstep: Lockstep): string {
  const other = join(lockstep.dir, 'other', 'other.db')
  lockstep.editConfig((yaml) => yaml.replace(`sqlite:${lockstep.storeFile}`, `sqlite:${other}`))
  return other
}

describe('where the key store is edited', () => {
  test.each([
    ['alone', (yaml: string): string => yaml],
    ['with ldif.dir', (yaml: string): string => yaml.replace(/(ldif: \{ dir: \S+)/, '$12')],
  ])('(%s) every command goes on with the store of the daemon', async (_what, edit) => {
    const lockstep = await startOwn()
    await locked(lockstep, 'u1')
    const other = editStore(lockstep)
    lockstep.editConfig(edit)
    const status = await lockstep.json<Status>('status')
    expect(status).toMatchObject({ health: 'attention', daemon: { pid: lockstep.pid } })
    expect(status.configuration?.difference?.restart).toContain('store')
    expect(status.healthReasons[0]?.text).toMatch(/needs a restart: .*store/)
    const paused = await lockstep.cli('pause', '--reason', 'x')
    expect(paused).toMatchObject({ code: 0, stderr: expect.stringMatching(/needs a restart: .*store/) })
    await lockstep.shim('lock', asNobody(null, 'u2'))
    await lockstep.settled()
    expect(await canBind('u2')).toBe(true)
    expect((await lockstep.cli('resume', '--reason', 'over')).code).toBe(0)
    await eventually('u2 is locked', async () => !(await canBind('u2')))
    expect((await lockstep.cli('lock', 'u3', '--reason', 'x')).code).toBe(0)
    expect(lockstep.ldif('unlock')).toHaveLength(3)
    expect((await lockstep.cli('unlock', 'u1', '--reason', 'x')).code).toBe(0)
    expect(await canBind('u1')).toBe(true)
    expect((await lockstep.drain()).code).toBe(0)
    expect((await lockstep.cli('healthcheck')).code).toBe(0)
    expect((await lockstep.json<{ restart: string[] }>('reload')).restart).toContain('store')
    // A report from before the edit says that all is well, a later one that a restart is due.
    expect((await lockstep.cli('status', '--check')).code).toBeLessThan(2)
    expect((await lockstep.cli('doctor')).stdout).not.toContain('belong to the store')
    expect((await lockstep.cli('serve')).code).toBe(78)
    expect(existsSync(dirname(other))).toBe(false)
    expect(existsSync(`${lockstep.ldifDir}2`)).toBe(false)
  })

  test('and no daemon serves, everything is refused with the ways out, which work', async () => {
    const lockstep = await startOwn()
    await locked(lockstep, 'u1')
    await lockstep.settled()
    await lockstep.stop()
    const other = editStore(lockstep)
    const marks = [lockstep.ldifDir, lockstep.spoolDir].map((folder) => join(folder, MARK))
    for (const args of [
      ['serve'],
      ['drain'],
      ['lock', 'u2', '--reason', 'x'],
      ['status'],
      ['pause', '--reason', 'x'],
    ]) {
      const refused = await lockstep.cli(...args)
      expect(refused.code, args.join(' ')).toBe(78)
      expect(refused.stderr).toContain(`belong to the store ${lockstep.storeFile}, and the key store names ${other}`)
      expect(refused.stderr).toContain(`rm ${marks.join(' ')} && lockstep rebuild`)
    }
    expect(existsSync(dirname(other))).toBe(false)
    for (const mark of marks) rmSync(mark)
    expect((await lockstep.cli('rebuild')).code).toBe(0)
    await lockstep.serve()
    expect((await lockstep.cli('unlock', 'u1', '--reason', 'x')).code).toBe(0)
    await lockstep.stop()
    lockstep.editConfig((yaml) => yaml.replace(other, lockstep.storeFile))
    expect((await lockstep.cli('status')).code).toBe(78)
    rmSync(other)
    await lockstep.serve()
    expect(lockstep.log()).toMatch(/^info a folder that belonged to another store belongs to this one now /m)
  })

  test('since the store was moved, it is the same one in its new place', async () => {
    const lockstep = await startOwn()
    await locked(lockstep, 'u1')
    await lockstep.settled()
    await lockstep.stop()
    const other = editStore(lockstep)
    mkdirSync(dirname(other))
    renameSync(lockstep.storeFile, other)
    await lockstep.serve()
    expect((await lockstep.cli('unlock', 'u1', '--reason', 'x')).code).toBe(0)
    expect(await canBind('u1')).toBe(true)
  })

  test('to another path of the same file, nothing is refused', async () => {
    const lockstep = await startOwn()
    symlinkSync(dirname(lockstep.storeFile), join(lockstep.dir, 'link'))
    const edit = (path: string): void =>
      lockstep.editConfig((yaml) => yaml.replace(/^store: .*$/m, `store: sqlite:${path}`))
    for (const path of [join(lockstep.dir, 'link', 'lockstep.db'), './state/../state/lockstep.db']) {
      edit(path)
      expect((await lockstep.json<Status>('status')).daemon?.pid).toBe(lockstep.pid)
      await lockstep.restart()
      expect(await lockstep.json<Status>('status')).toMatchObject({ health: 'ok', daemon: { pid: lockstep.pid } })
    }
  })
})

test('folders without a mark, as older versions left them, are marked at the next start, privately and out of the way', async () => {
  const lockstep = await startOwn()
  await locked(lockstep, 'u1')
  const marks = [lockstep.ldifDir, lockstep.spoolDir].map((folder) => join(folder, MARK))
  for (const mark of marks) rmSync(mark)
  expect((await lockstep.json<Status>('status')).health).toBe('ok')
  await lockstep.restart()
  for (const mark of marks) expect(statSync(mark).mode & 0o777).toBe(0o600)
  expect(readdirSync(lockstep.ldifDir).toSorted()).toEqual([MARK, 'lock', 'register', 'unlock', 'unregister'])
  expect(await lockstep.json<Status>('status')).toMatchObject({ health: 'ok' })
})

describe('a database that is taken away under the daemon', () => {
  test.each([
    ['moved', (file: string): void => renameSync(file, `${file}.old`)],
    [
      'removed',
      (file: string): void => {
        for (const end of ['', '-wal', '-shm']) rmSync(file + end)
      },
    ],
  ])('(%s) ends it with 74 and its own reason; no more is written, and the next start goes on', async (_how, take) => {
    const lockstep = await createOwn({ httpPort: await freePort() })
    const child = lockstep.startServing()
    await lockstep.untilReady()
    await locked(lockstep, 'u1')
    await lockstep.settled()
    take(lockstep.storeFile)
    expect((await lockstep.shim('lock', asNobody(null, 'u2'))).code).toBe(0)
    await eventually('the daemon ends', () => child.exitCode !== null)
    expect(child.exitCode).toBe(74)
    expect(lockstep.log().match(/^error the daemon ends code=store-gone/gm)).toHaveLength(1)
    expect(await canBind('u2')).toBe(true)
    const checked = await lockstep.cli('status', '--check')
    expect(checked).toMatchObject({ code: 2, stdout: expect.stringContaining('store-gone') })
    await lockstep.stop()
    await lockstep.serve()
    await eventually('the event is taken from the spool', async () => !(await canBind('u2')))
    await lockstep.settled()
    expect(await canBind('u1')).toBe(false)
    await lockstep.stop()
    expect((await lockstep.cli('rebuild')).code).toBe(0)
    await lockstep.serve()
    expect((await lockstep.cli('unlock', 'u1', '--reason', 'it is still ours')).code).toBe(0)
    expect(await canBind('u1')).toBe(true)
  })
})

describe.runIf(isRoot)('a second daemon in another PID namespace', () => {
  test('is refused like any other, and the first one serves on', async () => {
    const lockstep = await startOwn()
    const inside = spawn(
      'unshare',
      ['-pf', '--mount-proc', '--kill-child', LOCKSTEP, '--config', lockstep.configFile, 'serve'],
      { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let said = ''
    inside.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    inside.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    try {
      await eventually('it ends, or serves', () => inside.exitCode !== null || said.includes('info ready'))
      expect(said).toMatch(/already serves this store in another PID namespace/)
      expect(inside.exitCode).toBe(69)
    } finally {
      inside.kill('SIGKILL')
    }
    expect((await lockstep.cli('healthcheck')).code).toBe(0)
    await locked(lockstep, 'u1')
  })
})

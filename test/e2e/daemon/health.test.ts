import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { look } from '../../support/account-view.ts'
import { slapd, slapdTest as test } from '../../support/fixture.ts'
import { createLockstep, startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'
import { programForEverybody, UNPRIVILEGED } from '../directories/program-for-everybody.ts'
import { mountDisk } from '../../support/small-disk.ts'

/** status, status --check, doctor, healthcheck and /healthz: one judgement, and never well when nothing works. */

const MANY = 2_000
const isRoot = process.getuid?.() === 0

interface Status {
  readonly health: string
  readonly healthReasons: readonly { readonly code: string; readonly text: string; readonly gravity: string }[]
}

test.override('slapdOptions', { users: 20 })

async function codesOf(lockstep: Lockstep): Promise<string[]> {
  return (await lockstep.json<Status>('status')).healthReasons.map(({ code }) => code)
}

async function check(lockstep: Lockstep): Promise<{ code: number; line: string }> {
  const { code, stdout } = await lockstep.cli('status', '--check')
  return { code, line: stdout.trim() }
}

describe.runIf(isRoot)('full is not healthy', () => {
  test('with the disk of the store full and events in the spool, everything says so, and all is well again after it', async () => {
    await using disk = await mountDisk()
    const httpPort = await freePort()
    const healthFile = join(disk.path, '..', 'health')
    await using lockstep = await startLockstep(slapd, {
      storeFile: join(disk.path, 'lockstep.db'),
      httpPort,
      yaml: `health: { file: ${healthFile} }\n`,
    })
    const healthz = async (): Promise<number> => (await fetch(`http://127.0.0.1:${httpPort}/healthz`)).status
    expect(await healthz()).toBe(200)
    expect((await check(lockstep)).code).toBe(0)
    disk.fill()
    for (let number = 0; number < MANY; number++) {
      lockstep.spool({ kind: 'register', args: asAdmin(`FULL${number}`, null), takenAtMs: Date.now() })
    }
    lockstep.spool({ kind: 'lock', args: asNobody(null, 'u1'), takenAtMs: Date.now() })
    await eventually('the log tells of the disk', () => lockstep.log().includes('code=disk-full'))
    const status = await lockstep.json<Status>('status')
    expect(status.health).toBe('attention')
    const full = expect.stringContaining(`the disk of ${disk.path} is full`)
    expect(status.healthReasons).toContainEqual(
      expect.objectContaining({ code: 'disk-full', gravity: 'critical', text: full }),
    )
    const fit = await lockstep.cli('healthcheck')
    expect(fit).toMatchObject({ code: 69, stdout: expect.stringContaining('not fit: the disk of') })
    expect(await healthz()).toBe(503)
    const doctor = await lockstep.cli('doctor')
    expect(doctor.code).not.toBe(0)
    expect(doctor.stdout).toMatch(/FAIL {2}\d+ MiB are free at/)
    const line = await eventually('the health file says it', async () => {
      const { code, line } = await check(lockstep)
      return code === 2 && line.includes('intake-fails') ? line : undefined
    })
    expect(line).toMatch(/^LOCKSTEP CRITICAL - .*disk-full.* \| .*spool_files=\d{3,};;;0/)
    expect(await codesOf(lockstep)).toContain('intake-fails')
    disk.free()
    await eventually('the account is locked by itself', async () => !(await look(slapd, 'u1')).canBind, 30_000)
    await lockstep.settled(60_000)
    await eventually('healthz is well again', async () => (await healthz()) === 200, 60_000)
    await eventually('healthcheck is well again', async () => (await lockstep.cli('healthcheck')).code === 0, 60_000)
  })

  test('with the disk of the LDIF folders full, a change that waits for it is critical', async () => {
    await using disk = await mountDisk()
    await using lockstep = await startLockstep(slapd, { ldifDir: join(disk.path, 'ldif') })
    disk.fill()
    await lockstep.shim('lock', asNobody(null, 'u2'))
    await eventually('status tells of the files', async () => (await codesOf(lockstep)).includes('files-not-written'))
    expect((await lockstep.cli('healthcheck')).code).toBe(69)
    disk.free()
    await eventually('the account is locked by itself', async () => !(await look(slapd, 'u2')).canBind, 30_000)
    await eventually('all is well again', async () => (await lockstep.cli('healthcheck')).code === 0, 30_000)
  })
})

describe.runIf(isRoot)('LDIF folders that became read-only', () => {
  test('are not healthy for /healthz either, while a change waits for them', async () => {
    await using disk = await mountDisk()
    const httpPort = await freePort()
    await using lockstep = await startLockstep(slapd, { ldifDir: join(disk.path, 'ldif'), httpPort })
    const healthz = async (): Promise<number> => (await fetch(`http://127.0.0.1:${httpPort}/healthz`)).status
    disk.remount('ro')
    await lockstep.shim('lock', asNobody(null, 'u4'))
    await eventually('status tells of the files', async () => (await codesOf(lockstep)).includes('files-not-written'))
    expect((await lockstep.cli('healthcheck')).code).toBe(69)
    await eventually('healthz says so too', async () => (await healthz()) === 503, 30_000)
    disk.remount('rw')
    await eventually('the account is locked by itself', async () => !(await look(slapd, 'u4')).canBind, 60_000)
    await eventually('healthz is well again', async () => (await healthz()) === 200, 30_000)
  })
})

describe('status --check', () => {
  test.runIf(isRoot)('works for any user, without configuration and store, and names nobody', async () => {
    await using temp = await makeTempDir('health')
    chmodSync(temp.path, 0o755)
    const folder = join(temp.path, 'run')
    mkdirSync(folder)
    chmodSync(folder, 0o755)
    const file = join(folder, 'health')
    const program = await programForEverybody(temp.path)
    await using lockstep = await startLockstep(slapd, { yaml: `health: { file: ${file} }\n` })
    chmodSync(lockstep.configFile, 0o600)
    await lockstep.cli('lock', 'u3', '--reason', 'a reason that nobody else is to see')
    await lockstep.cli('pause', '--reason', 'x')
    const [node = '', ...first] = program
    const anyUser = (...args: readonly string[]) =>
      spawnSync(node, [...first, 'status', '--check', ...args], {
        uid: UNPRIVILEGED,
        gid: UNPRIVILEGED,
        env: {},
        cwd: '/',
        encoding: 'utf8',
      })
    const ran = await eventually(
      'the pause is reported',
      () => {
        const { status, stdout } = anyUser('--health-file', file)
        return status === 1 ? stdout : undefined
      },
      30_000,
    )
    expect(ran).toMatch(
      /^LOCKSTEP WARNING - paused \(lockstep status\) \| report_age=\d+s;;;0 locked=1;;;0 held=1;;;0 .*\n$/,
    )
    expect(statSync(file).mode & 0o777).toBe(0o644)
    const text = readFileSync(file, 'utf8')
    for (const name of ['u3', 'corp', 'dc=example', slapd.url, lockstep.storeFile, 'nobody else']) {
      expect(text).not.toContain(name)
    }
    // Without the flag and without a configuration that it may read: where the unit has it.
    const usual = anyUser('--config', lockstep.configFile)
    expect(usual).toMatchObject({ status: 3, stdout: expect.stringContaining('no report in /run/lockstep/health') })
  })

  test('names a mistake of the configuration beside a daemon that goes on, as a warning, wherever its health file is', async () => {
    await using lockstep = await startLockstep(slapd)
    const good = readFileSync(lockstep.configFile, 'utf8')
    const elsewhere = join(lockstep.dir, 'elsewhere')
    const placed: readonly [where: string, yaml: string, mistake: string][] = [
      ['beside the store', good, 'polici: {}\n'],
      ['where a section says', `${good}health:\n  file: ${elsewhere}\n`, 'polici: {}\n'],
      ['where a line says, in what is no YAML', `${good}health: { file: ${elsewhere} }\n`, 'policy: {\n'],
    ]
    for (const [where, yaml, mistake] of placed) {
      lockstep.editConfig(() => yaml)
      await lockstep.restart()
      lockstep.editConfig((text) => text + mistake)
      const { code, line } = await check(lockstep)
      expect({ where, code }).toEqual({ where, code: 1 })
      expect(line).toMatch(
        /^LOCKSTEP WARNING - config-mistake: the configuration has a mistake: \S+lockstep\.yaml:\d+:/,
      )
      expect(line).toContain('report_age=')
    }
    await lockstep.kill9()
    expect((await check(lockstep)).code).toBe(2)
  })

  test('finds the file of the daemon where the configuration does not say it any more', async () => {
    await using lockstep = await startLockstep(slapd)
    const elsewhere = join(lockstep.dir, 'elsewhere')
    lockstep.editConfig((yaml) => `${yaml}health: { file: ${elsewhere} }\n`)
    await lockstep.restart()
    lockstep.editConfig((yaml) => yaml.replace(elsewhere, '[]'))
    expect((await check(lockstep)).code).toBe(1)
  })

  test.runIf(isRoot)('says that the report may not be read, and not that there is none', async () => {
    await using temp = await makeTempDir('health')
    chmodSync(temp.path, 0o755)
    const program = await programForEverybody(temp.path)
    await using lockstep = await startLockstep(slapd)
    const state = join(lockstep.dir, 'state')
    chmodSync(state, 0o750)
    const [node = '', ...first] = program
    const anyUser = () =>
      spawnSync(node, [...first, '--config', lockstep.configFile, 'status', '--check'], {
        ...{ uid: UNPRIVILEGED, gid: UNPRIVILEGED, env: {}, cwd: '/' },
        encoding: 'utf8',
      })
    expect(anyUser()).toMatchObject({
      status: 3,
      stdout: expect.stringMatching(
        /^LOCKSTEP UNKNOWN - the report \S+ may not be read by this user: \S+state belongs to root:root \(mode 0750\)/,
      ),
    })
    expect((await lockstep.cli('doctor')).stdout).toMatch(/warn {2}\S+state \(mode 0750\) keeps others from \S+health/)
    chmodSync(state, 0o751)
    expect(anyUser().status).toBe(0)
    expect((await lockstep.cli('doctor')).stdout).not.toContain('keeps others from')
  })

  test('a daemon that was killed is found at once, one that was stopped too, and a report of another store is none', async () => {
    await using lockstep = await startLockstep(slapd)
    expect(await check(lockstep)).toMatchObject({ code: 0, line: expect.stringMatching(/^LOCKSTEP OK - /) })
    const { pid } = lockstep
    await lockstep.kill9()
    expect(await check(lockstep)).toMatchObject({ code: 2, line: expect.stringContaining(`process ${pid} is gone`) })
    await lockstep.serve()
    expect((await check(lockstep)).code).toBe(0)
    await lockstep.stop()
    expect(await check(lockstep)).toMatchObject({ code: 2, line: expect.stringContaining('it was stopped') })
    const file = join(lockstep.dir, 'state', 'health')
    lockstep.editConfig((yaml) => `${yaml.replace('lockstep.db', 'other.db')}\nhealth: { file: ${file} }\n`)
    expect(await check(lockstep)).toMatchObject({ code: 3, line: expect.stringContaining('another store') })
  })
})

describe('a daemon that served and is gone', () => {
  test('is not made good by one drain by hand; drains that come again and again are', async () => {
    await using lockstep = await startLockstep(slapd)
    expect(await codesOf(lockstep)).toEqual([])
    await lockstep.kill9()
    await lockstep.drain()
    const status = await lockstep.json<Status>('status')
    expect(status.health).toBe('down')
    expect(status.healthReasons[0]?.text).toMatch(
      /^no daemon serves this store; one did until \d+ s ago, and the last drain ended/,
    )
    expect((await lockstep.cli('doctor')).stdout).toContain('no daemon serves this store; one did until')
    await lockstep.drain()
    await lockstep.drain()
    expect(await codesOf(lockstep)).toEqual(['daemon-died'])
    expect((await check(lockstep)).code).toBe(1)
    await lockstep.serve()
    expect(await codesOf(lockstep)).toEqual([])
  })

  test('where it was stopped and drains took over, all is well', async () => {
    await using lockstep = await startLockstep(slapd)
    await lockstep.stop()
    await lockstep.drain()
    expect(await codesOf(lockstep)).toEqual(['not-served'])
    await lockstep.drain()
    await lockstep.drain()
    expect(await codesOf(lockstep)).toEqual([])
    expect((await check(lockstep)).code).toBe(0)
  })

  test('where none ever served, the first drain is enough', async () => {
    await using lockstep = await createLockstep(slapd)
    await lockstep.drain()
    expect(await codesOf(lockstep)).toEqual([])
    expect((await check(lockstep)).code).toBe(0)
  })
})

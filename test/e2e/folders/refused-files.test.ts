import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { shared, slapd, slapdTest as test } from '../../support/fixture.ts'
import { createLockstep, startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { programForEverybody, UNPRIVILEGED } from '../directories/program-for-everybody.ts'

/** Files and folders that the operating system refuses: to an ordinary user, to the service, and for ever. */

const isRoot = process.getuid?.() === 0
/** Any group that is neither root's nor the service's. */
const SOME_GROUP = 12_345
let program: readonly string[] = []

test.override('slapdOptions', { users: 2 })
test.beforeAll(async () => {
  const temp = shared.use(await makeTempDir('program'))
  program = await programForEverybody(temp.path)
})

function asOrdinaryUser(args: readonly string[]): { status: number | null; stderr: string; stdout: string } {
  const [file = '', ...first] = program
  return spawnSync(file, [...first, ...args], {
    uid: UNPRIVILEGED,
    gid: UNPRIVILEGED,
    env: { PATH: process.env['PATH'] ?? '' },
    cwd: '/',
    encoding: 'utf8',
  })
}

describe.runIf(isRoot)('an ordinary user', () => {
  test('learns which file it is, whose it is, and how to come in, whatever the command', async () => {
    await using lockstep = await createLockstep(slapd)
    const folder = join(lockstep.dir, 'etc')
    mkdirSync(folder, { mode: 0o750 })
    chmodSync(folder, 0o750)
    chownSync(folder, 0, SOME_GROUP)
    const config = join(folder, 'lockstep.yaml')
    writeFileSync(config, readFileSync(lockstep.configFile), { mode: 0o640 })
    for (const command of [['status'], ['accounts'], ['check'], ['lock', 'u1', '--reason', 'a b']]) {
      const ran = asOrdinaryUser(['--config', config, ...command])
      expect({ command, status: ran.status }).toEqual({ command, status: 77 })
      expect(ran.stderr).toContain(config)
      expect(ran.stderr).toContain(`${folder} belongs to root:${SOME_GROUP} (mode 0750)`)
      expect(ran.stderr).toContain(`sudo lockstep --config ${config} ${command[0]}`)
      expect(ran.stderr).toContain(`sudo usermod -aG ${SOME_GROUP} "$USER"`)
      expect(ran.stderr).not.toContain('fault of Lockstep')
    }
    const json = asOrdinaryUser(['--config', config, 'status', '--json'])
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, error: { code: 'file-not-permitted' } })
  })

  test('is not advised to join a group that may not write to the store either', async () => {
    await using lockstep = await startLockstep(slapd)
    chownSync(join(lockstep.dir, 'state'), 0, SOME_GROUP)
    chmodSync(join(lockstep.dir, 'state'), 0o750)
    const ran = asOrdinaryUser(['--config', lockstep.configFile, 'status'])
    expect(ran.status).toBe(77)
    expect(ran.stderr).toContain(lockstep.storeFile)
    expect(ran.stderr).toContain('sudo lockstep')
    expect(ran.stderr).not.toContain('usermod')
  })
})

describe.runIf(isRoot)('an ordinary user beside a daemon that serves', () => {
  test('is never told that something is missing which they may not look at', async () => {
    await using lockstep = await startLockstep(slapd, { program, uid: UNPRIVILEGED + 1 })
    const state = join(lockstep.dir, 'state')
    chmodSync(state, 0o750)
    expect(await lockstep.cli('healthcheck')).toMatchObject({ code: 0 })
    for (const command of ['healthcheck', 'reload', 'status']) {
      const ran = asOrdinaryUser(['--config', lockstep.configFile, command])
      expect({ command, status: ran.status }).toEqual({ command, status: 77 })
      expect(ran.stderr).toContain(`${state} belongs to `)
      expect(ran.stderr).toContain(`sudo lockstep --config ${lockstep.configFile} ${command}`)
    }
    const doctor = asOrdinaryUser(['--config', lockstep.configFile, 'doctor'])
    expect(doctor.status).toBe(78)
    expect(doctor.stdout).not.toMatch(/does not exist|is not there|shims install/)
    expect(doctor.stdout).toContain(`${state} belongs to `)
    expect(doctor.stdout).toContain(`sudo lockstep --config ${lockstep.configFile} doctor`)
  })
})

describe('serve', () => {
  test('refuses a password file that everybody may read, as check and doctor do', async () => {
    await using lockstep = await createLockstep(slapd)
    const file = join(lockstep.dir, 'ldap-password')
    chmodSync(file, 0o644)
    for (const command of ['check', 'serve', 'drain']) {
      const ran = await lockstep.cli(command)
      expect({ command, code: ran.code }).toEqual({ command, code: 78 })
      expect(ran.stdout + ran.stderr).toContain(`others may read or write ${file} (mode 0644)`)
    }
  })

  test.runIf(isRoot)(
    'takes a mounted secret of mode 0440 with the group of the service, and check names it',
    async () => {
      await using lockstep = await createLockstep(slapd, { program, uid: UNPRIVILEGED })
      const file = join(lockstep.dir, 'ldap-password')
      chownSync(file, 0, UNPRIVILEGED)
      chmodSync(file, 0o440)
      await lockstep.serve()
      const checked = await lockstep.cli('check', '--explain')
      expect(checked.code).toBe(0)
      expect(checked.stdout).not.toContain('warning')
      expect(checked.stdout).toContain(`${file} (mode 0440, user 0, group ${UNPRIVILEGED})`)
      expect(checked.stdout).toMatch(/0440 .*group of the service/)
    },
  )

  const never: readonly [string, (lockstep: Lockstep) => void, string][] = [
    [
      'ldif.dir',
      (lockstep) => lockstep.editConfig((yaml) => yaml.replace(/ldif: .*/, 'ldif: { dir: /proc/ldif }')),
      '/proc/ldif',
    ],
    [
      'ldif.dir below it',
      (lockstep) => lockstep.editConfig((yaml) => yaml.replace(/ldif: .*/, 'ldif: { dir: /proc/a/b/ldif }')),
      '/proc/a',
    ],
    [
      'intake.spool',
      (lockstep) => lockstep.editConfig((yaml) => yaml.replace(/spool: .*/, 'spool: /proc/spool')),
      '/proc/spool',
    ],
    [
      'store',
      (lockstep) => lockstep.editConfig((yaml) => yaml.replace(/store: .*/, 'store: sqlite:/proc/state/lockstep.db')),
      '/proc/state',
    ],
  ]
  test.each(never)('ends with a clear error where the kernel refuses %s for ever', async (_key, edit, path) => {
    await using lockstep = await createLockstep(slapd)
    edit(lockstep)
    const ran = await lockstep.cli('serve')
    expect(ran.code).toBe(78)
    expect(ran.stderr).toContain(path)
    expect(ran.stderr).toContain('the file system at /proc takes no folders')
    expect(ran.stderr).not.toContain('fault of Lockstep')
  })
})

describe.runIf(isRoot)('a file that a person names', () => {
  test('is read with their own rights, not with those of the service', async () => {
    await using lockstep = await createLockstep(slapd, {
      yaml: "privacyidea: { url: 'http://127.0.0.1:9', user: x, passwordFile: PASSWORD }\n",
    })
    const own = join(lockstep.dir, 'ldap-password')
    lockstep.editConfig((yaml) => yaml.replace('PASSWORD', own))
    // The state belongs to the service's user, and the command goes on as that one.
    for (const path of [join(lockstep.dir, 'state'), lockstep.ldifDir]) mkdirSync(path, { recursive: true })
    execFileSync('chown', ['-R', `${UNPRIVILEGED}:${UNPRIVILEGED}`, join(lockstep.dir, 'state'), lockstep.ldifDir, own])
    const file = join(lockstep.dir, 'admin-password')
    writeFileSync(file, 'secret', { mode: 0o600 })
    const csv = join(lockstep.dir, 'users.csv')
    writeFileSync(csv, 'login,realm\nu1,r1\n', { mode: 0o600 })
    const admin = ['--user', 'admin', '--password-file', file]
    for (const args of [
      ['enroll', 'u1', '--realm', 'r1', '--dry-run', ...admin],
      ['enroll', '--csv', csv, '--dry-run', ...admin],
      ['doctor', '--privacyidea-admin', 'admin', '--password-file', file],
    ]) {
      const ran = await lockstep.cli(...args)
      expect(ran.stdout + ran.stderr, args.join(' ')).not.toMatch(
        /secret file .* may not be read|csv cannot be read|EACCES/,
      )
      expect(ran.stdout + ran.stderr, args.join(' ')).toContain('the connection was refused')
    }
  })
})

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { look } from '../../support/account-view.ts'
import { slapd, slapdTest as test } from '../../support/fixture.ts'
import { createLockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** A disk of its own for the store or the spool, that is mounted read-only. A mount takes root. */

interface Disk extends AsyncDisposable {
  readonly path: string
  remount(how: 'ro' | 'rw'): void
}

async function mountDisk(): Promise<Disk> {
  const temp = await makeTempDir('read-only')
  const path = join(temp.path, 'mounted')
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0750', 'tmpfs', path])
  return {
    path,
    remount: (how) => void execFileSync('mount', ['-o', `remount,${how}`, path]),
    async [Symbol.asyncDispose]() {
      execFileSync('umount', ['-l', path])
      await temp[Symbol.asyncDispose]()
    },
  }
}

interface StatusJson {
  readonly health: string
  readonly healthReasons: readonly { readonly text: string }[]
}

describe.runIf(process.getuid?.() === 0)('a read-only file system', () => {
  test('of the spool: shim, drain, daemon, status and doctor say so, and the event is taken once it is writable', async () => {
    await using disk = await mountDisk()
    await using lockstep = await createLockstep(slapd, { spoolDir: join(disk.path, 'spool') })
    await lockstep.drain()
    await lockstep.shim('lock', asNobody(null, 'u1'))
    disk.remount('ro')
    const shim = await lockstep.shim('lock', asNobody(null, 'u2'))
    expect(shim).toMatchObject({ code: 75, stderr: expect.stringMatching(/is on a read-only file system: .*\n$/) })
    const drain = await lockstep.drain()
    expect(drain.code).toBe(77)
    expect(drain.stderr).toMatch(
      /lockstep: Cannot remove a file that was taken from \S+spool\/new: it is on a read-only file system\.\n {2}Mount it for writing; in a systemd unit, name it in ReadWritePaths\.\n$/,
    )
    await lockstep.serve()
    await eventually('the log tells of it', () => /on a read-only file system.*Mount it/.test(lockstep.log()))
    const status = await lockstep.json<StatusJson>('status')
    expect(status.health).toBe('attention')
    expect(status.healthReasons.map(({ text }) => text).join()).toMatch(
      /no event can be taken from the spool .*: \S.*read-only/,
    )
    const doctor = await lockstep.cli('doctor')
    expect(doctor.stdout).toMatch(/FAIL {2}\S+spool is on a read-only file system\n.*\n {8}fix: mount -o remount,rw/)
    disk.remount('rw')
    await eventually('the account is locked', async () => !(await look(slapd, 'u1')).canBind, 60_000)
    await eventually('the spool is empty', async () => {
      return (await lockstep.json<{ spoolFiles: number }>('status')).spoolFiles === 0
    })
  }, 120_000)

  test('of the store: every command that needs it says so in one message with the next step', async () => {
    await using disk = await mountDisk()
    const storeFile = join(disk.path, 'lockstep.db')
    await using lockstep = await createLockstep(slapd, { storeFile })
    await lockstep.json('status')
    disk.remount('ro')
    const commands = [['status'], ['drain'], ['serve'], ['lock', 'u3', '--reason', 'x'], ['accounts']]
    for (const command of commands) {
      const ran = await lockstep.cli(...command)
      expect({ code: ran.code, stdout: ran.stdout, stderr: ran.stderr }, command.join(' ')).toEqual({
        code: 77,
        stdout: '',
        stderr: `lockstep: cannot open the store ${storeFile} for writing: its file system is read-only\n  Mount it for writing, or name another place (key store).\n`,
      })
    }
  })
})

test.runIf(process.getuid?.() === 0)('a store whose folder belongs to somebody else is told with who may', async () => {
  await using temp = await makeTempDir('not-mine')
  await using server = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(server, { storeFile: join(temp.path, 'lockstep.db'), uid: 65534 })
  const command = `sudo lockstep --config ${lockstep.configFile} status`
  expect(await lockstep.cli('status')).toMatchObject({
    code: 77,
    stdout: '',
    stderr: `lockstep: cannot open the store ${temp.path}/lockstep.db for writing: this user may not write there\n  ${temp.path} belongs to root:root (mode 0700). Run it as root: ${command}\n`,
  })
})

import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look } from '../../support/account-view.ts'
import { slapd, slapdTest as test, user } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'
import { mountDisk } from '../../support/small-disk.ts'

/** A disk of its own for the store, the LDIF folders or the spool, that fills up. A mount takes root. */

const MANY = 2_000

describe.runIf(process.getuid?.() === 0)('a full disk', () => {
  test('of the LDIF folders: the directory is not touched, status says why, and it goes on by itself', async () => {
    await using disk = await mountDisk()
    await using lockstep = await startLockstep(slapd, { ldifDir: join(disk.path, 'ldif') })
    disk.fill()
    await lockstep.shim('lock', asNobody(null, user))
    const why = await eventually('status tells of the disk', async () => {
      const { waits } = await lockstep.json<{ waits: { code: string; why: { text: string } }[] }>('status')
      return waits.find((wait) => wait.code === 'disk-full')?.why.text
    })
    expect(why).toContain(join(disk.path, 'ldif'))
    expect((await look(slapd, user)).canBind).toBe(true)
    disk.free()
    await eventually('the account is locked by itself', async () => !(await look(slapd, user)).canBind, 30_000)
    await lockstep.settled()
    expect(lockstep.ldif('unlock')).toHaveLength(1)
    expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
  })

  test('of the store: events stay in the spool, the log says why, and it goes on by itself', async () => {
    await using disk = await mountDisk()
    const storeFile = join(disk.path, 'lockstep.db')
    await using lockstep = await startLockstep(slapd, { storeFile })
    disk.fill()
    // More than the write-ahead log has room for in what it already holds of the disk.
    for (let number = 0; number < MANY; number++) {
      lockstep.spool({ kind: 'register', args: asAdmin(`FULL${number}`, null), takenAtMs: Date.now() })
    }
    lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: Date.now() })
    await eventually('the log tells of the disk', () => lockstep.log().includes('code=disk-full'))
    expect(lockstep.log()).toContain(storeFile)
    const ran = await lockstep.cli('lock', user, '--reason', 'x')
    expect(ran.code).toBe(74)
    expect(ran.stderr).toContain(`no space left for the store ${storeFile}`)
    expect(ran.stderr).toContain('Free some disk space')
    disk.free()
    await eventually('the account is locked by itself', async () => !(await look(slapd, user)).canBind, 30_000)
    await lockstep.settled(60_000)
    const { events } = await lockstep.json<{ events: unknown[] }>('events', '--limit', '10000')
    expect(events).toHaveLength(MANY + 1)
    expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
  })

  test('of the spool: the shim exits with 75 and one line, and is fine once there is room', async () => {
    await using disk = await mountDisk()
    await using lockstep = await startLockstep(slapd, { spoolDir: join(disk.path, 'spool') })
    disk.fill()
    const ran = await lockstep.shim('lock', asNobody(null, user))
    expect(ran.code).toBe(75)
    expect(ran.stderr).toMatch(/^lockstep-lock: the event is not on record: .*full\?\n$/)
    disk.free()
    expect((await lockstep.shim('lock', asNobody(null, user))).code).toBe(0)
    await lockstep.settled()
    expect((await look(slapd, user)).canBind).toBe(false)
    await lockstep.shim('unlock', asAdmin(null, user))
    await lockstep.settled()
    expect((await look(slapd, user)).canBind).toBe(true)
  })
})

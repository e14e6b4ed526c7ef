import { expect, test } from 'vitest'
import { startSimulator } from '../../privacyidea/simulator/simulator.ts'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { createApiLockstep, serveSwept } from '../../support/api-servers.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asAdmin } from '../../support/privacyidea-arguments.ts'

/** What brings back what an undo took away by mistake. */

test('mode api: nothing brings a serial back that an undo took out, but an undo of the undo, or a new assignment', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using simulator = await startSimulator()
  const { stock, admins } = simulator.world
  admins.set('lockstep', 'lockstep-secret')
  const entry = await slapd.ldapsearch('-b', slapd.userDn('u1'), '-s', 'base', 'entryUUID')
  const userId = /^entryUUID: (\S+)/m.exec(entry)?.[1] ?? expect.fail(entry)
  stock.addUser('u1', userId)
  const full = stock.addToken('FULL1', { userId, maxfail: 3, failcount: 3 })
  const usable = stock.addToken('USABLE1', { userId, maxfail: 3, failcount: 0 })
  await using lockstep = await createApiLockstep({ slapd, pi: simulator })
  await serveSwept(lockstep)
  await lockstep.settled()
  const seen = async () => {
    await lockstep.settled()
    const { canBind, ...view } = await look(slapd, 'u1')
    return { canBind, serials: serialsOf({ canBind, ...view }) }
  }
  const before = { canBind: false, serials: ['FULL1', 'USABLE1'] }
  const undone = { canBind: true, serials: [] }
  expect(await seen()).toEqual(before)

  await lockstep.json('undo', '--since', '1h', '--yes')
  expect(await seen()).toEqual(undone)
  const { stdout } = await lockstep.cli('show', 'u1')
  const lines = stdout.split('\n').filter((line) => line.startsWith('  undone'))
  expect(lines).toHaveLength(2)
  const since = / (FULL1|USABLE1): .* lockstep undo --since (\S+)$/.exec(lines[0] ?? '')?.[2] ?? expect.fail(stdout)
  await lockstep.json('resync')
  await lockstep.json('retry')
  for (const command of ['unlock', 'register'] as const) await lockstep.shim(command, asAdmin('FULL1', 'u1'))
  expect(await seen()).toEqual(undone)

  stock.assign(usable, null)
  await lockstep.json('resync')
  stock.assign(usable, userId)
  await lockstep.json('resync')
  expect(await seen()).toEqual({ canBind: true, serials: ['USABLE1'] })

  await lockstep.json('undo', '--since', since, '--yes')
  expect(await seen()).toEqual(before)
  expect((await lockstep.cli('show', 'u1')).stdout).not.toContain('undone')

  await lockstep.json('undo', '--since', '1h', '--yes')
  expect(await seen()).toMatchObject({ canBind: true })
  full.failcount = 0
  await lockstep.json('resync')
  full.failcount = 3
  await eventually('full anew, it locks', async () => !(await look(slapd, 'u1')).canBind)
})

test('mode events: the event of a new assignment brings the serial back, and that of an attempt the lock', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  await lockstep.shim('register', asAdmin('EVENTS1', 'u1'))
  await lockstep.shim('lock', asAdmin('EVENTS1', 'u1'))
  await lockstep.settled()
  await lockstep.json('undo', '--since', '1h', '--yes')
  await lockstep.settled()
  expect(await look(slapd, 'u1')).toMatchObject({ canBind: true, descriptions: [] })
  await lockstep.shim('lock', asAdmin('EVENTS1', 'u1'))
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)
  await lockstep.shim('register', asAdmin('EVENTS1', 'u1'))
  await lockstep.settled()
  expect(serialsOf(await look(slapd, 'u1'))).toEqual(['EVENTS1'])
})

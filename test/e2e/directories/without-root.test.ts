import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { look } from '../../support/account-view.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'
import { programForEverybody, UNPRIVILEGED } from './program-for-everybody.ts'

test('everything runs as an ordinary user: shims, daemon, drain, commands', async () => {
  await using temp = await makeTempDir('program')
  const isRoot = process.getuid?.() === 0
  const program = await programForEverybody(temp.path)
  await using slapd = await startSlapd({ users: 3, dbNoSync: true })
  await using lockstep = await startLockstep(slapd, { program, ...(isRoot ? { uid: UNPRIVILEGED } : {}) })
  const uid = isRoot ? UNPRIVILEGED : (process.getuid?.() ?? 0)
  expect(statSync(`/proc/${lockstep.pid}`).uid).toBe(uid)
  expect((await lockstep.shim('register', asAdmin('USER1', 'u1'))).code).toBe(0)
  expect((await lockstep.shim('lock', asNobody(null, 'u1'))).code).toBe(0)
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(false)
  await lockstep.stop()
  expect((await lockstep.shim('unlock', asAdmin('USER1', null))).code).toBe(0)
  const drained = await lockstep.drain()
  expect({ code: drained.code, stderr: drained.stderr }).toEqual({ code: 0, stderr: '' })
  expect((await look(slapd, 'u1')).canBind).toBe(true)
  expect(await lockstep.json('journal', '--verify')).toMatchObject({ faults: [] })
  expect(modesBelow(lockstep.ldifDir).filter(({ mode }) => (mode & 0o007) !== 0)).toEqual([])
  expect(statSync(lockstep.storeFile).mode & 0o007).toBe(0)
})

function modesBelow(dir: string): { readonly path: string; readonly mode: number }[] {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' })
  return names.map((path) => ({ path, mode: statSync(join(dir, path)).mode & 0o777 }))
}

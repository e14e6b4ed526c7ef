import { copyFileSync, cpSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startSlapd } from '../servers/slapd.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { look } from './account-view.ts'
import { startLockstep } from './lockstep.ts'
import { asAdmin, asNobody } from './privacyidea-arguments.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
/** nobody:nogroup */
const UNPRIVILEGED = 65_534

/** The checkout may lie where only root can look: the program and its Node.js are copied to where everybody can. */
async function programForEverybody(dir: string): Promise<readonly string[]> {
  await chmod(dir, 0o755)
  const node = join(dir, 'node')
  copyFileSync(process.execPath, node)
  await chmod(node, 0o755)
  mkdirSync(join(dir, 'package'), { mode: 0o755 })
  for (const folder of ['dist', 'shims']) {
    cpSync(join(CHECKOUT, folder), join(dir, 'package', folder), {
      recursive: true,
      filter: (source) => !source.endsWith('.cache'),
    })
  }
  return [node, '--disable-warning=ExperimentalWarning', join(dir, 'package', 'dist', 'lockstep.js')]
}

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
  expect(await lockstep.json('journal', '--verify')).toMatchObject({ ok: true })
  expect(modesBelow(lockstep.ldifDir).filter(({ mode }) => (mode & 0o007) !== 0)).toEqual([])
  expect(statSync(lockstep.storeFile).mode & 0o007).toBe(0)
})

function modesBelow(dir: string): { readonly path: string; readonly mode: number }[] {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' })
  return names.map((path) => ({ path, mode: statSync(join(dir, path)).mode & 0o777 }))
}

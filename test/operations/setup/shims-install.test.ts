import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { installShims } from '../../../src/operations/setup/shims-install.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { FOREIGN_ID, installInTemp, isRoot, run, spooled, start } from '../../intake/shim-runner.ts'

const NAMES = ['lockstep-lock', 'lockstep-register', 'lockstep-unlock', 'lockstep-unregister']

function modeOf(path: string): number {
  return statSync(path).mode & 0o7777
}

test('four scripts that anybody may run, and a spool that the group may only write into', async () => {
  await using shims = await installInTemp()
  expect(readdirSync(shims.dir).toSorted()).toEqual(NAMES)
  for (const name of NAMES) expect(modeOf(join(shims.dir, name))).toBe(0o755)
  expect(shims.installed.scripts.map((script) => script.action)).toEqual(Array(4).fill('written'))
  expect(shims.installed.folders.map(({ path, mode, action }) => [path, mode, action])).toEqual([
    [shims.spool, '0710', 'created'],
    [join(shims.spool, 'tmp'), '1730', 'created'],
    [join(shims.spool, 'new'), '1730', 'created'],
  ])
  const gid = isRoot ? FOREIGN_ID : process.getgid?.()
  for (const folder of shims.installed.folders) expect([folder.uid, folder.gid]).toEqual([process.getuid?.(), gid])
})

test('a second time changes nothing, and puts right what was changed', async () => {
  await using shims = await installInTemp()
  const request = { dir: shims.dir, spool: shims.spool, group: String(statSync(shims.spool).gid) }
  const again = await installShims(request)
  expect([...again.scripts, ...again.folders].map((each) => each.action)).toEqual(Array(7).fill('unchanged'))
  chmodSync(join(shims.spool, 'new'), 0o777)
  chmodSync(join(shims.dir, 'lockstep-lock'), 0o700)
  const repaired = await installShims(request)
  expect(repaired.folders.map((each) => each.action)).toEqual(['unchanged', 'unchanged', 'corrected'])
  expect(repaired.scripts.filter((each) => each.action === 'written').map((each) => each.path)).toEqual([
    join(shims.dir, 'lockstep-lock'),
  ])
  expect(modeOf(join(shims.spool, 'new'))).toBe(0o1730)
})

test('another spool replaces the scripts of before', async () => {
  await using shims = await installInTemp()
  const other = join(shims.root, 'deep', 'other')
  await installShims({ dir: shims.dir, spool: other, group: null })
  expect(run(shims.path('lock'), ['--serial', 'A'])).toEqual({ code: 0, stderr: '' })
  expect(spooled(other)).toHaveLength(1)
  expect(spooled(shims.spool)).toEqual([])
  expect(modeOf(join(shims.root, 'deep'))).toBe(0o755)
})

test('the owner that an administrator gave the spool stays', async () => {
  await using shims = await installInTemp()
  const uid = isRoot ? FOREIGN_ID : (process.getuid?.() ?? 0)
  if (isRoot) expect(run('chown', ['-R', String(uid), shims.spool]).code).toBe(0)
  const again = await installShims({ dir: shims.dir, spool: shims.spool, group: String(statSync(shims.spool).gid) })
  expect(again.folders.map((folder) => folder.uid)).toEqual([uid, uid, uid])
})

test('somebody else’s script under one of the names is left alone, and nothing is written at all', async () => {
  await using temp = await makeTempDir('install')
  const dir = join(temp.path, 'scripts')
  const spool = join(temp.path, 'spool')
  mkdirSync(dir)
  writeFileSync(join(dir, 'lockstep-unlock'), '#!/bin/sh\nexit 0\n')
  await expect(installShims({ dir, spool, group: null })).rejects.toMatchObject({
    code: 'file-not-permitted',
    message: `${join(dir, 'lockstep-unlock')} is there already and is not one of our scripts.`,
  })
  expect(readdirSync(temp.path)).toEqual(['scripts'])
  expect(readdirSync(dir)).toEqual(['lockstep-unlock'])
  expect(readFileSync(join(dir, 'lockstep-unlock'), 'utf8')).toBe('#!/bin/sh\nexit 0\n')
})

test('a symbolic link under one of the names is not followed', async () => {
  await using shims = await installInTemp()
  const elsewhere = join(shims.root, 'elsewhere')
  writeFileSync(elsewhere, readFileSync(shims.path('lock')))
  run('rm', [shims.path('lock')])
  symlinkSync(elsewhere, shims.path('lock'))
  await expect(installShims({ dir: shims.dir, spool: shims.spool, group: null })).rejects.toMatchObject({
    code: 'file-not-permitted',
  })
  expect(lstatSync(shims.path('lock')).isSymbolicLink()).toBe(true)
})

test('a folder that is not there is one clear error', async () => {
  await using temp = await makeTempDir('install')
  const dir = join(temp.path, 'nowhere')
  await expect(installShims({ dir, spool: join(temp.path, 'spool'), group: null })).rejects.toMatchObject({
    code: 'usage',
    message: `There is no folder ${dir}.`,
    hint: expect.stringContaining('PI_SCRIPT_HANDLER_DIRECTORY'),
  })
})

test('a group that is not there is one clear error', async () => {
  await using temp = await makeTempDir('install')
  const request = { dir: temp.path, spool: join(temp.path, 'spool'), group: 'no such group' }
  await expect(installShims(request)).rejects.toMatchObject({
    code: 'usage',
    message: 'There is no group "no such group".',
  })
  expect(readdirSync(temp.path)).toEqual([])
})

test('a group is known by its name', async () => {
  await using temp = await makeTempDir('install')
  const name = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((line) => line.split(':')[2] === String(process.getgid?.()))
  const request = { dir: temp.path, spool: join(temp.path, 'spool'), group: name?.split(':')[0] ?? '' }
  expect((await installShims(request)).folders[0]?.gid).toBe(process.getgid?.())
})

test('a relative spool, or one with a line feed, is refused', async () => {
  await using temp = await makeTempDir('install')
  for (const spool of ['spool', '/tmp/a\nb']) {
    await expect(installShims({ dir: temp.path, spool, group: null })).rejects.toMatchObject({ code: 'usage' })
  }
  expect(readdirSync(temp.path)).toEqual([])
})

test('a folder that may not be written into is one clear error', async () => {
  await using temp = await makeTempDir('install')
  const dir = join(temp.path, 'scripts')
  mkdirSync(dir)
  chmodSync(temp.path, 0o711)
  chmodSync(dir, 0o555)
  const script = `
    import { installShims } from ${JSON.stringify(new URL('../../../src/operations/setup/shims-install.ts', import.meta.url).href)}
    await installShims({ dir: ${JSON.stringify(dir)}, spool: '/nowhere', group: null }).catch((error) => {
      console.error(error.code, error.message, error.hint)
    })`
  const node = [process.execPath, '--input-type=module-typescript', '-e', script]
  const [program = '', ...args] = isRoot
    ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...node]
    : node
  expect(run(program, args).stderr).toBe(
    `file-not-permitted Cannot write into ${dir}: no permission. Run it as root.\n`,
  )
})

test('what is left to do is told: the bindings, a group that is missing, a parent that nobody may pass', async () => {
  await using temp = await makeTempDir('install')
  const done = await installShims({ dir: temp.path, spool: join(temp.path, 'spool'), group: isRoot ? '0' : null })
  const text = done.nextSteps.join('\n')
  expect(text).toContain(`chmod o+x '${temp.path}'`)
  expect(text).toContain('lockstep-lock        validate_check, with the condition token_locked = True')
  if (isRoot) expect(text).toContain('chgrp GROUP')
})

test.each(['new', 'tmp'])(
  'a link in place of %s of the spool is not followed: what it leads to stays',
  async (name) => {
    await using shims = await installInTemp()
    const victim = join(shims.root, 'victim')
    mkdirSync(victim, { mode: 0o755 })
    const before = statSync(victim)
    // Somebody else owns the spool, as the service's user does.
    if (isRoot) expect(run('chown', ['-R', String(FOREIGN_ID), shims.spool]).code).toBe(0)
    run('rmdir', [join(shims.spool, name)])
    symlinkSync(victim, join(shims.spool, name))
    const request = { dir: shims.dir, spool: shims.spool, group: String(statSync(shims.spool).gid) }
    await expect(installShims(request)).rejects.toMatchObject({
      code: 'file-not-permitted',
      message: `${join(shims.spool, name)} is a symbolic link, which is not followed here.`,
      hint: 'See who put it there, and move it away.',
    })
    const { uid, gid, mode } = statSync(victim)
    expect({ uid, gid, mode }).toEqual({ uid: before.uid, gid: before.gid, mode: before.mode })
  },
)

test('a link on the way to the spool is followed where only we could have put it', async () => {
  await using shims = await installInTemp()
  const real = join(shims.root, 'real')
  const link = join(shims.root, 'link')
  mkdirSync(real)
  chmodSync(shims.root, 0o755)
  symlinkSync('real', link)
  await installShims({ dir: shims.dir, spool: join(link, 'spool'), group: null })
  expect(readdirSync(join(real, 'spool')).toSorted()).toEqual(['new', 'tmp'])
  chmodSync(shims.root, 0o777)
  await expect(installShims({ dir: shims.dir, spool: join(link, 'other'), group: null })).rejects.toMatchObject({
    code: 'file-not-permitted',
    message: `${link} leads through a symbolic link, link, that others can change.`,
    hint: expect.stringContaining('realpath'),
  })
  expect(readdirSync(real)).toEqual(['spool'])
})

test.runIf(isRoot)(
  'while somebody swaps the folders of the spool for links all the time, nothing outside of it changes',
  { timeout: 60_000 },
  async () => {
    await using shims = await installInTemp()
    const victim = join(shims.root, 'victim')
    mkdirSync(victim, { mode: 0o755 })
    const before = statSync(victim)
    expect(run('chown', ['-R', String(FOREIGN_ID), shims.spool]).code).toBe(0)
    chmodSync(shims.spool, 0o711)
    const swap = `
      const { renameSync, symlinkSync } = require('node:fs')
      process.chdir(${JSON.stringify(shims.spool)})
      symlinkSync(${JSON.stringify(victim)}, 'link')
      const steps = [['new', 'real'], ['link', 'new'], ['new', 'link'], ['real', 'new']]
      for (;;) for (const [from, to] of steps) try { renameSync(from, to) } catch {}`
    const asOwner = ['--reuid', String(FOREIGN_ID), '--regid', String(FOREIGN_ID), '--clear-groups']
    const swapper = start('setpriv', [...asOwner, process.execPath, '-e', swap])
    try {
      await vi.waitFor(() => expect(lstatSync(join(shims.spool, 'new')).isSymbolicLink()).toBe(true), 20_000)
      const request = { dir: shims.dir, spool: shims.spool, group: String(FOREIGN_ID - 1) }
      let refused = 0
      for (let each = 0; each < 300; each++) await installShims(request).catch(() => refused++)
      console.log(`${refused} of 300 were refused`)
    } finally {
      swapper.kill()
      await swapper.ended
    }
    const { uid, gid, mode } = statSync(victim)
    expect({ uid, gid, mode }).toEqual({ uid: before.uid, gid: before.gid, mode: before.mode })
  },
)

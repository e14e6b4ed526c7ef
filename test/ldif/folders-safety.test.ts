import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { parseHoldName } from '../../src/core/names.ts'
import type { AppError } from '../../src/core/error.ts'
import { openLdifFolders } from '../../src/ldif/folders.ts'
import { pruneHistory } from '../../src/ldif/history.ts'
import { HISTORY_FOLDERS } from '../../src/ldif/layout.ts'
import { runToolOk } from '../servers/run-tool.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { change, hold, unchecked, keyOf } from './changes.ts'

const T1 = hold('T1')
const isRoot = process.getuid?.() === 0
const umask = process.umask()

afterEach(() => void process.umask(umask))

function tree(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).toSorted()
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8)
}

describe('names', () => {
  test('a name that is a path, holds NUL or line ends, or is too long never becomes a file', async () => {
    await using temp = await makeTempDir('names')
    await using ldif = await openLdifFolders({ dir: join(temp.path, 'ldif'), worker: 'never' })
    const before = tree(temp.path)
    const hostile = fc.oneof(
      fc.constantFrom(
        '../evil',
        '/etc/passwd',
        '..',
        '.',
        '',
        'a/b',
        'a\u0000',
        'a\nb',
        'T1.ldif',
        'x'.repeat(65),
        'é',
      ),
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc.string({ unit: fc.constantFrom('.', '/', 'a', '\\', '\u0000'), maxLength: 20 }),
    )
    await fc.assert(
      fc.asyncProperty(
        hostile.filter((text) => parseHoldName(text) === null),
        async (text) => {
          const name = unchecked(text)
          const refused = { code: 'file-not-permitted' }
          for (const kind of ['lock', 'register', 'unlock', 'unregister'] as const) {
            await expect(ldif.prepare(change(kind, [name]))).rejects.toMatchObject(refused)
          }
          await expect(ldif.applied(change('lock', [name]))).rejects.toMatchObject(refused)
          await expect(
            ldif.ensurePending({ folder: 'unlock', name, account: keyOf('a1'), text: 'x' }),
          ).rejects.toMatchObject(refused)
          await expect(ldif.dropPending('unlock', name, 'superseded', keyOf('a1'))).rejects.toMatchObject(refused)
          expect(await ldif.readPending('unlock', text)).toBeNull()
          expect(tree(temp.path)).toEqual(before)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('owners and modes', () => {
  test.each([0o000, 0o022, 0o077, 0o777])('are 0750 and 0640 under the umask %o', async (mask) => {
    await using temp = await makeTempDir('modes')
    process.umask(mask)
    const dir = join(temp.path, 'state', 'ldif')
    await using ldif = await openLdifFolders({ dir, worker: 'never' })
    await ldif.prepare(change('lock', [T1]))
    await ldif.prepare(change('register', [T1]))
    process.umask(umask)
    const paths = ['', ...tree(dir)].map((name) => join(dir, name))
    for (const path of paths) expect(modeOf(path), path).toBe(statSync(path).isDirectory() ? '750' : '640')
    expect(paths).toHaveLength(1 + 8 + 4)
  })

  test('a folder that is a link, everybody’s, or no folder is refused with what to do', async () => {
    await using temp = await makeTempDir('refused')
    const real = join(temp.path, 'real')
    mkdirSync(real, { mode: 0o750 })
    const link = join(temp.path, 'link')
    symlinkSync(real, link)
    const open = join(temp.path, 'open')
    mkdirSync(join(open, 'unlock'), { recursive: true })
    chmodSync(join(open, 'unlock'), 0o777)
    const file = join(temp.path, 'file')
    mkdirSync(file)
    writeFileSync(join(file, 'lock'), '')
    const inner = join(temp.path, 'inner')
    mkdirSync(join(inner, 'lock'), { recursive: true })
    symlinkSync(real, join(inner, 'lock', 'history'))
    for (const [dir, what] of [
      [link, 'is a symbolic link'],
      [inner, 'is a symbolic link'],
      [open, 'can be written by everybody'],
    ] as const) {
      const refused = {
        code: 'file-not-permitted',
        message: expect.stringContaining(what),
        hint: expect.stringMatching(/./),
      }
      await expect(openLdifFolders({ dir }), what).rejects.toMatchObject(refused)
    }
    await expect(openLdifFolders({ dir: file })).rejects.toMatchObject({
      message: expect.stringContaining(`${file}/lock`),
    })
    expect(readdirSync(real)).toEqual([])
  })

  test('a folder of another user is refused', async () => {
    await using temp = await makeTempDir('owner')
    // Without root, a folder of root stands in for one that somebody else made.
    const dir = isRoot ? temp.path : '/usr'
    if (isRoot) chownSync(dir, 12_345, 12_345)
    const refused = { code: 'file-not-permitted', message: expect.stringContaining('belongs to user') }
    await expect(openLdifFolders({ dir })).rejects.toMatchObject(refused)
  })

  test('a link or a pipe in the place of a waiting file is neither followed nor waited for', async () => {
    await using temp = await makeTempDir('planted')
    const dir = join(temp.path, 'ldif')
    await using ldif = await openLdifFolders({ dir, worker: 'never' })
    const outside = join(temp.path, 'outside')
    symlinkSync(outside, join(dir, 'unlock', 'T1.ldif'))
    symlinkSync(outside, join(dir, 'lock', 'T2.ldif'))
    await runToolOk('mkfifo', [join(dir, 'unlock', 'T3.ldif')])
    await expect(ldif.prepare(change('lock', [T1]))).rejects.toMatchObject({ code: 'file-not-permitted' })
    await expect(ldif.readPending('unlock', 'T1')).rejects.toMatchObject({ code: 'file-not-permitted' })
    await ldif.prepare(change('lock', [hold('T2')]))
    await expect(ldif.readPending('unlock', 'T3')).rejects.toMatchObject({ code: 'file-io' })
    expect(existsSync(outside)).toBe(false)
  })
})

describe('a folder that is replaced while it is in use', () => {
  const replaced = ['unlock', 'lock', 'register/history', 'lock/history', '.'] as const

  async function opened(worker: 'never' | 'always') {
    const temp = await makeTempDir('replaced')
    const dir = join(temp.path, 'ldif')
    const outside = join(temp.path, 'outside')
    // A layout of their own behind the link, so that nothing fails for a missing folder.
    for (const folder of HISTORY_FOLDERS) mkdirSync(join(outside, folder), { recursive: true })
    const ldif = await openLdifFolders({ dir, worker })
    await ldif.prepare(change('lock', [T1]))
    return { temp, dir, outside, ldif }
  }

  const filesOf = (dir: string): string[] => tree(dir).filter((name) => statSync(join(dir, name)).isFile())

  test.each(replaced.flatMap((folder) => (['never', 'always'] as const).map((worker) => [folder, worker] as const)))(
    'by a symbolic link (%s, worker thread: %s): no file is written through it, and what was asked for is refused',
    async (folder, worker) => {
      const { temp, dir, outside, ldif } = await opened(worker)
      await using stack = new AsyncDisposableStack()
      stack.use(temp)
      stack.use(ldif)
      renameSync(join(dir, folder), join(temp.path, 'away'))
      symlinkSync(join(outside, folder), folder === '.' ? dir : join(dir, folder))
      const jobs = Array.from({ length: 20 }, (_, at) => {
        const name = hold(`T${at + 10}`)
        return ldif
          .prepare(change(at % 2 === 0 ? 'lock' : 'register', [name]))
          .then(() => ldif.applied(change('lock', [name])))
      })
      const results = await Promise.allSettled(jobs)
      expect(filesOf(outside)).toEqual([])
      const codes = results.flatMap((result) =>
        result.status === 'rejected' ? [(result.reason as AppError).code] : [],
      )
      expect(codes.length).toBeGreaterThan(0)
      expect(new Set(codes)).toEqual(new Set(['file-not-permitted']))
    },
  )

  test('by another folder of ours: what is written lies in the new one, at once', async () => {
    const { temp, dir, ldif } = await opened('never')
    await using stack = new AsyncDisposableStack()
    stack.use(temp)
    stack.use(ldif)
    renameSync(join(dir, 'unlock'), join(temp.path, 'away'))
    mkdirSync(join(dir, 'unlock', 'history'), { recursive: true, mode: 0o750 })
    await ldif.changedFolders()
    await ldif.prepare(change('lock', [hold('T2')]))
    expect(readdirSync(join(dir, 'unlock'))).toEqual(['T2.ldif', 'history'])
  })

  test('an old history is not pruned through a symbolic link', async () => {
    const { temp, dir, outside, ldif } = await opened('never')
    await using stack = new AsyncDisposableStack()
    stack.use(temp)
    stack.use(ldif)
    const old = join(outside, 'lock', 'history', 'T1--20200101T000000.000Z.ldif')
    writeFileSync(old, 'x')
    renameSync(join(dir, 'lock'), join(temp.path, 'away'))
    symlinkSync(join(outside, 'lock'), join(dir, 'lock'))
    await expect(pruneHistory(dir, Date.now(), 10)).rejects.toMatchObject({ code: 'file-not-permitted' })
    expect(existsSync(old)).toBe(true)
  })
})

describe('sweeping', () => {
  test('takes what is unfinished and nobody’s, and leaves what is in work or may be', async () => {
    await using temp = await makeTempDir('sweep')
    const dir = join(temp.path, 'ldif')
    await using ldif = await openLdifFolders({ dir, worker: 'never' })
    const make = (name: string): void => writeFileSync(join(dir, name), 'x')
    const old = `unlock/.T1.1-abc-m0-9.tmp`
    const kept = ['lock/T1.ldif', 'lock/notes.txt', 'unlock/T2.ldif', 'unlock/.strange', `unlock/.T1.1-abc-m0-1.tmp`]
    const gone = ['lock/T2.ldif', 'lock/.T1.4194999-abc-m0-1.tmp', `register/.T1.${process.pid}-old-w0-7.tmp`, old]
    for (const name of [...kept, ...gone]) make(name)
    utimesSync(join(dir, old), 0, 0)
    await ldif.sweep([T1])
    await ldif.sweep([T1])
    expect(tree(dir).filter((name) => statSync(join(dir, name)).isFile())).toEqual(kept.toSorted())
  })
})

describe('a disk that takes nothing', () => {
  const SMALL_DISK = fileURLToPath(new URL('./small-disk.ts', import.meta.url))

  /** In a mount namespace of its own, so that the file system goes when the process does. */
  async function onSmallDisk(options: string, what: string, worker: string): Promise<unknown> {
    await using temp = await makeTempDir('disk')
    const script = `mount -t tmpfs -o ${options} none "$1" && exec "$2" "$3" "$1" "$4" "$5"`
    const args = [
      isRoot ? '-m' : '-rm',
      'sh',
      '-c',
      script,
      'sh',
      temp.path,
      process.execPath,
      SMALL_DISK,
      what,
      worker,
    ]
    const { stdout } = await runToolOk('unshare', args)
    const report: unknown = JSON.parse(stdout)
    return report
  }

  test.each([
    ['blocks', 'size=512k', 'never'],
    ['blocks', 'size=512k', 'always'],
    ['inodes', 'size=8m,nr_inodes=90', 'never'],
  ])(
    'out of %s: the change is refused as disk-full, nothing half-written is left, and it goes on later',
    async (_, options, worker) => {
      const report = await onSmallDisk(options, 'full', worker)
      expect(report).toMatchObject({ refusedWith: ['disk-full'], halfWritten: [], again: 'done' })
    },
  )

  test.each(['never', 'always'])(
    'read-only (worker thread: %s): the change is refused as not permitted',
    async (worker) => {
      expect(await onSmallDisk('size=1m', 'read-only', worker)).toEqual({ codes: ['file-not-permitted'], files: [] })
    },
  )
})

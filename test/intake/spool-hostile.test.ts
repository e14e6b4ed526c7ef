import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AppError } from '../../src/core/error.ts'
import { openSpool, type Spool } from '../../src/intake/spool.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { newMemoryIntake, type MemoryIntake } from './memory-intake.ts'
import { FOREIGN_ID, isRoot, run } from './shim-runner.ts'

/** Whoever can write into the spool can put anything there. */
interface Fixture extends AsyncDisposable {
  readonly root: string
  readonly inbox: string
  readonly spool: Spool
  readonly intake: MemoryIntake
  readonly errors: AppError[]
  reasons(): string[]
}

async function newFixture(): Promise<Fixture> {
  const temp = await makeTempDir('spool')
  const dir = join(temp.path, 'spool')
  const intake = newMemoryIntake()
  const errors: AppError[] = []
  const spool = await openSpool({ dir, intake, onError: (error) => errors.push(error) })
  return {
    root: temp.path,
    inbox: join(dir, 'new'),
    spool,
    intake,
    errors,
    reasons: () => intake.refused.map((each) => each.reason).toSorted(),
    async [Symbol.asyncDispose]() {
      await spool[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

const EVENT = 'lock\0--serial\0GOOD\0'

test('everything that is no file is put aside with its reason; the events beside it are taken; nothing leaks', async () => {
  await using at = await newFixture()
  const secret = join(at.root, 'secret')
  writeFileSync(secret, 'lock\0--serial\0SECRET\0')
  writeFileSync(join(at.inbox, 'good'), EVENT)
  expect(run('mkfifo', [join(at.inbox, 'fifo')]).code).toBe(0)
  symlinkSync(secret, join(at.inbox, 'symlink'))
  symlinkSync('/nonexistent', join(at.inbox, 'dangling'))
  linkSync(secret, join(at.inbox, 'hardlink'))
  mkdirSync(join(at.inbox, 'empty-folder'))
  mkdirSync(join(at.inbox, 'folder', 'within'), { recursive: true })
  writeFileSync(join(at.inbox, 'large'), `lock\0--serial\0${'x'.repeat(64 * 1024)}\0`)
  writeFileSync(join(at.inbox, 'huge'), Buffer.alloc(2 * 1024 * 1024))
  writeFileSync(join(at.inbox, 'empty'), '')
  writeFileSync(join(at.inbox, 'junk'), 'no kind\0')
  writeFileSync(Buffer.concat([Buffer.from(`${at.inbox}/`), Buffer.from([0xff, 0x0a, 0x2a])]), EVENT)
  writeFileSync(join(at.inbox, "a'; rm -rf $HOME"), EVENT)
  writeFileSync(join(at.inbox, '.in-the-making'), EVENT)
  const socket = createServer().listen(join(at.inbox, 'socket'))
  await new Promise((resolve) => socket.once('listening', resolve))
  const before = openDescriptors()

  await at.spool.drainOnce()

  expect(openDescriptors()).toBe(before)
  expect(at.intake.events.map((event) => event.serial)).toEqual(['GOOD'])
  expect(at.reasons()).toEqual([
    'file: a socket',
    'file: a symbolic link',
    'file: a symbolic link',
    'file: cut short, its end is missing',
    'file: has a second name (hard link)',
    'file: larger than 65536 bytes',
    'file: larger than 65536 bytes',
    'file: not a regular file',
    'file: not a regular file',
    'file: not a regular file',
    'kind: register, lock, unlock or unregister expected, not "no kind"',
    'name: not a file name of a shim: "\\u00ff\\u000a*"',
    `name: not a file name of a shim: "a'; rm -rf $HOME"`,
  ])
  expect(readdirSync(at.inbox)).toEqual(['.in-the-making'])
  expect(readdirSync(join(at.root, 'spool', 'refused'))).toHaveLength(10)
  expect(readFileSync(secret, 'utf8')).toContain('SECRET')
  expect(JSON.stringify([at.intake.refused, at.errors.map(String)])).not.toContain('SECRET')
  await new Promise((resolve) => socket.close(resolve))
})

test('refused/ keeps at most 1,000 files, and none beyond that stay in new/', async () => {
  await using at = await newFixture()
  for (let each = 0; each < 1010; each++) symlinkSync('/nonexistent', join(at.inbox, `s${each}`))
  expect(await at.spool.drainOnce()).toBe(1010)
  expect(readdirSync(at.inbox)).toEqual([])
  expect(readdirSync(join(at.root, 'spool', 'refused'))).toHaveLength(1000)
  expect(at.intake.refused).toHaveLength(1010)
})

const SPOOL_MODULE = new URL('../../src/intake/spool.ts', import.meta.url).href

/**
 * The service is not root, and root may do everything: as root these tests drain as another user, in a process of its
 * own. It drains twice, with one more event before the second time, and prints what it got.
 */
async function drainTwiceAsService(at: Fixture): Promise<unknown> {
  const dir = join(at.root, 'spool')
  const script = `
    import { writeFileSync } from 'node:fs'
    import { openSpool } from ${JSON.stringify(SPOOL_MODULE)}
    const seen = { events: 0, reasons: [], errors: [] }
    const intake = {
      async take(events, refused) {
        seen.events += events.length
        seen.reasons.push(...refused.map((each) => each.reason))
      },
    }
    const onError = (error) => seen.errors.push(error.message)
    await using spool = await openSpool({ dir: ${JSON.stringify(dir)}, intake, onError })
    await spool.drainOnce()
    writeFileSync(${JSON.stringify(join(dir, 'new', 'later'))}, ${JSON.stringify(EVENT)})
    await spool.drainOnce()
    console.log(JSON.stringify(seen))`
  await chmod(at.root, 0o711)
  const out = join(at.root, 'out')
  const id = String(FOREIGN_ID)
  if (isRoot) {
    const folders = ['', 'tmp', 'new', 'refused'].map((name) => join(dir, name))
    expect(run('chown', [`${id}:${id}`, ...folders]).code).toBe(0)
  }
  const as = isRoot ? `setpriv --reuid=${id} --regid=${id} --clear-groups ` : ''
  const command = `${as}"$1" --input-type=module-typescript -e "$2" >"$3"`
  expect(run('sh', ['-c', command, 'sh', process.execPath, script, out])).toEqual({ code: 0, stderr: '' })
  return JSON.parse(readFileSync(out, 'utf8'))
}

test('a file that its writer made unreadable is put aside', async () => {
  await using at = await newFixture()
  writeFileSync(join(at.inbox, 'closed'), EVENT, { mode: 0o000 })
  writeFileSync(join(at.inbox, 'open'), EVENT, { mode: 0o644 })
  expect(await drainTwiceAsService(at)).toEqual({
    events: 2,
    reasons: ['file: no permission to read it (the shim writes files of mode 0644)'],
    errors: [],
  })
  expect(readdirSync(at.inbox)).toEqual([])
})

test('what can neither be moved nor removed is reported once and does not hold up the events', async () => {
  await using at = await newFixture()
  const stuck = join(at.inbox, 'stuck')
  mkdirSync(join(stuck, 'within'), { recursive: true })
  await chmod(stuck, 0o555)
  writeFileSync(join(at.inbox, 'open'), EVENT)
  expect(await drainTwiceAsService(at)).toEqual({
    events: 2,
    reasons: ['file: not a regular file'],
    errors: [`Something in ${at.inbox} is no event and cannot be moved away: file: not a regular file.`],
  })
  expect(readdirSync(at.inbox)).toEqual(['stuck'])
  await chmod(stuck, 0o755)
})

describe('whatever a file holds', () => {
  test('a drain takes or refuses it, leaves nothing in new/, and touches nothing outside the spool', async () => {
    await using at = await newFixture()
    const text = fc.constantFrom(
      'none',
      '--serial',
      '--user',
      '../../x',
      '/etc/passwd',
      '*)(uid=*',
      'cn=a,dc=b',
      'a\ndn: cn=x\nchangetype: delete',
    )
    const field = fc.oneof(
      text.map((each) => Buffer.from(each)),
      fc.uint8Array({ maxLength: 100 }).map((each) => Buffer.from(each)),
    )
    const content = fc
      .array(field, { maxLength: 10 })
      .map((fields) => Buffer.concat(fields.flatMap((each) => [each, Buffer.from([0])])))
    const whole = fc.oneof(
      content,
      content.map((each) => Buffer.concat([Buffer.from('lock\0'), each])),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(whole, { minLength: 1, maxLength: 5 }), async (contents) => {
        const before = at.intake.calls.length
        contents.forEach((each, index) => writeFileSync(join(at.inbox, `f${before}-${index}`), each))
        expect(await at.spool.drainOnce()).toBe(contents.length)
        expect(readdirSync(at.inbox)).toEqual([])
        expect(readdirSync(at.root)).toEqual(['spool'])
      }),
      { numRuns: 200 },
    )
    for (const each of at.intake.refused) expect(each.reason).toMatch(/^[\u0020-\u007e]+…?$/)
  })

  test('a megabyte is refused without being read', async () => {
    await using at = await newFixture()
    writeFileSync(join(at.inbox, 'one'), `lock\0--user\0${'a'.repeat(1024 * 1024)}\0`)
    await at.spool.drainOnce()
    expect(at.reasons()).toEqual(['file: larger than 65536 bytes'])
  })
})

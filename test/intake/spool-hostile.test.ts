import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { AppError } from '../../src/core/error.ts'
import { openSpool, type Spool } from '../../src/intake/spool.ts'
import { withLease } from '../servers/file-lease.ts'
import { canMount } from '../servers/read-only-mount.ts'
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
    'kind: register, lock, unlock or unregister expected, not "no kind"',
    'name: not a file name of a shim: "\\u00ff\\u000a*"',
    `name: not a file name of a shim: "a'; rm -rf $HOME"`,
  ])
  expect(readdirSync(at.inbox).toSorted()).toEqual(['.in-the-making', 'empty-folder', 'folder'])
  expect(readdirSync(join(at.root, 'spool', 'refused'))).toHaveLength(8)
  expect(at.errors.map((error) => error.message)).toEqual([`2 folders lie in ${at.inbox}: no event, and left alone.`])
  expect(readFileSync(secret, 'utf8')).toContain('SECRET')
  expect(JSON.stringify([at.intake.refused, at.errors.map(String)])).not.toContain('SECRET')
  await new Promise((resolve) => socket.close(resolve))
})

test('refused/ keeps at most 1,000 files, and none beyond that stay in new/', async () => {
  await using at = await newFixture()
  for (let each = 0; each < 1010; each++) symlinkSync('/nonexistent', join(at.inbox, `s${each}`))
  expect((await at.spool.drainOnce()).taken).toBe(1010)
  expect(readdirSync(at.inbox)).toEqual([])
  expect(readdirSync(join(at.root, 'spool', 'refused'))).toHaveLength(1000)
  expect(at.intake.refused).toHaveLength(1010)
})

const SPOOL_MODULE = new URL('../../src/intake/spool.ts', import.meta.url).href

interface Seen {
  readonly events: number
  readonly reasons: string[]
  readonly errors: string[]
}

/**
 * The service is not root, and root may do everything: as root these tests act as another user, in a process of its own.
 * @param act has `spool`, `put(name)` for one more event, `seen`, and prints nothing; what it returns is added to `seen`
 */
async function asService<More = unknown>(
  at: Fixture,
  act: string,
  { filesMax = 1024, under = '' } = {},
): Promise<Seen & More> {
  const dir = join(at.root, 'spool')
  const script = `
    import { closeSync, openSync, writeFileSync } from 'node:fs'
    import { openSpool } from ${JSON.stringify(SPOOL_MODULE)}
    const seen = { events: 0, reasons: [], errors: [] }
    const known = new Set()
    const intake = {
      async take(events, refused) {
        seen.events += events.filter(({ id }) => !known.has(id)).length
        seen.reasons.push(...refused.map((each) => each.reason))
        for (const { id } of events) known.add(id)
        reached()
      },
    }
    let reached = () => {}
    const untilEvents = (count) => new Promise((resolve) => {
      reached = () => { if (seen.events >= count) resolve() }
      reached()
    })
    const put = (name) => writeFileSync(${JSON.stringify(join(dir, 'new'))} + '/' + name, ${JSON.stringify(EVENT)})
    const onError = (error) => seen.errors.push(error.message)
    await using spool = await openSpool({ dir: ${JSON.stringify(dir)}, intake, onError })
    const more = await (async () => { ${act} })()
    console.log(JSON.stringify({ ...seen, ...more }))`
  await chmod(at.root, 0o711)
  const out = join(at.root, 'out')
  const id = String(FOREIGN_ID)
  const as = isRoot ? `setpriv --reuid=${id} --regid=${id} --clear-groups ` : ''
  const command = `ulimit -n ${filesMax}; ${under} ${as}"$1" --input-type=module-typescript -e "$2" >"$3"`
  expect(run('sh', ['-c', command, 'sh', process.execPath, script, out])).toEqual({ code: 0, stderr: '' })
  return JSON.parse(readFileSync(out, 'utf8')) as Seen & More
}

/** The spool's folders to the service's user, what lies in them to whoever made it. */
function giveToService(at: Fixture, owner = `${FOREIGN_ID}:${FOREIGN_ID}`): void {
  const folders = ['', 'tmp', 'new', 'refused'].map((name) => join(at.root, 'spool', name))
  if (isRoot) expect(run('chown', [owner, ...folders]).code).toBe(0)
}

const DRAIN_TWICE = `await spool.drainOnce(); put('later'); await spool.drainOnce()`

test('a file that its writer made unreadable is put aside', async () => {
  await using at = await newFixture()
  writeFileSync(join(at.inbox, 'closed'), EVENT, { mode: 0o000 })
  writeFileSync(join(at.inbox, 'open'), EVENT, { mode: 0o644 })
  giveToService(at)
  expect(await asService(at, DRAIN_TWICE)).toEqual({
    events: 2,
    reasons: ['file: no permission to read it (the shim writes files of mode 0644)'],
    errors: [],
  })
  expect(readdirSync(at.inbox)).toEqual([])
})

test('a folder that can neither be moved nor removed is told once and does not hold up the events', async () => {
  await using at = await newFixture()
  const stuck = join(at.inbox, 'stuck')
  mkdirSync(join(stuck, 'within'), { recursive: true })
  await chmod(stuck, 0o555)
  writeFileSync(join(at.inbox, 'open'), EVENT)
  giveToService(at)
  expect(await asService(at, DRAIN_TWICE)).toEqual({
    events: 2,
    reasons: [],
    errors: [`A folder lies in ${at.inbox}: no event, and left alone.`],
  })
  expect(readdirSync(at.inbox)).toEqual(['stuck'])
  await chmod(stuck, 0o755)
})

test.runIf(isRoot)(
  'thousands of files that can be neither moved nor removed: each is on record once, and later events are taken',
  async () => {
    await using at = await newFixture()
    for (let each = 0; each < 9000; each++) writeFileSync(join(at.inbox, `junk${each}`), 'junk\0')
    writeFileSync(join(at.inbox, 'event'), EVENT)
    giveToService(at)
    // Sticky, and not the service's: it may add files, and take none away but its own.
    expect(run('chown', [`root:${FOREIGN_ID}`, at.inbox]).code).toBe(0)
    await chmod(at.inbox, 0o1770)
    const act = `const first = await spool.drainOnce(); put('later'); return { taken: [first, await spool.drainOnce()] }`
    const { taken, events, reasons, errors } = await asService<{ taken: unknown[] }>(at, act)
    expect(taken).toEqual([
      { taken: 0, unread: [] },
      { taken: 1, unread: [] },
    ])
    expect(events).toBe(2)
    expect(reasons).toHaveLength(9000)
    expect(errors.length).toBeLessThan(9000 / 200)
    expect(errors[0]).toMatch(/^\S+junk\d+ cannot be moved away: kind: register, .*, and \d+ more\.$/)
  },
)

test(
  '10,000 folders of somebody else cost nearly nothing, and an event beside them is taken at once',
  { timeout: 150_000 },
  async () => {
    await using at = await newFixture()
    for (let each = 0; each < 10_000; each++) {
      mkdirSync(join(at.inbox, `folder${each}`, 'within'), { recursive: true, mode: 0o555 })
    }
    giveToService(at)
    const { cpuMs, latencies, errors } = await asService<{ cpuMs: number; latencies: number[] }>(
      at,
      `spool.watch()
      const latencies = []
      for (let each = 1; each <= 20; each++) {
        const before = performance.now()
        put('event' + each)
        await untilEvents(each)
        latencies.push(performance.now() - before)
      }
      const over = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
      await over(4000)
      const before = process.cpuUsage()
      await over(3000)
      const { user, system } = process.cpuUsage(before)
      return { latencies, cpuMs: (user + system) / 1000 }`,
    )
    const median = latencies.toSorted((a, b) => a - b)[10] ?? 0
    console.log(`an event is taken in ${median.toFixed(1)} ms at the median; ${cpuMs.toFixed(0)} ms of CPU in 3 s idle`)
    expect(median).toBeLessThan(200)
    expect(cpuMs).toBeLessThan(60)
    expect(errors).toEqual([`10000 folders lie in ${at.inbox}: no event, and left alone.`])
  },
)

test.runIf(isRoot && canMount() && process.arch === 'x64' && existsSync('/dev/fuse'))(
  'a file that somebody mounted a file system of his own over does not hold up the others',
  async () => {
    await using at = await newFixture()
    const [inbox, tmp] = [join(at.inbox, 'mounted'), join(at.root, 'spool', 'tmp', 'mounted')]
    for (const file of [join(at.inbox, 'a'), inbox, join(at.inbox, 'z'), tmp]) writeFileSync(file, EVENT)
    giveToService(at)
    const mount = `perl '${fileURLToPath(new URL('../servers/foreign-mount.pl', import.meta.url))}'`
    const under = `unshare -m ${mount} '${inbox}' ${mount} '${tmp}'`
    const why = 'no permission to read it (the shim writes files of mode 0644)'
    expect(await asService(at, 'return { drained: await spool.drainOnce() }', { under })).toMatchObject({
      events: 2,
      drained: { taken: 2, unread: [`${inbox} cannot be read now: ${why}`] },
    })
  },
)

test('with no file left to open, nothing is passed over: the reading fails, and takes all once there is', async () => {
  await using at = await newFixture()
  for (const name of ['a', 'b']) writeFileSync(join(at.inbox, name), EVENT)
  giveToService(at)
  const act = `
    const open = []
    try { for (;;) open.push(openSync('/dev/null')) } catch {}
    const failed = await spool.drainOnce().catch((error) => error.message)
    for (const each of open) closeSync(each)
    return { failed, after: await spool.drainOnce() }`
  expect(await asService(at, act, { filesMax: 100 })).toMatchObject({
    failed: expect.stringMatching(/^Cannot look into the spool \S+: this process has too many files open\.$/),
    after: { taken: 2, unread: [] },
  })
})

describe('a file that another program holds by a lease', () => {
  test('does not hold up the others, and a drain ends and says what waits', async () => {
    await using at = await newFixture()
    for (const name of ['a', 'held', 'z']) writeFileSync(join(at.inbox, name), EVENT)
    const why = `${at.inbox}/held cannot be read now: another program holds it (a lease)`
    await withLease(join(at.inbox, 'held'), async () => {
      expect(await at.spool.drainOnce()).toEqual({ taken: 2, unread: [why] })
      expect(at.intake.events.map((event) => event.id).toSorted()).toEqual(['a', 'z'])
      expect(await at.spool.drainOnce()).toEqual({ taken: 0, unread: [why] })
      expect(readdirSync(at.inbox)).toEqual(['held'])
    })
  })

  test('is taken by itself once that lets go', async () => {
    await using at = await newFixture()
    writeFileSync(join(at.inbox, 'held'), EVENT)
    await withLease(join(at.inbox, 'held'), async () => {
      at.spool.watch()
      writeFileSync(join(at.inbox, 'other'), EVENT)
      await at.intake.reached(1)
      await vi.waitFor(() => expect(at.errors).toHaveLength(1))
      expect(at.errors[0]?.message).toBe(`${at.inbox}/held cannot be read now: another program holds it (a lease).`)
    })
    await at.intake.reached(2)
    expect(at.intake.events.map((event) => event.id)).toEqual(['other', 'held'])
  })
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
        expect((await at.spool.drainOnce()).taken).toBe(contents.length)
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

import { renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { AppError } from '../../src/core/error.ts'
import { openSpool, type Spool, type SpoolOptions } from '../../src/intake/spool.ts'
import { canMount, evaluateReadOnly } from '../servers/read-only-mount.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { newMemoryIntake, type MemoryIntake } from './memory-intake.ts'
import { installInTemp, run } from './shim-runner.ts'

interface Fixture extends AsyncDisposable {
  readonly dir: string
  readonly spool: Spool
  readonly intake: MemoryIntake
  readonly errors: AppError[]
  readonly warnings: AppError[]
}

async function newFixture(options: Partial<SpoolOptions> = {}): Promise<Fixture> {
  const temp = await makeTempDir('spool')
  const dir = join(temp.path, 'spool')
  const intake = newMemoryIntake()
  const errors: AppError[] = []
  const warnings: AppError[] = []
  const told = {
    onError: (error: AppError) => errors.push(error),
    onWarning: (error: AppError) => warnings.push(error),
  }
  const spool = await openSpool({ dir, intake, ...told, ...options })
  return {
    warnings,
    dir,
    spool,
    intake,
    errors,
    async [Symbol.asyncDispose]() {
      await spool[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
}

/** As a shim does it: written in tmp/, then renamed. */
function put(dir: string, name: string, fields: readonly string[], atMs?: number): void {
  const temporary = join(dir, 'tmp', name)
  writeFileSync(temporary, fields.map((field) => `${field}\0`).join(''))
  if (atMs !== undefined) utimesSync(temporary, atMs / 1000, atMs / 1000)
  renameSync(temporary, join(dir, 'new', name))
}

function putLock(dir: string, name: string, serial: string, atMs?: number): void {
  put(dir, name, ['lock', '--serial', serial], atMs)
}

async function left(dir: string, folder = 'new'): Promise<string[]> {
  return (await readdir(join(dir, folder))).toSorted()
}

describe('a drain', () => {
  test('takes events oldest first, those of the same time by name, and removes their files', async () => {
    await using at = await newFixture()
    putLock(at.dir, 'c', 'THIRD', 1_700_000_000_500)
    putLock(at.dir, 'b', 'SECOND', 1_700_000_000_500)
    putLock(at.dir, 'd', 'FIRST', 1_700_000_000_250)
    expect((await at.spool.drainOnce()).taken).toBe(3)
    expect(at.intake.events.map((event) => event.serial)).toEqual(['FIRST', 'SECOND', 'THIRD'])
    expect(at.intake.events.map((event) => event.takenAtUs)).toEqual([
      1_700_000_000_250_000, 1_700_000_000_500_000, 1_700_000_000_500_000,
    ])
    expect(at.intake.events.map((event) => event.id)).toEqual(['d', 'b', 'c'])
    expect(await left(at.dir)).toEqual([])
    expect((await at.spool.drainOnce()).taken).toBe(0)
  })

  test('takes a backlog in batches of at most 256, in order over all of them', async () => {
    const taken: number[] = []
    await using at = await newFixture({ onTaken: (count) => taken.push(count) })
    for (let each = 0; each < 600; each++)
      putLock(at.dir, `n${(each * 7919) % 600}`, `S${each}`, 1_700_000_000_000 + each)
    expect((await at.spool.drainOnce()).taken).toBe(600)
    expect(at.intake.calls).toEqual([256, 256, 88])
    expect(taken).toEqual([256, 256, 88])
    expect(at.intake.events.map((event) => event.serial)).toEqual(Array.from({ length: 600 }, (_, each) => `S${each}`))
    expect(await left(at.dir)).toEqual([])
  })

  test('what the real shims wrote comes out as events', async () => {
    await using shims = await installInTemp()
    const intake = newMemoryIntake()
    const args = ['--serial', 'none', '--user', 'carol', '--realm', 'r1', '--logged_in_user', 'none@none']
    expect(run(shims.path('lock'), args).code).toBe(0)
    expect(run(shims.path('unregister'), ['--serial', 'A, B', '--user', 'none']).code).toBe(0)
    await using spool = await openSpool({ dir: shims.spool, intake, onError: () => undefined })
    const before = Date.now() * 1000
    expect((await spool.drainOnce()).taken).toBe(2)
    expect(intake.events.map(({ kind, serial, login, realm }) => [kind, serial, login, realm])).toEqual([
      ['lock', null, 'carol', 'r1'],
      ['unregister', 'A', null, null],
      ['unregister', 'B', null, null],
    ])
    expect(intake.refused).toEqual([])
    for (const event of intake.events) expect(Math.abs(event.takenAtUs - before)).toBeLessThan(30_000_000)
  })

  test('a store that cannot take leaves every file where it is, and the next drain takes them all once', async () => {
    await using at = await newFixture()
    for (let each = 0; each < 3; each++) putLock(at.dir, `n${each}`, `S${each}`)
    at.intake.before = () => {
      throw new AppError('disk-full', 'the store is full')
    }
    await expect(at.spool.drainOnce()).rejects.toMatchObject({ code: 'disk-full' })
    expect(await left(at.dir)).toHaveLength(3)
    at.intake.before = () => undefined
    expect((await at.spool.drainOnce()).taken).toBe(3)
    expect(at.intake.events).toHaveLength(3)
  })

  test('two processes on one spool: nothing is lost, and every file has the same id for both', async () => {
    await using at = await newFixture()
    await using other = await openSpool({ dir: at.dir, intake: at.intake, onError: (error) => at.errors.push(error) })
    for (let each = 0; each < 500; each++) putLock(at.dir, `n${each}`, `S${each}`)
    await Promise.all([at.spool.drainOnce(), other.drainOnce()])
    expect(new Set(at.intake.events.map((event) => event.serial)).size).toBe(500)
    expect(at.intake.events).toHaveLength(500)
    expect(await left(at.dir)).toEqual([])
  })

  test('times ahead of the clock count as now, in their order, and a large lead is reported', async () => {
    const nowMs = 1_700_000_000_000
    await using at = await newFixture({ clock: { nowMs: () => nowMs, random: () => 0.5 } })
    putLock(at.dir, 'far', 'FAR', nowMs + 3_600_000)
    putLock(at.dir, 'near', 'NEAR', nowMs + 5)
    putLock(at.dir, 'next', 'NEXT', nowMs + 60_000)
    putLock(at.dir, 'past', 'PAST', nowMs - 1)
    await at.spool.drainOnce()
    expect(at.intake.events.map(({ serial, takenAtUs }) => [serial, takenAtUs - nowMs * 1000])).toEqual([
      ['PAST', -1000],
      ['NEAR', 1000],
      ['NEXT', 1001],
      ['FAR', 1002],
    ])
    expect(at.warnings.map(({ message }) => message)).toContain(
      'Events in the spool carry times up to 3600 s ahead; they were taken as of now.',
    )
    expect(at.errors).toEqual([])
  })

  test('a time that the kernel did not give is taken as it is, and reported once a minute', async () => {
    await using at = await newFixture()
    const threeDaysMs = 3 * 24 * 3_600_000
    for (const name of ['one', 'two']) {
      putLock(at.dir, name, 'LATE', Date.now() - threeDaysMs)
      await at.spool.drainOnce()
    }
    putLock(at.dir, 'fresh', 'FRESH')
    await at.spool.drainOnce()
    expect(at.intake.events).toHaveLength(3)
    expect(at.warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/up to 2592\d\d s behind those at which their files were made/),
    ])
  })

  test('what was taken with a time ahead is older than what a person does afterwards', async () => {
    await using at = await newFixture()
    putLock(at.dir, 'ahead', 'S', Date.now() + 290_000)
    await at.spool.drainOnce()
    await vi.waitFor(() => expect(Date.now() * 1000).toBeGreaterThan(at.intake.events[0]?.takenAtUs ?? 0))
  })
})

describe('while watching', () => {
  test('an event is taken at once, long before the next poll', async () => {
    await using at = await newFixture()
    at.spool.watch()
    const latencies: number[] = []
    for (let each = 0; each < 20; each++) {
      const reached = at.intake.reached(each + 1)
      const before = performance.now()
      putLock(at.dir, `n${each}`, `S${each}`)
      await reached
      latencies.push(performance.now() - before)
    }
    const median = latencies.toSorted((a, b) => a - b)[10] ?? 0
    console.log(`from before the write to take: ${median.toFixed(2)} ms at the median`)
    expect(median).toBeLessThan(100)
  })

  test('a store that is away for a while costs nothing but time', async () => {
    await using at = await newFixture()
    let failures = 0
    at.intake.before = () => {
      if (failures++ === 0) throw new AppError('store-busy', 'the store is busy')
    }
    at.spool.watch()
    putLock(at.dir, 'n', 'S')
    await at.intake.reached(1)
    expect(at.errors.map((error) => error.code)).toEqual(['store-busy'])
    expect(failures).toBe(2)
    await vi.waitFor(async () => expect(await left(at.dir)).toEqual([]))
  })

  test(
    'what waited before the start is taken, and a folder that was replaced is followed',
    { timeout: 20_000 },
    async () => {
      await using at = await newFixture()
      putLock(at.dir, 'first', 'FIRST')
      at.spool.watch()
      await at.intake.reached(1)
      await rename(join(at.dir, 'new'), join(at.dir, 'old'))
      await mkdir(join(at.dir, 'new'))
      putLock(at.dir, 'second', 'SECOND')
      await at.intake.reached(2)
      rmSync(join(at.dir, 'new'), { recursive: true })
      await vi.waitFor(() => expect(statSync(join(at.dir, 'new')).mode & 0o7777).toBe(0o1730), { timeout: 10_000 })
      putLock(at.dir, 'third', 'THIRD')
      await at.intake.reached(3)
    },
  )

  test('closing waits for the batch at hand, whose files are gone then', async () => {
    await using at = await newFixture()
    const { promise, resolve } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    at.intake.before = () => {
      begin()
      return promise
    }
    putLock(at.dir, 'n', 'S')
    at.spool.watch()
    await begun
    const closed = at.spool[Symbol.asyncDispose]()
    expect(await left(at.dir)).toEqual(['n'])
    resolve()
    await closed
    expect(await left(at.dir)).toEqual([])
    expect(at.intake.events).toHaveLength(1)
  })
})

describe('the folders', () => {
  test('are made so that the group can add files and see nothing', async () => {
    await using at = await newFixture()
    const modes = ['', 'tmp', 'new', 'refused'].map((name) => statSync(join(at.dir, name)).mode & 0o7777)
    expect(modes).toEqual([0o710, 0o1730, 0o1730, 0o700])
  })

  test('keep the modes that somebody gave them', async () => {
    await using at = await newFixture()
    await chmod(join(at.dir, 'new'), 0o1770)
    await using again = await openSpool({ dir: at.dir, intake: at.intake, onError: () => undefined })
    expect((await again.drainOnce()).taken).toBe(0)
    expect(statSync(join(at.dir, 'new')).mode & 0o7777).toBe(0o1770)
  })

  test('what killed shims left in tmp/ goes after an hour; what is newer stays', async () => {
    await using at = await newFixture()
    const oldSeconds = Date.now() / 1000 - 3700
    for (const name of ['old', 'fresh']) writeFileSync(join(at.dir, 'tmp', name), 'lock\0')
    utimesSync(join(at.dir, 'tmp', 'old'), oldSeconds, oldSeconds)
    await using again = await openSpool({ dir: at.dir, intake: at.intake, onError: () => undefined })
    expect((await again.drainOnce()).taken).toBe(0)
    expect(await left(at.dir, 'tmp')).toEqual(['fresh'])
  })

  test('a file where the spool should be is one clear error', async () => {
    await using temp = await makeTempDir('spool')
    const dir = join(temp.path, 'spool')
    writeFileSync(dir, '')
    const opening = openSpool({ dir, intake: newMemoryIntake(), onError: () => undefined })
    await expect(opening).rejects.toMatchObject({
      code: 'file-io',
      message: `Cannot make the spool folder ${dir}: something that is no folder is there.`,
      hint: expect.stringContaining('intake.spool'),
    })
  })
})

describe.runIf(canMount())('on a read-only file system', () => {
  const why = 'it is on a read-only file system.'
  const hint = 'Mount it for writing; in a systemd unit, name it in ReadWritePaths.'
  const script = (dir: string): string => `
    import { openSpool } from ${JSON.stringify(new URL('../../src/intake/spool.ts', import.meta.url).href)}
    const told = []
    const onError = ({ code, message, hint }) => told.push({ code, message, hint })
    const intake = { take: () => Promise.resolve() }
    try {
      await using spool = await openSpool({ dir: ${JSON.stringify(dir)}, intake, onError })
      await spool.drainOnce()
    } catch (error) {
      onError(error)
    }
    print(told)`

  test('a spool that is missing is not told as missing, but as what keeps it from being made', async () => {
    await using temp = await makeTempDir('read-only')
    const dir = join(temp.path, 'deep', 'spool')
    const message = `Cannot make the spool folder ${dir}: ${why}`
    expect(evaluateReadOnly(temp.path, script(dir))).toEqual([{ code: 'file-not-permitted', message, hint }])
  })

  test('a spool that became read-only is told at the start, and when a file cannot be removed', async () => {
    await using at = await newFixture()
    putLock(at.dir, 'n', 'S')
    expect(evaluateReadOnly(at.dir, script(at.dir))).toMatchObject([
      { message: `Cannot write into ${at.dir}/new: ${why}`, hint },
      { message: `Cannot remove a file that was taken from ${at.dir}/new: ${why}`, hint },
    ])
    expect(await left(at.dir)).toEqual(['n'])
  })
})

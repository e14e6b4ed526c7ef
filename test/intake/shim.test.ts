import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TOKEN_EVENT_KINDS } from '../../src/core/events/event.ts'
import { readSpoolFile } from '../../src/intake/arguments.ts'
import { canMount, runReadOnly } from '../servers/read-only-mount.ts'
import { readCaptured } from './captured.ts'
import { FOREIGN_ID, installInTemp, isRoot, run, runWithBytes, spooled, start, type Ran } from './shim-runner.ts'

const ARGS = [
  '--serial',
  'H1',
  '--user',
  'alice',
  '--realm',
  'r1',
  '--logged_in_user',
  'admin@',
  '--logged_in_role',
  'admin',
]

function contentOf(kind: string, args: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat([kind, ...args].flatMap((field) => [Buffer.from(field), Buffer.from([0])]))
}

describe('an event', () => {
  test.each(TOKEN_EVENT_KINDS)('%s: the file holds the kind and every argument, exit 0', async (kind) => {
    await using shims = await installInTemp()
    expect(run(shims.path(kind), ARGS)).toEqual({ code: 0, stderr: '' })
    const [file, ...more] = spooled(shims.spool)
    expect(more).toEqual([])
    expect(file?.content).toEqual(contentOf(kind, ARGS))
    expect(file?.name).toMatch(/^\d{7}-10-[0-9a-f]{8}-[0-9a-f-]{27}$/)
    expect(statSync(join(shims.spool, 'new', file?.name ?? '')).mode & 0o7777).toBe(0o644)
    expect(readdirSync(join(shims.spool, 'tmp'))).toEqual([])
  })

  test('everything that privacyIDEA 3.13.3 passes arrives as it was passed', async () => {
    await using shims = await installInTemp()
    const captured = readCaptured().flatMap((each) => (each.args === undefined ? [] : [each.args]))
    for (const args of captured) expect(run(shims.path('lock'), args).code).toBe(0)
    const contents = spooled(shims.spool).map((file) => file.content.toString('latin1'))
    expect(contents.toSorted()).toEqual(captured.map((args) => contentOf('lock', args).toString('latin1')).toSorted())
  })

  test('arguments of any bytes arrive as they were', async () => {
    await using shims = await installInTemp()
    const byte = fc.integer({ min: 1, max: 255 })
    const bytes = fc.array(byte, { maxLength: 60 }).map((each) => Buffer.from(each))
    const nasty = fc
      .constantFrom(
        '',
        '-n',
        '-e',
        '--',
        '*',
        '$(id)',
        '`id`',
        '\\0\\n\\c',
        '%s%d',
        "'",
        '"',
        'a\nb\n',
        ' ',
        '../../x',
        '\u2028',
        '~',
        '!!',
        'dn: cn=x\n',
      )
      .map((text) => Buffer.from(text))
    fc.assert(
      fc.property(fc.array(fc.oneof(bytes, nasty), { minLength: 1, maxLength: 8 }), (args) => {
        expect(runWithBytes(shims.path('unlock'), args)).toEqual({ code: 0, stderr: '' })
        const files = spooled(shims.spool)
        expect(files.map((file) => file.content.toString('hex'))).toEqual([contentOf('unlock', args).toString('hex')])
        rmSync(join(shims.spool, 'new', files[0]?.name ?? ''))
      }),
      { numRuns: 60 },
    )
    expect(readdirSync(shims.root).toSorted()).toEqual(['scripts', 'spool'])
    expect(readdirSync(shims.dir)).toHaveLength(4)
  })

  test('every byte that an argument can hold, and 100 KB of it, arrives', async () => {
    await using shims = await installInTemp()
    const all = Buffer.from(Array.from({ length: 255 }, (_, at) => at + 1))
    const long = Buffer.concat(Array.from({ length: 400 }, () => all))
    expect(runWithBytes(shims.path('lock'), [all, long]).code).toBe(0)
    expect(spooled(shims.spool)[0]?.content.equals(contentOf('lock', [all, long]))).toBe(true)
  })

  test('no arguments at all is an event too', async () => {
    await using shims = await installInTemp()
    expect(run(shims.path('lock'), []).code).toBe(0)
    expect(spooled(shims.spool)[0]?.content).toEqual(Buffer.from('lock\0'))
  })

  test('a spool whose path is full of quotes and spaces works', async () => {
    await using shims = await installInTemp(`it's a "$(spool)" \\ &; *`)
    expect(run(shims.path('lock'), ARGS)).toEqual({ code: 0, stderr: '' })
    expect(spooled(shims.spool)).toHaveLength(1)
    expect(readdirSync(shims.root)).toHaveLength(2)
  })

  test('LOCKSTEP_SPOOL names another spool', async () => {
    await using shims = await installInTemp()
    await using other = await installInTemp()
    expect(run(shims.path('lock'), ARGS, { env: { ...process.env, LOCKSTEP_SPOOL: other.spool } }).code).toBe(0)
    expect(spooled(shims.spool)).toEqual([])
    expect(spooled(other.spool)).toHaveLength(1)
  })

  test.each(['dash', 'bash'])(
    'under a file size limit of 0 %s says so and ends with 75, and leaves nothing',
    async (shell) => {
      await using shims = await installInTemp()
      for (const blocks of [0, 1]) {
        const args = ['--serial', 'x'.repeat(blocks * 100_000)]
        const ran = run('sh', ['-c', `ulimit -f ${blocks}; exec ${shell} "$@"`, 'sh', shims.path('lock'), ...args])
        expect(ran).toEqual({ code: 75, stderr: expect.stringMatching(/^lockstep-lock: .*\(ulimit -f\) is \d+\n$/) })
      }
      expect(spooled(shims.spool)).toEqual([])
      expect(readdirSync(join(shims.spool, 'tmp'))).toEqual([])
    },
  )

  test('an empty environment and another shell make no difference', async () => {
    await using shims = await installInTemp()
    expect(run(shims.path('lock'), ARGS, { env: {} })).toEqual({ code: 0, stderr: '' })
    expect(run('bash', [shims.path('lock'), ...ARGS])).toEqual({ code: 0, stderr: '' })
    expect(spooled(shims.spool).map((file) => file.content)).toEqual([contentOf('lock', ARGS), contentOf('lock', ARGS)])
  })
})

describe('killed at any moment', () => {
  test('new/ holds only whole files, and what was left in tmp/ is no event', { timeout: 60_000 }, async () => {
    await using shims = await installInTemp()
    const [seed] = fc.sample(fc.integer({ min: 0, max: 2 ** 31 - 1 }), 1)
    console.log(`seed ${seed}`)
    const args = [...ARGS, '--note', 'x'.repeat(100_000)]
    const begun = process.hrtime.bigint()
    expect(run(shims.path('lock'), args).code).toBe(0)
    const wholeRunUs = Number((process.hrtime.bigint() - begun) / 1000n)
    const delays = fc.sample(fc.integer({ min: 0, max: Math.round(wholeRunUs * 1.2) }), {
      numRuns: 200,
      seed: seed ?? 0,
    })
    for (const delayUs of delays) {
      const child = start(shims.path('lock'), args)
      const deadline = process.hrtime.bigint() + BigInt(delayUs) * 1000n
      while (process.hrtime.bigint() < deadline) {
        // The moment of the kill is finer than any timer.
      }
      child.kill()
      await child.ended
    }
    const files = spooled(shims.spool)
    const whole = contentOf('lock', args)
    expect(files.every((file) => file.content.equals(whole))).toBe(true)
    expect(files.length + readdirSync(join(shims.spool, 'tmp')).length).toBeLessThanOrEqual(delays.length + 1)
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) {
      const taken = readSpoolFile(file.content, 12, { id: file.name, source: 'shim', takenAtUs: 1 })
      expect(taken.events).toHaveLength(1)
    }
  })
})

describe('an event that cannot be recorded: exit 75, one line, nothing left behind', () => {
  test('there is no spool', async () => {
    await using shims = await installInTemp()
    rmSync(shims.spool, { recursive: true })
    expect(run(shims.path('lock'), ARGS)).toEqual({
      code: 75,
      stderr: `lockstep-lock: the event is not on record: there is no folder ${shims.spool}/tmp\n`,
    })
    expect(existsSync(shims.spool)).toBe(false)
  })

  test('new/ is missing', async () => {
    await using shims = await installInTemp()
    rmSync(join(shims.spool, 'new'), { recursive: true })
    expect(run(shims.path('lock'), ARGS)).toEqual({
      code: 75,
      stderr: `lockstep-lock: the event is not on record: cannot move the event into ${shims.spool}/new\n`,
    })
    expect(readdirSync(join(shims.spool, 'tmp'))).toEqual([])
  })

  test('the disk is full', async () => {
    await using shims = await installInTemp()
    const report = 'code=$?; ls tmp new; exit $code'
    const done = inMount(
      shims.spool,
      `head -c 200000 /dev/zero >fill 2>/dev/null; "$1" --serial H1; ${report}`,
      shims.path('lock'),
    )
    // Where mounting is forbidden (some containers): no byte may be written to any file.
    const bounded = (): RanInFolder =>
      runIn(shims.spool, `(trap "" XFSZ; ulimit -f 0; "$1" --serial H1); ${report}`, shims.path('lock'))
    expect(done ?? bounded()).toEqual({
      code: 75,
      stderr: `lockstep-lock: the event is not on record: cannot write into ${shims.spool}/tmp: is the disk full?\n`,
      stdout: 'new:\n\ntmp:\n',
    })
  })

  test('the disk has no inode left', async () => {
    await using shims = await installInTemp()
    const fill = 'touch 1 2 3 4 5 6 7 8 9 2>/dev/null; "$1" --serial H1'
    const done = inMount(shims.spool, fill, shims.path('lock'), 'nr_inodes=8')
    if (done === null) return
    expect(done).toMatchObject({
      code: 75,
      stderr: `lockstep-lock: the event is not on record: cannot write into ${shims.spool}/tmp: is the disk full?\n`,
    })
  })

  test.runIf(canMount())('the file system is read-only', async () => {
    await using shims = await installInTemp()
    expect(runReadOnly(shims.spool, [shims.path('lock'), '--serial', 'H1'])).toEqual({
      code: 75,
      stdout: '',
      stderr: `lockstep-lock: the event is not on record: ${shims.spool}/tmp is on a read-only file system: mount it for writing\n`,
    })
    expect(spooled(shims.spool)).toEqual([])
  })

  test('the script was renamed', async () => {
    await using shims = await installInTemp()
    const done = run('sh', ['-c', 'cp "$1" "$2" && "$2"', 'sh', shims.path('lock'), join(shims.dir, 'lock-it')])
    expect(done.code).toBe(75)
    expect(done.stderr).toBe(
      'lock-it: the event is not on record: the script must be named lockstep-register, lockstep-lock, lockstep-unlock or lockstep-unregister\n',
    )
    expect(spooled(shims.spool)).toEqual([])
  })
})

/** privacyIDEA's user: another one in the spool's group, or for lack of root ourselves without the right to read. */
function asPrivacyIdea(spool: string, group: number, script: string, ...args: string[]): Ran {
  if (isRoot) {
    const ids = [`--reuid=${FOREIGN_ID - 1}`, `--regid=${group}`, '--clear-groups']
    return run('setpriv', [...ids, 'sh', '-c', script, 'sh', ...args])
  }
  for (const folder of ['tmp', 'new']) chmodSync(join(spool, folder), 0o1330)
  const done = run('sh', ['-c', script, 'sh', ...args])
  for (const folder of ['tmp', 'new']) chmodSync(join(spool, folder), 0o1730)
  return done
}

describe("privacyIDEA's user", () => {
  test('may write into the spool', async () => {
    await using shims = await installInTemp()
    expect(asPrivacyIdea(shims.spool, FOREIGN_ID, '"$@"', shims.path('lock'), ...ARGS)).toEqual({ code: 0, stderr: '' })
    expect(spooled(shims.spool).map((file) => file.content)).toEqual([contentOf('lock', ARGS)])
  })

  test('can list neither folder, so that the events of others stay unread', async () => {
    await using shims = await installInTemp()
    expect(run(shims.path('lock'), ARGS).code).toBe(0)
    for (const folder of ['tmp', 'new']) {
      const listed = asPrivacyIdea(shims.spool, FOREIGN_ID, 'ls "$1"', join(shims.spool, folder))
      expect(listed.code).not.toBe(0)
      expect(listed.stderr).toMatch(/Permission denied/)
    }
  })

  test('outside the group gets 75 and one line', async () => {
    await using shims = await installInTemp()
    const done = asStranger(shims.spool, shims.path('lock'))
    expect(done.code).toBe(75)
    expect(done.stderr).toBe(
      `lockstep-lock: the event is not on record: no permission to write into ${shims.spool}/tmp\n`,
    )
    expect(spooled(shims.spool)).toEqual([])
  })
})

/** A user who may pass through the spool and not write into it. */
function asStranger(spool: string, shim: string): Ran {
  chmodSync(spool, 0o711)
  if (isRoot) return asPrivacyIdea(spool, FOREIGN_ID - 2, '"$@"', shim, ...ARGS)
  chmodSync(join(spool, 'tmp'), 0o500)
  return run(shim, ARGS)
}

interface RanInFolder extends Ran {
  readonly stdout: string
}

/** Runs a script in a small tmpfs over the spool, in a mount namespace that ends with it; null: that is forbidden here. */
function inMount(spool: string, script: string, shim: string, size = 'size=64k'): RanInFolder | null {
  const unshare = isRoot ? 'unshare -m' : 'unshare -rm'
  const tmpfs = `mount -t tmpfs -o ${size} tmpfs "$SPOOL"`
  if (
    run('sh', ['-c', `${unshare} sh -c '${tmpfs}' 2>/dev/null`], { env: { ...process.env, SPOOL: spool } }).code !== 0
  ) {
    return null
  }
  return runIn(spool, `${tmpfs} && cd "$SPOOL" && mkdir tmp new && { ${script}; }`, shim, `${unshare} `)
}

function runIn(spool: string, script: string, shim: string, prefix = ''): RanInFolder {
  const out = join(spool, '..', 'stdout')
  const done = run('sh', ['-c', `cd "$SPOOL" && ${prefix}sh -c "$SCRIPT" sh "$1" >"$OUT"`, 'sh', shim], {
    env: { ...process.env, SPOOL: spool, SCRIPT: script, OUT: out },
  })
  return { ...done, stdout: readFileSync(out, 'utf8') }
}

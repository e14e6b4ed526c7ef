import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runProgram } from './run-cli.ts'

const LAUNCHER = fileURLToPath(new URL('../../bin/lockstep', import.meta.url))

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lockstep-bin-'))
  for (const folder of ['bin', 'dist', 'path', 'node_modules/.bin']) mkdirSync(join(root, folder), { recursive: true })
  copyFileSync(LAUNCHER, join(root, 'bin/lockstep'))
  chmodSync(join(root, 'bin/lockstep'), 0o755)
  writeFileSync(join(root, 'dist/lockstep.js'), '')
  symlinkSync('/bin/sh', join(root, 'path/sh'))
  symlinkSync('/usr/bin/readlink', join(root, 'path/readlink'))
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

/** A stand-in for a Node.js of that version, which prints how it was called. */
function fakeNode(path: string, version: string): void {
  const script = `#!/bin/sh\nif [ "$1" = --version ]; then echo v${version}; exit; fi\necho "${version} $* pool=$UV_THREADPOOL_SIZE"\n`
  writeFileSync(join(root, path), script, { mode: 0o755 })
}

function launch(args: readonly string[], program = join(root, 'bin/lockstep')) {
  return runProgram(program, args, { cwd: root, env: { PATH: join(root, 'path') } })
}

test("the checkout's own Node.js comes first, and arguments arrive as they are", async () => {
  fakeNode('node_modules/.bin/node', '24.1.0')
  fakeNode('path/node', '26.0.0')
  const { code, stdout } = await launch(['show', 'a b', '--json'])
  expect(code).toBe(0)
  expect(stdout).toMatch(
    /^24\.1\.0 --max-semi-space-size=16 --heap-growing-percent=30 --disable-warning=ExperimentalWarning \S+dist\/lockstep\.js show a b --json pool=16\n$/,
  )
})

test('those that serve events get room for speed', async () => {
  fakeNode('node_modules/.bin/node', '24.1.0')
  for (const args of [['serve'], ['--config', 'x.yaml', 'drain']]) {
    expect((await launch(args)).stdout).toMatch(/^24\.1\.0 --max-semi-space-size=32 --disable-warning/)
  }
})

test('a SIGHUP does not end the daemon before it can listen; other commands end', async () => {
  const script = '#!/bin/sh\nkill -HUP $$\necho survived\n'
  writeFileSync(join(root, 'node_modules/.bin/node'), script, { mode: 0o755 })
  expect(await launch(['--config', 'x.yaml', 'serve'])).toMatchObject({ code: 0, stdout: 'survived\n' })
  expect((await launch(['status'])).stdout).toBe('')
})

test('it finds its place through links, relative and absolute', async () => {
  fakeNode('node_modules/.bin/node', '24.1.0')
  symlinkSync('../../bin/lockstep', join(root, 'node_modules/.bin/lockstep'))
  symlinkSync(join(root, 'node_modules/.bin/lockstep'), join(root, 'path/lockstep'))
  expect((await launch(['x'], join(root, 'path/lockstep'))).stdout).toMatch(/^24\.1\.0 .*dist\/lockstep\.js x /)
})

test('without a checkout it takes the Node.js in PATH when that is new enough', async () => {
  fakeNode('path/node', '24.0.0')
  expect((await launch([])).stdout).toMatch(/^24\.0\.0 /)
})

test.each([
  ['there is no Node.js', null, /^lockstep: Node\.js 24 or newer is needed and there is none; run npm ci.*\n$/],
  ['it is too old', '20.20.2', /^lockstep: Node\.js 24 or newer is needed, \S+ is v20\.20\.2; run npm ci.*\n$/],
])('says in one line what is missing when %s', async (_name, version, expected) => {
  if (version !== null) fakeNode('path/node', version)
  const { code, stderr } = await launch(['status'])
  expect(code).toBe(69)
  expect(stderr).toMatch(expected)
})

test('says in one line that it is not built', async () => {
  rmSync(join(root, 'dist/lockstep.js'))
  const { code, stderr } = await launch(['status'])
  expect({ code, stderr }).toEqual({ code: 69, stderr: 'lockstep: it is not built yet; run: npm run build\n' })
})

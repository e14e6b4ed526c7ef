import { cp, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/**
 * Makes dist/lockstep.js and its chunks: one chunk for each part that is loaded only when it is needed, so that a
 * command pays for what it uses. Chunks are named by their content and written first, the entry last and as a whole, so
 * that a command that runs meanwhile never sees half of a build. What an older build left goes after a day: a daemon
 * that still runs may yet load it.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = join(ROOT, 'dist')
const ENTRY = 'lockstep.js'
const OLD_AFTER_MS = 86_400_000

const { outputFiles } = await build({
  absWorkingDir: ROOT,
  entryPoints: {
    lockstep: 'src/cli/lockstep.ts',
    'ldif-worker': 'src/ldif/folder-worker.ts',
    'mail-process': 'src/daemon/mail-process.ts',
  },
  outdir: DIST,
  write: false,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  mainFields: ['module', 'main'],
  // The same code as the CommonJS build, as modules: smaller and quicker to load.
  alias: { yaml: './node_modules/yaml/browser/index.js' },
  chunkNames: '[name]-[hash]',
  // Some dependencies are CommonJS and call require for what Node.js ships.
  banner: {
    js: "import { createRequire as lockstepRequire } from 'node:module'; const require = lockstepRequire(import.meta.url);",
  },
  legalComments: 'none',
  logLevel: 'warning',
})

await mkdir(DIST, { recursive: true })
// What mails are made of goes with the program; a mail that is written meanwhile finds one or the other.
await cp(join(ROOT, 'templates'), join(DIST, 'templates'), { recursive: true })
await writeFile(join(DIST, 'package.json'), '{ "type": "module" }\n')
const entryLast = outputFiles.toSorted(
  (a, b) => Number(basename(a.path) === ENTRY) - Number(basename(b.path) === ENTRY),
)
for (const file of entryLast) {
  const temporary = `${file.path}.${process.pid}.new`
  await writeFile(temporary, file.contents)
  await rename(temporary, file.path)
}
await rm(join(DIST, '.cache'), { recursive: true, force: true })
const current = new Set([...outputFiles.map((file) => basename(file.path)), 'package.json', '.cache', 'templates'])
for (const name of await readdir(DIST)) {
  const path = join(DIST, name)
  const info = await stat(path).catch(() => null)
  if (info !== null && !current.has(name) && Date.now() - info.mtimeMs > OLD_AFTER_MS) await rm(path, { force: true })
}

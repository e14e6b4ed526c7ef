import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toAppError } from '../../src/core/error.ts'
import { parseChangeLdif } from '../../src/core/ldif.ts'
import { openLdifFolders } from '../../src/ldif/folders.ts'
import { change, hold } from './changes.ts'

/**
 * Runs on a file system of its own, small enough to be filled: `node small-disk.ts DIR full|read-only never|always`.
 * Prints what happened as one JSON object.
 */
const [root = '', what, worker] = process.argv.slice(2)
const dir = join(root, 'ldif')
const ldif = await openLdifFolders({ dir, worker: worker === 'always' ? 'always' : 'never' })

function files(): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(dir, name)).isFile())
}

function isWhole(name: string): boolean {
  return parseChangeLdif(readFileSync(join(dir, name), 'utf8')).entries.length === 1
}

async function codeOf(work: Promise<void>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => toAppError(error).code,
  )
}

function fill(): void {
  try {
    for (let size = 1 << 16; size > 0; size >>= 1) writeFileSync(join(root, `filler${size}`), Buffer.alloc(size))
  } catch {
    // Full: as wanted.
  }
}

if (what === 'read-only') {
  execFileSync('mount', ['-o', 'remount,ro', root])
  const lock = change('lock', [hold('T1')])
  console.log(JSON.stringify({ codes: [await codeOf(ldif.prepare(lock))], files: files() }))
} else {
  fill()
  const names = Array.from({ length: 200 }, (_, index) => hold(`T${index}`))
  const codes = await Promise.all(names.map((name) => codeOf(ldif.prepare(change('lock', [name])))))
  const left = files()
  for (const name of readdirSync(root).filter((each) => each.startsWith('filler'))) unlinkSync(join(root, name))
  const again = await codeOf(ldif.prepare(change('lock', [hold('again')])))
  const refusedWith = [...new Set(codes)].filter((code) => code !== 'done')
  const halfWritten = left.filter((name) => name.includes('/.') || !isWhole(name))
  console.log(JSON.stringify({ refusedWith, halfWritten, again }))
}
await ldif[Symbol.asyncDispose]()

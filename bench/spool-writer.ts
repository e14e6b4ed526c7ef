import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TokenEventKind } from '../src/core/events/event.ts'
import type { Instance } from '../demo/instance.ts'
import { runToolOk } from '../test/servers/run-tool.ts'
import { eventWords } from './accounts.ts'

/**
 * Puts many events into a spool at once. Starting a shim for each would measure the shims; so the files are written here,
 * byte for byte as the shim writes them, and moved in together.
 */
export async function fillSpool(
  instance: Instance,
  kind: TokenEventKind,
  from: number,
  count: number,
): Promise<{ readonly startedAtMs: number }> {
  const staging = join(instance.spoolDir, 'bench-staging')
  await mkdir(staging, { recursive: true })
  const names: string[] = []
  for (let index = from; index < from + count; index++) {
    const words = eventWords(index)
    const name = nameOf(index, words)
    await writeFile(join(staging, name), contentOf(kind, words), { mode: 0o644 })
    names.push(name)
  }
  const startedAtMs = Date.now()
  for (const name of names) await rename(join(staging, name), join(instance.spoolDir, 'new', name))
  await rm(staging, { recursive: true })
  return { startedAtMs }
}

function contentOf(kind: TokenEventKind, words: readonly string[]): string {
  return [kind, ...words].map((word) => `${word}\0`).join('')
}

/** PID-ARGUMENTS-UUID, with a number that counts up where the shim has its process id: it orders equal times. */
function nameOf(index: number, words: readonly string[]): string {
  return `${String(index).padStart(7, '0')}-${words.length}-${randomUUID()}`
}

/** Fails when the real shim writes something else than `fillSpool` does: the benchmark would measure a fiction. */
export async function checkSpoolFormat(instance: Instance): Promise<void> {
  const spool = await mkdtemp(join(instance.dir, 'spool-check-'))
  await mkdir(join(spool, 'tmp'))
  await mkdir(join(spool, 'new'))
  const words = eventWords(1)
  await runToolOk(instance.shimOf('lock'), words, { env: { LOCKSTEP_SPOOL: spool } })
  const [name = ''] = await readdir(join(spool, 'new'))
  const content = await readFile(join(spool, 'new', name), 'utf8')
  await rm(spool, { recursive: true })
  const shape = (text: string): string => text.replace(/^\d+/, 'PID').replace(/[0-9a-f-]{36}$/, 'UUID')
  if (content !== contentOf('lock', words) || shape(name) !== shape(nameOf(1, words))) {
    throw new Error('the shim writes another file than bench/spool-writer.ts; bring the two together')
  }
}

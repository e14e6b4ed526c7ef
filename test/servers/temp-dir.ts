import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** `LOCKSTEP_KEEP=1`: the folders of tests stay, to be looked into, with the log of each daemon (`daemon.log`). */
export const KEEPS_FOLDERS = process.env['LOCKSTEP_KEEP'] === '1'

/** A folder of mode 0700 that is removed with all it holds when it is disposed. */
export interface TempDir extends AsyncDisposable {
  readonly path: string
}

export async function makeTempDir(name: string): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), `lockstep-${name}-`))
  return { path, [Symbol.asyncDispose]: () => dispose(path) }
}

async function dispose(path: string): Promise<void> {
  if (KEEPS_FOLDERS) console.log(`LOCKSTEP_KEEP: ${path}`)
  else await rm(path, { recursive: true, force: true, maxRetries: 3 })
}

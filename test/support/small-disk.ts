import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../servers/temp-dir.ts'

/** A disk of its own that fills up. A mount takes root. */

const DISK_BYTES = 6 * 1024 * 1024
const BALLAST_CHUNK = Buffer.alloc(4096)

export interface Disk extends AsyncDisposable {
  readonly path: string
  fill(): void
  free(): void
  remount(how: 'ro' | 'rw'): void
}

export async function mountDisk(): Promise<Disk> {
  const temp = await makeTempDir('disk')
  const path = join(temp.path, 'mounted')
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=0755`, 'tmpfs', path])
  const ballast = join(path, 'ballast')
  return {
    path,
    fill: () => fillUp(ballast),
    free: () => rmSync(ballast, { force: true }),
    remount: (how) => void execFileSync('mount', ['-o', `remount,${how}`, path]),
    async [Symbol.asyncDispose]() {
      execFileSync('umount', ['-l', path])
      await temp[Symbol.asyncDispose]()
    },
  }
}

function fillUp(file: string): void {
  const descriptor = openSync(file, 'w')
  try {
    for (let bytes = 0; bytes < 2 * DISK_BYTES; bytes += BALLAST_CHUNK.length) writeSync(descriptor, BALLAST_CHUNK)
    throw new Error('the disk did not fill up')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown
  } finally {
    closeSync(descriptor)
  }
}

import { chmodSync, lstatSync, mkdirSync, renameSync, rmdirSync, statSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError, type ErrorCode } from '../core/error.ts'
import { listNames, pathOf, systemCode, type RawName } from './spool-files.ts'

/**
 * The folders of the spool, and what leaves them. `tmp` and `new` are 1730: the group (privacyIDEA's) creates files in
 * them and cannot list them; `refused` is the service's own.
 */
const SPOOL_MODE = 0o710
const INBOX_MODE = 0o1730
const REFUSED_MODE = 0o700

/** Files kept in `refused/` at most, and the size of one at most; others are removed and only on record. */
const REFUSED_FILES_MAX = 1000
const REFUSED_FILE_BYTES_MAX = 1024 * 1024
/** A file in `tmp` that is older was left behind by a shim that was killed. */
const STALE_MS = 60 * 60 * 1000

export interface SpoolFolders {
  readonly dir: string
  readonly tmp: string
  readonly new: string
  readonly refused: string
}

export function foldersOf(dir: string): SpoolFolders {
  return { dir, tmp: `${dir}/tmp`, new: `${dir}/new`, refused: `${dir}/refused` }
}

/** Creates what is missing; what is there keeps its owner and mode, since an administrator may have set them. */
export function makeFolders(folders: SpoolFolders): void {
  for (const [path, mode] of [
    [folders.dir, SPOOL_MODE],
    [folders.tmp, INBOX_MODE],
    [folders.new, INBOX_MODE],
    [folders.refused, REFUSED_MODE],
  ] as const) {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
      if (madeFolder(path)) chmodSync(path, mode)
    } catch (thrown) {
      throw spoolError(thrown, `make the spool folder ${path}`)
    }
  }
}

/** One level alone: a recursive mkdir tells ENOENT where the file system is read-only. @returns whether it is new */
function madeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 })
    return true
  } catch (thrown) {
    if (systemCode(thrown) === 'EEXIST' && statSync(path).isDirectory()) return false
    throw thrown
  }
}

export function removeFile(folder: string, name: RawName): void {
  try {
    unlinkSync(pathOf(folder, name))
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') throw spoolError(thrown, `remove a file that was taken from ${folder}`)
  }
}

/** Where things go that are no event files. */
export interface Quarantine {
  /** @returns false when it could not be moved and could not be removed */
  take(name: RawName): boolean
}

export function openQuarantine(folders: SpoolFolders): Quarantine {
  let count = listNames(folders.refused).length
  return {
    take(name) {
      const from = pathOf(folders.new, name)
      const found = lstatSync(from, { throwIfNoEntry: false })
      if (found === undefined) return true
      const worthKeeping = found.isSymbolicLink() || found.size <= REFUSED_FILE_BYTES_MAX
      if (worthKeeping && count < REFUSED_FILES_MAX && moved(from, pathOf(folders.refused, refusedName(name)))) {
        count++
        return true
      }
      return removed(from)
    },
  }
}

/** A name of its own for what stands under a name that somebody chose. */
function refusedName(name: RawName): RawName {
  const plain = name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100)
  return `${plain}-${Date.now().toString(36)}-${process.hrtime.bigint().toString(36)}`
}

function moved(from: string | Buffer, to: string | Buffer): boolean {
  try {
    renameSync(from, to)
    return true
  } catch {
    return false
  }
}

function removed(path: string | Buffer): boolean {
  for (const remove of [unlinkSync, rmdirSync]) {
    try {
      remove(path)
      return true
    } catch (thrown) {
      if (systemCode(thrown) === 'ENOENT') return true
    }
  }
  return false
}

/** Removes what killed shims left in `tmp`. @returns how many */
export function sweepStale(folders: SpoolFolders, nowMs: number): number {
  let count = 0
  for (const name of listNames(folders.tmp)) {
    const path = pathOf(folders.tmp, name)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found !== undefined && nowMs - found.mtimeMs > STALE_MS && removed(path)) count++
  }
  return count
}

/** What went wrong with the spool itself, for whoever looks after the machine. */
export function spoolError(thrown: unknown, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const code = systemCode(thrown)
  const [errorCode, why, hint] = REASONS[code] ?? ['file-io', code, 'See what stands there.']
  return new AppError(errorCode, `Cannot ${what}: ${why}.`, { hint, cause: thrown })
}

const OWNER_HINT = "The spool and its folders belong to the service's user: `lockstep shims install` sets them up."
const REASONS: Readonly<Record<string, readonly [ErrorCode, string, string]>> = {
  EACCES: ['file-not-permitted', 'no permission', OWNER_HINT],
  EPERM: ['file-not-permitted', 'no permission', OWNER_HINT],
  EROFS: ['file-not-permitted', 'the file system is read-only', 'Mount it for writing.'],
  ENOTDIR: ['file-io', 'a part of the path is no folder', 'Set intake.spool to a folder.'],
  EEXIST: [
    'file-io',
    'something that is no folder stands there',
    'Move it away, or set intake.spool to another folder.',
  ],
  ENOENT: ['file-io', 'it is not there', OWNER_HINT],
  ENOSPC: ['disk-full', 'the disk is full', 'Make room; events that wait are taken by themselves then.'],
  EDQUOT: ['disk-full', 'the quota is used up', 'Make room; events that wait are taken by themselves then.'],
}

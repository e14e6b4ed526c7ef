import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '../core/error.ts'
import { isRefusedForEver, missingFolders, noFoldersText } from '../core/missing-folders.ts'
import { systemRefusal } from '../core/system-error.ts'
import { listFolder, pathOf, systemCode, type RawName } from './spool-files.ts'

/**
 * The folders of the spool, and how files leave them. `tmp` and `new` are 1730: the group (privacyIDEA's) creates files
 * in them and cannot list them; `refused` is the service's own.
 */
const SPOOL_MODE = 0o710
const INBOX_MODE = 0o1730
const REFUSED_MODE = 0o700

/** Files kept in `refused/` at most, and the size of one at most; others are removed and stay on record only. */
const REFUSED_FILES_MAX = 1000
const REFUSED_FILE_BYTES_MAX = 1024 * 1024
/** An older file in `tmp` was left behind by a shim that was killed. */
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

/** Creates missing folders; existing ones keep their owner and mode, since an administrator may have set them. */
export function makeFolders(folders: SpoolFolders): void {
  for (const [path, mode] of [
    [folders.dir, SPOOL_MODE],
    [folders.tmp, INBOX_MODE],
    [folders.new, INBOX_MODE],
    [folders.refused, REFUSED_MODE],
  ] as const) {
    try {
      if (isMade(path, 0o700)) chmodSync(path, mode)
    } catch (thrown) {
      throw spoolError(thrown, `make the spool folder ${path}`)
    }
  }
}

/** @returns false when it exists already */
function isMade(path: string, mode: number): boolean {
  const missing = missingFolders(path, (each) => statSync(each, { throwIfNoEntry: false }) !== undefined)
  for (const folder of missing) makeOne(folder, folder === path ? mode : 0o755)
  if (!statSync(path).isDirectory()) throw Object.assign(new Error(path), { code: 'EEXIST' })
  return missing.length > 0
}

/** Fails with `config-invalid` where the kernel makes no folders at all, as in `/proc`. */
function makeOne(folder: string, mode: number): void {
  try {
    mkdirSync(folder, { mode })
  } catch (thrown) {
    if (systemCode(thrown) === 'EEXIST') return
    if (!isRefusedForEver(thrown, () => statSync(dirname(folder)).isDirectory())) throw thrown
    throw new AppError('config-invalid', noFoldersText('spool folder', folder), {
      hint: 'Set intake.spool to a folder on a disk.',
      cause: thrown,
    })
  }
}

/** Why files cannot be removed; null: they can, or the first removal will show it. */
export function readOnlyError(folders: SpoolFolders): AppError | null {
  try {
    accessSync(folders.new, constants.W_OK)
    return null
  } catch (thrown) {
    return systemCode(thrown) === 'EROFS' ? spoolError(thrown, `write into ${folders.new}`) : null
  }
}

/**
 * @returns false when this file alone cannot be removed (immutable, a mount point). Fails with failures of the folder.
 */
export function removeFile(folder: string, name: RawName): boolean {
  try {
    unlinkSync(pathOf(folder, name))
    return true
  } catch (thrown) {
    const code = systemCode(thrown)
    if (code === 'EPERM' || code === 'EBUSY') return false
    if (code !== 'ENOENT') throw spoolError(thrown, `remove a file that was taken from ${folder}`)
    return true
  }
}

/** The place for files that are no event files. */
export interface Quarantine {
  /** @returns false when it could not be moved and could not be removed */
  take(name: RawName): boolean
}

export function openQuarantine(folders: SpoolFolders): Quarantine {
  let count = listFolder(folders.refused).names.length
  return {
    take(name) {
      const from = pathOf(folders.new, name)
      if (
        count < REFUSED_FILES_MAX &&
        isWorthKeeping(from) &&
        moved(from, pathOf(folders.refused, refusedName(name)))
      ) {
        count++
        return true
      }
      return removed(from)
    },
  }
}

function isWorthKeeping(path: string | Buffer): boolean {
  try {
    const found = lstatSync(path)
    return found.isSymbolicLink() || found.size <= REFUSED_FILE_BYTES_MAX
  } catch {
    return false
  }
}

/** A unique name for a file with a name from outside. */
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
  for (const name of listFolder(folders.tmp).names) {
    const path = pathOf(folders.tmp, name)
    if (isStale(path, nowMs) && removed(path)) count++
  }
  return count
}

/** A file that cannot be looked at (the mount of another user) is not touched. */
function isStale(path: string | Buffer, nowMs: number): boolean {
  try {
    return nowMs - lstatSync(path).mtimeMs > STALE_MS
  } catch {
    return false
  }
}

/** An error of the spool itself, for the administrator of the machine. */
export function spoolError(thrown: unknown, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const { errno, code, why, hint } = systemRefusal(thrown)
  return new AppError(code, `Cannot ${what}: ${WHY[errno] ?? why}.`, { hint: HINTS[errno] ?? hint, cause: thrown })
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'no permission',
  EPERM: 'no permission',
  EEXIST: 'something that is no folder is there',
}
const OWNER_HINT = "The spool and its folders belong to the service's user: `lockstep shims install` sets them up."
const ROOM_HINT = 'Make room; events that wait are taken by themselves then.'
/** Advice for this place, where the system's code is not enough. */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: OWNER_HINT,
  EPERM: OWNER_HINT,
  ENOENT: OWNER_HINT,
  EROFS: 'Mount it for writing; in a systemd unit, name it in ReadWritePaths.',
  ENOTDIR: 'Set intake.spool to a folder.',
  EEXIST: 'Move it away, or set intake.spool to another folder.',
  ENOSPC: ROOM_HINT,
  EDQUOT: ROOM_HINT,
}

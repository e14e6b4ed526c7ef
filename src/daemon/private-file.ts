import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { AppError, type ErrorCode } from '../core/error.ts'

export interface NewFile {
  readonly path: string
  readonly text: string
  readonly mode: number
  /** Who gets it; null: whoever writes it. */
  readonly owner: { readonly uid: number; readonly gid: number } | null
  /** False: fails where the file is there already. */
  readonly replace: boolean
}

/**
 * Writes a file as a whole or not at all, and returns when it is on disk. It never has a wider mode than the one given,
 * and a link under its name is replaced, not followed.
 * Fails with `usage` (it is there already), `file-not-permitted`, `disk-full`, `file-io`.
 */
export function writeWhole(file: NewFile): void {
  const temporary = `${file.path}.${process.pid}.new`
  try {
    rmSync(temporary, { force: true })
    const descriptor = openSync(temporary, 'wx', 0o600)
    try {
      writeSync(descriptor, file.text)
      if (file.owner !== null) fchownSync(descriptor, file.owner.uid, file.owner.gid)
      fchmodSync(descriptor, file.mode)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    if (file.replace) renameSync(temporary, file.path)
    else linkSync(temporary, file.path)
    syncFolder(dirname(file.path))
  } catch (error) {
    throw writeError(file.path, error)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/**
 * Makes a folder and those above it that are missing, level by level: Node's recursive mkdir tells ENOENT for a read-only
 * file system, and never ends below /proc. Fails as `writeWhole` does.
 */
export function makeFolder(path: string, mode: number): void {
  const missing: string[] = []
  let nearest = path
  for (; !existsSync(nearest) && dirname(nearest) !== nearest; nearest = dirname(nearest)) missing.unshift(nearest)
  if (!statSync(nearest).isDirectory()) throw writeError(path, { code: 'ENOTDIR' })
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw writeError(folder, error)
    }
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

const CODES: Readonly<Record<string, [ErrorCode, string, string]>> = {
  EEXIST: ['usage', 'is there already', 'Name another file, or replace it with --force.'],
  ENOENT: ['usage', 'cannot be written: its folder does not exist', 'Make the folder first.'],
  ENOTDIR: ['usage', 'cannot be written: a part of the path is no folder', 'Name another place.'],
  EACCES: [
    'file-not-permitted',
    'may not be written by this user',
    'Run it as a user that may, or name another folder.',
  ],
  EPERM: [
    'file-not-permitted',
    'may not be written by this user',
    'Run it as a user that may, or name another folder.',
  ],
  EROFS: ['file-not-permitted', 'lies on a read-only file system', 'Name another folder.'],
  ENOSPC: ['disk-full', 'cannot be written: the disk is full', 'Make room and try again.'],
  EDQUOT: ['disk-full', 'cannot be written: the quota is used up', 'Make room and try again.'],
}

function writeError(path: string, error: unknown): AppError {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  const [appCode, text, hint] = CODES[code] ?? ['file-io', `cannot be written (${code})`, '']
  return new AppError(appCode, `${path} ${text}`, { hint, cause: error })
}

import {
  closeSync,
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
import { AppError } from '../core/error.ts'
import { isRefusedForEver, missingFolders, noFoldersReason } from '../core/missing-folders.ts'
import { errnoOf, isDenied, systemRefusal } from '../core/system-error.ts'

export interface NewFile {
  readonly path: string
  readonly text: string
  readonly mode: number
  /** The new owner; null: the user who writes it. */
  readonly owner: { readonly uid: number; readonly gid: number } | null
  /** False: fails where the file exists already. */
  readonly replace: boolean
}

/**
 * Writes a file as a whole or not at all, and returns when it is on disk. It never has a wider mode than the one given,
 * and a link under its name is replaced, not followed.
 * Fails with `usage` (it exists already), `file-not-permitted`, `disk-full`, `file-io`.
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

/** Checks whether `writeWhole` can write a file there, and leaves nothing. Fails as `writeWhole` does. */
export function tryWhole(path: string): void {
  const temporary = `${path}.${process.pid}.new`
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
      throw Object.assign(new Error(path), { code: 'EISDIR' })
    rmSync(temporary, { force: true })
    closeSync(openSync(temporary, 'wx', 0o600))
  } catch (error) {
    throw writeError(path, error)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/**
 * Makes a folder and missing ones above it. Fails as `writeWhole` does; `usage` as well where the kernel makes no
 * folders at all, as in `/proc`.
 */
export function makeFolder(path: string, mode: number): void {
  try {
    const missing = missingFolders(path, (each) => statSync(each, { throwIfNoEntry: false }) !== undefined)
    for (const folder of missing) makeOne(folder, mode)
    if (!statSync(path).isDirectory()) throw Object.assign(new Error(path), { code: 'ENOTDIR' })
  } catch (error) {
    throw error instanceof AppError ? error : writeError(path, error)
  }
}

function makeOne(folder: string, mode: number): void {
  try {
    mkdirSync(folder, { mode })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (!isRefusedForEver(error, () => statSync(dirname(folder)).isDirectory())) throw writeError(folder, error)
    const text = `${folder} cannot be written: ${noFoldersReason(folder)}`
    throw new AppError('usage', text, { hint: 'Name a folder on a disk.', cause: error })
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

/**
 * The path from the command line cannot be used: another one is wanted. Other errors get the general texts of system
 * errors.
 */
const OF_USAGE: Readonly<Record<string, [string, string]>> = {
  EEXIST: ['is there already', 'Name another file, or replace it with --force.'],
  ENOENT: ['cannot be written: its folder does not exist', 'Make the folder first.'],
  ENOTDIR: ['cannot be written: a part of the path is no folder', 'Name another place.'],
}

function writeError(path: string, error: unknown): AppError {
  const { errno, code, why, hint } = systemRefusal(error)
  const [text, whatToDo] = OF_USAGE[errno] ?? []
  if (text !== undefined) return new AppError('usage', `${path} ${text}`, { hint: whatToDo ?? '', cause: error })
  if (isDenied(error)) {
    const byWhom = 'Run it as a user that may, or name another folder.'
    return new AppError(code, `${path} may not be written by this user`, { hint: byWhom, cause: error })
  }
  if (errno === 'EROFS') {
    return new AppError(code, `${path} lies on a read-only file system`, { hint: 'Name another folder.', cause: error })
  }
  return new AppError(code, `${path} cannot be written: ${why}`, { hint, cause: error })
}

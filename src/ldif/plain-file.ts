import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, unlinkSync } from 'node:fs'
import { AppError } from '../core/error.ts'
import { LDIF_LENGTH_MAX } from '../core/ldif.ts'
import { errnoOf } from '../core/system-error.ts'
import { fileError } from './file-error.ts'

/** Does not wait for a writer where the file is a named pipe. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const BYTES_MAX = 4 * LDIF_LENGTH_MAX

/** @returns false where nothing was there */
export function remove(path: string): boolean {
  try {
    unlinkSync(path)
    return true
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return false
    throw fileError(thrown, 'remove', path)
  }
}

/**
 * The text of a plain file, or null when there is none. Fails with `file-not-permitted` for a symbolic link, `file-io`
 * for anything else that is no plain file of a reasonable size.
 */
export function readText(path: string): string | null {
  // A check first is several times cheaper than the error of opening a missing file, which is the common case.
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return null
  try {
    const fd = openSync(path, READ)
    try {
      const stats = fstatSync(fd)
      if (!stats.isFile() || stats.size > BYTES_MAX) {
        throw new AppError('file-io', `${path} is no plain file of at most ${BYTES_MAX} bytes`, {
          hint: 'Move it out of the LDIF folders.',
        })
      }
      return readFileSync(fd, 'utf8')
    } finally {
      closeSync(fd)
    }
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return null
    throw fileError(thrown, 'read', path)
  }
}

import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { AppError, toAppError } from '../core/error.ts'
import type { Settings } from '../core/settings/settings.ts'
import { errnoOf } from '../core/system-error.ts'
import { errorFields, type Log } from './log.ts'
import { writeWhole } from './private-file.ts'

/**
 * LDIF folders and spool belong to one store: with two stores over the same folders each one takes the other's files
 * and locks for foreign ones. So a hidden file in both names the store that works with them. It is written at the start
 * of a daemon or a drain; a folder without one belongs to no store yet.
 */

export const MARK_NAME = '.lockstep-store'
const MARK_MODE = 0o600
const MARK_BYTES_MAX = 8 * 1024

interface StoreMark {
  readonly version: 1
  /** Absolute, as the configuration named it. */
  readonly store: string
  /** Device and inode, which identify it under another path too (a bind mount, a link). */
  readonly id: string
}

export interface OtherStore {
  /** Its file, which exists. */
  readonly file: string
  /** The folders that belong to it. */
  readonly folders: readonly string[]
}

type Places = Pick<Settings, 'store' | 'ldif' | 'intake'>

/**
 * Another store to which the LDIF folders or the spool of this configuration belong. Null: there is none, or its file is gone
 * (`rebuild` begins so), or that cannot be seen by this user.
 */
export function otherStoreOf(settings: Places): OtherStore | null {
  const found = foldersOf(settings).flatMap((folder) => {
    const mark = readMark(folder)
    return mark !== null && !isGone(mark.store) && !isSameStore(mark, settings.store.file) ? [{ folder, mark }] : []
  })
  const [first] = found
  if (first === undefined) return null
  const same = found.filter(({ mark }) => mark.store === first.mark.store)
  return { file: first.mark.store, folders: same.map(({ folder }) => folder) }
}

/** Fails with `config-invalid` where the folders belong to another store; see otherStoreOf. */
export function refuseOtherStore(settings: Places): void {
  const other = otherStoreOf(settings)
  if (other === null) return
  const { file } = settings.store
  const marks = other.folders.map((folder) => join(folder, MARK_NAME)).join(' ')
  const hint = `Put the key store back. To move the store, stop Lockstep and move ${other.file} and the folder journal-archive beside it to their new place. To go on with ${file} without the locks of the other one: rm ${marks} && lockstep rebuild`
  throw new AppError(
    'config-invalid',
    `${other.folders.join(' and ')} belong to the store ${other.file}, and the key store names ${file}: two stores over the same folders would lose locks`,
    { hint },
  )
}

/** From now on the existing folders belong to the store of this configuration, whose file exists. */
export function noteStore(settings: Places, log: Log): void {
  const { file } = settings.store
  const mark: StoreMark = { version: 1, store: file, id: fileId(file) }
  for (const folder of foldersOf(settings)) {
    const before = readMark(folder)
    if (before?.store === mark.store && before.id === mark.id) continue
    if (fileId(folder) === '') continue
    try {
      writeWhole({
        path: join(folder, MARK_NAME),
        text: `${JSON.stringify(mark)}\n`,
        mode: MARK_MODE,
        owner: null,
        replace: true,
      })
      if (before === null || before.store === file) continue
      log.info('a folder that belonged to another store belongs to this one now', { folder, before: before.store })
    } catch (thrown) {
      log.warn('a folder could not be marked as that of this store', { folder, ...errorFields(toAppError(thrown)) })
    }
  }
}

function foldersOf({ ldif, intake }: Places): string[] {
  return [ldif.dir, intake.spool]
}

/** Null: there is none, or it may not be read, or it was not written by us, root or the folder's owner. */
function readMark(folder: string): StoreMark | null {
  let descriptor: number
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    descriptor = openSync(join(folder, MARK_NAME), flags)
  } catch {
    return null
  }
  try {
    const info = fstatSync(descriptor)
    const writers = [0, process.geteuid?.() ?? info.uid, statSync(folder).uid]
    if (!info.isFile() || info.size > MARK_BYTES_MAX || !writers.includes(info.uid)) return null
    const value = JSON.parse(readFileSync(descriptor, 'utf8')) as Partial<StoreMark> | null
    if (value?.version !== 1 || typeof value.store !== 'string' || typeof value.id !== 'string') return null
    return { version: 1, store: resolve(folder, value.store), id: value.id }
  } catch {
    return null
  } finally {
    closeSync(descriptor)
  }
}

function isSameStore(mark: StoreMark, file: string): boolean {
  if (realPath(mark.store) === realPath(file)) return true
  const id = fileId(file)
  return id !== '' && (id === mark.id || id === fileId(mark.store))
}

/** A file that does not exist yet gets its future path. */
function realPath(file: string): string {
  for (const [known, rest] of [
    [file, ''],
    [dirname(file), basename(file)],
  ] as const) {
    try {
      return join(realpathSync(known), rest)
    } catch {
      // The next one.
    }
  }
  return resolve(file)
}

function fileId(file: string): string {
  try {
    const { dev, ino } = statSync(file)
    return `${dev}:${ino}`
  } catch {
    return ''
  }
}

function isGone(file: string): boolean {
  try {
    statSync(file)
    return false
  } catch (thrown) {
    return ['ENOENT', 'ENOTDIR'].includes(errnoOf(thrown))
  }
}

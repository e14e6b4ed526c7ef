import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
  type Stats,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { AppError } from '../core/error.ts'
import { parseUtcStamp } from '../core/ldif.ts'
import { parseHoldName, type HoldName } from '../core/names.ts'
import { isRefusedForEver, missingFolders, noFoldersText } from '../core/missing-folders.ts'
import { errnoOf } from '../core/system-error.ts'
import { fileError } from './file-error.ts'

/**
 * The layout that an operator sees with `ls`. Only this module makes a path of a name, after a check.
 *
 *   register/history/<serial>--<utc>.ldif
 *   unregister/<serial>.ldif                 waits
 *   unregister/history/<serial>--<utc>.ldif
 *   lock/<hold>.ldif                         only while a lock is being applied
 *   lock/history/<hold>--<utc>.ldif
 *   unlock/<hold>.ldif                       waits
 *   unlock/history/<hold>--<utc>.ldif
 */
export const WAITING_FOLDERS = ['lock', 'unlock', 'unregister'] as const
export type WaitingFolder = (typeof WAITING_FOLDERS)[number]
export const HISTORY_FOLDERS = ['register/history', 'unregister/history', 'lock/history', 'unlock/history'] as const
export type HistoryFolder = (typeof HISTORY_FOLDERS)[number]
export type Folder = WaitingFolder | HistoryFolder

export const FOLDER_MODE = 0o750
export const FILE_MODE = 0o640
const WORLD_WRITABLE = 0o002
const EXTENSION = '.ldif'
const HISTORY_NAME = /^(.+)--(\d{8}T\d{6}\.\d{3}Z)(?:_\d+)?\.ldif$/
const TEMPORARY_NAME = /^\..+\.(\d{1,10}-[0-9a-z]{1,16})-[a-z0-9]{1,16}-\d{1,16}\.tmp$/

export function historyOf(folder: WaitingFolder): HistoryFolder {
  return `${folder}/history`
}

/** Fails with `file-not-permitted` for a name that is no hold and no serial; it is not repeated in the message. */
export function checkedName(name: string): HoldName {
  const checked = parseHoldName(name)
  if (checked !== null) return checked
  const message = `a name of ${name.length} characters is no serial and no hold: no file is made of it`
  throw new AppError('file-not-permitted', message)
}

export function waitingPath(root: string, folder: WaitingFolder, name: string): string {
  return `${root}/${folder}/${waitingFile(name)}`
}

export function waitingFile(name: string): string {
  return `${checkedName(name)}${EXTENSION}`
}

/** @param copy from 1; a second file of the same time gets `_2` */
export function historyPath(root: string, folder: HistoryFolder, name: string, stamp: string, copy: number): string {
  return `${root}/${folder}/${historyFile(name, stamp, copy)}`
}

export function historyFile(name: string, stamp: string, copy: number): string {
  if (parseUtcStamp(stamp) === null) throw new AppError('internal', 'a time stamp that is none')
  return `${checkedName(name)}--${stamp}${copy === 1 ? '' : `_${copy}`}${EXTENSION}`
}

/** @returns the hold or serial that a waiting file is named for, or null for an unknown file */
export function waitingName(fileName: string): HoldName | null {
  return fileName.endsWith(EXTENSION) ? parseHoldName(fileName.slice(0, -EXTENSION.length)) : null
}

/** @returns the hold or serial that a history file is named for, or null for an unknown file */
export function historyName(fileName: string): HoldName | null {
  const match = HISTORY_NAME.exec(fileName)
  return match === null ? null : parseHoldName(match[1] ?? '')
}

/** @returns when a history file was written, in milliseconds since 1970, or null for an unknown file */
export function historyTimeMs(fileName: string): number | null {
  const match = HISTORY_NAME.exec(fileName)
  return match === null || parseHoldName(match[1] ?? '') === null ? null : parseUtcStamp(match[2] ?? '')
}

/** `<pid>-<start of the process>`: who wrote a temporary file. */
export function temporaryOwner(fileName: string): string | null {
  return TEMPORARY_NAME.exec(fileName)?.[1] ?? null
}

/** Folders that may hold unfinished files. */
export const STAGING_FOLDERS = ['register', ...WAITING_FOLDERS] as const

/** Hidden. */
export function temporaryFile(name: string, suffix: string): string {
  return `.${checkedName(name)}.${suffix}.tmp`
}

/**
 * The folder in which a file is first written: on the same file system, so that a rename puts it in place. Never a
 * history folder: those grow large, and files left by a crash are searched for at every start.
 */
export function stagingOf(folder: Folder): (typeof STAGING_FOLDERS)[number] {
  return folder.replace(/\/history$/, '') as (typeof STAGING_FOLDERS)[number]
}

/**
 * Makes the folders, of mode 0750 with any umask, and checks them.
 * Fails with `file-not-permitted` where one is a symbolic link, another user's, or writable by everybody.
 */
export function makeFolders(root: string): void {
  for (const path of allFolders(root)) makeFolder(path)
}

/** Every folder of the layout, the root first. */
function allFolders(root: string): string[] {
  return [root, ...['register', ...WAITING_FOLDERS, ...HISTORY_FOLDERS].map((folder) => join(root, folder))]
}

/** The identity of the folders, by device and inode; '' for a missing one. */
export function identityOf(root: string): ReadonlyMap<string, string> {
  return new Map(
    allFolders(root).map((path) => {
      const stats = lstatSync(path, { throwIfNoEntry: false })
      return [path, stats === undefined ? '' : `${stats.dev}:${stats.ino}`]
    }),
  )
}

function makeFolder(path: string): void {
  try {
    const missing = missingFolders(path, (each) => lstatSync(each, { throwIfNoEntry: false }) !== undefined)
    for (const folder of missing) makeOne(folder)
    const [first] = missing
    if (first !== undefined) {
      chmodSync(path, FOLDER_MODE)
      for (const parent of new Set([dirname(first), dirname(path)])) syncFolder(parent)
    }
    const problem = problemWith(lstatSync(path))
    if (problem !== null) throw problem(path)
  } catch (thrown) {
    throw fileError(thrown, 'use the LDIF folder', path)
  }
}

/** Fails with `config-invalid` where the kernel makes no folders at all, as in `/proc`. */
function makeOne(folder: string): void {
  try {
    mkdirSync(folder, { mode: FOLDER_MODE })
  } catch (thrown) {
    if (errnoOf(thrown) === 'EEXIST') return
    if (!isRefusedForEver(thrown, () => statSync(dirname(folder)).isDirectory())) throw thrown
    throw new AppError('config-invalid', noFoldersText('LDIF folder', folder), {
      hint: 'Set ldif.dir to a folder on a disk.',
      cause: thrown,
    })
  }
}

/** Makes the new folder itself survive a power cut, where the file system can sync it. */
function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY)
  try {
    fsyncSync(fd)
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EINVAL') throw thrown
  } finally {
    closeSync(fd)
  }
}

/** Why a folder must not be used; null: it may. */
export function problemWith(stats: Stats): ((path: string) => AppError) | null {
  if (stats.isSymbolicLink()) {
    return refused('is a symbolic link', () => 'Name the folder itself in ldif.dir, or replace the link by a folder.')
  }
  if (!stats.isDirectory()) return refused('is no folder', (path) => `Move that file away: mv ${path} ${path}.old`)
  const ours = process.geteuid?.() ?? stats.uid
  if (stats.uid !== ours) {
    const what = `belongs to user ${stats.uid}, not to ${ours}`
    return refused(what, (path) => `Run Lockstep as its owner, or: chown -R ${ours} ${path}`)
  }
  if ((stats.mode & WORLD_WRITABLE) === 0) return null
  return refused('can be written by everybody', (path) => `Run: chmod 0750 ${path}`)
}

function refused(what: string, hintOf: (path: string) => string): (path: string) => AppError {
  return (path) => new AppError('file-not-permitted', `the LDIF folder ${path} ${what}`, { hint: hintOf(path) })
}

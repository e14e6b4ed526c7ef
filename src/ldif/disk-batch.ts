import {
  closeSync,
  constants,
  fchmodSync,
  fsync,
  lstatSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '../core/error.ts'
import type { DiskJob, DiskStep } from './disk-job.ts'
import { errnoOf, failureOf, fileError, type FileFailure } from './file-error.ts'
import {
  FILE_MODE,
  historyOf,
  historyPath,
  temporaryPath,
  waitingPath,
  type Folder,
  type HistoryFolder,
} from './layout.ts'
import { readText, remove } from './plain-file.ts'

/**
 * Does the work of several jobs as one: all files are written under temporary names, synced side by side, renamed
 * into place, and then each folder that changed is synced once for all. The file system joins syncs that run at the
 * same time into one commit of its journal, which is what makes this several times faster than one at a time.
 *
 * Opening, writing and renaming are synchronous calls: they cost a third of what Node's asynchronous ones do.
 */

/** Syncs at the same time; more only wait in the thread pool. */
const SYNCS_AT_ONCE_MAX = 16
/** Files of one name and one millisecond. */
const COPIES_MAX = 100
const CREATE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW
const READ_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

export interface BatchOptions {
  readonly root: string
  /** `<pid>-<start>-<thread>`: unique among all that write into the folders. */
  readonly tag: string
}

/** A file that is written and not yet in place. */
interface Staged {
  readonly job: number
  readonly fd: number
  readonly temporary: string
  readonly folder: Folder
  /** Where it goes; decided at the last moment. */
  readonly target: () => string
}

interface Batch {
  readonly root: string
  readonly failures: (FileFailure | null)[]
  readonly staged: Staged[]
  /** Folders whose entries changed, and the jobs that did it. */
  readonly touched: Map<Folder, Set<number>>
  readonly stage: (job: number, folder: Folder, name: string, text: string, target: () => string) => void
}

export type RunBatch = (jobs: readonly DiskJob[]) => Promise<(FileFailure | null)[]>

/** @returns for each job null when all of it is on disk, else why not */
export function openBatchRunner({ root, tag }: BatchOptions): RunBatch {
  let sequence = 0
  // A umask that takes bits of the mode away: the mode is then set on each file.
  const setsMode = (process.umask() & FILE_MODE) !== 0
  return async (jobs) => {
    const staged: Staged[] = []
    const batch: Batch = {
      root,
      failures: jobs.map(() => null),
      staged,
      touched: new Map(),
      stage(job, folder, name, text, target) {
        const temporary = temporaryPath(root, folder, name, `${tag}-${sequence++}`)
        staged.push({ job, fd: writeTemporary(temporary, text, setsMode), temporary, folder, target })
      },
    }
    jobs.forEach((job, index) => attempt(batch, index, () => job.steps.forEach((step) => runStep(batch, index, step))))
    await syncStaged(batch)
    for (const file of staged) place(batch, file)
    await syncFolders(batch, (folder) => folder.endsWith('/history'))
    await syncFolders(batch, (folder) => !folder.endsWith('/history'))
    return batch.failures
  }
}

function attempt(batch: Batch, job: number, work: () => void): void {
  try {
    work()
  } catch (thrown) {
    batch.failures[job] ??= failureOf(fileError(thrown, 'work in', batch.root))
  }
}

function touch(batch: Batch, job: number, folder: Folder): void {
  const jobs = batch.touched.get(folder) ?? new Set()
  batch.touched.set(folder, jobs.add(job))
}

function runStep(batch: Batch, job: number, step: DiskStep): void {
  const { root } = batch
  switch (step.kind) {
    case 'put-forward':
      return batch.stage(job, 'lock', step.name, step.text, () => waitingPath(root, 'lock', step.name))
    case 'put-waiting': {
      const path = waitingPath(root, step.folder, step.name)
      const there = readText(path)
      if (there !== null && !belongsTo(step.account, there)) moveToHistory(batch, job, step)
      return batch.stage(job, step.folder, step.name, step.text, () => path)
    }
    case 'keep-waiting': {
      const path = waitingPath(root, step.folder, step.name)
      const there = readText(path)
      if (there !== null && (!belongsTo(step.account, there) || recordsOf(there) === recordsOf(step.text))) return
      return batch.stage(job, step.folder, step.name, step.text, () => path)
    }
    case 'ensure-waiting': {
      const path = waitingPath(root, step.folder, step.name)
      const there = readText(path)
      if (there !== null && belongsTo(step.account, there)) return
      if (there !== null) moveToHistory(batch, job, step)
      return batch.stage(job, step.folder, step.name, step.text, () => path)
    }
    case 'settle-waiting': {
      const there = readText(waitingPath(root, step.folder, step.name))
      if (there === null) return
      if (belongsTo(step.account, there)) return moveToHistory(batch, job, step)
      return stageHistory(batch, job, { ...step, folder: historyOf(step.folder) })
    }
    case 'put-history':
      return stageHistory(batch, job, step)
    case 'drop-history':
      return dropHistory(batch, job, step)
    case 'to-history':
      return isOthers(batch, step) ? undefined : moveToHistory(batch, job, step)
    case 'drop-waiting':
      if (!isOthers(batch, step) && remove(waitingPath(root, step.folder, step.name))) touch(batch, job, step.folder)
  }
}

function isOthers(batch: Batch, step: Extract<DiskStep, { account: string | null }>): boolean {
  if (step.account === null) return false
  return !belongsTo(step.account, readText(waitingPath(batch.root, step.folder, step.name)) ?? '')
}

/** A file that names no account is whoever's asks. */
function belongsTo(account: string, text: string): boolean {
  const named = /^# account: (.*)$/m.exec(text.slice(0, text.indexOf('\nversion:')))?.[1]
  return named === undefined || named === account
}

/** The file without its comment header. */
function recordsOf(text: string): string {
  return text.slice(text.indexOf('\nversion:') + 1)
}

interface HistoryFile {
  readonly folder: HistoryFolder
  readonly name: string
  readonly stamp: string
  readonly text: string
}

function stageHistory(batch: Batch, job: number, file: HistoryFile): void {
  if (findHistory(batch.root, file) !== null) return
  batch.stage(job, file.folder, file.name, file.text, () => freeHistoryPath(batch.root, file.folder, file))
}

/** A file with this very text that an earlier try left. */
function findHistory(root: string, { folder, name, stamp, text }: HistoryFile): string | null {
  for (let copy = 1; copy <= COPIES_MAX; copy++) {
    const path = historyPath(root, folder, name, stamp, copy)
    const there = readText(path)
    if (there === null) return null
    if (there === text) return path
  }
  return null
}

function dropHistory(batch: Batch, job: number, file: HistoryFile): void {
  const path = findHistory(batch.root, file)
  if (path !== null && remove(path)) touch(batch, job, file.folder)
}

function moveToHistory(
  batch: Batch,
  job: number,
  {
    folder,
    name,
    stamp,
  }: Extract<DiskStep, { kind: 'to-history' | 'put-waiting' | 'ensure-waiting' | 'settle-waiting' }>,
): void {
  const from = waitingPath(batch.root, folder, name)
  const to = freeHistoryPath(batch.root, historyOf(folder), { name, stamp })
  try {
    renameSync(from, to)
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT' && lstatSync(dirname(to), { throwIfNoEntry: false }) !== undefined) return
    throw fileError(thrown, 'move to history the file', from)
  }
  touch(batch, job, folder)
  touch(batch, job, historyOf(folder))
}

/** A history file is never written over. */
function freeHistoryPath(
  root: string,
  folder: HistoryFolder,
  { name, stamp }: { name: string; stamp: string },
): string {
  for (let copy = 1; copy <= COPIES_MAX; copy++) {
    const path = historyPath(root, folder, name, stamp, copy)
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return path
  }
  throw new AppError('file-io', `${root}/${folder} holds ${COPIES_MAX} files of ${name} of the same millisecond`, {
    hint: 'Check the clock of this machine.',
  })
}

/** @returns the open file, written but not synced */
function writeTemporary(path: string, text: string, setsMode: boolean): number {
  let fd: number | null = null
  try {
    fd = openSync(path, CREATE, FILE_MODE)
    if (setsMode) fchmodSync(fd, FILE_MODE)
    const bytes = Buffer.from(text, 'utf8')
    for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written)
    return fd
  } catch (thrown) {
    if (fd !== null) discard(fd, path)
    throw fileError(thrown, 'write', path)
  }
}

/** What is left where even this fails is swept at the next start. */
function discard(fd: number, path: string): void {
  try {
    closeSync(fd)
    unlinkSync(path)
  } catch {
    // The failure that led here is the one to tell.
  }
}

async function syncStaged(batch: Batch): Promise<void> {
  const waiting = batch.staged.values()
  const lane = async (): Promise<void> => {
    for (const { job, fd, temporary } of waiting) {
      if (batch.failures[job] !== null) continue
      const error = await synced(fd)
      if (error !== null) batch.failures[job] ??= failureOf(fileError(error, 'sync to disk', temporary))
    }
  }
  await Promise.all(Array.from({ length: Math.min(SYNCS_AT_ONCE_MAX, batch.staged.length) }, lane))
}

function synced(fd: number): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => fsync(fd, resolve))
}

function place(batch: Batch, { job, fd, temporary, folder, target }: Staged): void {
  if (batch.failures[job] !== null) return discard(fd, temporary)
  attempt(batch, job, () => {
    try {
      closeSync(fd)
      renameSync(temporary, target())
    } catch (thrown) {
      remove(temporary)
      throw fileError(thrown, 'put in place', temporary)
    }
    touch(batch, job, folder)
  })
}

async function syncFolders(batch: Batch, isWanted: (folder: Folder) => boolean): Promise<void> {
  const folders = [...batch.touched].filter(([folder]) => isWanted(folder))
  await Promise.all(
    folders.map(async ([folder, jobs]) => {
      const error = await syncFolder(`${batch.root}/${folder}`)
      if (error === null) return
      for (const job of jobs) batch.failures[job] ??= failureOf(error)
    }),
  )
}

async function syncFolder(path: string): Promise<AppError | null> {
  try {
    const fd = openSync(path, READ_FOLDER)
    const error = await synced(fd)
    closeSync(fd)
    // Some network file systems cannot sync a folder, and need not.
    if (error === null || error.code === 'EINVAL') return null
    return fileError(error, 'sync to disk the folder', path)
  } catch (thrown) {
    return fileError(thrown, 'sync to disk the folder', path)
  }
}

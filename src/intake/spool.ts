import { statSync, watch as watchFolder, type FSWatcher } from 'node:fs'
import { AppError, backoffMs, toAppError } from '../core/error.ts'
import { systemClock, type Clock } from '../ports/clock.ts'
import type { IntakePort } from '../ports/intake.ts'
import { listNames, readFiles, sortByTime, SPOOL_FILE_BYTES_MAX, type RawName, type SpoolFile } from './spool-files.ts'
import {
  foldersOf,
  makeFolders,
  openQuarantine,
  removeFile,
  spoolError,
  sweepStale,
  type Quarantine,
  type SpoolFolders,
} from './spool-folders.ts'

/** Takes what the shims wrote. A file is removed once it is durable in the store, so that no event is lost between. */

/** Files handed over together at most. */
const BATCH_FILES_MAX = 256
/** A look at the folder whether or not the kernel told of anything, in milliseconds. */
const POLL_MS = 1000
const SWEEP_MS = 60 * 60 * 1000
/** Listings of one drain at most: 8 million files. */
const LISTINGS_MAX = 1000
/**
 * After a batch, how long until the next look, in milliseconds. Removing files wakes the watcher as well, and under load
 * this makes a few larger batches of many small ones; a quiet spool is not slowed down.
 */
const GATHER_MS = 1
/** Things in `new` that can neither be moved nor removed: remembered, so that each is reported once. */
const STUCK_MAX = 1000

export interface SpoolOptions {
  readonly dir: string
  readonly intake: IntakePort
  /** What went wrong while watching; the next try is already planned. */
  readonly onError: (error: AppError) => void
  /** After a batch became durable: how many events. */
  readonly onTaken?: (count: number) => void
  readonly clock?: Clock
}

export interface Spool extends AsyncDisposable {
  /**
   * Takes everything that waits. Fails with what `take` fails with, or `file-io`, `file-not-permitted`, `disk-full`;
   * what was not taken stays where it is.
   * @returns how many files were taken, or put aside
   */
  drainOnce(): Promise<number>
  /** From now on takes files as they come. */
  watch(): void
}

interface State {
  readonly options: SpoolOptions
  readonly clock: Clock
  readonly folders: SpoolFolders
  readonly quarantine: Quarantine
  readonly stuck: Set<RawName>
  readonly buffer: Buffer
  /** The drain that runs; the next one waits for it. */
  running: Promise<unknown>
  closed: boolean
}

/** Creates the folders that are missing. Fails with `file-not-permitted`, `file-io`, `disk-full`. */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const folders = foldersOf(options.dir)
  const clock = options.clock ?? systemClock
  makeFolders(folders)
  const state: State = {
    options,
    clock,
    folders,
    quarantine: inSpool(folders, () => openQuarantine(folders)),
    stuck: new Set(),
    buffer: Buffer.allocUnsafeSlow(SPOOL_FILE_BYTES_MAX),
    running: Promise.resolve(),
    closed: false,
  }
  inSpool(folders, () => sweepStale(folders, clock.nowMs()))
  const watcher = newWatcher(state)
  return {
    drainOnce: () => drainAlone(state, LISTINGS_MAX),
    watch: () => watcher.start(),
    async [Symbol.asyncDispose]() {
      state.closed = true
      watcher.stop()
      await state.running
    },
  }
}

function inSpool<T>(folders: SpoolFolders, act: () => T): T {
  try {
    return act()
  } catch (thrown) {
    throw spoolError(thrown, `look into the spool ${folders.dir}`)
  }
}

/** @param listingsMax how often to look whether more has come */
function drainAlone(state: State, listingsMax: number): Promise<number> {
  const mine = state.running.then(() => drain(state, listingsMax))
  state.running = mine.catch(() => undefined)
  return mine
}

async function drain(state: State, listingsMax: number): Promise<number> {
  let count = 0
  for (let listings = 0; listings < listingsMax && !state.closed; listings++) {
    const names = inSpool(state.folders, () => waitingNames(state))
    if (names.length === 0) break
    for (let at = 0; at < names.length && !state.closed; at += BATCH_FILES_MAX) {
      count += await takeBatch(state, names.slice(at, at + BATCH_FILES_MAX))
    }
  }
  return count
}

/** Oldest first. A listing of one batch is sorted when its files are read, which saves a look at each. */
function waitingNames(state: State): RawName[] {
  const listed = listNames(state.folders.new)
  const names = state.stuck.size === 0 ? listed : listed.filter((name) => !state.stuck.has(name))
  return names.length <= BATCH_FILES_MAX ? names : sortByTime(state.folders.new, names)
}

async function takeBatch(state: State, names: readonly RawName[]): Promise<number> {
  const { folders, options } = state
  const files = inSpool(folders, () => readFiles(folders.new, names, state.buffer, state.clock.nowMs()))
  if (files.length === 0) return 0
  const events = files.flatMap((file) => file.taken.events)
  await options.intake.take(
    events,
    files.flatMap((file) => file.taken.refused),
  )
  for (const file of files) {
    if (file.keep) putAside(state, file)
    else removeFile(folders.new, file.name)
  }
  reportClock(state, files)
  if (events.length > 0) options.onTaken?.(events.length)
  return files.length
}

function putAside(state: State, file: SpoolFile): void {
  if (state.quarantine.take(file.name)) return
  if (state.stuck.size >= STUCK_MAX) state.stuck.clear()
  state.stuck.add(file.name)
  const reason = file.taken.refused[0]?.reason ?? ''
  state.options.onError(
    new AppError(
      'event-invalid',
      `Something in ${state.folders.new} is no event and cannot be moved away: ${reason}.`,
      {
        hint: 'Remove it by hand, and see who can write into the spool besides privacyIDEA.',
      },
    ),
  )
}

function reportClock(state: State, files: readonly SpoolFile[]): void {
  const aheadUs = files.reduce((most, file) => Math.max(most, file.aheadUs), 0)
  if (aheadUs === 0) return
  const seconds = Math.round(aheadUs / 1_000_000)
  state.options.onError(
    new AppError(
      'event-invalid',
      `Events in the spool carry times up to ${seconds} s ahead; they were taken as of now.`,
      {
        hint: 'Set the clock of this machine right: the newest event decides.',
      },
    ),
  )
}

interface Watcher {
  start(): void
  stop(): void
}

/** The kernel's word (inotify) for speed, and a poll for what it may miss. After a failure tries again with back-off. */
function newWatcher(state: State): Watcher {
  const { folders, options, clock } = state
  let kernel: { readonly watcher: FSWatcher; readonly inode: number } | null = null
  let poll: NodeJS.Timeout | null = null
  let gather: NodeJS.Timeout | undefined
  let busy = false
  let failures = 0
  let notBeforeMs = 0
  let sweptAtMs = clock.nowMs()

  function wake(): void {
    if (busy || state.closed || clock.nowMs() < notBeforeMs) return
    busy = true
    void drainAlone(state, 1).then(rest, fail)
  }
  function rest(count: number): void {
    failures = 0
    if (count > 0 && !state.closed) gather = setTimeout(free, GATHER_MS, true)
    else free(false)
  }
  function free(again: boolean): void {
    busy = false
    if (again) wake()
  }
  function fail(thrown: unknown): void {
    free(false)
    notBeforeMs = clock.nowMs() + backoffMs(failures++, clock.random())
    options.onError(toAppError(thrown, 'file-io'))
  }
  function look(): void {
    try {
      if (clock.nowMs() - sweptAtMs > SWEEP_MS) {
        sweptAtMs = clock.nowMs()
        sweepStale(folders, sweptAtMs)
      }
      follow()
    } catch {
      // The folder is gone, or cannot be read: the drain that follows says so.
    }
    wake()
  }
  /** Watches the folder that stands there now, which may be another one than before. */
  function follow(): void {
    const inode = statSync(folders.new, { throwIfNoEntry: false })?.ino
    if (inode === undefined) makeFolders(folders)
    if (inode === kernel?.inode) return
    kernel?.watcher.close()
    kernel = null
    const watcher = watchFolder(folders.new, wake)
    // Out of inotify watches, or the folder was removed: the poll goes on.
    watcher.on('error', () => undefined)
    kernel = { watcher, inode: statSync(folders.new).ino }
  }
  return {
    start() {
      if (poll !== null || state.closed) return
      poll = setInterval(look, POLL_MS)
      look()
    },
    stop() {
      if (poll !== null) clearInterval(poll)
      clearTimeout(gather)
      kernel?.watcher.close()
      kernel = null
    },
  }
}

import { statSync, watch as watchFolder, type BigIntStats, type FSWatcher } from 'node:fs'
import { backoffMs, toAppError, type AppError } from '../core/error.ts'
import type { Clock } from '../ports/clock.ts'
import { makeFolders, sweepStale, type SpoolFolders } from './spool-folders.ts'

/** Looks into `new` when a file has come: by inotify for speed, and by a poll for files that inotify misses. */

/** Interval of the poll, which does not depend on inotify, in milliseconds. */
const POLL_MS = 1000
const SWEEP_MS = 60 * 60 * 1000
/**
 * After a batch, how long until the next look, in milliseconds. Removing files wakes the watcher as well. Under load
 * the delay makes a few larger batches of many small ones; a quiet spool is not slowed down.
 */
const GATHER_MS = 1
/**
 * A folder whose mtime stayed the same holds the same names, once that time is older than the coarsest clock of a file
 * system (2 s). So a look at many files that cannot be removed costs one call.
 */
const SETTLED_MS = 3000
/** Interval of a listing that ignores the folder's mtime. */
const LISTING_MS = 60_000
/**
 * Users who may write into the folder can wake us at any rate, with files that are no events. So looks without an event
 * may take this share of a processor in the long run, and this much at once.
 */
const IDLE_SHARE = 0.1
const IDLE_CREDIT_MAX_MS = 2_000
const REST_MAX_MS = 10_000
/** After a wake that had no cause. */
const CAUSELESS_REST_MS = 20
/** Wakes without an event, after which inotify is off until the next poll: each wake has a cost too. */
const CAUSELESS_WAKES_MAX = 500

export interface WatcherOptions {
  readonly folders: SpoolFolders
  readonly clock: Clock
  readonly onError: (error: AppError) => void
  /** Processes one listing; `isMore`: it found something; `isFruitful`: mostly events. */
  readonly take: () => Promise<{ readonly isMore: boolean; readonly isFruitful: boolean }>
  /** Whether the retry of a file that was left is due. */
  readonly isAnyDue: () => boolean
}

interface Watcher {
  start(): void
  stop(): void
}

/** After a failure it retries with back-off. */
export function newWatcher({ folders, clock, onError, take, isAnyDue }: WatcherOptions): Watcher {
  let poll: NodeJS.Timeout | null = null
  let gather: NodeJS.Timeout | undefined
  let busy = false
  let wokenMeanwhile = false
  let failures = 0
  /** Since the last event that was taken. */
  let wakes = 0
  /** By the monotonic clock, as all waits. */
  let notBeforeMs = 0
  let sweptAtMs = performance.now()
  const lastEmpty = newLastEmpty()
  const idleCredit = newIdleCredit()
  const kernel = newKernelWatch(folders, wake)

  function wake(): void {
    if (poll === null || performance.now() < notBeforeMs) return
    wakes++
    wokenMeanwhile = busy
    if (busy) return
    busy = true
    const startedMs = performance.now()
    const folder = statOf(folders.new)
    const atMs = clock.nowMs()
    if (lastEmpty.isStill(folder, atMs) && !isAnyDue()) return rest(false, CAUSELESS_REST_MS)
    void take().then(({ isMore, isFruitful }) => {
      failures = 0
      if (isFruitful) wakes = 0
      lastEmpty.set(isMore ? undefined : folder, atMs)
      rest(isMore, isFruitful ? GATHER_MS : idleCredit.spend(performance.now() - startedMs))
    }, fail)
  }
  function rest(again: boolean, restMs: number): void {
    if (wakes > CAUSELESS_WAKES_MAX) kernel.close()
    if (poll !== null) gather = setTimeout(() => free(again), restMs)
    else busy = false
  }
  function free(again: boolean): void {
    busy = false
    if (again || wokenMeanwhile) wake()
  }
  function fail(thrown: unknown): void {
    busy = false
    lastEmpty.set(undefined, 0)
    notBeforeMs = performance.now() + backoffMs(failures++, clock.random())
    onError(toAppError(thrown, 'file-io'))
  }
  function look(): void {
    try {
      if (performance.now() - sweptAtMs > SWEEP_MS) {
        sweptAtMs = performance.now()
        sweepStale(folders, clock.nowMs())
      }
      if (wakes > CAUSELESS_WAKES_MAX) wakes = 0
      kernel.follow()
    } catch {
      // The folder is gone, or cannot be read: the drain that follows reports it.
    }
    wake()
  }
  return {
    start() {
      if (poll !== null) return
      poll = setInterval(look, POLL_MS)
      look()
    },
    stop() {
      if (poll !== null) clearInterval(poll)
      poll = null
      clearTimeout(gather)
      kernel.close()
    },
  }
}

function newKernelWatch(folders: SpoolFolders, onChange: () => void): { follow(): void; close(): void } {
  let kernel: { readonly watcher: FSWatcher; readonly inode: bigint } | null = null
  function close(): void {
    kernel?.watcher.close()
    kernel = null
  }
  return {
    close,
    /** Watches the folder that is there now, which may be another one than before. */
    follow() {
      const inode = statOf(folders.new)?.ino
      if (inode === undefined) makeFolders(folders)
      if (inode !== undefined && inode === kernel?.inode) return
      close()
      const watcher = watchFolder(folders.new, onChange)
      // Out of inotify watches, or the folder was removed: the poll goes on.
      watcher.on('error', () => undefined)
      kernel = { watcher, inode: statOf(folders.new)?.ino ?? 0n }
    },
  }
}

function newIdleCredit(): {
  /** @returns how long to rest after so much work, in milliseconds */
  spend(workMs: number): number
} {
  let creditMs = IDLE_CREDIT_MAX_MS
  let atMs = performance.now()
  return {
    spend(workMs) {
      const nowMs = performance.now()
      creditMs = Math.min(IDLE_CREDIT_MAX_MS, creditMs + (nowMs - atMs) * IDLE_SHARE) - workMs
      atMs = nowMs
      return Math.max(GATHER_MS, Math.min(REST_MAX_MS, -creditMs / IDLE_SHARE))
    },
  }
}

/** The folder as it was just before the last listing that showed nothing; undefined: it showed something. */
function newLastEmpty(): {
  set(folder: BigIntStats | undefined, atMs: number): void
  isStill(folder: BigIntStats | undefined, nowMs: number): boolean
} {
  let before: BigIntStats | undefined
  let listedAtMs = 0
  return {
    set(folder, atMs) {
      before = folder
      listedAtMs = atMs
    },
    isStill(folder, nowMs) {
      if (before === undefined || folder?.ino !== before.ino || folder.mtimeNs !== before.mtimeNs) return false
      const isSettled = listedAtMs - Number(folder.mtimeMs) > SETTLED_MS
      return isSettled && Math.abs(nowMs - listedAtMs) < LISTING_MS
    },
  }
}

/** Undefined: it is gone, or cannot be looked at; the listing reports it. */
function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

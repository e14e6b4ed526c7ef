import type { AppError } from '../core/error.ts'
import { nextTimeUs } from '../core/format/next-time.ts'
import { systemClock, type Clock } from '../ports/clock.ts'
import type { IntakePort } from '../ports/intake.ts'
import {
  aheadFromUs,
  listFolder,
  readFiles,
  sortByTime,
  SPOOL_FILE_BYTES_MAX,
  type RawName,
  type SpoolFile,
} from './spool-files.ts'
import {
  foldersOf,
  makeFolders,
  openQuarantine,
  readOnlyError,
  removeFile,
  spoolError,
  sweepStale,
  type Quarantine,
  type SpoolFolders,
} from './spool-folders.ts'
import { newLeft, type Left, type LeftName } from './spool-left.ts'
import { newNotifier, type SpoolNotifier } from './spool-notifier.ts'
import { newWatcher } from './spool-watcher.ts'

/**
 * Takes the files that the shims wrote. A file is removed once it is durable in the store, so that no event is lost in
 * between.
 */

/** Files handed over together at most. */
const BATCH_FILES_MAX = 256
/** From so many files that stay there, each look for an event takes long. */
const CROWD = 1_000
/** Listings of one drain at most: 8 million files. */
const LISTINGS_MAX = 1000

export interface SpoolOptions {
  readonly dir: string
  readonly intake: IntakePort
  /** Failures while watching, where the next try is already planned; and files there that are no events. */
  readonly onError: (error: AppError) => void
  /** Problems that were handled and should be known; where it is left out they go to `onError`. */
  readonly onWarning?: (warning: AppError) => void
  /** Called after a batch became durable, with the number of events. */
  readonly onTaken?: (count: number) => void
  readonly clock?: Clock
}

export interface Drained {
  /** Files taken, or moved aside. */
  readonly taken: number
  /** Files that may be events and cannot be read now, with the reason. */
  readonly unread: readonly string[]
}

export interface Spool extends AsyncDisposable {
  /**
   * Takes all waiting files that can be read. Fails as `take` does, or with `file-io`, `file-not-permitted`,
   * `disk-full`; files that were not taken stay where they are.
   */
  drainOnce(): Promise<Drained>
  /** From now on takes files as they arrive. */
  watch(): void
}

interface State {
  readonly options: SpoolOptions
  readonly clock: Clock
  readonly folders: SpoolFolders
  readonly quarantine: Quarantine
  readonly left: Left
  readonly notify: SpoolNotifier
  readonly nextTimeUs: () => number
  readonly buffer: Buffer
  /** The drain in progress; the next one waits for it. */
  running: Promise<unknown>
  closed: boolean
}

/**
 * Creates the folders that are missing. Fails with `file-not-permitted`, `file-io`, `disk-full`; a spool that became
 * read-only is reported, and the other work goes on.
 */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const folders = foldersOf(options.dir)
  const clock = options.clock ?? systemClock
  makeFolders(folders)
  const isReadOnly = readOnlyError(folders)
  if (isReadOnly !== null) options.onError(isReadOnly)
  const state: State = {
    options,
    clock,
    folders,
    quarantine: inSpool(folders, () => openQuarantine(folders)),
    left: newLeft(() => clock.random()),
    notify: newNotifier(folders.new, clock, options.onError, options.onWarning ?? options.onError),
    nextTimeUs: newTimes(clock),
    buffer: Buffer.allocUnsafeSlow(SPOOL_FILE_BYTES_MAX),
    running: Promise.resolve(),
    closed: false,
  }
  inSpool(folders, () => sweepStale(folders, clock.nowMs()))
  const watcher = newWatcher({
    folders,
    clock,
    onError: options.onError,
    async take() {
      const { isMore, unread, events, passedOver } = await drainAlone(state, 1)
      state.notify.unread(unread)
      return { isMore, isFruitful: events > 0 && passedOver < CROWD }
    },
    isAnyDue: () => state.left.isAnyDue(),
  })
  return {
    async drainOnce() {
      const { taken } = await drainAlone(state, LISTINGS_MAX)
      return { taken, unread: state.left.unread().map((each) => state.notify.words(each)) }
    },
    watch: () => watcher.start(),
    async [Symbol.asyncDispose]() {
      state.closed = true
      watcher.stop()
      await state.running
    },
  }
}

function newTimes(clock: Clock): () => number {
  let lastUs = 0
  return () => (lastUs = nextTimeUs(lastUs, aheadFromUs(clock.nowMs())))
}

function inSpool<T>(folders: SpoolFolders, act: () => T): T {
  try {
    return act()
  } catch (thrown) {
    throw spoolError(thrown, `look into the spool ${folders.dir}`)
  }
}

interface Progress {
  /** Files. */
  readonly taken: number
  readonly events: number
  /** By the last listing. */
  readonly passedOver: number
  /** Files found unreadable for the first time. */
  readonly unread: LeftName[]
  /** The last listing found something, so another look is useful. */
  readonly isMore: boolean
}

/** @param listingsMax how often to look for further files */
function drainAlone(state: State, listingsMax: number): Promise<Progress> {
  const mine = state.running.then(() => drain(state, listingsMax))
  state.running = mine.catch(() => undefined)
  return mine
}

async function drain(state: State, listingsMax: number): Promise<Progress> {
  let taken = 0
  let events = 0
  let passedOver = 0
  const unread: LeftName[] = []
  let isMore = true
  for (let listings = 0; isMore && listings < listingsMax && !state.closed; listings++) {
    const { names, ...listing } = inSpool(state.folders, () => waitingNames(state))
    passedOver = listing.passedOver
    let count = 0
    for (let at = 0; at < names.length && !state.closed; at += BATCH_FILES_MAX) {
      const batch = await takeBatch(state, names.slice(at, at + BATCH_FILES_MAX), unread)
      count += batch.files
      events += batch.events
    }
    taken += count
    // Files that were not taken are skipped for a while, unless there are too many of them to remember.
    isMore = names.length > 0 && (count > 0 || !state.left.isFull())
  }
  return { taken, events, passedOver, unread, isMore }
}

/** Oldest first. A listing of one batch is sorted when its files are read, which saves a system call for each. */
function waitingNames({ folders, left, notify }: State): { names: RawName[]; passedOver: number } {
  const listing = listFolder(folders.new, (name) => left.isPassedOver(name))
  if (listing.isWhole) {
    left.forgetUnseen()
    notify.folders(listing.folders)
  }
  const isSortedLater = listing.names.length <= BATCH_FILES_MAX
  return { ...listing, names: isSortedLater ? listing.names : sortByTime(folders.new, listing.names) }
}

/**
 * @param found gets the files that were found unreadable for the first time
 * @returns how many of the files are gone from the folder, and how many events were in them
 */
async function takeBatch(
  state: State,
  names: readonly RawName[],
  found: LeftName[],
): Promise<{ files: number; events: number }> {
  const { folders, options, buffer, clock, notify } = state
  const { files, unread } = inSpool(folders, () =>
    readFiles({ folder: folders.new, buffer, nowMs: clock.nowMs(), nextTimeUs: state.nextTimeUs }, names),
  )
  found.push(...leave(state, 'unread', unread))
  if (files.length === 0) return { files: 0, events: 0 }
  const events = files.flatMap((file) => file.taken.events)
  await options.intake.take(
    events,
    files.flatMap((file) => file.taken.refused),
  )
  const stuck = files.filter((file) => !isAway(state, file))
  notify.stuck(leave(state, 'stuck', stuck.map(stuckName)))
  notify.ahead(files)
  notify.behind(files)
  if (events.length > 0) options.onTaken?.(events.length)
  return { files: files.length - stuck.length, events: events.length }
}

function isAway({ folders, quarantine, left }: State, file: SpoolFile): boolean {
  const isGone = file.keep ? quarantine.take(file.name) : removeFile(folders.new, file.name)
  if (isGone) left.delete(file.name)
  return isGone
}

function stuckName({ name, taken }: SpoolFile): Omit<LeftName, 'kind'> {
  return { name, why: taken.refused[0]?.reason ?? 'its event was taken' }
}

/** @returns those to report: the new ones */
function leave(state: State, kind: LeftName['kind'], names: readonly Omit<LeftName, 'kind'>[]): LeftName[] {
  return names.map(({ name, why }) => ({ name, why, kind })).filter((each) => state.left.add(each))
}

import { accessSync, constants, lstatSync, opendirSync, statfsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DiskSpace, MachineSigns } from '../../core/health/health.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { errnoOf } from '../../core/system-error.ts'

/** The state of this machine: whether events can come in and be put on record. No server and no store is read. */

/** A larger number is cut to this. */
const FILES_MAX = 10_000
/** For so many files the time is read: enough to see that no process takes them. */
const DATED_MAX = 1_000

export function machineSigns({ intake, store, ldif }: Pick<Settings, 'intake' | 'store' | 'ldif'>): MachineSigns {
  return {
    spool: spoolSigns(intake.spool),
    disks: disksOf([dirname(store.file), ldif.dir, intake.spool]),
  }
}

/** A file's own time is the event's, and the sender can set it; the time when it came into the folder cannot be set. */
function spoolSigns(dir: string): MachineSigns['spool'] {
  const folder = join(dir, 'new')
  const closed = whyClosed(folder)
  const none = { dir, closed, files: 0, oldestMs: null }
  let files = 0
  let oldestMs: number | null = null
  try {
    using listing = opendirSync(folder)
    for (let entry = listing.readSync(); entry !== null && files < FILES_MAX; entry = listing.readSync()) {
      if (entry.name.startsWith('.') || entry.isDirectory()) continue
      files++
      if (files > DATED_MAX) continue
      const cameInMs = lstatSync(join(folder, entry.name), { throwIfNoEntry: false })?.ctimeMs
      if (cameInMs !== undefined) oldestMs = Math.min(oldestMs ?? cameInMs, cameInMs)
    }
  } catch {
    return none
  }
  return { ...none, files, oldestMs }
}

/**
 * A user who may not write into the spool cannot take events out of it. `serve` makes a spool that is not there yet.
 */
function whyClosed(folder: string): MachineSigns['spool']['closed'] {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return null
  } catch (thrown) {
    const errno = errnoOf(thrown)
    return errno === 'ENOENT' ? null : errno === 'EROFS' ? 'read-only' : 'not-permitted'
  }
}

/** One row for each disk, named by the first of the places on it. */
function disksOf(places: readonly string[]): DiskSpace[] {
  const seen = new Set<number>()
  return places.flatMap((place) => {
    const there = nearestFolder(place)
    const device = deviceOf(there)
    if (device === null || seen.has(device)) return []
    seen.add(device)
    try {
      const { bavail, bsize, blocks, ffree, files } = statfsSync(there)
      return [
        { place: there, freeBytes: bavail * bsize, sizeBytes: blocks * bsize, hasInodes: files === 0 || ffree > 0 },
      ]
    } catch {
      return []
    }
  })
}

/** The place itself, or the nearest existing folder above it. */
function nearestFolder(place: string): string {
  let at = place
  while (deviceOf(at) === null && dirname(at) !== at) at = dirname(at)
  return at
}

function deviceOf(path: string): number | null {
  try {
    return statSync(path, { throwIfNoEntry: false })?.dev ?? null
  } catch {
    return null
  }
}

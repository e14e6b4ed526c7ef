import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  opendirSync,
  readSync,
  type BigIntStats,
} from 'node:fs'
import { readSpoolFile } from './arguments.ts'
import { excerpt, refuse, type Received } from './event-fields.ts'

/** Lists and reads `new/` of the spool. Its content is written by others, and may be anything. */

/** A larger file is refused: privacyIDEA's arguments take a few hundred bytes. */
export const SPOOL_FILE_BYTES_MAX = 64 * 1024
/** Names in one listing; further ones come in the next listing. */
export const LISTING_MAX = 8192
const LISTING_BUFFER_ENTRIES = 256

/**
 * The names that shims give (`PID-ARGUMENTS-UUID`) and other harmless ones. They become event ids.
 * A name that starts with a dot is an unfinished file, as in maildir, and is not touched.
 */
const SAFE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const SHIM_NAME = /^\d{7}-(\d{1,4})-/
/** `O_NOFOLLOW`: no symbolic link. `O_NONBLOCK`: a FIFO does not block. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY

const UNOPENABLE: Readonly<Record<string, string>> = {
  ELOOP: 'file: a symbolic link',
  ENXIO: 'file: a socket',
  EACCES: 'file: no permission to read it (the shim writes files of mode 0644)',
  EPERM: 'file: no permission to read it (the shim writes files of mode 0644)',
}

/** Too many open files, no memory: a failure of the process. Not a folder: a failure of the folder. */
const OF_ALL = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOTDIR'])

/** A name as its bytes, one character each. */
export type RawName = string

export function pathOf(folder: string, name: RawName): string | Buffer {
  return SAFE_NAME.test(name)
    ? `${folder}/${name}`
    : Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')])
}

export function shownName(name: RawName): string {
  return SAFE_NAME.test(name) ? name : excerpt(name)
}

export interface Listing {
  /** At most `LISTING_MAX`, in the order of the file system. */
  readonly names: RawName[]
  /** A folder is no event, and another user's folder can often not be moved: folders are not touched. */
  readonly folders: number
  /** Folders, and names that are not wanted now or at all. */
  readonly passedOver: number
  /** False: there are more names. */
  readonly isWhole: boolean
}

/** @param passOver names to skip for now; they do not count against the limit */
export function listFolder(folder: string, passOver: (name: RawName) => boolean = () => false): Listing {
  const names: RawName[] = []
  let folders = 0
  let passedOver = 0
  const listing = opendirSync(folder, { encoding: 'latin1', bufferSize: LISTING_BUFFER_ENTRIES })
  try {
    while (names.length < LISTING_MAX) {
      const entry = listing.readSync()
      if (entry === null) return { names, folders, passedOver, isWhole: true }
      passedOver++
      if (entry.name.startsWith('.')) continue
      if (entry.isDirectory()) folders++
      else if (!passOver(entry.name)) {
        names.push(entry.name)
        passedOver--
      }
    }
  } finally {
    listing.closeSync()
  }
  return { names, folders, passedOver, isWhole: false }
}

/** By modification time, then by name; a file that is gone by now is left out. */
export function sortByTime(folder: string, names: readonly RawName[]): RawName[] {
  const dated: { name: RawName; atNs: bigint }[] = []
  for (const name of names) {
    const found = look(folder, name)
    if (found !== 'gone') dated.push({ name, atNs: found === 'unknown' ? 0n : found.mtimeNs })
  }
  return dated.toSorted((a, b) => compareTimes(a, b)).map(({ name }) => name)
}

function look(folder: string, name: RawName): BigIntStats | 'gone' | 'unknown' {
  try {
    return lstatSync(pathOf(folder, name), { bigint: true, throwIfNoEntry: false }) ?? 'gone'
  } catch (thrown) {
    // Looking up a name needs no right on its file, only on the folder; the mount of another user is an exception.
    if (isOfAll(thrown) || (systemCode(thrown) === 'EACCES' && !mayPass(folder))) throw thrown
    return 'unknown'
  }
}

function mayPass(folder: string): boolean {
  try {
    accessSync(folder, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** A failure of the process or the folder, and not of the one file. */
function isOfAll(thrown: unknown): boolean {
  const code = systemCode(thrown)
  return code === 'unknown' || OF_ALL.has(code)
}

function compareTimes(a: { name: RawName; atNs: bigint }, b: { name: RawName; atNs: bigint }): number {
  if (a.atNs !== b.atNs) return a.atNs < b.atNs ? -1 : 1
  return a.name < b.name ? -1 : 1
}

/** A file that was read. `keep`: it is no event file at all, and is moved aside for an administrator to look at. */
export interface SpoolFile {
  readonly name: RawName
  readonly atNs: bigint
  readonly taken: Received
  readonly keep: boolean
  /** Microseconds that its time was ahead of the clock. */
  readonly aheadUs: number
  /** Microseconds that its time was behind the one at which the kernel last saw it renamed or changed. */
  readonly behindUs: number
}

/** A file that cannot be read now, and may be an event. */
interface UnreadFile {
  readonly name: RawName
  readonly why: string
}

export interface Reading {
  /** Oldest first. */
  readonly files: SpoolFile[]
  readonly unread: UnreadFile[]
}

/** What reading needs besides the names. */
export interface Reader {
  readonly folder: string
  readonly buffer: Buffer
  readonly nowMs: number
  /** A time for a file with a time in the future; each later than the one before. */
  readonly nextTimeUs: () => number
}

/**
 * Reads some names. Never blocks, follows no link, and leaves no descriptor open. A file that cannot be read affects no
 * other file; failures that concern all files are thrown. A time in the future becomes the time of the reading: an
 * event must not stay in effect after later events. Such files keep their order among themselves.
 */
export function readFiles(reader: Reader, names: readonly RawName[]): Reading {
  const files: SpoolFile[] = []
  const unread: UnreadFile[] = []
  for (const name of names) {
    const read = readOne(reader, name)
    if (read === 'gone') continue
    if ('why' in read) unread.push(read)
    else files.push(read)
  }
  const sorted = files.length < 2 ? files : files.toSorted((a, b) => compareTimes(a, b))
  return { files: sorted.map((file) => (file.aheadUs > 0 ? withTime(file, reader.nextTimeUs()) : file)), unread }
}

function withTime(file: SpoolFile, takenAtUs: number): SpoolFile {
  const { events, refused } = file.taken
  return {
    ...file,
    taken: {
      events: events.map((event) => ({ ...event, takenAtUs })),
      refused: refused.map((each) => ({ ...each, takenAtUs })),
    },
  }
}

function readOne(reader: Reader, name: RawName): SpoolFile | UnreadFile | 'gone' {
  let descriptor: number
  try {
    descriptor = openSync(pathOf(reader.folder, name), OPEN_FLAGS)
  } catch (thrown) {
    const code = systemCode(thrown)
    if (code === 'ENOENT') return 'gone'
    const problem = UNOPENABLE[code]
    return problem === undefined ? notNow(name, thrown) : putAside(reader, name, problem)
  }
  let found: BigIntStats
  let length = 0
  try {
    found = fstatSync(descriptor, { bigint: true })
    const problem = SAFE_NAME.test(name) ? notPlain(found) : `name: not a file name of a shim: ${excerpt(name)}`
    if (problem !== null) return putAside(reader, name, problem)
    length = readAll(descriptor, reader.buffer, Number(found.size))
  } catch (thrown) {
    return notNow(name, thrown)
  } finally {
    closeSync(descriptor)
  }
  const { takenAtUs, aheadUs } = timeOf(found, reader.nowMs)
  const promised = SHIM_NAME.exec(name)?.[1]
  const origin = { id: name, source: 'shim', takenAtUs } as const
  const bytes = reader.buffer.subarray(0, length)
  const taken = readSpoolFile(bytes, promised === undefined ? null : Number(promised), origin)
  const behindUs = Number((found.ctimeNs - found.mtimeNs) / 1000n)
  return { name, atNs: found.mtimeNs, taken, keep: false, aheadUs, behindUs }
}

function notNow(name: RawName, thrown: unknown): UnreadFile {
  if (isOfAll(thrown)) throw thrown
  const code = systemCode(thrown)
  return { name, why: code === 'EAGAIN' ? 'another program holds it (a lease)' : code }
}

function timeOf(found: BigIntStats, nowMs: number): { takenAtUs: number; aheadUs: number } {
  const takenAtUs = Number(found.mtimeNs / 1000n)
  return { takenAtUs, aheadUs: Math.max(0, takenAtUs + 1 - aheadFromUs(nowMs)) }
}

/**
 * The time from which a file counts as ahead: the clock has whole milliseconds only, so a time within the current one
 * is not ahead.
 */
export function aheadFromUs(nowMs: number): number {
  return (nowMs + 1) * 1000
}

/** A shim renames a file once it is complete, so the first size is the whole length. @returns the length */
function readAll(descriptor: number, buffer: Buffer, size: number): number {
  let length = 0
  while (length < size) {
    const count = readSync(descriptor, buffer, length, size - length, null)
    if (count === 0) break
    length += count
  }
  return length
}

/** A second name for a file may be one for another user's file, which only we may read. */
function notPlain(found: BigIntStats): string | null {
  if (!found.isFile()) return 'file: not a regular file'
  if (found.nlink !== 1n) return 'file: has a second name (hard link)'
  return found.size > BigInt(SPOOL_FILE_BYTES_MAX) ? `file: larger than ${SPOOL_FILE_BYTES_MAX} bytes` : null
}

function putAside({ folder, nowMs }: Reader, name: RawName, reason: string): SpoolFile | UnreadFile | 'gone' {
  const found = look(folder, name)
  if (found === 'gone') return 'gone'
  if (found === 'unknown') return { name, why: reason.replace('file: ', '') }
  const id = `${SAFE_NAME.test(name) ? name : `unnamed-${Buffer.from(name, 'latin1').toString('hex').slice(0, 64)}`}!${found.ino}`
  const { takenAtUs, aheadUs } = timeOf(found, nowMs)
  return {
    name,
    atNs: found.mtimeNs,
    taken: refuse({ id, source: 'shim', takenAtUs }, reason),
    keep: true,
    aheadUs,
    behindUs: 0,
  }
}

export function systemCode(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unknown'
}

import { closeSync, constants, fstatSync, lstatSync, openSync, opendirSync, readSync, type BigIntStats } from 'node:fs'
import { readSpoolFile } from './arguments.ts'
import { excerpt, refuse, type Taken } from './hint.ts'

/** Lists and reads `new/` of the spool. Everything in there is written by others, and may be anything. */

/** A larger file is refused: privacyIDEA's arguments take a few hundred bytes. */
export const SPOOL_FILE_BYTES_MAX = 64 * 1024
/** Names looked at in one go; what is beyond them has its turn in the next. */
export const LISTING_MAX = 8192
/** A time further ahead than this is a wrong clock, and must not outlive the events that come after it. */
const FUTURE_MAX_US = 5 * 60 * 1_000_000
const LISTING_BUFFER_ENTRIES = 256

/**
 * The names that shims give (`PID-ARGUMENTS-UUID`) and others that are as harmless. They become event ids.
 * A name that starts with a dot is somebody's file in the making, as in maildir, and is left alone.
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

/** A name as its bytes, one character each. */
export type RawName = string

export function pathOf(folder: string, name: RawName): string | Buffer {
  return SAFE_NAME.test(name)
    ? `${folder}/${name}`
    : Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')])
}

/** At most `LISTING_MAX` names, in the order of the file system. */
export function listNames(folder: string): RawName[] {
  const names: RawName[] = []
  const listing = opendirSync(folder, { encoding: 'latin1', bufferSize: LISTING_BUFFER_ENTRIES })
  try {
    while (names.length < LISTING_MAX) {
      const entry = listing.readSync()
      if (entry === null) break
      if (!entry.name.startsWith('.')) names.push(entry.name)
    }
  } finally {
    listing.closeSync()
  }
  return names
}

/** By modification time, then by name; a name that is gone by now is left out. */
export function sortByTime(folder: string, names: readonly RawName[]): RawName[] {
  const dated: { name: RawName; atNs: bigint }[] = []
  for (const name of names) {
    const found = lstatSync(pathOf(folder, name), { bigint: true, throwIfNoEntry: false })
    if (found !== undefined) dated.push({ name, atNs: found.mtimeNs })
  }
  return dated.toSorted((a, b) => compareTimes(a, b)).map(({ name }) => name)
}

function compareTimes(a: { name: RawName; atNs: bigint }, b: { name: RawName; atNs: bigint }): number {
  if (a.atNs !== b.atNs) return a.atNs < b.atNs ? -1 : 1
  return a.name < b.name ? -1 : 1
}

/** A file that was read. `keep`: it is no event file at all, and is put aside for a person to look at. */
export interface SpoolFile {
  readonly name: RawName
  readonly atNs: bigint
  readonly taken: Taken
  readonly keep: boolean
  /** Microseconds that its time was ahead of the clock, when that was too much; else 0. */
  readonly aheadUs: number
}

/** Reads some names, oldest first. Never blocks, follows no link, and leaves no descriptor open. */
export function readFiles(folder: string, names: readonly RawName[], buffer: Buffer, nowMs: number): SpoolFile[] {
  const files: SpoolFile[] = []
  for (const name of names) {
    const file = readOne(folder, name, buffer, nowMs)
    if (file !== null) files.push(file)
  }
  return files.length < 2 ? files : files.toSorted((a, b) => compareTimes(a, b))
}

function readOne(folder: string, name: RawName, buffer: Buffer, nowMs: number): SpoolFile | null {
  let descriptor: number
  try {
    descriptor = openSync(pathOf(folder, name), OPEN_FLAGS)
  } catch (thrown) {
    const code = systemCode(thrown)
    if (code === 'ENOENT') return null
    const problem = UNOPENABLE[code]
    // Too many open files and the like say nothing about this one: it is tried again.
    if (problem === undefined) throw thrown
    return putAside(folder, name, nowMs, problem)
  }
  try {
    const found = fstatSync(descriptor, { bigint: true })
    const problem = SAFE_NAME.test(name) ? notPlain(found) : `name: not a file name of a shim: ${excerpt(name)}`
    if (problem !== null) return putAside(folder, name, nowMs, problem)
    const length = readAll(descriptor, buffer, Number(found.size))
    const { takenAtUs, aheadUs } = timeOf(found, nowMs)
    const promised = SHIM_NAME.exec(name)?.[1]
    const origin = { id: name, source: 'shim', takenAtUs } as const
    const taken = readSpoolFile(buffer.subarray(0, length), promised === undefined ? null : Number(promised), origin)
    return { name, atNs: found.mtimeNs, taken, keep: false, aheadUs }
  } catch (thrown) {
    return putAside(folder, name, nowMs, `file: cannot be read (${systemCode(thrown)})`)
  } finally {
    closeSync(descriptor)
  }
}

function timeOf(found: BigIntStats, nowMs: number): { takenAtUs: number; aheadUs: number } {
  const takenAtUs = Number(found.mtimeNs / 1000n)
  const nowUs = nowMs * 1000
  const aheadUs = takenAtUs - nowUs
  return aheadUs > FUTURE_MAX_US ? { takenAtUs: nowUs, aheadUs } : { takenAtUs, aheadUs: 0 }
}

/** A shim renames a file once it is whole, so what was there at first is all. @returns the length */
function readAll(descriptor: number, buffer: Buffer, size: number): number {
  let length = 0
  while (length < size) {
    const count = readSync(descriptor, buffer, length, size - length, null)
    if (count === 0) break
    length += count
  }
  return length
}

/** A second name for a file could be one for a file of somebody else, which only we may read. */
function notPlain(found: BigIntStats): string | null {
  if (!found.isFile()) return 'file: not a regular file'
  if (found.nlink !== 1n) return 'file: has a second name (hard link)'
  return found.size > BigInt(SPOOL_FILE_BYTES_MAX) ? `file: larger than ${SPOOL_FILE_BYTES_MAX} bytes` : null
}

function putAside(folder: string, name: RawName, nowMs: number, reason: string): SpoolFile {
  const found = lstatSync(pathOf(folder, name), { bigint: true, throwIfNoEntry: false })
  const id = `${SAFE_NAME.test(name) ? name : `unnamed-${Buffer.from(name, 'latin1').toString('hex').slice(0, 64)}`}!${found?.ino ?? 0n}`
  const takenAtUs = found === undefined ? nowMs * 1000 : timeOf(found, nowMs).takenAtUs
  const taken = refuse({ id, source: 'shim', takenAtUs }, reason)
  return { name, atNs: found?.mtimeNs ?? 0n, taken, keep: true, aheadUs: 0 }
}

export function systemCode(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unknown'
}

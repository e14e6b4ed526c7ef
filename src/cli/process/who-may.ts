import { execFileSync } from 'node:child_process'
import { accessSync, constants, statSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { isDenied, pathOfSystemError } from '../../core/system-error.ts'
import { octal } from '../../core/format/octal.ts'

/**
 * For an error of missing rights: the owner of the file or folder that denies access, and how to get access. Null for
 * every other error, and for root, who has access with any mode.
 */

const CAUSES_MAX = 8
const GROUP_WRITE = 0o020
const GROUP_READ = 0o040
const GROUP_PASS = 0o010

export function whoMay(thrown: unknown, startedAsRoot: boolean, argv: readonly string[]): string | null {
  const denied = deniedPath(thrown)
  if (denied === null || process.getuid?.() === 0) return null
  const barrier = barrierOf(denied.path)
  if (barrier === null) return null
  const { info } = barrier
  const { text, group } = ownership(barrier)
  const what = `${text}.`
  if (startedAsRoot) {
    return `${what} This command works as the owner of the store and the LDIF folders, not as root: give it to that user, or to its group.`
  }
  const lines = [`${what} Run it as root: sudo lockstep ${argv.map(quoted).join(' ')}`]
  if (info.gid !== 0 && isGroupEnough(barrier, denied.isForWriting)) {
    lines.push(`or join its group and log in again: sudo usermod -aG ${group} "$USER"`)
  }
  return lines.join('\n  ')
}

/** For an error of missing rights: the obstacle, as `FOLDER belongs to USER:GROUP (mode 0750)`. */
export function whoseBarrier(thrown: unknown): string | null {
  const denied = deniedPath(thrown)
  const barrier = denied === null ? null : barrierOf(denied.path)
  return barrier === null ? null : ownership(barrier).text
}

function ownership({ path, info }: Barrier): { text: string; group: string } {
  const { user, group } = ownerOf(path, info)
  return { text: `${path} belongs to ${user}:${group} (mode ${octal(info.mode)})`, group }
}

/** Calls that only read; every other one changes something. */
const READING = new Set(['open', 'read', 'stat', 'lstat', 'scandir', 'opendir'])

interface Denied {
  readonly path: string
  readonly isForWriting: boolean
}

function deniedPath(thrown: unknown): Denied | null {
  let at: unknown = thrown
  for (let depth = 0; depth < CAUSES_MAX && at instanceof Error; depth++, at = at.cause) {
    const path = isDenied(at) ? pathOfSystemError(at) : null
    const call = 'syscall' in at ? String(at.syscall) : ''
    if (path !== null) return { path, isForWriting: !READING.has(call) }
  }
  return null
}

interface Barrier {
  readonly path: string
  readonly info: Stats
  /** A folder on the path that must be passed. */
  readonly isOnTheWay: boolean
}

/** The outermost folder of the path that may not be passed, else the path itself. */
function barrierOf(path: string): Barrier | null {
  const steps = [path]
  for (let at = path; dirname(at) !== at;) steps.unshift((at = dirname(at)))
  for (const step of steps) {
    const info = look(step)
    if (info === null) return null
    if (step === path) return { path: step, info, isOnTheWay: false }
    if (!mayPass(step)) return { path: step, info, isOnTheWay: true }
  }
  return null
}

function look(path: string): Stats | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null
  } catch {
    return null
  }
}

function mayPass(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function isGroupEnough({ info, isOnTheWay }: Barrier, isForWriting: boolean): boolean {
  const needed = isOnTheWay ? GROUP_PASS : isForWriting ? GROUP_WRITE : GROUP_READ
  return (info.mode & needed) !== 0
}

/** The names from the system, which may come from a directory; else the numbers. */
function ownerOf(path: string, { uid, gid }: Stats): { user: string; group: string } {
  try {
    const shown = execFileSync('stat', ['-c', '%U %G', '--', path], { encoding: 'utf8', timeout: 2_000, stdio: 'pipe' })
    const [user = '', group = ''] = shown.trim().split(' ')
    if (user !== '' && group !== '') return { user: named(user, uid), group: named(group, gid) }
  } catch {
    // The program is missing here: the numbers are used.
  }
  return { user: String(uid), group: String(gid) }
}

function named(name: string, id: number): string {
  return name === 'UNKNOWN' ? String(id) : name
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

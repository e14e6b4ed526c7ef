import { accessSync, constants, statSync, type Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errnoOf, isThere } from '../../core/system-error.ts'
import { systemHealthFile } from '../../config/build.ts'
import { fileTroubles } from '../../config/named-files.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { spaceOf, type DiskSpace } from '../../core/health/health.ts'
import { Findings, troubleOf, type Finding } from './findings.ts'
import { machineSigns } from '../../app/health/machine-signs.ts'
import { octal } from '../../core/format/octal.ts'

/** Checks of `lockstep doctor` on this machine, without a server. */

const NODE_MAJOR_MIN = 24
const MIB = 1024 * 1024
/** A clock this far before the time at which this program was installed is wrong. */
const CLOCK_BEHIND_MS = 60_000
const OTHERS_PASS = 0o001
const SPOOL_MODE = 0o710
const INBOX_MODE = 0o1730

export interface MachineFacts {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nowMs: number
  readonly nodeVersion: string
  /** For an error of missing rights: the owner, and how to get access; null: nothing more is known. */
  readonly whoMay?: ((thrown: unknown) => string | null) | undefined
}

export function machineFindings(settings: Settings, facts: MachineFacts): readonly Finding[] {
  const found = new Findings('this machine')
  checkNode(found, facts.nodeVersion)
  checkClock(found, facts.nowMs)
  checkSecrets(found, settings, facts.env)
  const { store, ldif, intake } = settings
  unlessDenied(found, 'store', facts, () => {
    checkFolder(found, 'store', dirname(store.file), 'the database cannot be written, so no event can be taken', 0o750)
    checkStoreFile(found, store.file)
  })
  unlessDenied(found, 'ldif', facts, () => {
    checkFolder(found, 'ldif', ldif.dir, 'no change is made before its LDIF files are on disk', 0o750)
  })
  unlessDenied(found, 'spool', facts, () => checkSpool(found, intake.spool))
  checkHealthFile(found, settings.health.file)
  checkSpace(found, machineSigns(settings).disks)
  return found.all
}

/** A file that this user may not look at may exist, and be correct. */
function unlessDenied(found: Findings, check: string, { whoMay }: MachineFacts, run: () => void): void {
  try {
    run()
  } catch (thrown) {
    const trouble = troubleOf(thrown, 'Whether it is there, and as it should be, is not known.', '')
    found.fail(check, { ...trouble, fix: whoMay?.(thrown) ?? trouble.fix })
  }
}

function checkNode(found: Findings, version: string): void {
  if (Number(version.replace(/^v/, '').split('.')[0]) >= NODE_MAJOR_MIN) found.ok('node', `Node.js ${version}`)
  else {
    found.fail('node', {
      what: `Node.js is ${version}`,
      why: `Lockstep needs ${NODE_MAJOR_MIN} or newer, for its built-in SQLite.`,
      fix: 'Start it by bin/lockstep of a checkout where npm ci ran, or install a newer Node.js.',
    })
  }
}

function checkClock(found: Findings, nowMs: number): void {
  const installed = statSync(fileURLToPath(import.meta.url)).mtimeMs
  if (nowMs > installed - CLOCK_BEHIND_MS) found.ok('clock', `the clock shows ${new Date(nowMs).toISOString()}`)
  else {
    found.fail('clock', {
      what: `the clock shows ${new Date(nowMs).toISOString()}, before this program was installed`,
      why: 'The newest event of a token decides; with a wrong clock an old one may win.',
      fix: 'Set the clock, and keep it right: timedatectl set-ntp true',
    })
  }
}

function checkSecrets(found: Findings, settings: Settings, env: MachineFacts['env']): void {
  const problems = fileTroubles(settings, env)
  if (problems.length === 0) found.ok('secrets', 'every secret is there and private')
  for (const { severity, key, what, fix } of problems) {
    const isError = severity === 'error'
    const why = isError ? 'Without it Lockstep cannot work safely.' : 'Everybody who reads it can act as Lockstep.'
    found[isError ? 'fail' : 'warn']('secrets', { what: `${key}: ${what}`, why, fix })
  }
}

function checkFolder(found: Findings, check: string, folder: string, why: string, mode: number): void {
  const info = look(folder)
  const make = `install -d -o lockstep -g lockstep -m ${octal(mode)} ${folder}`
  if (info === null) {
    const parent = nearestParent(folder)
    if (mayWrite(parent)) found.ok(check, `${folder} is not there yet; serve makes it`)
    else {
      const fix = isReadOnly(parent) ? remount(parent) : make
      found.fail(check, { what: `${folder} does not exist, and ${closed(parent)}`, why: `${upper(why)}.`, fix })
    }
    return
  }
  if (!info.isDirectory())
    found.fail(check, { what: `${folder} is no folder`, why: `${upper(why)}.`, fix: `Move it away, then: ${make}` })
  else if (!mayWrite(folder)) {
    const trouble = notWritable(folder, info, `chown lockstep: ${folder} && chmod ${octal(mode)} ${folder}`)
    found.fail(check, { ...trouble, why: `${upper(why)}.` })
  } else if ((info.mode & 0o007) !== 0) {
    const what = `${folder} is open to everybody (mode ${octal(info.mode)})`
    found.warn(check, {
      what,
      why: 'It shows who is locked and which tokens there are.',
      fix: `chmod ${octal(mode)} ${folder}`,
    })
  } else found.ok(check, `${folder} is there, writable and private`)
}

function checkStoreFile(found: Findings, file: string): void {
  const info = look(file)
  if (info === null || !mayWrite(dirname(file))) return
  if (mayWrite(file)) return
  found.fail('store-file', {
    ...notWritable(file, info, `chown lockstep: ${file}*`),
    why: 'The database cannot be written, so no event can be taken.',
  })
}

/** The shims' user puts files in and sees nothing: the folder's group and modes ensure that. */
function checkSpool(found: Findings, spool: string): void {
  const why = 'The shims put events there; without it none arrives.'
  const fix = `lockstep shims install DIR --spool ${spool}`
  const folders = [
    { path: spool, mode: SPOOL_MODE },
    { path: join(spool, 'tmp'), mode: INBOX_MODE },
    { path: join(spool, 'new'), mode: INBOX_MODE },
  ]
  const before = found.all.length
  for (const { path, mode } of folders) {
    const info = look(path)
    if (info === null) {
      const what = `the folder ${path} does not exist`
      const parent = nearestParent(path)
      if (mayWrite(parent)) found.warn('spool', { what, why, fix })
      else if (!isReadOnly(parent)) found.fail('spool', { what, why, fix })
      else found.fail('spool', { what: `${what}, and ${closed(parent)}`, why, fix: `${remount(parent)}; then: ${fix}` })
      return
    }
    if (!info.isDirectory()) {
      found.fail('spool', { what: `${path} is no folder`, why, fix: `Move it away, then: ${fix}` })
      return
    }
    const now = info.mode & 0o7777
    if (!mayWrite(path)) {
      const trouble = notWritable(path, info, `chown lockstep ${path}`)
      found.fail('spool', { ...trouble, why: 'Events that were taken could not be removed.' })
      return
    }
    const chmod = `chmod ${octal(mode)} ${path}`
    const is = (state: string): string => `${path} ${state} (mode ${octal(now)})`
    if ((now & 0o007) !== 0) {
      const whyNot = 'Anybody on this machine could report events, and read them.'
      found.warn('spool', { what: is('is open to everybody'), why: whyNot, fix: chmod })
    } else if ((now & 0o040) !== 0) {
      const whyNot = "privacyIDEA's user needs to write, not to read."
      found.warn('spool', { what: is('may be listed by its group'), why: whyNot, fix: chmod })
    } else if ((now & 0o010) === 0) {
      const whyNot = `${why} privacyIDEA's user comes in by the group.`
      found.fail('spool', { what: is('is closed to its group'), why: whyNot, fix: chmod })
    }
  }
  if (found.all.length === before)
    found.ok('spool', `${spool} takes events and shows none (group ${look(spool)?.gid ?? '?'})`)
}

/** `status --check` is for any user: each folder on the way to its file must let everybody pass. */
function checkHealthFile(found: Findings, file: string): void {
  const barrier = closedFolder(file)
  if (barrier === null) return
  found.warn('health-file', {
    what: `${barrier.path} (mode ${octal(barrier.mode)}) keeps others from ${file}`,
    why: 'For monitoring under a user of its own, lockstep status --check reports UNKNOWN.',
    fix: `Write health: { file: FILE } with a place that every user reaches, as ${systemHealthFile} (the unit makes that folder); or run the check as root or as the user that Lockstep runs as.`,
  })
}

/** The outermost folder on the way that not everybody may pass; null: all may, or it is not known. */
function closedFolder(file: string): { path: string; mode: number } | null {
  const folders: string[] = []
  for (let at = dirname(file); dirname(at) !== at; at = dirname(at)) folders.unshift(at)
  try {
    for (const path of folders) {
      const mode = (look(path)?.mode ?? OTHERS_PASS) & 0o7777
      if ((mode & OTHERS_PASS) === 0) return { path, mode }
    }
  } catch {
    // The folders above one without access were checked before it.
  }
  return null
}

function checkSpace(found: Findings, disks: readonly DiskSpace[]): void {
  for (const disk of disks) {
    const { place, freeBytes, hasInodes } = disk
    const what = `${Math.floor(freeBytes / MIB)} MiB are free at ${place}${hasInodes ? '' : ', and no inodes'}`
    const why = 'On a full disk no event is taken and no change is made.'
    const fix = 'Make room, or move store, ldif.dir and intake.spool.'
    const space = spaceOf(disk)
    if (space === 'full' || space === 'low') found[space === 'full' ? 'fail' : 'warn']('disk-space', { what, why, fix })
    else found.ok('disk-space', what)
  }
}

/** Null: it is not there. Throws the system's error where this user has no access. */
function look(path: string): Stats | null {
  return isThere(path, statSync) ? statSync(path) : null
}

function mayWrite(path: string): boolean {
  return whyClosed(path) === null
}

function isReadOnly(path: string): boolean {
  return whyClosed(path) === 'EROFS'
}

/** The system's code for why it may not be written; null: it may. */
function whyClosed(path: string): string | null {
  try {
    accessSync(path, constants.W_OK)
    return null
  } catch (thrown) {
    return errnoOf(thrown)
  }
}

function closed(path: string): string {
  return isReadOnly(path) ? `${path} is on a read-only file system` : `${path} may not be written`
}

function remount(path: string): string {
  return `mount -o remount,rw "$(findmnt -nT ${path} -o TARGET)"`
}

/** The text about a place that may not be written, and its fix. A read-only file system is read-only for everybody. */
function notWritable(path: string, info: Stats, fix: string): { what: string; fix: string } {
  if (isReadOnly(path)) {
    return { what: closed(path), fix: remount(path) }
  }
  const mode = octal(info.mode)
  return { what: `${path} may not be written by this user (owner ${info.uid}, mode ${mode})`, fix }
}

/** The path itself, or the nearest existing folder above it. */
function nearestParent(path: string): string {
  let at = path
  while (look(at) === null && dirname(at) !== at) at = dirname(at)
  return at
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

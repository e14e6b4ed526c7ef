import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { AppError, toAppError } from '../../core/error.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { shimsIn } from './shims-install.ts'
import { openStoreIfAny } from '../../app/state-store.ts'
import { delay } from '../../ports/delay.ts'
import { lookUp } from './system-users.ts'

/**
 * Runs each installed shim as the user that privacyIDEA runs as, and checks whether its event arrives: modes, groups
 * and mounts do not determine it alone. The event names neither a user nor a token, so it changes nothing.
 */

const RUN_TIMEOUT_MS = 10_000
const ARRIVAL_MS = 5_000
const LOOK_MS = 100
const STDERR_LENGTH_MAX = 300

export interface ShimsTrial {
  readonly dir: string
  /** There is none in the folder, or it may not be read. */
  readonly hasNone: boolean
  /** Null: it is not known, or we may not run as them, or there is no script; `why` states which. */
  readonly user: string | null
  readonly why: string
  /** What to do; left out: `why` states it. */
  readonly next?: string
  readonly runs: readonly ShimRun[]
}

export interface ShimRun {
  readonly name: string
  /** The actor of the event, by which the event is recognized. */
  readonly marker: string
  /** The problem of the run; '': it ended with 0. */
  readonly trouble: string
}

const NO_FOLDER =
  'Name the folder that PI_SCRIPT_HANDLER_DIRECTORY of pi.cfg names, and install them there first: lockstep shims install DIR'

interface PiUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * Runs as the calling user, so before a command goes on as the service's user. @param piUser null: by the folder's
 * group
 */
export async function runShims(dir: string, piUser: string | null): Promise<ShimsTrial> {
  let paths: readonly string[]
  try {
    paths = await shimsIn(dir)
  } catch (thrown) {
    return { dir, hasNone: true, user: null, why: toAppError(thrown).message, runs: [] }
  }
  const none = (why: string): ShimsTrial => ({ dir, hasNone: paths.length === 0, user: null, why, runs: [] })
  if (statSync(dir, { throwIfNoEntry: false }) === undefined)
    return { ...none('there is no such folder'), next: NO_FOLDER }
  if (paths.length === 0) return { ...none('none is installed'), next: `Install them: lockstep shims install ${dir}` }
  const user = await userOf(dir, piUser)
  if (user === null) return none('privacyIDEA’s user is not known: name it with --pi-user USER')
  const isSelf = process.getuid?.() === user.uid
  if (!isSelf && process.getuid?.() !== 0) return none(`only root can run them as ${user.name}`)
  const runs: ShimRun[] = []
  for (const path of paths) {
    const marker = `lockstep-test-${randomUUID()}`
    runs.push({ name: basename(path), marker, trouble: await troubleOf(path, marker, isSelf ? null : user) })
  }
  return { dir, hasNone: false, user: user.name, why: '', runs }
}

/** Fails with `usage` where there is no such user. */
async function userOf(dir: string, named: string | null): Promise<PiUser | null> {
  if (named !== null) {
    const [found] = await usersIn(named)
    if (found !== undefined) return found
    throw new AppError('usage', `There is no user ${JSON.stringify(named)}.`, {
      hint: 'Name the one that privacyIDEA runs as: ps -eo user,args | grep -i privacyidea',
    })
  }
  const gid = statSync(dir, { throwIfNoEntry: false })?.gid ?? 0
  // The group root does not identify a user.
  if (gid === 0) return null
  const users = (await usersIn(null)).filter((user) => user.gid === gid)
  // A service's own group has the number of its user; other users may have it as their first group too.
  return users.find(({ uid }) => uid === gid) ?? users[0] ?? null
}

/** @param name null: all of them */
async function usersIn(name: string | null): Promise<PiUser[]> {
  return (await lookUp('passwd', name)).flatMap(([user = '', , uid = '', gid = '']) => {
    return user === '' || uid === '' ? [] : [{ name: user, uid: Number(uid), gid: Number(gid) }]
  })
}

/** In its own environment, as privacyIDEA starts it: without a shell. */
async function troubleOf(path: string, marker: string, user: PiUser | null): Promise<string> {
  const shim = [path, '--logged_in_user', `${marker}@`]
  const as = user === null ? [] : ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups', '--']
  const [program = '', ...args] = [...as, ...shim]
  const { promise, resolve } = Promise.withResolvers<string>()
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' }
  const child = spawn(program, args, { cwd: '/', env, stdio: ['ignore', 'ignore', 'pipe'], timeout: RUN_TIMEOUT_MS })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(0, STDERR_LENGTH_MAX)))
  child.once('error', (error) => resolve(error.message))
  child.once('close', (code, signal) => {
    resolve(code === 0 ? '' : said.trim() || (signal === null ? `it ended with ${code}` : `it was killed by ${signal}`))
  })
  return promise
}

export interface ShimVerdict {
  readonly name: string
  /** `spooled`: no daemon runs that would take it. */
  readonly is: 'arrived' | 'spooled' | 'failed'
  readonly trouble: string
}

/** The places that the events of the runs reached. Waits for a daemon that takes them. */
export async function arrivalsOf(settings: Settings, trial: ShimsTrial): Promise<readonly ShimVerdict[]> {
  const store = await openStoreIfAny(settings)
  try {
    const isServed = store !== null && (await store.processLock.daemon()) !== null
    const verdicts: ShimVerdict[] = []
    for (const { name, marker, trouble } of trial.runs) {
      if (trouble !== '') {
        verdicts.push({ name, is: 'failed', trouble })
        continue
      }
      const endMs = performance.now() + (isServed ? ARRIVAL_MS : 0)
      let isThere = (await store?.maintenance.hasEventBy(`${marker}@`)) === true
      while (!isThere && performance.now() < endMs) {
        await delay(LOOK_MS)
        isThere = (await store?.maintenance.hasEventBy(`${marker}@`)) === true
      }
      if (isThere) verdicts.push({ name, is: 'arrived', trouble: '' })
      else verdicts.push({ name, ...inSpool(settings.intake.spool, marker, isServed) })
    }
    return verdicts
  } finally {
    await store?.[Symbol.asyncDispose]()
  }
}

/** A file that was found is removed again. */
function inSpool(spool: string, marker: string, isServed: boolean): Omit<ShimVerdict, 'name'> {
  const folder = join(spool, 'new')
  try {
    for (const file of readdirSync(folder)) {
      const path = join(folder, file)
      if (!readFileSync(path, 'latin1').includes(marker)) continue
      unlinkSync(path)
      const late = `its event lies in ${folder}, and the daemon did not take it within ${ARRIVAL_MS / 1000} s`
      return isServed ? { is: 'failed', trouble: late } : { is: 'spooled', trouble: '' }
    }
    return { is: 'failed', trouble: `it ended with 0, and nothing came into ${folder}: it writes into another spool` }
  } catch (thrown) {
    return { is: 'failed', trouble: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}

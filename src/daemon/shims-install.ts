import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, chown, lstat, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AppError, toAppError } from '../core/error.ts'
import { TOKEN_EVENT_KINDS } from '../core/event.ts'

/** Puts the four shims into privacyIDEA's script directory, and makes the spool that they write into. */

/** The first line of every version of the script after `#!`: a file without it is not ours. */
const MARKER = '# lockstep-shim:'
const SPOOL_LINE = "spool='/var/spool/lockstep'\n"
const SCRIPT_MODE = 0o755
/** The group passes through the spool, and creates files in tmp and new without seeing what is there. */
const SPOOL_MODE = 0o710
const INBOX_MODE = 0o1730
/** privacyIDEA's group and the service's user where the packages made them. */
const USUAL_GROUP = 'privacyidea'
const USUAL_OWNER = 'lockstep'
const PACKAGE_DEPTH_MAX = 4
const LOOKUP_TIMEOUT_MS = 5000

export interface ShimsRequest {
  /** privacyIDEA's script directory. */
  readonly dir: string
  readonly spool: string
  /** privacyIDEA's group, by name or number; null: the group `privacyidea`, else that of `dir`. */
  readonly group: string | null
}

export interface ShimsInstalled {
  readonly dir: string
  readonly scripts: readonly { readonly path: string; readonly action: 'written' | 'unchanged' }[]
  readonly spool: string
  readonly folders: readonly {
    readonly path: string
    /** Octal, as `ls` and `chmod` write it. */
    readonly mode: string
    readonly uid: number
    readonly gid: number
    readonly action: 'created' | 'corrected' | 'unchanged'
  }[]
  /** What is left for a person to do, a line each. */
  readonly nextSteps: readonly string[]
}

/** May be repeated. Fails with `usage`, `file-not-permitted`, `file-io`, `disk-full`; nothing of others is overwritten. */
export async function installShims(request: ShimsRequest): Promise<ShimsInstalled> {
  const { dir, spool } = request
  checkPath(spool)
  await checkScriptFolder(dir)
  const text = await scriptFor(spool)
  const paths = TOKEN_EVENT_KINDS.map((kind) => join(dir, `lockstep-${kind}`))
  for (const path of paths) await checkOurs(path)
  const ids = await wantedIds(request)
  const folders: ShimsInstalled['folders'][number][] = []
  for (const [path, mode] of [
    [spool, SPOOL_MODE],
    [join(spool, 'tmp'), INBOX_MODE],
    [join(spool, 'new'), INBOX_MODE],
  ] as const) {
    folders.push(await makeFolder(path, mode, ids))
  }
  const scripts: ShimsInstalled['scripts'][number][] = []
  for (const path of paths) scripts.push({ path, action: await writeScript(path, text) })
  return { dir, scripts, spool, folders, nextSteps: nextSteps(request, folders) }
}

function checkPath(spool: string): void {
  // eslint-disable-next-line no-control-regex -- control characters are what it refuses
  if (isAbsolute(spool) && !/[\u0000-\u001f\u007f]/.test(spool)) return
  throw new AppError(
    'usage',
    `The spool must be an absolute path without control characters, not ${JSON.stringify(spool)}.`,
    {
      hint: 'Name it with --spool or intake.spool, as in /var/spool/lockstep.',
    },
  )
}

async function checkScriptFolder(dir: string): Promise<void> {
  const found = await stat(dir).catch((thrown: unknown) => {
    if (errorCode(thrown) !== 'ENOENT') throw fileError(thrown, `look at ${dir}`)
    return null
  })
  if (found === null || !found.isDirectory()) {
    throw new AppError('usage', `There is no folder ${dir}.`, {
      hint: "Name privacyIDEA's script directory: PI_SCRIPT_HANDLER_DIRECTORY in its pi.cfg, else /etc/privacyidea/scripts.",
    })
  }
  await access(dir, constants.W_OK | constants.X_OK).catch((thrown: unknown) => {
    throw fileError(thrown, `write into ${dir}`)
  })
}

/** The script, from the package's own `shims/`: the same in a checkout and beside the bundle. */
async function scriptFor(spool: string): Promise<string> {
  const source = await readShimSource()
  if (!source.includes(SPOOL_LINE) || !source.includes(MARKER)) {
    throw new AppError('internal', 'The shim that came with Lockstep is not as expected.', {
      hint: 'Install Lockstep again.',
    })
  }
  return source.replace(SPOOL_LINE, () => `spool=${shellQuote(spool)}\n`)
}

async function readShimSource(): Promise<string> {
  for (let depth = 1; depth <= PACKAGE_DEPTH_MAX; depth++) {
    const file = fileURLToPath(new URL(`${'../'.repeat(depth)}shims/lockstep-shim.sh`, import.meta.url))
    try {
      return await readFile(file, 'utf8')
    } catch (thrown) {
      if (errorCode(thrown) !== 'ENOENT' && errorCode(thrown) !== 'ENOTDIR') throw fileError(thrown, `read ${file}`)
    }
  }
  throw new AppError('internal', 'The file shims/lockstep-shim.sh of the package is missing.', {
    hint: 'Install Lockstep again: the folder shims belongs beside dist.',
  })
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

async function checkOurs(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null)
  if (found === null) return
  if (found.isFile() && (await readFile(path, 'latin1').catch(() => '')).slice(0, 4096).includes(MARKER)) return
  throw new AppError('file-not-permitted', `${path} is there already and is not one of our scripts.`, {
    hint: 'Move it away, or name another folder.',
  })
}

interface Ids {
  readonly uid: number
  readonly gid: number
}

async function wantedIds(request: ShimsRequest): Promise<Ids> {
  const own: Ids = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  const uid = own.uid === 0 ? ((await lookUp('passwd', USUAL_OWNER)) ?? own.uid) : own.uid
  if (request.group !== null) {
    const gid = /^\d{1,9}$/.test(request.group) ? Number(request.group) : await lookUp('group', request.group)
    if (gid !== null) return { uid, gid }
    throw new AppError('usage', `There is no group ${JSON.stringify(request.group)}.`, {
      hint: 'Name the group that privacyIDEA runs under: `ps -o group= -C gunicorn` or `-C apache2` shows it.',
    })
  }
  const gid = (await lookUp('group', USUAL_GROUP)) ?? (await stat(request.dir)).gid
  return { uid, gid }
}

/** The number of a user or group from the system's databases, LDAP included; null when there is none. */
async function lookUp(database: 'passwd' | 'group', name: string): Promise<number | null> {
  try {
    const { stdout } = await promisify(execFile)('getent', ['--', database, name], { timeout: LOOKUP_TIMEOUT_MS })
    const id = Number(stdout.split(':')[2])
    return Number.isInteger(id) && id >= 0 ? id : null
  } catch {
    return null
  }
}

async function makeFolder(path: string, mode: number, ids: Ids): Promise<ShimsInstalled['folders'][number]> {
  try {
    const made = await mkdir(path, { recursive: true, mode: 0o700 })
    const before = await lstat(path)
    if (!before.isDirectory()) throw new AppError('file-not-permitted', `${path} is there and is no folder.`)
    const owned = before.uid === ids.uid && before.gid === ids.gid
    if (!owned) await giveTo(path, before.uid, ids)
    // After chown, which clears special bits.
    if (!owned || (before.mode & 0o7777) !== mode) await chmod(path, mode)
    const after = await lstat(path)
    const changed = !owned || (before.mode & 0o7777) !== mode
    const action = made !== undefined ? 'created' : changed ? 'corrected' : 'unchanged'
    return { path, mode: (after.mode & 0o7777).toString(8).padStart(4, '0'), uid: after.uid, gid: after.gid, action }
  } catch (thrown) {
    throw fileError(thrown, `make the folder ${path}`)
  }
}

/** Only root may give a folder to a foreign group; without that the folder stays ours, and a next step says so. */
async function giveTo(path: string, uidBefore: number, ids: Ids): Promise<void> {
  try {
    await chown(path, ids.uid, ids.gid)
  } catch (thrown) {
    if (errorCode(thrown) !== 'EPERM' || uidBefore !== process.getuid?.()) throw thrown
  }
}

async function writeScript(path: string, text: string): Promise<'written' | 'unchanged'> {
  try {
    const before = await lstat(path).catch(() => null)
    if (before !== null && (before.mode & 0o7777) === SCRIPT_MODE && (await readFile(path, 'utf8')) === text) {
      return 'unchanged'
    }
    const temporary = `${path}.${process.pid}.tmp`
    try {
      await writeDurably(temporary, text)
      await rename(temporary, path)
    } catch (thrown) {
      await rm(temporary, { force: true })
      throw thrown
    }
    return 'written'
  } catch (thrown) {
    throw fileError(thrown, `write ${path}`)
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  await rm(path, { force: true })
  await using file = await open(path, 'wx', SCRIPT_MODE)
  await file.writeFile(text)
  await file.chmod(SCRIPT_MODE)
  await file.sync()
}

function nextSteps(request: ShimsRequest, folders: ShimsInstalled['folders']): string[] {
  const steps: string[] = []
  const foreign = folders.filter((folder) => folder.gid === 0)
  if (foreign.length > 0) {
    const paths = foreign.map((folder) => shellQuote(folder.path)).join(' ')
    steps.push(`Give the spool to privacyIDEA's group, or its events are refused: chgrp GROUP ${paths}`)
  }
  const wanted = request.group !== null && /^\d+$/.test(request.group) ? Number(request.group) : null
  if (process.getuid?.() !== 0 && (wanted === null || folders.some((folder) => folder.gid !== wanted))) {
    steps.push("Run this again as root where the spool's group is not privacyIDEA's: only root may give a folder away.")
  }
  steps.push(
    'In privacyIDEA bind, with position post and the options serial, user, realm, logged_in_user and logged_in_role:',
    '  lockstep-register    token_init, token_assign',
    '  lockstep-lock        validate_check, with the condition token_locked = True',
    '  lockstep-unlock      token_reset, token_set, with the condition token_locked = False',
    '  lockstep-unregister  token_unassign, token_delete',
    'Then run `lockstep serve`, or `lockstep drain` from cron.',
  )
  return steps
}

function errorCode(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
}

function fileError(thrown: unknown, what: string): AppError {
  const code = errorCode(thrown)
  if (code === 'EACCES' || code === 'EPERM') {
    return new AppError('file-not-permitted', `No permission to ${what}.`, { cause: thrown, hint: 'Run it as root.' })
  }
  if (code === 'EROFS') {
    return new AppError('file-not-permitted', `Cannot ${what}: the file system is read-only.`, {
      cause: thrown,
      hint: 'Mount it for writing.',
    })
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError('disk-full', `Cannot ${what}: the disk is full.`, {
      cause: thrown,
      hint: 'Make room and try again.',
    })
  }
  if (thrown instanceof AppError) return thrown
  return toAppError(new AppError('file-io', `Cannot ${what}${code === '' ? '' : ` (${code})`}.`, { cause: thrown }))
}

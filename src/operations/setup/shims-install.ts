import { accessSync, chmodSync, chownSync, constants, mkdirSync } from 'node:fs'
import { lstat, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError } from '../../core/error.ts'
import { errnoOf, isDenied, systemRefusal } from '../../core/system-error.ts'
import { TOKEN_EVENT_KINDS } from '../../core/events/event.ts'
import { enterFolder, openFolder, type OpenFolder } from './open-folder.ts'
import { lookUp } from './system-users.ts'
import { octal } from '../../core/format/octal.ts'

/**
 * Puts the four shims into privacyIDEA's script directory, and makes their spool. It mostly runs as root, in folders
 * that belong to the service's and to privacyIDEA's user: so each folder is held open, and nothing is changed by its
 * path.
 */

/** The first line of every version of the script after `#!`: a file without it is not ours. */
const MARKER = '# lockstep-shim:'
const SPOOL_LINE = "spool='/var/spool/lockstep'\n"
const SCRIPT_MODE = 0o755
/** The group passes through the spool, and creates files in tmp and new without listing them. */
const SPOOL_MODE = 0o710
const INBOX_MODE = 0o1730
/** privacyIDEA's group and the service's user where the packages made them. */
const USUAL_GROUP = 'privacyidea'
const USUAL_OWNER = 'lockstep'
const PACKAGE_DEPTH_MAX = 4

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
  readonly folders: readonly Folder[]
  /** Steps left for an administrator, a line each. */
  readonly nextSteps: readonly string[]
}

interface Folder {
  readonly path: string
  /** Octal, as `chmod` takes it. */
  readonly mode: string
  readonly uid: number
  readonly gid: number
  readonly action: 'created' | 'corrected' | 'unchanged'
}

/**
 * May be repeated. Fails with `usage`, `file-not-permitted`, `file-io`, `disk-full`; no file of others is overwritten.
 */
export async function installShims(request: ShimsRequest): Promise<ShimsInstalled> {
  const { dir, spool } = request
  checkPath(spool)
  using target = openScriptFolder(dir)
  const text = await scriptFor(spool)
  const names = TOKEN_EVENT_KINDS.map((kind) => `lockstep-${kind}`)
  for (const name of names) await checkOurs(target, name, join(dir, name))
  const gid = await wantedGroup(request)
  const { folders, ids } = await makeSpool(spool, gid)
  const scripts: ShimsInstalled['scripts'][number][] = []
  for (const name of names) {
    const path = join(dir, name)
    scripts.push({ path, action: await writeScript(target.at(name), path, text) })
  }
  return { dir, scripts, spool, folders, nextSteps: await nextSteps(request, ids, folders) }
}

/**
 * Removes the four shims from a script directory; the spool stays. Fails as installShims; a file that is not ours is
 * kept and named.
 */
export async function removeShims(dir: string): Promise<readonly string[]> {
  using target = openScriptFolder(dir)
  const removed: string[] = []
  for (const name of TOKEN_EVENT_KINDS.map((kind) => `lockstep-${kind}`)) {
    const path = join(dir, name)
    if ((await lstat(target.at(name)).catch(() => null)) === null) continue
    await checkOurs(target, name, path)
    try {
      await rm(target.at(name))
    } catch (thrown) {
      throw fileError(thrown, `remove ${path}`)
    }
    removed.push(path)
  }
  return removed
}

/**
 * The paths of the shims in a script directory; none where the directory does not exist. Fails with
 * `file-not-permitted`, `file-io`.
 */
export async function shimsIn(dir: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const path of TOKEN_EVENT_KINDS.map((kind) => join(dir, `lockstep-${kind}`))) {
    try {
      await lstat(path)
      found.push(path)
    } catch (thrown) {
      if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(thrown))) throw fileError(thrown, `look at ${path}`)
    }
  }
  return found
}

export interface ShimState {
  readonly name: string
  readonly state: 'good' | 'missing' | 'not-executable' | 'different'
}

/**
 * Compares a script directory with what `installShims` would write. Changes nothing. Fails with `file-not-permitted`,
 * `file-io`.
 */
export async function lookAtShims(dir: string, spool: string): Promise<readonly ShimState[]> {
  const wanted = await scriptFor(spool)
  return Promise.all(TOKEN_EVENT_KINDS.map((kind) => lookAtShim(dir, `lockstep-${kind}`, wanted)))
}

async function lookAtShim(dir: string, name: string, wanted: string): Promise<ShimState> {
  try {
    const path = join(dir, name)
    const { mode } = await stat(path)
    if ((await readFile(path, 'utf8')) !== wanted) return { name, state: 'different' }
    return { name, state: (mode & 0o555) === 0o555 ? 'good' : 'not-executable' }
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return { name, state: 'missing' }
    throw fileError(thrown, `look at ${join(dir, name)}`)
  }
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

function openScriptFolder(dir: string): OpenFolder {
  let folder: OpenFolder
  try {
    folder = openFolder(dir, null)
  } catch (thrown) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(thrown))) throw fileError(thrown, `look at ${dir}`)
    throw new AppError('usage', `There is no folder ${dir}.`, {
      hint: "Name privacyIDEA's script directory: PI_SCRIPT_HANDLER_DIRECTORY in its pi.cfg, else /etc/privacyidea/scripts.",
    })
  }
  try {
    accessSync(folder.self, constants.W_OK | constants.X_OK)
    return folder
  } catch (thrown) {
    folder[Symbol.dispose]()
    throw fileError(thrown, `write into ${dir}`)
  }
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
      if (errnoOf(thrown) !== 'ENOENT' && errnoOf(thrown) !== 'ENOTDIR') throw fileError(thrown, `read ${file}`)
    }
  }
  throw new AppError('internal', 'The file shims/lockstep-shim.sh of the package is missing.', {
    hint: 'Install Lockstep again: the folder shims belongs beside dist.',
  })
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

async function checkOurs(folder: OpenFolder, name: string, path: string): Promise<void> {
  const found = await lstat(folder.at(name)).catch(() => null)
  if (found === null) return
  if (found.isFile() && (await readFile(folder.at(name), 'latin1').catch(() => '')).slice(0, 4096).includes(MARKER))
    return
  throw new AppError('file-not-permitted', `${path} is there already and is not one of our scripts.`, {
    hint: 'Move it away, or name another folder.',
  })
}

interface Ids {
  readonly uid: number
  readonly gid: number
}

async function wantedGroup(request: ShimsRequest): Promise<number> {
  if (request.group === null) return (await idOf('group', USUAL_GROUP)) ?? (await stat(request.dir)).gid
  const gid = /^\d{1,9}$/.test(request.group) ? Number(request.group) : await idOf('group', request.group)
  if (gid !== null) return gid
  throw new AppError('usage', `There is no group ${JSON.stringify(request.group)}.`, {
    hint: 'Name the group that privacyIDEA runs under: `ps -eo group,args | grep -i privacyidea` shows it.',
  })
}

/** An owner that an administrator gave the spool stays: the service runs as that user. */
async function wantedOwner(uidNow: number): Promise<number> {
  if (uidNow !== 0) return uidNow
  return (process.getuid?.() === 0 ? await idOf('passwd', USUAL_OWNER) : null) ?? process.getuid?.() ?? 0
}

/** Null when there is none. */
async function idOf(database: 'passwd' | 'group', name: string): Promise<number | null> {
  const [entry] = await lookUp(database, name)
  const id = Number(entry?.[2])
  return Number.isInteger(id) && id >= 0 ? id : null
}

async function makeSpool(spool: string, gid: number): Promise<{ folders: Folder[]; ids: Ids }> {
  try {
    using parent = openFolder(dirname(spool), 0o755)
    const isNew = isMade(parent, basename(spool))
    using top = enterFolder(parent, basename(spool), spool)
    const ids = { uid: await wantedOwner(top.stat().uid), gid }
    const folders = [setUp(top, spool, SPOOL_MODE, ids, isNew)]
    for (const name of ['tmp', 'new']) {
      const isInboxNew = isMade(top, name)
      using inbox = enterFolder(top, name, join(spool, name))
      folders.push(setUp(inbox, join(spool, name), INBOX_MODE, ids, isInboxNew))
    }
    return { folders, ids }
  } catch (thrown) {
    throw fileError(thrown, `make the spool ${spool}`)
  }
}

function isMade(parent: OpenFolder, name: string): boolean {
  try {
    mkdirSync(parent.at(name), 0o700)
    return true
  } catch (thrown) {
    if (errnoOf(thrown) === 'EEXIST') return false
    throw thrown
  }
}

function setUp(folder: OpenFolder, path: string, mode: number, ids: Ids, isNew: boolean): Folder {
  const before = folder.stat()
  const isOwned = before.uid === ids.uid && before.gid === ids.gid
  const isRight = isOwned && (before.mode & 0o7777) === mode
  if (!isOwned) giveTo(folder, before.uid, ids)
  // After chown, which clears special bits.
  if (!isRight) chmodSync(folder.self, mode)
  const after = folder.stat()
  const action = isNew ? 'created' : isRight ? 'unchanged' : 'corrected'
  return { path, mode: octal(after.mode), uid: after.uid, gid: after.gid, action }
}

/** Only root may give a folder to a foreign group; without that the folder stays ours, and a next step reports it. */
function giveTo(folder: OpenFolder, uidBefore: number, ids: Ids): void {
  try {
    chownSync(folder.self, ids.uid, ids.gid)
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EPERM' || uidBefore !== process.getuid?.()) throw thrown
  }
}

/** @param shown its path, for people */
async function writeScript(path: string, shown: string, text: string): Promise<'written' | 'unchanged'> {
  try {
    const before = await lstat(path).catch(() => null)
    const isRight = before?.isFile() === true && (before.mode & 0o7777) === SCRIPT_MODE
    if (isRight && (await readFile(path, 'utf8')) === text) return 'unchanged'
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
    throw fileError(thrown, `write ${shown}`)
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  await rm(path, { force: true })
  await using file = await open(path, 'wx', SCRIPT_MODE)
  await file.writeFile(text)
  await file.chmod(SCRIPT_MODE)
  await file.sync()
}

async function nextSteps(request: ShimsRequest, ids: Ids, folders: readonly Folder[]): Promise<string[]> {
  const steps: string[] = []
  const paths = folders.map((folder) => shellQuote(folder.path)).join(' ')
  if (ids.gid === 0) steps.push(`Name privacyIDEA's group, or its events are refused: chgrp GROUP ${paths}`)
  else if (folders.some((folder) => folder.gid !== ids.gid || folder.uid !== ids.uid)) {
    steps.push(`Run this as root, since only root may give a folder away: chown ${ids.uid}:${ids.gid} ${paths}`)
  }
  for (const path of await closedParents(request.spool, ids.gid)) {
    steps.push(`Let privacyIDEA's user pass through ${path}, or its events are refused: chmod o+x ${shellQuote(path)}`)
  }
  return [...steps, ...BINDINGS]
}

const BINDINGS: readonly string[] = [
  'Bind them: lockstep privacyidea setup --via script. Or by hand:',
  'In privacyIDEA bind, with position post and the options serial, user, realm, logged_in_user and logged_in_role:',
  '  lockstep-register    token_init, token_assign',
  '  lockstep-lock        validate_check, with the condition token_locked = True',
  '  lockstep-unlock      token_reset, token_set, with the condition token_locked = False',
  '  lockstep-unlock      validate_check, with the condition result_value = True',
  '  lockstep-unregister  token_unassign, token_delete',
  'Then run `lockstep serve`, or `lockstep drain` from cron.',
]

async function closedParents(spool: string, gid: number): Promise<string[]> {
  const closed: string[] = []
  for (let path = dirname(spool); path !== dirname(path); path = dirname(path)) {
    const found = await stat(path)
    const isOpen = (found.mode & 0o001) !== 0 || (found.gid === gid && (found.mode & 0o010) !== 0)
    if (!isOpen) closed.push(path)
  }
  return closed
}

function fileError(thrown: unknown, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const { code, why, hint } = systemRefusal(thrown)
  if (isDenied(thrown))
    return new AppError(code, `Cannot ${what}: no permission.`, { hint: 'Run it as root.', cause: thrown })
  return new AppError(code, `Cannot ${what}: ${why}.`, {
    hint,
    cause: thrown,
  })
}

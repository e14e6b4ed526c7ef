import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readlinkSync, type Stats } from 'node:fs'
import { AppError } from '../../core/error.ts'

/**
 * A folder that is held open, so that all work in it happens there and nowhere else: a user who may write beside it can
 * put a link in its place at any time, and root would follow. `/proc/self/fd/N/NAME` is NAME in exactly that folder
 * (Linux).
 */
export interface OpenFolder extends Disposable {
  /** The folder itself, also after its path was replaced. */
  readonly self: string
  at(name: string): string
  stat(): Stats
}

/** Of Linux, on every processor that Node.js runs on: a descriptor that needs no right to read. */
const O_PATH = 0o10_000_000
const FLAGS = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW
const LINKS_MAX = 40
const STICKY = 0o1000
const WRITABLE_BY_OTHERS = 0o022

/**
 * Opens each folder of the path in turn. A link on the way is followed where only root or we ourselves could have made
 * it. Fails with `file-not-permitted` (another link), and with the system's errors.
 * @param path absolute
 * @param makeMode for missing folders; null: they are not made
 */
export function openFolder(path: string, makeMode: number | null): OpenFolder {
  let descriptor = openSync('/', FLAGS)
  try {
    const steps = path.split('/')
    for (let links = 0; steps.length > 0;) {
      const name = steps.shift() ?? ''
      if (name === '' || name === '.') continue
      const next = step(descriptor, name, makeMode, path)
      if (typeof next === 'number') {
        closeSync(descriptor)
        descriptor = next
        continue
      }
      if (++links > LINKS_MAX) throw linkError(path, 'leads through too many symbolic links')
      steps.unshift(...next.split('/'))
      if (!next.startsWith('/')) continue
      closeSync(descriptor)
      descriptor = openSync('/', FLAGS)
    }
  } catch (thrown) {
    closeSync(descriptor)
    throw thrown
  }
  return held(descriptor)
}

/**
 * A folder within one that is open; no link is followed.
 * Fails with `file-not-permitted` where it is no folder, and with the system's errors.
 * @param shown its path, for people
 */
export function enterFolder(parent: OpenFolder, name: string, shown: string): OpenFolder {
  try {
    return held(openSync(parent.at(name), FLAGS))
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOTDIR') throw thrown
    const isLink = lstatSync(parent.at(name), { throwIfNoEntry: false })?.isSymbolicLink() === true
    throw new AppError(
      'file-not-permitted',
      isLink ? `${shown} is a symbolic link, which is not followed here.` : `${shown} is there and is no folder.`,
      { hint: 'See who put it there, and move it away.', cause: thrown },
    )
  }
}

function held(descriptor: number): OpenFolder {
  const self = `/proc/self/fd/${descriptor}`
  return {
    self,
    at: (name) => `${self}/${name}`,
    stat: () => fstatSync(descriptor),
    [Symbol.dispose]: () => closeSync(descriptor),
  }
}

/** @returns the descriptor of the next folder, or where a link leads */
function step(folder: number, name: string, makeMode: number | null, path: string): number | string {
  const next = `/proc/self/fd/${folder}/${name}`
  try {
    return openSync(next, FLAGS)
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT' && makeMode !== null) {
      mkdirSync(next, makeMode)
      return openSync(next, FLAGS)
    }
    const found = codeOf(thrown) === 'ENOTDIR' ? lstatSync(next) : null
    if (found?.isSymbolicLink() !== true) throw thrown
    if (!isTrusted(fstatSync(folder), found)) {
      throw linkError(path, `leads through a symbolic link, ${name}, that others can change`)
    }
    return readlinkSync(next)
  }
}

function isTrusted(folder: Stats, link: Stats): boolean {
  const own = [0, process.geteuid?.() ?? 0]
  if (!own.includes(folder.uid)) return false
  if ((folder.mode & WRITABLE_BY_OTHERS) === 0) return true
  return (folder.mode & STICKY) !== 0 && own.includes(link.uid)
}

function linkError(path: string, why: string): AppError {
  return new AppError('file-not-permitted', `${path} ${why}.`, {
    hint: 'Name the folder itself; `realpath` shows where the link leads.',
  })
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
}

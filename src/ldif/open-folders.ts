import { closeSync, constants, existsSync, fstatSync, lstatSync, openSync } from 'node:fs'
import { fileError } from './file-error.ts'
import { problemWith, type Folder } from './layout.ts'

/**
 * The folders, opened once and used by their descriptors: a symbolic link put in the place of a folder is never written
 * through. Whether a folder is still at its path is a separate check.
 */

const READ_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** Linux: the way into an open folder, past all names. */
const DESCRIPTORS = '/proc/self/fd'

export type OpenedFolder = Folder | 'register'

interface Opened {
  readonly fd: number
  readonly id: string
  /** Files of the folder are named below it. */
  readonly at: string
  readonly path: string
}

export class OpenFolders implements Disposable {
  readonly #root: string
  readonly #opened = new Map<OpenedFolder | '', Opened>()
  readonly #used = new Set<OpenedFolder>()
  readonly #byDescriptor = existsSync(DESCRIPTORS)

  constructor(root: string) {
    this.#root = root
  }

  /**
   * A path that leads into the folder as it was opened. Fails with `file-not-permitted` for one that is a symbolic
   * link, another user's or writable by everybody; as `fileError` where it is gone.
   */
  at(folder: OpenedFolder): string {
    this.#used.add(folder)
    return this.#open(folder).at
  }

  /** @returns a folder that was used since `begin` and is no longer at its path; null: all are */
  displaced(): OpenedFolder | null {
    return [...this.#used].find((folder) => !this.isInPlace(folder)) ?? null
  }

  begin(): void {
    this.#used.clear()
  }

  /** To sync it. */
  descriptorOf(folder: OpenedFolder): number {
    return this.#open(folder).fd
  }

  /** Whether the folder at its path is the one that was opened. */
  isInPlace(folder: OpenedFolder): boolean {
    const { path, id } = this.#open(folder)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    return stats !== undefined && `${stats.dev}:${stats.ino}` === id
  }

  /** A text for people, with the paths of the layout. */
  named(text: string): string {
    if (!this.#byDescriptor || !text.includes(DESCRIPTORS)) return text
    const opened = [...this.#opened.values()]
    return opened.reduce((named, { at, path }) => named.replaceAll(`${at}/`, `${path}/`), text)
  }

  /** The next use opens them anew. */
  close(): void {
    for (const { fd } of this.#opened.values()) closeSync(fd)
    this.#opened.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #open(folder: OpenedFolder | ''): Opened {
    const opened = this.#opened.get(folder) ?? this.#openAnew(folder)
    this.#opened.set(folder, opened)
    return opened
  }

  #openAnew(folder: OpenedFolder | ''): Opened {
    const [parent, name] = folder.endsWith('/history') ? [folder.slice(0, -8) as OpenedFolder, 'history'] : ['', folder]
    const path = folder === '' ? this.#root : `${this.#root}/${folder}`
    const fd = openFolder(folder === '' ? path : `${this.#open(parent as OpenedFolder | '').at}/${name}`, path)
    const stats = fstatSync(fd)
    const problem = problemWith(stats)
    if (problem !== null) {
      closeSync(fd)
      throw problem(path)
    }
    return { fd, id: `${stats.dev}:${stats.ino}`, at: this.#byDescriptor ? `${DESCRIPTORS}/${fd}` : path, path }
  }
}

function openFolder(from: string, path: string): number {
  try {
    return openSync(from, READ_FOLDER)
  } catch (thrown) {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    const problem = stats === undefined ? null : problemWith(stats)
    throw problem === null ? fileError(thrown, 'open the folder', path) : problem(path)
  }
}

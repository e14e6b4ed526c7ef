import { statSync } from 'node:fs'
import { AppError } from '../../core/error.ts'
import { errnoOf } from '../../core/system-error.ts'

/**
 * Whether the store is still the file that was opened. A file that is removed, moved or replaced can be written for as
 * long as it is open, but nobody finds these writes: the next opening of the store uses another file.
 */
export class StorePlace {
  /** The database and its log, by device and inode. */
  readonly #known = new Map<string, string>()

  /** @param file opened by now; `:memory:` is always in place */
  constructor(file: string) {
    if (file === ':memory:') return
    for (const path of [file, `${file}-wal`]) {
      const id = fileId(path)
      if (id !== null && id !== '') this.#known.set(path, id)
    }
  }

  /** @returns `store-gone`; null: it is in place, or that is not known */
  lost(): AppError | null {
    for (const [path, id] of this.#known) {
      const now = fileId(path)
      if (now === null || now === id) continue
      const what = now === '' ? 'was removed or moved' : 'was replaced by another file'
      return new AppError('store-gone', `${path} ${what} while it was in use: what is recorded now would be lost`, {
        hint: `See who did it. Stop Lockstep, then put the file back (with its -wal), or make a new one from the LDIF folders: lockstep rebuild`,
      })
    }
    return null
  }
}

/** '': nothing is there; null: not known. */
function fileId(path: string): string | null {
  try {
    const { dev, ino } = statSync(path)
    return `${dev}:${ino}`
  } catch (thrown) {
    return ['ENOENT', 'ENOTDIR'].includes(errnoOf(thrown)) ? '' : null
  }
}

import { errnoOf } from './system-error.ts'

/**
 * The folders of a path that are missing, the outermost first. Node's recursive mkdir never ends below /proc, and
 * reports ENOENT for a read-only file system; so they are made one by one, and the error of the first refused one gives
 * the reason.
 * @param path absolute
 */
export function missingFolders(path: string, isThere: (path: string) => boolean): string[] {
  const missing: string[] = []
  let at = path.replace(/\/+$/, '') || '/'
  while (at !== '/' && !isThere(at)) {
    missing.unshift(at)
    at = at.slice(0, Math.max(at.lastIndexOf('/'), 0)) || '/'
  }
  return missing
}

/**
 * True where a folder could not be made although the one above it is there: the file system of the kernel itself (`/proc`,
 * `/sys`) takes none, and never will.
 */
export function isRefusedForEver(thrown: unknown, isParentThere: () => boolean): boolean {
  const errno = errnoOf(thrown)
  if (errno === 'ENOSYS' || errno === 'ENOTSUP' || errno === 'EINVAL') return true
  return errno === 'ENOENT' && isParentThere()
}

export function noFoldersText(what: string, path: string): string {
  return `the ${what} ${path} cannot be made: ${noFoldersReason(path)}`
}

export function noFoldersReason(path: string): string {
  return `the file system at ${path.slice(0, path.lastIndexOf('/')) || '/'} takes no folders of anybody`
}

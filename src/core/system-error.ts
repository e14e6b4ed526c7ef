/**
 * What the operating system's refusal of a file or folder means, by its code: one table for everything that is opened.
 * Pure data: `error.ts` and each place that opens something take code and text from here.
 */

export interface SystemRefusal {
  /** The system's own name of it, as in `EACCES`; '' where it gave none. */
  readonly errno: string
  readonly code: 'file-not-permitted' | 'disk-full' | 'file-io'
  /** Why, as the end of a sentence: `permission denied`. */
  readonly why: string
  /** What to do, as a full sentence, where the place that failed has nothing better. */
  readonly hint: string
}

type Row = readonly [code: SystemRefusal['code'], why: string, hint: string]

const PROCESS_LIMIT = 'Raise its limit (LimitNOFILE in a systemd unit).'
const DISK = 'Look into the system log (dmesg, journalctl -k) for what ails the disk.'
const ROOM = 'Make room on that file system (df -h, df -i).'
const PATH = 'Correct the path.'

const REFUSALS: Readonly<Record<string, Row>> = {
  EACCES: ['file-not-permitted', 'permission denied', 'Run it as a user that may.'],
  EPERM: ['file-not-permitted', 'permission denied', 'Run it as a user that may.'],
  EROFS: ['file-not-permitted', 'it is on a read-only file system', 'Mount it for writing, or name another place.'],
  ELOOP: ['file-not-permitted', 'it is a symbolic link, which is never followed', 'Name the file or folder itself.'],
  ETXTBSY: ['file-not-permitted', 'it is a program that runs', 'Stop that program first.'],
  ENOSPC: ['disk-full', 'the disk is full', ROOM],
  EDQUOT: ['disk-full', 'the quota is used up', 'Make room, or raise the quota.'],
  EFBIG: ['disk-full', 'the file would be larger than this process may write', 'Raise its limit (ulimit -f).'],
  ENOENT: ['file-io', 'it is not there', PATH],
  ENOTDIR: ['file-io', 'a part of the path is no folder', PATH],
  EISDIR: ['file-io', 'it is a folder', 'Name a file.'],
  EEXIST: ['file-io', 'it is there already', 'Move it away, or name another place.'],
  ENOTEMPTY: ['file-io', 'the folder is not empty', 'Move away what is in it.'],
  EXDEV: ['file-io', 'it is on another file system', 'Name a place on the same file system.'],
  EBUSY: ['file-io', 'it is in use', 'See who uses it: fuser -v PATH.'],
  ENXIO: ['file-io', 'it is a socket or a device without a program behind it', PATH],
  ENODEV: ['file-io', 'its device is not there', DISK],
  EINVAL: ['file-io', 'its file system does not offer that', 'Name a place on a file system of the disk.'],
  ENOTSUP: ['file-io', 'its file system does not offer that', 'Name a place on a file system of the disk.'],
  ENOSYS: ['file-io', 'its file system does not offer that', 'Name a place on a file system of the disk.'],
  ENAMETOOLONG: ['file-io', 'the path is too long', PATH],
  EMFILE: ['file-io', 'this process has too many files open', PROCESS_LIMIT],
  ENFILE: ['file-io', 'this machine has too many files open', 'Raise fs.file-max, or see who has them: lsof.'],
  ENOMEM: ['file-io', 'this machine has no memory left', 'Stop something, or add memory.'],
  EIO: ['file-io', 'the disk failed', DISK],
  ESTALE: ['file-io', 'the server of that file system has it no longer', 'Mount it again.'],
  ETIMEDOUT: ['file-io', 'the file system does not answer', DISK],
}

/** What a call of the file system threw; a code that the table does not have is `file-io` under its own name. */
export function systemRefusal(thrown: unknown): SystemRefusal {
  const errno = errnoOf(thrown)
  const [code, why, hint] = REFUSALS[errno] ?? ['file-io', errno === '' ? String(thrown) : errno, DISK]
  return { errno, code, why, hint }
}

/** The system's code of an error; '' where it is none of the system's. */
export function errnoOf(thrown: unknown): string {
  const code: unknown = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : ''
  return typeof code === 'string' ? code : ''
}

/** True where this user may not, and another one might. */
export function isDenied(thrown: unknown): boolean {
  const errno = errnoOf(thrown)
  return errno === 'EACCES' || errno === 'EPERM'
}

/**
 * Whether something is there. Without permission to look that is not known: every error but "it is not there" is thrown
 * unchanged.
 * @param look a call of the file system that fails where it is not there, as `statSync`
 */
export function isThere(path: string, look: (path: string) => unknown): boolean {
  try {
    look(path)
    return true
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(thrown))) return false
    throw thrown
  }
}

/** The path that an error of the file system is about; null for every other error. */
export function pathOfSystemError(thrown: unknown): string | null {
  const isOfFile = thrown instanceof Error && 'errno' in thrown && 'path' in thrown
  return isOfFile && typeof thrown.path === 'string' ? thrown.path : null
}

const DOING: Readonly<Record<string, string>> = {
  open: 'open',
  read: 'read',
  write: 'write',
  stat: 'look at',
  lstat: 'look at',
  statfs: 'look at',
  access: 'use',
  mkdir: 'make',
  mkdtemp: 'make',
  opendir: 'list',
  scandir: 'list',
  rename: 'rename',
  link: 'make',
  unlink: 'remove',
  rmdir: 'remove',
  rm: 'remove',
  chmod: 'set the mode of',
  fchmod: 'set the mode of',
  chown: 'set the owner of',
  fchown: 'set the owner of',
  watch: 'watch',
}

/** An error of the file system that nobody expected, as one sentence; null where it is no such error. */
export function systemSentence(thrown: unknown): { readonly message: string; readonly refusal: SystemRefusal } | null {
  const path = pathOfSystemError(thrown)
  if (path === null) return null
  const refusal = systemRefusal(thrown)
  const call = thrown instanceof Error && 'syscall' in thrown ? String(thrown.syscall) : ''
  const doing = DOING[call] ?? (call.startsWith('spawn') ? 'run' : 'use')
  const shown = refusal.why === refusal.errno ? refusal.errno : `${refusal.why} (${refusal.errno})`
  return { message: `cannot ${doing} ${path}: ${shown}`, refusal }
}

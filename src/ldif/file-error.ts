import { AppError, type ErrorCode } from '../core/error.ts'

/** A failure as plain data, so that it can come back from a worker thread. */
export interface FileFailure {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
}

const FULL = new Set(['ENOSPC', 'EDQUOT'])
const NOT_PERMITTED = new Set(['EACCES', 'EPERM', 'EROFS', 'ELOOP'])

/** What a call of node:fs threw, as `disk-full`, `file-not-permitted` or `file-io`; an AppError passes through. */
export function fileError(thrown: unknown, doing: string, path: string): AppError {
  if (thrown instanceof AppError) return thrown
  const errno = errnoOf(thrown)
  const message = `cannot ${doing} ${path}: ${reasonOf(errno, thrown)}`
  if (FULL.has(errno)) {
    return new AppError('disk-full', message, {
      hint: 'Make room on that file system (df -h, df -i); what waits is tried again by itself.',
      cause: thrown,
    })
  }
  if (NOT_PERMITTED.has(errno)) {
    return new AppError('file-not-permitted', message, {
      hint: `Let the user that Lockstep runs as own the LDIF folders, of mode 0750, on a file system mounted for writing.`,
      cause: thrown,
    })
  }
  return new AppError('file-io', message, {
    hint:
      errno === 'ENOENT'
        ? 'Put the LDIF folders back, or restart Lockstep, which makes those that are missing.'
        : 'Look into the system log for what ails the disk; what waits is tried again by itself.',
    cause: thrown,
  })
}

export function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
}

export function failureOf(error: AppError): FileFailure {
  return { code: error.code, message: error.message, hint: error.hint }
}

export function errorOfFailure({ code, message, hint }: FileFailure): AppError {
  return new AppError(code, message, { hint })
}

function reasonOf(errno: string, thrown: unknown): string {
  switch (errno) {
    case 'ENOSPC':
      return 'the disk is full (ENOSPC)'
    case 'EDQUOT':
      return 'the disk quota is used up (EDQUOT)'
    case 'EACCES':
    case 'EPERM':
      return `permission denied (${errno})`
    case 'EROFS':
      return 'the file system is read-only (EROFS)'
    case 'ELOOP':
      return 'it is a symbolic link, which is never followed (ELOOP)'
    case 'ENOENT':
      return 'the folder is gone (ENOENT)'
    default:
      return errno === '' ? String(thrown) : errno
  }
}

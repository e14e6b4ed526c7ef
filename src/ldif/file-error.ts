import { AppError, type ErrorCode } from '../core/error.ts'
import { systemRefusal, type SystemRefusal } from '../core/system-error.ts'

/** A failure as plain data, so that a worker thread can return it. */
export interface FileFailure {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  /** A folder was moved or replaced after it was opened. */
  readonly isDisplaced?: boolean
}

const HINTS: Readonly<Record<SystemRefusal['code'], string>> = {
  'disk-full': 'Make room on that file system (df -h, df -i); what waits is tried again by itself.',
  'file-not-permitted':
    'Let the user that Lockstep runs as own the LDIF folders, of mode 0750, on a file system mounted for writing.',
  'file-io': 'Look into the system log for what ails the disk; what waits is tried again by itself.',
}

/** An error of node:fs as `disk-full`, `file-not-permitted` or `file-io`; an AppError passes through. */
export function fileError(thrown: unknown, doing: string, path: string): AppError {
  if (thrown instanceof AppError) return thrown
  const { errno, code, why } = systemRefusal(thrown)
  const isGone = errno === 'ENOENT'
  const reason = isGone ? 'the folder is gone' : errno === 'EROFS' ? 'the file system is read-only' : why
  const shown = errno === '' || reason === errno ? reason : `${reason} (${errno})`
  const hint = isGone
    ? 'Put the LDIF folders back, or restart Lockstep, which makes those that are missing.'
    : HINTS[code]
  return new AppError(code, `cannot ${doing} ${path}: ${shown}`, { hint, cause: thrown })
}

export function failureOf(error: AppError): FileFailure {
  return { code: error.code, message: error.message, hint: error.hint }
}

export function errorOfFailure({ code, message, hint }: FileFailure): AppError {
  return new AppError(code, message, { hint })
}

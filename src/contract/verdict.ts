import type { ErrorCode } from '../core/error.ts'

/**
 * Why a command that did its work ends with another exit code than 0: it has an answer, and the answer is no. What keeps a
 * command from its work is an `ErrorCode`.
 */
export type VerdictCode =
  /** check, doctor: something has to be set right. */
  | 'has-findings'
  /** A server could not be asked. */
  | 'not-asked'
  /** Something is on record and could not be done yet. */
  | 'not-done-yet'
  /** The lock is on record, and a guard keeps it from the directory. */
  | 'protected'
  /** The lock is written, and keeps nobody out. */
  | 'not-effective'
  /** The user is still locked out. */
  | 'still-locked'
  /** Unlocked, and the fail counter could not be reset. */
  | 'reset-refused'
  /** Nothing was found that the words name. */
  | 'nothing-matched'
  /** Another person has to approve as well. */
  | 'another-person-needed'
  /** The journal was changed, or cut. */
  | 'chain-broken'
  /** Not everything could be read. */
  | 'not-all-read'
  /** No daemon serves, or it cannot do its work. */
  | 'not-fit'
  /** A directory is another one than the one on record. */
  | 'directory-changed'

/** What `error` is in the document. */
export interface Trouble {
  readonly code: ErrorCode | VerdictCode
  /** What happened, in one sentence. */
  readonly message: string
  /** What to do; '' where there is nothing to add. */
  readonly hint: string
}

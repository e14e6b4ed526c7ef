import type { ErrorCode } from '../core/error.ts'

/**
 * Why a command that did its work ends with another exit code than 0: it has an answer, and the answer is no. Where a
 * command could not do its work, the reason is an `ErrorCode`.
 */
export type VerdictCode =
  /** check, doctor: something has to be set right. */
  | 'has-findings'
  /** A server could not be asked. */
  | 'not-asked'
  /** Something is on record and could not be done yet. */
  | 'not-done-yet'
  /** The lock is on record, and a guard holds it back from the directory. */
  | 'protected'
  /** The lock is written, and is not enforced. */
  | 'not-effective'
  /** The user is still locked out. */
  | 'still-locked'
  /** Unlocked, and the fail counter could not be reset. */
  | 'reset-refused'
  /** Nothing was found for the names given. */
  | 'nothing-matched'
  /** Another person has to approve as well. */
  | 'another-person-needed'
  /** The journal was changed, or cut. */
  | 'chain-broken'
  /** Not everything could be read. */
  | 'not-all-read'
  /** No daemon runs, or it cannot do its work. */
  | 'not-fit'
  /** A directory is not the one on record. */
  | 'directory-changed'

/** The `error` of the document. */
export interface Trouble {
  readonly code: ErrorCode | VerdictCode
  /** What happened, in one sentence. */
  readonly message: string
  /** What to do; '' where there is nothing to add. */
  readonly hint: string
}

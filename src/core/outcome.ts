import type { ChangeDraft } from './change.ts'
import type { ErrorCode } from './error.ts'
import type { Effectiveness } from './state.ts'
import type { Wanted } from './verification.ts'

/**
 * Where an account stands after it was looked at; `status` and `show` print it.
 * in-step: nothing to do. foreign-lock: it has a hold and is locked, but not by us. not-effective: we wrote the lock and
 * it would not keep the user out. conflict: nothing may be written (a serial that another account carries).
 * protected: it has a hold and is never locked. breaker, paused, dry-run: a guard said no. failed: an error, tried again.
 */
export const STANDINGS = [
  'in-step',
  'foreign-lock',
  'not-effective',
  'conflict',
  'protected',
  'breaker',
  'paused',
  'dry-run',
  'failed',
] as const
export type Standing = (typeof STANDINGS)[number]

/** A guard said no for now: the lock is known to be wanted, and nothing repairs that until the guard lets it pass. */
export const HELD_BACK: readonly Standing[] = ['breaker', 'paused', 'dry-run']

export interface Outcome {
  readonly standing: Standing
  /** One sentence for people; '' when in step. */
  readonly reason: string
  readonly errorCode: ErrorCode | null
  /** When to look again although nothing happened, in milliseconds since 1970; null: not by itself. */
  readonly againAtMs: number | null
  /** How many changes were applied on the way. */
  readonly applied: number
  /** On dry run: all that would have been written, in this order. */
  readonly would?: readonly ChangeDraft[]
  /** It is not locked since nobody knows whether it is protected. */
  readonly isProtectionUnread?: true
  /** The directory is as it should be; a standing that says otherwise is about privacyIDEA. */
  readonly isDirectoryInStep?: true
  /** The directory no longer has the account. */
  readonly isGone?: true
  /** privacyIDEA was to be asked and could not be: what was done rests on what was known before. */
  readonly isUnread?: true
  /** Whether a lock keeps the user out, where the account has one of ours or a hold; null: it has none. */
  readonly effective: Effectiveness['is'] | null
  /** Our lock was seen to stand in the directory by a fresh look. */
  readonly isLockSeen: boolean
  /** The last lock or unlock that was written, in a directory of several servers: it has to arrive at all of them. */
  readonly lockWrite?: { readonly wanted: Wanted; readonly server: string }
  /** Somebody took our lock away, and policy left it at that. */
  readonly lockRemoved?: { readonly reason: string; readonly fix: string }
}

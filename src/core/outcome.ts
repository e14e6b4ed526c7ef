import type { ChangeDraft } from './change.ts'
import type { ErrorCode } from './error.ts'
import type { LateLook } from './late.ts'
import type { Reason } from './reason.ts'
import type { Effectiveness, OtherLock } from './state.ts'
import type { Wanted } from './verification.ts'

/**
 * Where an account stands after it was looked at; `status` and `show` print it.
 * in-step: nothing to do. foreign-lock: it has a hold, and somebody else's lock stands, beside ours or alone. not-effective: we wrote the lock and
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

/** The guard that made an account stand so, as the log names it; null: none did. */
export function guardOf(standing: string, reason: Reason | null): string | null {
  if (GUARDED.includes(standing)) return standing
  return reason?.code === 'protection-unread' ? reason.code : null
}

const GUARDED: readonly string[] = ['protected', ...HELD_BACK]

export interface Outcome {
  readonly standing: Standing
  /** Null when in step and nobody else's lock stands. */
  readonly reason: Reason | null
  readonly errorCode: ErrorCode | null
  /** When to look again although nothing happened, in milliseconds since 1970; null: not by itself. */
  readonly againAtMs: number | null
  /** How many changes were applied on the way. */
  readonly applied: number
  /** Where a guard holds it back: all that would have been written, in this order. */
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
  /** Somebody else's lock, or what may be one; left out where the account was not looked at. */
  readonly otherLock?: OtherLock | null
  /** Our lock was seen to stand in the directory by a fresh look. */
  readonly isLockSeen: boolean
  /** The last lock or unlock that was written, in a directory of several servers: it has to arrive at all of them. */
  readonly lockWrite?: { readonly wanted: Wanted; readonly server: string }
  /** What was found of writes that might still arrive; left out where there were none, or the look found out nothing. */
  readonly lateLook?: LateLook
  /** A person's order to adopt what stands there was looked at. */
  readonly isAdoptionOver?: true
  /** Somebody took our lock away, and policy left it at that. */
  readonly lockRemoved?: { readonly reason: Reason; readonly fix: string }
  /** See DesiredState. */
  readonly isRemovalOver?: true
}

import type { ChangeDraft } from './change.ts'
import type { AppError, ErrorCode } from '../error.ts'
import type { LateLook } from './late.ts'
import type { Reason } from '../reasons/reason.ts'
import type { Effectiveness, OtherLock } from './state.ts'

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
export type AccountStatus = (typeof STANDINGS)[number]

/** `locked`: our lock has to stand on every server. `open`: it was taken away and must not. */
export type Wanted = 'locked' | 'open'

/** A guard said no for now: the lock is known to be wanted, and nothing repairs that until the guard lets it pass. */
export const HELD_BACK: readonly AccountStatus[] = ['breaker', 'paused', 'dry-run']

/** The guard that made an account stand so, as the log names it; null: none did. */
export function guardOf(status: string, reason: Reason | null): string | null {
  if (GUARDED.includes(status)) return status
  return reason?.code === 'protection-unread' ? reason.code : null
}

const GUARDED: readonly string[] = ['protected', ...HELD_BACK]

export interface Outcome {
  readonly standing: AccountStatus
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
  readonly isLockObserved: boolean
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

/** An account that the directory no longer has is looked at again after this. */
export const GONE_LOOK_MS = 3_600_000

/** What driving an account came to: where it stands by its directory. */
export type Conclusion = Pick<
  Outcome,
  | 'standing'
  | 'reason'
  | 'errorCode'
  | 'againAtMs'
  | 'would'
  | 'isProtectionUnread'
  | 'isGone'
  | 'effective'
  | 'otherLock'
  | 'isLockObserved'
>

/** What else came of a turn, besides what the directory says. */
export interface Amendment {
  /** When to look again because of it, in milliseconds since 1970; null: not because of it. */
  readonly againAtMs: number | null
  /** privacyIDEA is asked about the account once more then. */
  readonly isUnread: boolean
  /** How the account stands where it is in step otherwise; null: as it stood. */
  readonly instead: Pick<Outcome, 'standing' | 'reason' | 'errorCode'> | null
  /** What is said beside the reason why the account is not in step; null: nothing. */
  readonly beside: Reason | null
}

/** The earliest time counts, and the first amendment that says how an account in step stands. */
export function amended(
  conclusion: Conclusion,
  amendments: readonly Amendment[],
): Pick<Outcome, 'standing' | 'reason' | 'errorCode' | 'againAtMs' | 'isUnread'> {
  const times = [conclusion, ...amendments].flatMap(({ againAtMs }) => againAtMs ?? [])
  const instead = conclusion.standing === 'in-step' ? amendments.find((each) => each.instead !== null)?.instead : null
  const { standing: status, reason, errorCode } = instead ?? conclusion
  const beside = instead ? [] : amendments.flatMap((each) => each.beside ?? [])
  return {
    standing: status,
    reason: beside.reduce<Reason | null>(joined, reason),
    errorCode,
    againAtMs: times.length === 0 ? null : Math.min(...times),
    ...(amendments.some(({ isUnread }) => isUnread) && { isUnread: true }),
  }
}

function joined(first: Reason | null, second: Reason): Reason {
  return first === null ? second : { code: 'several', params: { reasons: [first, second] } }
}

export function failureReason(
  code: 'operation-failed' | 'source-unread' | 'mirror-failed' | 'gave-up',
  { code: error, message: said }: AppError,
): Reason {
  return { code, params: { error, said } }
}

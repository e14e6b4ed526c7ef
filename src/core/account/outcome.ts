import type { ChangeDraft } from './change.ts'
import type { AppError, ErrorCode } from '../error.ts'
import type { LateLook } from './late.ts'
import type { Reason } from '../reasons/reason.ts'
import type { Effectiveness, OtherLock } from './state.ts'

/**
 * The status of an account after its turn; `status` and `show` print it. in-step: nothing to do. foreign-lock: it has a
 * hold, and there is somebody else's lock, beside ours or alone. not-effective: we wrote the lock and it is not
 * enforced. conflict: nothing may be written (a serial that another account has). protected: it has a hold and is never
 * locked. breaker, paused, dry-run: a guard held it back. failed: an error; it is retried.
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

/** Held back by a guard for now: the lock is wanted, and nothing repairs that until the guard lets it pass. */
export const HELD_BACK: readonly AccountStatus[] = ['breaker', 'paused', 'dry-run']

/** The guard that caused this status, by its name in the log; null: none did. */
export function guardOf(status: string, reason: Reason | null): string | null {
  if (GUARDED.includes(status)) return status
  return reason?.code === 'protection-unread' ? reason.code : null
}

const GUARDED: readonly string[] = ['protected', ...HELD_BACK]

export interface Outcome {
  readonly standing: AccountStatus
  /** Null when in sync and without a lock of somebody else. */
  readonly reason: Reason | null
  readonly errorCode: ErrorCode | null
  /** When to look again without an event, in milliseconds since 1970; null: only after an event. */
  readonly againAtMs: number | null
  /** How many changes were applied on the way. */
  readonly applied: number
  /** Where a guard holds it back: all that would have been written, in this order. */
  readonly would?: readonly ChangeDraft[]
  /** It is not locked since it is not known whether it is protected. */
  readonly isProtectionUnread?: true
  /** The directory is as it should be; any other status is about privacyIDEA. */
  readonly isDirectoryInStep?: true
  /** The directory no longer has the account. */
  readonly isGone?: true
  /** privacyIDEA was to be asked and could not be: what was done rests on the earlier record. */
  readonly isUnread?: true
  /** Whether a lock is enforced, where the account has one of ours or a hold; null: it has none. */
  readonly effective: Effectiveness['is'] | null
  /** Somebody else's lock, or what may be one; left out where the account was not read. */
  readonly otherLock?: OtherLock | null
  /** Our lock was observed in the directory by a fresh reading. */
  readonly isLockObserved: boolean
  /** The last lock or unlock that was written, in a directory of several servers: it has to arrive at all of them. */
  readonly lockWrite?: { readonly wanted: Wanted; readonly server: string }
  /** Findings about writes that might still arrive; left out where there were none, or the reading failed. */
  readonly lateLook?: LateLook
  /** A person's order to adopt the lock on the entry was carried out or refused. */
  readonly isAdoptionOver?: true
  /** Somebody removed our lock, and the policy left it at that. */
  readonly lockRemoved?: { readonly reason: Reason; readonly fix: string }
  /** See DesiredState. */
  readonly isRemovalOver?: true
}

/** The interval of readings for an account that the directory no longer has. */
export const GONE_LOOK_MS = 3_600_000

/** The result of the turns of an account: its status by its directory. */
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

/** The further results of a turn, besides those of the directory. */
export interface Amendment {
  /** When to look again because of it, in milliseconds since 1970; null: not because of it. */
  readonly againAtMs: number | null
  /** privacyIDEA is asked about the account once more then. */
  readonly isUnread: boolean
  /** The status of the account where it is in sync otherwise; null: unchanged. */
  readonly instead: Pick<Outcome, 'standing' | 'reason' | 'errorCode'> | null
  /** A further reason beside the one why the account is not in sync; null: none. */
  readonly beside: Reason | null
}

/** The earliest time counts, and the first amendment with a status for an account in sync. */
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

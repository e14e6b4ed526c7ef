import type { Login, Realm, ResolverName, Serial, UserId } from '../names.ts'

/** A token as privacyIDEA's API shows it. */
export interface Token {
  /** The number of its row: rises with each new token, and is never used again. */
  readonly id: number
  readonly serial: Serial
  /** When it was made, as the server reports it; null: it does not. Versions before 3.9 did not record it. */
  readonly madeAt: string | null
  /** `hotp`, `totp`, `push`, …; in lower case. */
  readonly type: string
  /** False: it was disabled. */
  readonly isActive: boolean
  readonly isRevoked: boolean
  readonly failCount: number
  readonly failCountMax: number
  /** Its fail counter is full. (privacyIDEA's own field `locked` means something else: revoked.) */
  readonly isFull: boolean
  /** Since when its fail counter has been at its max, in milliseconds since 1970, to the minute; null: not known. */
  readonly fullSinceMs: number | null
  readonly owner: TokenOwner
  /** `''` and `enrolled` mean ready; others as in privacyIDEA: `clientwait`, `pending`, `verify`, `broken`, … */
  readonly rolloutState: string
  /** False to its reader alone (see reconcile/mirror/mirror-view.ts): it is disabled, and by Lockstep itself. */
  readonly isDisabledByUs?: true
  /** It can be used: nothing of its rollout is outstanding and nothing went wrong. */
  readonly isEnrolled: boolean
}

/**
 * The owner of a token. `orphan`: its user store answers, and has the user no more. `resolver-error`: the user store
 * did not answer, or belongs to no realm, so that nothing is known about the owner. `unreadable`: a name that is not
 * valid, or a token of which too little can be read. `isHomeless`: it is in no realm, so that no user store needs to
 * answer.
 */
export type TokenOwner =
  | ({ readonly kind: 'user' } & UserOfSource)
  | { readonly kind: 'none' }
  | {
      readonly kind: 'orphan' | 'resolver-error' | 'unreadable'
      readonly resolver: ResolverName | null
      readonly userId: UserId | null
      readonly isHomeless: boolean
    }

/** A user as privacyIDEA has them. */
export interface UserOfSource {
  readonly login: Login
  readonly realm: Realm
  readonly resolver: ResolverName
  readonly userId: UserId
}

/** In which state a token is: `enrolling` is one that cannot be used yet, or whose enrollment failed. */
export const TOKEN_STATES = ['active', 'disabled', 'revoked', 'enrolling'] as const
export type TokenState = (typeof TOKEN_STATES)[number]

/** What privacyIDEA reported of a token, for people. A counter that cannot be read is null. */
export interface TokenReading {
  readonly type: string
  readonly state: TokenState
  readonly failCount: number | null
  readonly failCountMax: number | null
  /** In milliseconds since 1970. */
  readonly readMs: number
}

export function tokenReading(token: Token, readMs: number): TokenReading {
  const { type, failCount, failCountMax } = token
  const isReadable = Number.isFinite(failCount)
  return {
    type,
    state: stateOf(token),
    failCount: isReadable ? failCount : null,
    failCountMax: isReadable ? failCountMax : null,
    readMs,
  }
}

function stateOf({ isRevoked, isActive, isDisabledByUs, isEnrolled: isReady }: Token): TokenState {
  if (isRevoked) return 'revoked'
  if (!isActive || isDisabledByUs === true) return 'disabled'
  return isReady ? 'active' : 'enrolling'
}

/** A token whose max fail count is 0 or less is full from the beginning. */
export function isFull(failCount: number, failCountMax: number): boolean {
  return failCount >= failCountMax
}

/**
 * Its fail counter is full, and the next attempt clears it: the clear timeout is over (measured on 3.12.3 and 3.14).
 * Only a counter that is exactly at its max is ever cleared.
 */
export function isCounterOver(
  { isFull: isNowFull, failCount, failCountMax, fullSinceMs }: Token,
  timeoutMs: number,
  nowMs: number,
): boolean {
  return isNowFull && failCount === failCountMax && fullSinceMs !== null && fullSinceMs + timeoutMs < nowMs
}

export function isEnrolled(rolloutState: string): boolean {
  return rolloutState === '' || rolloutState === 'enrolled'
}

/** Two resolvers may give different users the same id. */
export function isSameUser(
  a: Pick<UserOfSource, 'resolver' | 'userId'>,
  b: Pick<UserOfSource, 'resolver' | 'userId'>,
): boolean {
  return a.resolver === b.resolver && a.userId === b.userId
}

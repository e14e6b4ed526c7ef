import { isWithin, normalDn, parentDn } from '../dn.ts'
import { percentOf } from '../format/counted.ts'
import type { DirectoryName, Dn, Realm } from '../names.ts'
import type { LimitReached } from '../reasons/limits.ts'

/**
 * The breaker: how many locks may be written within a time. Past a limit a lock is pending in the review queue until a
 * person decides or, where it closes by itself, until there is room. Releases are never counted and never
 * delayed. Pure: the store counts, with the row of the change, so that no two processes pass together.
 */
export interface BreakerSettings {
  readonly limits: readonly BreakerLimit[]
  /** `auto`: pending locks pass once the limits leave room. `manual`: a limit stays reached until a person decides. */
  readonly reset: 'auto' | 'manual'
  /** How many different people must approve a lock. */
  readonly approvals: number
}

/** How the locks are counted: all together, or by directory, realm or organisational unit. */
export const BREAKER_SCOPES = ['all', 'directory', 'realm', 'ou'] as const
export type BreakerScope = (typeof BREAKER_SCOPES)[number]

export interface BreakerLimit {
  readonly of: BreakerScope
  /** Names of directories, realms, or DNs of units with all below; empty: each (a unit is the account's parent). */
  readonly only: readonly string[]
  /** A number of locks, or a part (0 to 1) of the accounts that are known of the account's directory. */
  readonly max: { readonly locks: number } | { readonly share: number }
  readonly perMs: number
}

/** The account of a lock. */
export interface LockSubject {
  readonly directory: DirectoryName
  readonly realm: Realm | null
  readonly dn: Dn
}

/** A limit as it applies to one account. */
export interface AppliedLimit {
  readonly limit: BreakerLimit
  /** Its locks are counted under: `all`, `directory corp`, `realm example`, `ou ou=staff,dc=example,dc=org`. */
  readonly counted: string
  /** Names this limit and its group; stays the same while the configuration does. */
  readonly id: string
}

/** A share of a few accounts would be less than a lock: it is never less than these. */
export const SHARE_LOCKS_LEAST = 5

export function appliedLimits(breaker: BreakerSettings, subject: LockSubject): AppliedLimit[] {
  return breaker.limits.flatMap((limit) => {
    const counted = countedUnder(limit, subject)
    if (counted === null) return []
    return [{ limit, counted, id: `${counted} ${sizeOf(limit)}` }]
  })
}

/** Whether this is the id (AppliedLimit.id) of a limit that is set. */
export function isLimitSet(breaker: BreakerSettings | null, id: string): boolean {
  return breaker?.limits.some((limit) => isIdOf(limit, id)) ?? false
}

function isIdOf(limit: BreakerLimit, id: string): boolean {
  const end = ` ${sizeOf(limit)}`
  if (!id.endsWith(end)) return false
  const counted = id.slice(0, -end.length)
  const { of, only, max } = limit
  if (of === 'all' && 'locks' in max) return counted === 'all'
  const kind = of === 'all' ? 'directory' : of
  if (!counted.startsWith(`${kind} `)) return false
  const name = counted.slice(kind.length + 1)
  return of === 'all' || only.length === 0 || (of === 'ou' ? only.map(normalDn) : only).includes(name)
}

function sizeOf({ max, perMs }: BreakerLimit): string {
  return `${'locks' in max ? max.locks : percentOf(max.share)}/${perMs}`
}

/** Null where the limit does not apply to this account. */
function countedUnder({ of, only, max }: BreakerLimit, { directory, realm, dn }: LockSubject): string | null {
  switch (of) {
    case 'all':
      // A share is one of a directory.
      return 'share' in max ? `directory ${directory}` : 'all'
    case 'directory':
      return only.length === 0 || only.includes(directory) ? `directory ${directory}` : null
    case 'realm':
      if (realm === null) return null
      return only.length === 0 || only.includes(realm) ? `realm ${realm}` : null
    case 'ou': {
      if (only.length === 0) return `ou ${parentDn(dn)}`
      const normal = normalDn(dn)
      const around = only.map(normalDn).filter((unit) => isWithin(normal, unit))
      const nearest = around.toSorted((a, b) => b.length - a.length)[0]
      return nearest === undefined ? null : `ou ${nearest}`
    }
  }
}

/** @param known accounts of the directory that were known before the limit's window began */
export function locksAllowed({ max }: BreakerLimit, known: number): number {
  return 'locks' in max ? max.locks : Math.max(SHARE_LOCKS_LEAST, Math.floor(known * max.share))
}

export function limitReached(
  { limit, counted }: AppliedLimit,
  allowed: number,
  reset: BreakerSettings['reset'],
): LimitReached {
  const share = 'share' in limit.max ? limit.max.share : null
  return { counted, allowed, perMs: limit.perMs, share, until: untilOf(reset) }
}

export function untilOf(reset: BreakerSettings['reset']): LimitReached['until'] {
  return reset === 'manual' ? 'review' : 'review-or-room'
}

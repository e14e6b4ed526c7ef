import type { EventKind } from '../events/event.ts'
import type { AccountKey } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'
import type { HoldKind } from '../account/state.ts'

/** The notifications, and how those of one recipient are gathered into one mail. */

/**
 * The gravest first, which is the order within a mail.
 * breaker: too many locks at once, others are pending. source: privacyIDEA cannot be read, or a full resync was
 * stopped. not-effective: a lock that is not enforced. refused: held back by a guard (protected, paused). unresolved:
 * an event whose account is not found. drift: a full resync found differences. failed: an account is not in sync for
 * another reason.
 */
export const NOTICE_KINDS = [
  'breaker',
  'source',
  'not-effective',
  'refused',
  'unresolved',
  'drift',
  'failed',
  'locked',
  'unlocked',
] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** The notifications for an owner: the other kinds are about nobody's own account. */
export const OWNER_KINDS = ['not-effective', 'refused', 'locked', 'unlocked'] as const satisfies readonly NoticeKind[]

/** One notification. Times in milliseconds since 1970. Plain data: it is in the store as JSON. */
export interface Notice {
  readonly kind: NoticeKind
  readonly atMs: number
  readonly account: AccountKey | null
  readonly login: string | null
  readonly realm: string | null
  /** The account's DN; ''. */
  readonly subject: string
  /** What else it is about; left out: an account, or nothing more. `name`: a serial, an event's id; ''. */
  readonly about?: { readonly what: 'scan' | 'resync' | 'event' | EventKind; readonly name: string }
  /** `locked`: why. Empty for the other kinds. */
  readonly causes: readonly Cause[]
  /** For the administrators; null: there is no more to report. Never a secret. */
  readonly reason: Reason | null
  /** `drift`: how many differences; else 1. */
  readonly count: number
}

/** One reason of a lock. */
export interface Cause {
  readonly kind: HoldKind
  readonly serial: string | null
  readonly sinceMs: number | null
  /** When it ends by itself; null: not, or not known. */
  readonly untilMs: number | null
  readonly because: Reason
  readonly actor: string
}

/** The contents of one mail. Always bounded: so many of each kind, and how many there were. */
export interface Digest {
  readonly counts: Readonly<Partial<Record<NoticeKind, number>>>
  /** By time, the newest of each kind. */
  readonly items: readonly Notice[]
  readonly firstMs: number
  readonly lastMs: number
}

/** Of each kind at most so many are listed one by one. */
export const ITEMS_OF_KIND_MAX = 15

/** @param digest null: a new one. `notices` holds at least one. */
export function gathered(digest: Digest | null, notices: readonly Notice[]): Digest {
  const counts: Partial<Record<NoticeKind, number>> = { ...digest?.counts }
  for (const { kind, count } of notices) counts[kind] = (counts[kind] ?? 0) + count
  const all = [...(digest?.items ?? []), ...notices].toSorted((a, b) => a.atMs - b.atMs)
  const left = new Map(NOTICE_KINDS.map((kind) => [kind, all.filter((each) => each.kind === kind).length]))
  const items = all.filter(({ kind }) => {
    const count = left.get(kind) ?? 0
    left.set(kind, count - 1)
    return count <= ITEMS_OF_KIND_MAX
  })
  const times = notices.map(({ atMs }) => atMs)
  return {
    counts,
    items,
    firstMs: Math.min(digest?.firstMs ?? Infinity, ...times),
    lastMs: Math.max(digest?.lastMs ?? 0, ...times),
  }
}

/** The number of notifications of a mail, in all. */
export function countOf(digest: Digest): number {
  return Object.values(digest.counts).reduce((sum, count) => sum + count, 0)
}

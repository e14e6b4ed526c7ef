import type { AccountKey } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'

/** What the log says of an account. Its keys and words are documented as stable (docs/reference/log.md). */
export interface LogEntry {
  readonly event: 'locked' | 'unlocked' | 'registered' | 'unregistered' | 'refused'
  readonly atMs: number
  readonly account: AccountKey
  /** '' where it is not known, as all texts here. */
  readonly login: string
  readonly realm: string
  readonly tokens: readonly string[]
  /** A code; never a sentence. */
  readonly reason: string
  /** Who caused it. */
  readonly by: string
  /** From the plan to the record of its outcome; null: nothing was written. */
  readonly tookMs: number | null
  /** `lock`, `unlock`, `register`, `unregister`. */
  readonly change: string
}

/** A person's order by a command; documented as stable likewise. */
export interface OrderEntry {
  readonly event:
    | 'paused'
    | 'resumed'
    | 'approved'
    | 'rejected'
    | 'breaker-resumed'
    | 'retired'
    | 'retirement-cancelled'
    | 'directory-accepted'
    | 'source-accepted'
  readonly atMs: number
  /** '' for all of them. */
  readonly directory: string
  /** Null: it is not about one account. */
  readonly account: Pick<LogEntry, 'account' | 'login' | 'realm' | 'tokens'> | null
  /** Of a review: `lock`, `loss`; else ''. */
  readonly kind: string
  /** False: a second person has to approve it as well. */
  readonly isEnough: boolean
  readonly by: string
  /** The person's text; '' where the command asks for none. */
  readonly comment: string
}

interface Changed {
  readonly kind: string
  readonly holds: readonly string[]
  readonly reason: Reason
}

/** The code of a change's reason, as the log has it. */
export function logReason({ kind, holds, reason: { code } }: Changed): string {
  if (code === 'token-max-fail' || code === 'user-token-max-fail') return 'max-fail-count'
  return code === 'plain-text' ? reasonOfKind(kind, holds) : code
}

/** Of a change that an older version made: it wrote a sentence. */
function reasonOfKind(kind: string, [hold = '']: readonly string[]): string {
  if (kind === 'register') return 'token-assigned'
  if (kind === 'unregister') return 'token-unassigned'
  if (kind === 'unlock') return 'no-hold-left'
  if (hold.startsWith('manual.')) return 'manual'
  return hold.startsWith('lockout.') ? 'user-lockout' : 'max-fail-count'
}

/**
 * The fields of an entry, in their order; null where there are none.
 * @param persons `account-id`: nothing that names a person, except an administrator who caused it
 */
export function entryFields(
  entry: LogEntry,
  persons: 'login' | 'account-id',
): Readonly<Record<string, string | number | null>> {
  const { account, login, realm, tokens, reason, by, tookMs, change } = entry
  const isOwner = by === login || by.toLowerCase() === `${login}@${realm}`.toLowerCase()
  return {
    account,
    ...(persons === 'login' ? { login: login || null } : {}),
    realm: realm || null,
    token: tokens.length === 0 ? null : tokens.join(','),
    ...(entry.event === 'refused' ? { change: change || null } : {}),
    reason: reason || null,
    by: by === '' ? null : persons === 'account-id' && isOwner ? 'owner' : by,
    ...(tookMs === null ? {} : { took_ms: tookMs }),
  }
}

/**
 * Likewise.
 * @param persons `account-id`: the comment is left out, since it may name a person
 */
export function orderFields(
  { event, directory, account, kind, isEnough, by, comment }: OrderEntry,
  persons: 'login' | 'account-id',
): Readonly<Record<string, string | null>> {
  const isReview = kind !== ''
  return {
    directory: directory || null,
    ...(account === null
      ? {}
      : {
          account: account.account,
          ...(persons === 'login' ? { login: account.login || null } : {}),
          realm: account.realm || null,
          token: account.tokens.length === 0 ? null : account.tokens.join(','),
        }),
    ...(isReview ? { kind } : {}),
    ...(event === 'approved' ? { enough: isEnough ? 'yes' : 'no' } : {}),
    by: by || null,
    comment: (persons === 'login' && comment) || null,
  }
}

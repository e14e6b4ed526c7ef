import type { Settings } from '../../core/settings/settings.ts'
import { furtherAccountsOf, type FurtherAccount } from './further-accounts.ts'
import type { Mirrored } from '../../core/source/mirror.ts'
import { directoryOf, type AccountKey } from '../../core/names.ts'
import { shownReason, type ReasonCode } from '../../core/reasons/reason.ts'
import type { Retirement } from '../../core/settings/retirement.ts'
import type { Decision, LossReview } from '../../ports/store/review.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import type { Store } from '../../store/store.ts'
import { accountsNamed, type Match, type Named } from './named-account.ts'
import { shownTokens, type ShownToken, type TokensUnread } from './shown-tokens.ts'

/** Everything on record about one account. */

export interface TimelineEntry {
  readonly atMs: number
  readonly what: string
  readonly serial: string | null
  readonly actor: string
  readonly details: string
  readonly reason: string
  readonly reasonCode: ReasonCode | null
  readonly reasonParams: object
}

export interface AccountDetails {
  readonly account: AccountReport
  readonly serials: readonly string[]
  /** The account's tokens, and others that privacyIDEA showed as the account's. */
  readonly tokens: readonly ShownToken[]
  /** Why privacyIDEA could not be read now: the tokens are as they were read last. */
  readonly tokensUnread: TokensUnread | null
  /** The account's directory is retired: with any events, no mark of ours is to be there. Null: it is not. */
  readonly retired: Retirement | null
  /** Changes in privacyIDEA because of a lock by others in the directory. */
  readonly mirrored: readonly MirroredReport[]
  /** Accounts of the same login in the other directories of the realm. */
  readonly further: readonly FurtherAccount[]
  /** Tokens that privacyIDEA no longer shows as the account's, while their loss is held back. */
  readonly losses: readonly LossReview[]
  /** Events and changes, oldest first. */
  readonly timeline: readonly TimelineEntry[]
}

export interface MirroredReport {
  /** `lockout` of the user, or a disabled `token`. */
  readonly kind: Mirrored['kind']
  /** The user, or the serial. */
  readonly of: string
  /** open: the outcome of the last call is not known. left: it was reverted in privacyIDEA by others. */
  readonly state: Mirrored['state']
}

const ACCOUNTS_MAX = 10
const ENTRIES_MAX = 200

/** @param name a login, `login@realm`, a serial, an account key or id, or a DN */
export async function detailsOf(settings: Settings, store: Store, name: string): Promise<Named<AccountDetails>> {
  const named = await accountsNamed({ settings, store }, name, ACCOUNTS_MAX)
  const carried = new Map<AccountKey, readonly string[]>()
  for (const { found } of named.matches) {
    const key = found.key as AccountKey
    carried.set(key, await store.forms.serialsOnEntriesOf(key))
  }
  const tokens = await shownTokens(settings, store, carried)
  const matches: Match<AccountDetails>[] = []
  for (const match of named.matches) {
    const key = match.found.key as AccountKey
    const serials = carried.get(key) ?? []
    const shown = { serials, tokens: tokens.of(key), tokensUnread: tokens.unread }
    matches.push({ ...match, found: { ...shown, ...(await restOf(settings, store, match.found)) } })
  }
  return { ...named, matches }
}

async function restOf(
  settings: Settings,
  store: Store,
  account: AccountReport,
): Promise<Omit<AccountDetails, 'serials' | 'tokens' | 'tokensUnread'>> {
  const key = account.key as AccountKey
  const retired = (await store.retirements.all()).find(({ directory }) => directory === directoryOf(key))
  return {
    account,
    retired: retired ?? null,
    further: await furtherAccountsOf(settings, account),
    losses: await store.losses.list({ keys: [key], limit: ENTRIES_MAX }),
    mirrored: (await store.mirror.of(key)).map(reportOf),
    timeline: await timelineOf(store, key),
  }
}

async function timelineOf(store: Store, key: AccountKey): Promise<TimelineEntry[]> {
  const events = await store.reports.events({ key, limit: ENTRIES_MAX })
  const changes = await store.reports.changes({ key, limit: ENTRIES_MAX })
  const decided = await store.reviews.decisionsOf(key, ENTRIES_MAX)
  const timeline = [
    ...events.toReversed().map((event) => ({
      atMs: event.takenMs,
      what: `event ${event.kind}`,
      serial: event.serial,
      actor: event.actor,
      details: [`via ${event.source}`, event.reason].filter((text) => text !== '').join(': '),
      reason: event.reason,
      reasonCode: event.reasonCode,
      reasonParams: event.reasonParams,
    })),
    ...decided.map(decisionEntry).toReversed(),
    ...changes.toReversed().map((change) => ({
      atMs: change.closedMs ?? change.plannedMs,
      what: `${change.kind} ${change.state}`,
      serial: change.serial,
      actor: change.actor,
      details: change.reason,
      reason: change.reason,
      reasonCode: change.reasonCode,
      reasonParams: change.reasonParams,
    })),
  ]
  return timeline.toSorted((a, b) => a.atMs - b.atMs)
}

/**
 * The person who approved what a breaker held back, or who adopted a mark; the event of a rejected lock has both
 * already.
 */
function decisionEntry({ atMs, what, serial, by, text }: Decision): TimelineEntry {
  const { reason, reasonCode, reasonParams } = shownReason({ code: 'manual', params: { text } })
  return { atMs, what, serial, actor: by, details: reason, reason, reasonCode, reasonParams }
}

function reportOf(mirrored: Mirrored): MirroredReport {
  const { kind, state } = mirrored
  return { kind, state, of: kind === 'token' ? mirrored.serial : `${mirrored.user.login}@${mirrored.user.realm}` }
}

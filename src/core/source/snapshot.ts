import type { EventKind, ResolvedEvent } from '../events/event.ts'
import type { AccountKey, Serial } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'
import type { PolicySettings } from '../settings/settings.ts'
import type { Token } from './token.ts'

/**
 * What privacyIDEA's API reports of an account's owner (mode `api`), and the events that follow where it differs from
 * the last time. So the record states what happened, and a lock that somebody lifted is not made again while
 * the token merely stays full.
 */

/** One token of the account, by policy: whether it holds the account locked. */
export interface TokenSnapshot {
  readonly serial: Serial
  readonly isLocked: boolean
  /** Why it holds the account; left out: its fail counter is full, or it holds nothing. */
  readonly because?: 'token-disabled' | 'token-revoked'
}

export interface Lockout {
  /** In microseconds since 1970; null: until it is released. */
  readonly untilUs: number | null
  /** `policy`: after too many failed logins. `manual`: by a person in privacyIDEA. Left out: not known. */
  readonly cause?: 'policy' | 'manual'
}

/** A token as it was read last. */
export interface KnownToken extends TokenSnapshot {
  /** The reason of its hold on record; left out: it has none, or another reason. */
  readonly heldFor?: HeldFor
}

export type HeldFor = 'token-max-fail' | NonNullable<TokenSnapshot['because']>

/** What was read last. */
export interface RecordedSnapshot {
  readonly tokens: readonly KnownToken[]
  readonly lockout: Lockout | null
  /** Events of mode `events` held the account without naming the full token. */
  readonly isHeldWithoutSerial?: boolean
}

/** What is read now. */
export interface SourceSnapshot {
  readonly tokens: readonly TokenSnapshot[]
  /** Known serials that are proven to be no longer the account's. What is in neither list is not known now. */
  readonly gone: readonly Serial[]
  /** `unknown`: it was not asked for, or could not be read. */
  readonly lockout: Lockout | null | 'unknown'
}

/** Tokens that are missing, and are left unchanged. */
export interface HeldLosses {
  readonly waiting: readonly Serial[]
  /** A person decided that serial and hold stay. */
  readonly dismissed: readonly Serial[]
  /** The lockout on record was reported while all of `waiting` were missing already: the list shows it without them. */
  readonly isLockoutNewer: boolean
}

/**
 * What follows while the loss of some tokens waits for a person: no other lock ends because of it. A hold without a
 * serial may be theirs, a lockout that is not listed may be missing as they are, unless it was listed without them, and
 * where all tokens must be full, one that was not full counts as before. A token whose loss was dismissed keeps its
 * serial and its hold, and has no other effect: nobody is going to decide about it any more.
 */
export function withLossesHeld(
  known: RecordedSnapshot,
  snapshot: SourceSnapshot,
  { waiting, dismissed, isLockoutNewer }: HeldLosses,
  { lockWhen }: Pick<PolicySettings, 'lockWhen'>,
): { readonly before: RecordedSnapshot; readonly reading: SourceSnapshot } {
  const isAnyWaiting = waiting.length > 0
  const holds = known.tokens.some(({ serial, isLocked }) => isLocked && dismissed.includes(serial))
  const wasOpen = known.tokens.some(({ serial, isLocked }) => waiting.includes(serial) && !isLocked)
  const wasLocked = new Set(known.tokens.flatMap(({ serial, isLocked }) => (isLocked ? [serial] : [])))
  const mayLock = (serial: Serial): boolean => lockWhen === 'any-token-locked' || !wasOpen || wasLocked.has(serial)
  const tokens = snapshot.tokens.map((token) => ({ ...token, isLocked: token.isLocked && mayLock(token.serial) }))
  return {
    before: isAnyWaiting || holds ? { ...known, isHeldWithoutSerial: false } : known,
    reading: { ...snapshot, tokens, lockout: snapshot.lockout ?? (isAnyWaiting && !isLockoutNewer ? 'unknown' : null) },
  }
}

type TokenPolicy = Pick<PolicySettings, 'lockWhen' | 'disabledTokens' | 'revokedTokens'>

/** Which of an owner's tokens hold their account locked. A token that is not enrolled yet has no effect. */
export function tokenSnapshots(tokens: readonly Token[], policy: TokenPolicy): TokenSnapshot[] {
  const judged = tokens.map((token) => ({ serial: token.serial, ...judge(token, policy) }))
  const said = judged.filter(({ says }) => says !== 'nothing')
  const isEvery = said.length > 0 && said.every(({ says }) => says === 'locked')
  const isAllNeeded = policy.lockWhen === 'all-tokens-locked'
  return judged.map(({ serial, says, because }) => {
    const isLocked = says === 'locked' && (!isAllNeeded || isEvery)
    return { serial, isLocked, ...(isLocked && because !== undefined ? { because } : {}) }
  })
}

/** The effect of one token by itself; where all of an owner's must be full, the others may decide otherwise. */
export function isLockedAlone(token: Token, policy: TokenPolicy): boolean {
  return judge(token, policy).says === 'locked'
}

interface Judged {
  readonly says: 'locked' | 'open' | 'nothing'
  readonly because?: TokenSnapshot['because']
}

function judge(token: Token, policy: TokenPolicy): Judged {
  if (!token.isEnrolled) return { says: 'nothing' }
  for (const [applies, meaning, because] of [
    [token.isRevoked, policy.revokedTokens, 'token-revoked'],
    [!token.isActive, policy.disabledTokens, 'token-disabled'],
  ] as const) {
    if (!applies) continue
    if (meaning === 'lock') return { says: 'locked', because }
    if (meaning === 'ignore') return { says: 'nothing' }
  }
  return { says: token.isFull ? 'locked' : 'open' }
}

/**
 * The events between the last snapshot and this one; equal snapshots give none.
 * @param atUs when the reading began: what happened since is newer
 * @param newId a new unique id
 */
export function deriveEvents(
  key: AccountKey,
  known: RecordedSnapshot,
  snapshot: SourceSnapshot,
  atUs: number,
  newId: () => string,
): ResolvedEvent[] {
  const before = new Map(known.tokens.map((token) => [token.serial, token.isLocked]))
  const events: ResolvedEvent[] = []
  const add = (
    kind: EventKind,
    serial: Serial | null,
    rest: Partial<Pick<ResolvedEvent, 'untilUs' | 'reason'>> = {},
  ): void => {
    // Each a little later than the one before: equal times would be ordered by chance.
    events.push({ ...derived(key, kind, serial, atUs + events.length, newId()), ...rest })
  }
  for (const serial of snapshot.gone) if (before.has(serial)) add('unregister', serial)
  for (const { serial } of snapshot.tokens) if (!before.has(serial)) add('register', serial)
  const heldFor = new Map(known.tokens.map((token) => [token.serial, token.heldFor]))
  for (const { serial, isLocked, because } of snapshot.tokens) {
    const held = heldFor.get(serial)
    const isForAnother = isLocked && held !== undefined && held !== (because ?? 'token-max-fail')
    if (isLocked === (before.get(serial) ?? false) && !isForAnother) continue
    const reason = isLocked && because !== undefined ? { code: because, params: { serial } } : null
    add(isLocked ? 'lock' : 'unlock', serial, { reason })
  }
  if (known.isHeldWithoutSerial === true && !snapshot.tokens.some((token) => token.isLocked)) add('unlock', null)
  if (snapshot.lockout === 'unknown') return events
  if (snapshot.lockout === null) {
    if (known.lockout !== null) add('lockout-end', null)
  } else if (!isSameLockout(known.lockout, snapshot.lockout)) {
    const { untilUs, cause } = snapshot.lockout
    add('lockout', null, { untilUs, reason: cause === undefined ? null : LOCKOUT_REASONS[cause] })
  }
  return events
}

const LOCKOUT_REASONS: Readonly<Record<NonNullable<Lockout['cause']>, Reason>> = {
  policy: { code: 'user-lockout-failures', params: {} },
  manual: { code: 'user-lockout-by-hand', params: {} },
}

/**
 * What of a reading counts where another privacyIDEA may have answered: nothing ends, and no serial leaves an account.
 * @param elsewhere serials that the record has at other accounts
 */
export function withoutAbsence(
  known: RecordedSnapshot,
  snapshot: SourceSnapshot,
  elsewhere: ReadonlySet<Serial>,
): SourceSnapshot {
  const before = new Map(known.tokens.map((token) => [token.serial, token.isLocked]))
  const tokens = snapshot.tokens
    .filter(({ serial }) => before.has(serial) || !elsewhere.has(serial))
    .map((token) => ({ ...token, isLocked: token.isLocked || before.get(token.serial) === true }))
  return { tokens, gone: [], lockout: known.lockout === null ? snapshot.lockout : 'unknown' }
}

/**
 * privacyIDEA reports how many whole seconds are left, so the end differs a little from reading to reading. An end has
 * really moved where it moved by more.
 */
const SAME_END_US = 5_000_000

export function isSameLockout(a: Lockout | null, b: Lockout | null): boolean {
  if (a === null || b === null) return a === b
  if (a.untilUs === null || b.untilUs === null) return a.untilUs === b.untilUs
  return Math.abs(a.untilUs - b.untilUs) <= SAME_END_US
}

function derived(
  accountKey: AccountKey,
  kind: EventKind,
  serial: Serial | null,
  takenAtUs: number,
  id: string,
): ResolvedEvent {
  return {
    id: `privacyidea:${id}`,
    kind,
    serial,
    login: null,
    realm: null,
    actor: '',
    takenAtUs,
    source: 'privacyidea',
    reason: null,
    untilUs: null,
    accountKey,
    attributeSerials: [],
    pinnedHold: null,
  }
}

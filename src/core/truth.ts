import type { EventKind, ResolvedEvent } from './event.ts'
import type { AccountKey, Serial } from './names.ts'
import type { PolicySettings } from './settings.ts'
import type { Token } from './token.ts'

/**
 * What privacyIDEA's API says of an account's owner (mode `api`), and the events that follow where it says something
 * else than the last time. So the record tells what happened, and a lock that somebody lifted is not made again while
 * the token merely stays full.
 */

/** One token of the account, by policy: whether it holds the account locked. */
export interface TokenTruth {
  readonly serial: Serial
  readonly isLocked: boolean
}

export interface Lockout {
  /** In microseconds since 1970; null: until it is released. */
  readonly untilUs: number | null
}

/** What was read last. */
export interface KnownTruth {
  readonly tokens: readonly TokenTruth[]
  readonly lockout: Lockout | null
  /** Events of mode `events` held the account without saying which token is full. */
  readonly isHeldWithoutSerial?: boolean
}

/** What is read now. */
export interface Truth {
  readonly tokens: readonly TokenTruth[]
  /** Known serials that are proven to be no longer the account's. What is in neither list is not known now. */
  readonly gone: readonly Serial[]
  /** `unknown`: it was not asked for, or could not be read. */
  readonly lockout: Lockout | null | 'unknown'
}

type TokenPolicy = Pick<PolicySettings, 'lockWhen' | 'disabledTokens' | 'revokedTokens'>

/** Which of an owner's tokens hold his account locked. A token that is not enrolled yet says nothing. */
export function tokenTruths(tokens: readonly Token[], policy: TokenPolicy): TokenTruth[] {
  const judged = tokens.map((token) => ({ serial: token.serial, says: judge(token, policy) }))
  const said = judged.filter(({ says }) => says !== 'nothing')
  const isEvery = said.length > 0 && said.every(({ says }) => says === 'locked')
  const isAllNeeded = policy.lockWhen === 'all-tokens-locked'
  return judged.map(({ serial, says }) => ({ serial, isLocked: says === 'locked' && (!isAllNeeded || isEvery) }))
}

/** What one token says by itself; where all of an owner's must be full, the others may say otherwise. */
export function isLockedAlone(token: Token, policy: TokenPolicy): boolean {
  return judge(token, policy) === 'locked'
}

function judge(token: Token, policy: TokenPolicy): 'locked' | 'open' | 'nothing' {
  if (!token.isEnrolled) return 'nothing'
  for (const [applies, meaning] of [
    [token.isRevoked, policy.revokedTokens],
    [!token.isActive, policy.disabledTokens],
  ] as const) {
    if (!applies) continue
    if (meaning === 'lock') return 'locked'
    if (meaning === 'ignore') return 'nothing'
  }
  return token.isFull ? 'locked' : 'open'
}

/**
 * The events between what was known and what is read now; equal truths give none.
 * @param atUs when the reading began: what happened since is newer
 * @param newId a new unique id
 */
export function deriveEvents(
  key: AccountKey,
  known: KnownTruth,
  truth: Truth,
  atUs: number,
  newId: () => string,
): ResolvedEvent[] {
  const before = new Map(known.tokens.map((token) => [token.serial, token.isLocked]))
  const events: ResolvedEvent[] = []
  const add = (kind: EventKind, serial: Serial | null, untilUs: number | null = null): void => {
    // Each a little later than the one before: equal times would be ordered by chance.
    events.push(derived(key, kind, serial, atUs + events.length, untilUs, newId()))
  }
  for (const serial of truth.gone) if (before.has(serial)) add('unregister', serial)
  for (const { serial } of truth.tokens) if (!before.has(serial)) add('register', serial)
  for (const { serial, isLocked } of truth.tokens) {
    if (isLocked !== (before.get(serial) ?? false)) add(isLocked ? 'lock' : 'unlock', serial)
  }
  if (known.isHeldWithoutSerial === true && !truth.tokens.some((token) => token.isLocked)) add('unlock', null)
  if (truth.lockout === 'unknown') return events
  if (truth.lockout === null) {
    if (known.lockout !== null) add('lockout-end', null)
  } else if (!isSameLockout(known.lockout, truth.lockout)) {
    add('lockout', null, truth.lockout.untilUs)
  }
  return events
}

/**
 * privacyIDEA says how many whole seconds are left, so the end differs a little from reading to reading. An end that has
 * really moved is one that moved by more.
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
  untilUs: number | null,
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
    reason: '',
    untilUs,
    accountKey,
    attributeSerials: [],
    pinnedHold: null,
  }
}

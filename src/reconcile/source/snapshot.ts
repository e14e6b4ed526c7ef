import { AppError, toAppError, type ErrorCode } from '../../core/error.ts'
import type { AccountKey, Login, Realm, Serial } from '../../core/names.ts'
import { spelledAmong } from '../../core/serials/serial-key.ts'
import type { PolicySettings } from '../../core/settings/settings.ts'
import { isSameUser, tokenReading, type Token, type UserOfSource } from '../../core/source/token.ts'
import type { EventKind, ResolvedEvent } from '../../core/events/event.ts'
import {
  deriveEvents,
  tokenSnapshots,
  withLossesHeld,
  withoutAbsence,
  type RecordedSnapshot,
  type Lockout,
  type SourceSnapshot,
} from '../../core/source/snapshot.ts'
import type { Clock } from '../../ports/clock.ts'
import type { DirectoryPort } from '../../ports/directory.ts'
import type { FindingPort } from '../../ports/store/finding.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import type { SourceCheck } from './source-identity.ts'
import type {
  Held,
  KnownOwner,
  Loss,
  LossVerdict,
  NotedAccount,
  RecordedToken,
  SnapshotPort,
} from '../../ports/store/store.ts'
import type { UnplacedPort } from '../../ports/store/unplaced.ts'
import { noteResets, resetTokens } from './fail-counter-resets.ts'
import { causeOfOwner, placeOfUser, unplacedToken, type Place } from '../place.ts'

/**
 * Mode `api`: reads what privacyIDEA reports of an account's owner, and records what is new in it as events. No answer,
 * an error, or an owner that cannot be determined changes nothing.
 */
export interface SnapshotPorts {
  readonly source: PrivacyIdeaPort
  readonly snapshots: SnapshotPort
  readonly lockouts: LockoutReader
  readonly directory: Pick<DirectoryPort, 'findByUser'>
  readonly clock: Clock
  readonly policy: PolicySettings
  readonly unplaced: UnplacedPort
  readonly findings: Pick<FindingPort, 'raise' | 'end'>
  /** Whether it is the privacyIDEA on record that answers. */
  readonly check: Pick<SourceCheck, 'isOther'>
  newId(): string
}

const NOTHING_HELD: LossVerdict = { waiting: [], dismissed: [], isLockoutNewer: false, againAtMs: null }

/** The lockout of a user, from a list that is read at most once in a moment; `unknown` where it cannot be read. */
export interface LockoutReader {
  of(user: UserOfSource): Promise<Lockout | null | 'unknown'>
  /** Begins to read the list where it is old, so that a caller soon after waits less. */
  begin(): void
  /** The user of that name where they are locked out. */
  userCalled(login: Login, realm: Realm): Promise<UserOfSource | null>
}

/** What a reading leaves for a later one. */
export interface Read {
  /** A fail counter is still to be reset. */
  readonly resetWaits: boolean
  /** When there is room for a pending loss, in milliseconds since 1970; null: none is pending. */
  readonly lossesAgainAtMs: number | null
}

/** What happens to fail counters to be reset. `wait`: at a later reading. `dropped`: nothing, as on a dry run. */
export type Resets = 'made' | 'wait' | 'dropped'

/**
 * Asks privacyIDEA about the account's owner and records the answer. Fails with `source-*` and `lease-lost`: nothing is
 * recorded then.
 */
export async function readSnapshot(claim: Held, ports: SnapshotPorts, resets: Resets): Promise<Read> {
  const { key } = claim
  const { snapshots: snapshot, clock, policy } = ports
  const nowUs = clock.nowMs() * 1000
  const recorded = await snapshot.knownOf(key)
  // An event of another machine may carry a time that has not come yet: a reading after it was known is newer.
  const atUs = Math.max(nowUs, recorded.newestUs + 1)
  const refused = resets === 'made' ? await resetTokens(recorded.resetDue, ports) : null
  ports.lockouts.begin()
  const owned = [...(await ownTokens(key, recorded, ports)), ...(await tokensOfOthers(key, recorded, ports))]
  const known = spelledAsListed(recorded, owned)
  const listed = new Set(owned.map((token) => token.serial))
  const missing = known.tokens.filter(({ serial }) => !listed.has(serial)).map(({ serial }) => serial)
  const { lost, still, isOutstanding } = await whereTheyWent(key, missing, ports)
  const tokens = [...owned, ...still]
  const elsewhere = await recordedElsewhere(key, known, tokens, ports)
  const mayLeave = lost.length + elsewhere.size > 0
  const isOther = mayLeave && (await ports.check.isOther(0))
  // What another privacyIDEA does not show is no loss.
  const verdict = lost.length === 0 || isOther ? NOTHING_HELD : await snapshot.passLosses(key, lost, claim)
  const held = new Set([...verdict.waiting, ...verdict.dismissed])
  const gone = lost.map(({ serial }) => serial).filter((serial) => !held.has(serial))
  const owners = ownersOf(tokens)
  const user = firstUser(known, owners) ?? (await tokenlessUser(known, ports.lockouts))
  const { lockout, others } = await lockoutOfAll(user, [...owners.values(), ...known.others], owners, ports)
  const seen: SourceSnapshot = { tokens: tokenSnapshots(tokens, policy), gone, lockout }
  const { before, reading } =
    held.size === 0 ? { before: known, reading: seen } : withLossesHeld(known, seen, verdict, policy)
  const derive = (from: RecordedSnapshot, to: SourceSnapshot) => deriveEvents(key, from, to, atUs, () => ports.newId())
  const events = derive(before, reading)
  const reset = resets === 'wait' ? [] : known.resetDue
  const readings = new Map(tokens.map((token) => [token.serial, tokenReading(token, Math.floor(nowUs / 1000))]))
  const of = { owners, readings, reset, hadLosses: known.hasLosses, marksAfterUs: recorded.newestUs }
  if (isOther || (!mayLeave && (await mayEnd(events, ports)))) {
    const added = withoutAbsence(known, seen, elsewhere)
    const begun = derive({ ...known, isHeldWithoutSerial: false }, added)
    await snapshot.record(key, { ...of, user: null, snapshot: added, events: begun }, claim)
  } else await snapshot.record(key, { ...of, user, others, snapshot: reading, events }, claim)
  if (refused !== null && known.resetDue.length > 0) await noteResets(key, refused, ports)
  // Somebody else did what we may not do.
  else if (events.some(({ kind }) => kind === 'unlock')) await noteResets(key, [], ports)
  return { resetWaits: known.resetDue.length > reset.length || isOutstanding, lossesAgainAtMs: verdict.againAtMs }
}

/** What events held in another spelling than privacyIDEA has is the token that it lists. */
function spelledAsListed(known: KnownOwner, owned: readonly Token[]): KnownOwner {
  if (known.unread.length === 0) return known
  const listed = owned.map(({ serial }) => serial)
  const isLocked = new Map<Serial, boolean>()
  for (const token of known.tokens) {
    const isUnread = known.unread.includes(token.serial)
    const serial = (isUnread ? spelledAmong(listed, token.serial) : null) ?? token.serial
    isLocked.set(serial, token.isLocked || isLocked.get(serial) === true)
  }
  return { ...known, tokens: [...isLocked].map(([serial, each]) => ({ serial, isLocked: each })) }
}

/** What ends a hold. */
const ENDING: readonly EventKind[] = ['unlock', 'lockout-end']
/** A lock that ends rests on what is shown, so that a moment more is no harm. */
export const CHECK_AGE_MAX_MS = 5_000

/** Whether another privacyIDEA would end something. */
async function mayEnd(events: readonly ResolvedEvent[], { check }: SnapshotPorts): Promise<boolean> {
  return events.some(({ kind }) => ENDING.includes(kind)) && check.isOther(CHECK_AGE_MAX_MS)
}

/** Tokens that are new at this account, and that the record has at another one: they would leave that. */
async function recordedElsewhere(
  key: AccountKey,
  known: KnownOwner,
  tokens: readonly Token[],
  { snapshots: snapshot }: SnapshotPorts,
): Promise<ReadonlySet<Serial>> {
  const recorded = new Set(known.tokens.map(({ serial }) => serial))
  const others = tokens.filter(({ serial }) => !recorded.has(serial))
  if (others.length === 0) return new Set()
  const found = await snapshot.tokensOf(others.map(({ serial }) => serial))
  return new Set([...found.values()].filter(({ accountKey }) => accountKey !== key).map(({ serial }) => serial))
}

function ownersOf(tokens: readonly Token[]): Map<Serial, UserOfSource> {
  return new Map(tokens.flatMap(({ serial, owner }) => (owner.kind === 'user' ? [[serial, owner] as const] : [])))
}

/** Where several users have this account, the one on record stays the first as long as they have a token. */
function firstUser({ owner }: KnownOwner, owners: ReadonlyMap<Serial, UserOfSource>): UserOfSource | null {
  const users = [...owners.values()]
  const { resolver, userId } = owner
  const recorded = resolver !== null && userId !== null ? { resolver, userId } : null
  return users.find((user) => recorded !== null && isSameUser(user, recorded)) ?? users[0] ?? null
}

/**
 * The account is locked while one of its users is locked out. Further users are remembered as long as they have a token
 * or are locked out.
 */
async function lockoutOfAll(
  user: UserOfSource | null,
  candidates: readonly UserOfSource[],
  owners: ReadonlyMap<Serial, UserOfSource>,
  { lockouts }: SnapshotPorts,
): Promise<{ lockout: SourceSnapshot['lockout']; others: readonly UserOfSource[] }> {
  if (user === null) return { lockout: 'unknown', others: [] }
  const others: UserOfSource[] = []
  let lockout = await lockouts.of(user)
  for (const each of candidates) {
    if (isSameUser(each, user) || others.some((other) => isSameUser(other, each))) continue
    const theirs = await lockouts.of(each)
    const hasToken = [...owners.values()].some((owner) => isSameUser(owner, each))
    if (hasToken || theirs !== null) others.push(each)
    lockout = longerLockout(lockout, theirs)
  }
  return { lockout, others }
}

function longerLockout(a: SourceSnapshot['lockout'], b: SourceSnapshot['lockout']): SourceSnapshot['lockout'] {
  if (a === 'unknown' || b === 'unknown') return 'unknown'
  if (a === null || b === null) return a ?? b
  return a.untilUs === null || (b.untilUs !== null && a.untilUs >= b.untilUs) ? a : b
}

/** privacyIDEA answers, and lists nothing under this name: the record stays until its tokens show where they went. */
const NO_OWNER: readonly ErrorCode[] = ['unknown-user', 'source-resolver-gone']

/** Of further users whose account it is; one who is unknown by now, or has another account, has none here. */
async function tokensOfOthers(
  key: AccountKey,
  { others }: KnownOwner,
  ports: SnapshotPorts,
): Promise<readonly Token[]> {
  const found: Token[] = []
  for (const user of others) {
    const place = await placeOfUser(user, ports)
    if (place.kind === 'silent') throw place.error
    if (place.kind !== 'account' || place.account.key !== key) continue
    try {
      found.push(...(await ports.source.tokensOfOwner(user)))
    } catch (thrown) {
      if (!NO_OWNER.includes(toAppError(thrown).code)) throw thrown
    }
  }
  return found
}

/** A user without a token may be locked out as well. Null where nothing shows who they are. */
async function tokenlessUser({ owner }: KnownOwner, lockouts: LockoutReader): Promise<UserOfSource | null> {
  const { login, realm, resolver, userId } = owner
  if (login === null || realm === null) return null
  return resolver === null || userId === null ? lockouts.userCalled(login, realm) : { login, realm, resolver, userId }
}

/**
 * Where the record has no id of the user yet, their login may be somebody else's by now: then the tokens are that
 * one's, and that account is marked.
 */
async function ownTokens(key: AccountKey, known: KnownOwner, ports: SnapshotPorts): Promise<readonly Token[]> {
  const tokens = await tokensOfOwner(known, ports.source)
  const user = userOf(tokens)
  const { resolver, userId } = known.owner
  if (user === undefined) return tokens
  if (resolver !== null && userId !== null && isSameUser(user, { resolver, userId })) return tokens
  const place = await placeOfUser(user, ports)
  if (place.kind === 'silent') throw place.error
  if (place.kind !== 'account') return []
  if (place.account.key === key) return tokens
  await ports.snapshots.markForRefresh([place.account])
  return []
}

/** A user whom privacyIDEA does not have under the login on record has no tokens under it: nothing is known. */
async function tokensOfOwner({ owner, tokens }: KnownOwner, source: PrivacyIdeaPort): Promise<readonly Token[]> {
  if (owner.login === null && owner.userId === null) return []
  try {
    return await source.tokensOfOwner(owner)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'source-resolver-gone') return []
    if (error.code !== 'unknown-user') throw error
    // They were renamed, perhaps: then their tokens show who they are now.
    const serials = tokens.map(({ serial }) => serial)
    const found = serials.length === 0 ? [] : await source.tokensBySerial(serials)
    const renamed = found.find((token) => isTokenOf(token, owner))
    if (renamed?.owner.kind !== 'user') return []
    return source.tokensOfOwner(renamed.owner)
  }
}

function isTokenOf({ owner }: Token, { resolver, userId }: KnownOwner['owner']): boolean {
  return owner.kind === 'user' && resolver !== null && userId !== null && isSameUser(owner, { resolver, userId })
}

interface Went {
  readonly lost: readonly Loss[]
  readonly still: readonly Token[]
  /** A directory that does not answer has to be asked about some of them. */
  readonly isOutstanding: boolean
}

/** Tokens that are no longer listed with their owner: deleted, unassigned, somebody else's, or not known. */
async function whereTheyWent(key: AccountKey, serials: readonly Serial[], ports: SnapshotPorts): Promise<Went> {
  if (serials.length === 0) return { lost: [], still: [], isOutstanding: false }
  const found = new Map((await ports.source.tokensBySerial(serials)).map((token) => [token.serial, token]))
  const recorded = await ports.snapshots.tokensOf(serials)
  const lost: Loss[] = []
  const still: Token[] = []
  let isOutstanding = false
  for (const serial of serials) {
    const token = found.get(serial)
    const before = recorded.get(serial)
    if (token === undefined) {
      if (!(await isHidden(before, ports))) lost.push({ serial, cause: 'not-listed' })
    } else if (token.owner.kind === 'none') lost.push({ serial, cause: 'no-owner' })
    else if (token.owner.kind === 'user') {
      const place = await placeOfUser(token.owner, ports)
      if (place.kind === 'silent') isOutstanding = true
      else if (place.kind !== 'account') {
        // If the same owner is not found any more, that proves nothing about the token.
        const isSame = before !== undefined && before.userId !== null && isStillTheirs(token.owner, before)
        if (!isSame && !isOfSeveral(place)) lost.push({ serial, cause: 'no-account' })
      } else if (place.account.key === key) still.push(token)
      // The new owner's reading moves it: this account is marked again by that.
      else await ports.snapshots.markForRefresh([place.account])
    }
  }
  return { lost, still, isOutstanding }
}

function isOfSeveral(place: Place): boolean {
  return place.kind === 'unplaced' && place.cause === 'several-accounts'
}

/** Up to 3.13 tokens of a resolver that is in no realm do not show, and are there all the same. */
async function isHidden(before: RecordedToken | undefined, { source }: SnapshotPorts): Promise<boolean> {
  return before !== undefined && before.resolver !== null && (await source.isResolverGone(before.resolver))
}

function userOf(tokens: readonly Token[]): UserOfSource | undefined {
  return tokens.flatMap((token) => (token.owner.kind === 'user' ? [token.owner] : []))[0]
}

/**
 * Whether a token still belongs to the user who had it at the last reading; true where that is not known. Two resolvers
 * may give different users the same id.
 */
export function isStillTheirs(user: UserOfSource, before: RecordedToken): boolean {
  const { resolver, userId } = before
  if (userId === null) return true
  return user.userId === userId && (resolver === null || user.resolver === resolver)
}

/**
 * The accounts that an event is about: of the user that it names, and of the owner and the former owner of its serial,
 * which it spells as the request did. privacyIDEA is not asked about a serial that is on record as it is spelled: the
 * turn of the account that had it finds where it went. Fails with the errors of finding them. None: nobody of ours has
 * to do with it; an owner without an account goes on record as one.
 */
export async function accountsToRefresh(
  hint: { readonly serial: Serial | null; readonly user: NotedAccount | null },
  ports: SnapshotPorts,
): Promise<NotedAccount[]> {
  const accounts = hint.user === null ? [] : [hint.user]
  if (hint.serial === null) return accounts
  const alike = await ports.snapshots.tokensLike(hint.serial)
  const others = alike.map(({ accountKey }) => accountKey).filter((key) => key !== hint.user?.key)
  if (others.length > 0) await ports.snapshots.markKeysForRefresh([...new Set(others)])
  // In another case it may be a token of its own that is not on record yet: only privacyIDEA can show that.
  if (alike.some(({ serial }) => serial === hint.serial)) return accounts
  const found = await ports.source.tokensBySerial([hint.serial])
  const token = found.find(({ serial }) => serial === hint.serial) ?? found[0]
  if (token === undefined || token.owner.kind === 'none') return accounts
  const cause = await causeOfOwner(token, ports.source)
  if (cause !== null) {
    // One that is on record has an account, whatever privacyIDEA reports of its owner now.
    if (alike.length === 0) await ports.unplaced.note([unplacedToken(token, cause, ports.policy)])
    return accounts
  }
  if (token.owner.kind !== 'user') {
    if (accounts.length > 0) return accounts
    throw new AppError('source-resolver', `the user store of the owner of token ${hint.serial} does not answer`)
  }
  const place = await placeOfUser(token.owner, ports)
  switch (place.kind) {
    case 'account':
      return accounts.some(({ key }) => key === place.account.key) ? accounts : [...accounts, place.account]
    case 'unplaced':
      await ports.unplaced.note([unplacedToken(token, place.cause, ports.policy)])
      return accounts
    case 'excluded':
      return accounts
    case 'silent':
      throw place.error
  }
}

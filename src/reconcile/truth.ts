import { AppError, toAppError } from '../core/error.ts'
import type { AccountKey, Login, Realm, Serial } from '../core/names.ts'
import type { PolicySettings } from '../core/settings.ts'
import { isSameUser, type Token, type UserOfSource } from '../core/token.ts'
import { deriveEvents, tokenTruths, type Lockout, type Truth } from '../core/truth.ts'
import type { Clock } from '../ports/clock.ts'
import type { DirectoryPort, FoundAccount } from '../ports/directory.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import type { KnownOwner, NotedAccount, RecordedToken, TruthPort } from '../ports/store.ts'

/**
 * Mode `api`: reads what privacyIDEA says of an account's owner, and records what is new in it as events. Silence, an
 * error, or an owner that cannot be told changes nothing.
 */
export interface TruthPorts {
  readonly source: PrivacyIdeaPort
  readonly truth: TruthPort
  readonly lockouts: LockoutReader
  readonly directory: Pick<DirectoryPort, 'findByUser'>
  readonly clock: Clock
  readonly policy: PolicySettings
  newId(): string
}

/** The lockout of a user, from a list that is read at most once in a moment; `unknown` where it cannot be read. */
export interface LockoutReader {
  of(user: UserOfSource): Promise<Lockout | null | 'unknown'>
  /** Begins to read the list where it is old, so that whoever asks soon after waits less. */
  begin(): void
  /** The user of that name where he is kept out. */
  userCalled(login: Login, realm: Realm): Promise<UserOfSource | null>
}

/** What becomes of fail counters that are to be reset. `wait`: at a later reading. `dropped`: nothing, as on a dry run. */
export type Resets = 'made' | 'wait' | 'dropped'

/**
 * Asks privacyIDEA about the account's owner and records the answer. Fails with `source-*`: nothing is recorded then.
 * @returns whether a reset waits
 */
export async function readTruth(key: AccountKey, ports: TruthPorts, resets: Resets): Promise<boolean> {
  const { truth, clock, policy } = ports
  const nowUs = clock.nowMs() * 1000
  const known = await truth.knownOf(key)
  // A word of another machine may carry a time that has not come yet: what is read after it was known is newer.
  const atUs = Math.max(nowUs, known.newestUs + 1)
  if (resets === 'made') await resetTokens(known.resetDue, ports)
  ports.lockouts.begin()
  const owned = [...(await ownTokens(key, known, ports)), ...(await tokensOfOthers(key, known, ports))]
  const listed = new Set(owned.map((token) => token.serial))
  const missing = known.tokens.filter(({ serial }) => !listed.has(serial)).map(({ serial }) => serial)
  const { gone, still } = await whereTheyWent(key, missing, ports)
  const tokens = [...owned, ...still]
  const owners = ownersOf(tokens)
  const user = firstUser(known, owners) ?? (await tokenlessUser(known, ports.lockouts))
  const { lockout, others } = await lockoutOfAll(user, [...owners.values(), ...known.others], owners, ports)
  const reading: Truth = { tokens: tokenTruths(tokens, policy), gone, lockout }
  const events = deriveEvents(key, known, reading, atUs, () => ports.newId())
  const reset = resets === 'wait' ? [] : known.resetDue
  await truth.record(key, { user, others, owners, truth: reading, reset, events })
  return known.resetDue.length > reset.length
}

function ownersOf(tokens: readonly Token[]): Map<Serial, UserOfSource> {
  return new Map(tokens.flatMap(({ serial, owner }) => (owner.kind === 'user' ? [[serial, owner] as const] : [])))
}

/** Where several users have this account, the one on record stays the first as long as he has a token. */
function firstUser({ owner }: KnownOwner, owners: ReadonlyMap<Serial, UserOfSource>): UserOfSource | null {
  const users = [...owners.values()]
  const { resolver, userId } = owner
  const recorded = resolver !== null && userId !== null ? { resolver, userId } : null
  return users.find((user) => recorded !== null && isSameUser(user, recorded)) ?? users[0] ?? null
}

/**
 * The account is kept out while one of its users is. Further users are remembered as long as they have a token or are
 * kept out.
 */
async function lockoutOfAll(
  user: UserOfSource | null,
  candidates: readonly UserOfSource[],
  owners: ReadonlyMap<Serial, UserOfSource>,
  { lockouts }: TruthPorts,
): Promise<{ lockout: Truth['lockout']; others: readonly UserOfSource[] }> {
  if (user === null) return { lockout: 'unknown', others: [] }
  const others: UserOfSource[] = []
  let lockout = await lockouts.of(user)
  for (const each of candidates) {
    if (isSameUser(each, user) || others.some((other) => isSameUser(other, each))) continue
    const his = await lockouts.of(each)
    const hasToken = [...owners.values()].some((owner) => isSameUser(owner, each))
    if (hasToken || his !== null) others.push(each)
    lockout = longerLockout(lockout, his)
  }
  return { lockout, others }
}

function longerLockout(a: Truth['lockout'], b: Truth['lockout']): Truth['lockout'] {
  if (a === 'unknown' || b === 'unknown') return 'unknown'
  if (a === null || b === null) return a ?? b
  return a.untilUs === null || (b.untilUs !== null && a.untilUs >= b.untilUs) ? a : b
}

/** Of further users whose account it is; one who is known no more, or has another account now, has none here. */
async function tokensOfOthers(key: AccountKey, { others }: KnownOwner, ports: TruthPorts): Promise<readonly Token[]> {
  const found: Token[] = []
  for (const user of others) {
    if ((await accountOfUser(user, ports))?.key !== key) continue
    try {
      found.push(...(await ports.source.tokensOfOwner(user)))
    } catch (thrown) {
      if (toAppError(thrown).code !== 'unknown-user') throw thrown
    }
  }
  return found
}

/** A user without a token may be kept out as well. Null where nothing says who he is. */
async function tokenlessUser({ owner }: KnownOwner, lockouts: LockoutReader): Promise<UserOfSource | null> {
  const { login, realm, resolver, userId } = owner
  if (login === null || realm === null) return null
  return resolver === null || userId === null ? lockouts.userCalled(login, realm) : { login, realm, resolver, userId }
}

/** A fail counter that is reset is read below; one that is not any more there needs no reset. */
async function resetTokens(serials: readonly Serial[], { source }: TruthPorts): Promise<void> {
  for (const serial of serials) {
    try {
      await source.resetFailCounter(serial)
    } catch (thrown) {
      if (toAppError(thrown).code !== 'unknown-serial') throw thrown
    }
  }
}

/**
 * Where the record has no id of the user yet, his login may be somebody else's by now: then the tokens are that one's,
 * and his account is marked.
 */
async function ownTokens(key: AccountKey, known: KnownOwner, ports: TruthPorts): Promise<readonly Token[]> {
  const tokens = await tokensOfOwner(known, ports.source)
  const user = userOf(tokens)
  const { resolver, userId } = known.owner
  if (user === undefined) return tokens
  if (resolver !== null && userId !== null && isSameUser(user, { resolver, userId })) return tokens
  const account = await accountOfUser(user, ports)
  if (account?.key === key) return tokens
  if (account !== null) await ports.truth.hint([account])
  return []
}

/** A user whom privacyIDEA does not know under the login that is on record has no tokens under it: nothing is known. */
async function tokensOfOwner({ owner, tokens }: KnownOwner, source: PrivacyIdeaPort): Promise<readonly Token[]> {
  if (owner.login === null && owner.userId === null) return []
  try {
    return await source.tokensOfOwner(owner)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code !== 'unknown-user') throw error
    // He was renamed, perhaps: then his tokens tell who he is now.
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

/** Tokens that are no longer listed with their owner: deleted, unassigned, somebody else's, or nobody can tell. */
async function whereTheyWent(
  key: AccountKey,
  serials: readonly Serial[],
  ports: TruthPorts,
): Promise<{ gone: Serial[]; still: Token[] }> {
  const gone: Serial[] = []
  const still: Token[] = []
  if (serials.length === 0) return { gone, still }
  const found = new Map((await ports.source.tokensBySerial(serials)).map((token) => [token.serial, token]))
  for (const serial of serials) {
    const token = found.get(serial)
    if (token === undefined || token.owner.kind === 'none') gone.push(serial)
    else if (token.owner.kind === 'user') {
      const account = await accountOfUser(token.owner, ports)
      if (account === null) gone.push(serial)
      else if (account.key === key) still.push(token)
      // The new owner's reading moves it: this account is marked again by that.
      else await ports.truth.hint([account])
    }
  }
  return { gone, still }
}

function userOf(tokens: readonly Token[]): UserOfSource | undefined {
  return tokens.flatMap((token) => (token.owner.kind === 'user' ? [token.owner] : []))[0]
}

/**
 * The account of a user: by his id where that is the directory's own, else by his login.
 * @returns null where his realm has no directory, or the directory does not know him
 */
export async function accountOfUser(
  user: UserOfSource,
  { directory }: Pick<TruthPorts, 'directory'>,
): Promise<NotedAccount | null> {
  let found: FoundAccount
  try {
    found = await directory.findByUser(user)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'unknown-user' || error.code === 'realm-unmapped') return null
    throw error
  }
  return { key: found.key, dn: found.dn, login: user.login, realm: user.realm, user: userOnly(user) }
}

/** A token's owner is one as well, with more to it. */
function userOnly({ login, realm, resolver, userId }: UserOfSource): UserOfSource {
  return { login, realm, resolver, userId }
}

/**
 * Whether a token is still that of the user who had it when it was read last; true where nobody knows. Two resolvers
 * may call different users the same.
 */
export function isStillHis(user: UserOfSource, before: RecordedToken): boolean {
  const { resolver, userId } = before
  if (userId === null) return true
  return user.userId === userId && (resolver === null || user.resolver === resolver)
}

/**
 * The accounts that a hint is about: of the user that it names, and of the owner and the former owner of its serial.
 * privacyIDEA is not asked about a serial that is on record: whoever reads the account that had it finds where it went.
 * Fails with what finding them fails with. None: nobody of ours has to do with it.
 */
export async function accountsOfHint(
  hint: { readonly serial: Serial | null; readonly user: NotedAccount | null },
  ports: TruthPorts,
): Promise<NotedAccount[]> {
  const accounts = hint.user === null ? [] : [hint.user]
  if (hint.serial === null) return accounts
  const recorded = (await ports.truth.tokensOf([hint.serial])).get(hint.serial)
  if (recorded !== undefined) {
    if (hint.user?.key !== recorded.accountKey) await ports.truth.hintKeys([recorded.accountKey])
    return accounts
  }
  const [token] = await ports.source.tokensBySerial([hint.serial])
  if (token?.owner.kind === 'user') {
    const account = await accountOfUser(token.owner, ports)
    if (account !== null && accounts.every(({ key }) => key !== account.key)) accounts.push(account)
  }
  if (token?.owner.kind === 'resolver-error' && accounts.length === 0) {
    throw new AppError('source-resolver', `the user store of the owner of token ${hint.serial} does not answer`)
  }
  return accounts
}

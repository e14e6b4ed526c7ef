import { oneAhead } from '../core/ahead.ts'
import { AppError, toAppError } from '../core/error.ts'
import type { AccountKey, Realm, Serial } from '../core/names.ts'
import type { Token, UserOfSource } from '../core/token.ts'
import { isLockedAlone, tokenTruths } from '../core/truth.ts'
import type { NotedAccount, RecordedToken } from '../ports/store.ts'
import type { ResyncPorts, ResyncRun } from './resync-ports.ts'

/**
 * Every token of privacyIDEA against the record. Both come in the order of privacyIDEA's ids, so that a page of the one
 * is compared with the same stretch of the other, and what is missing in between is seen without remembering anything.
 */

/** Fewer known tokens than this are no measure of a sudden drop. */
const SHRINK_FROM_TOKENS = 10
/** So many or more that are all gone at once are another server's, or nobody's. */
const ALL_GONE_FROM_TOKENS = 3

/** Fails with `source-*`, `source-shrunk`: nothing that was staged is to be released then. */
export async function compareTokens(run: ResyncRun): Promise<void> {
  const { ports } = run
  const { source, record } = ports
  const known = await record.countTokens()
  await source.proveTokenList()
  const owners = new Owners(ports)
  let lastId = -1
  for await (const page of oneAhead(source.walkTokens())) {
    checkShrunk(run, page.count, known)
    const upTo = page.tokens.at(-1)?.id ?? lastId
    const recorded = await recordedOf(run, page.tokens, lastId, upTo)
    lastId = upTo
    await comparePage(run, page.tokens, recorded, owners)
    run.sawTokens(page.tokens.length, page.count)
  }
  for await (const left of record.between(lastId, null)) {
    await record.miss(run.number, serialsOf(left))
  }
  await tellUnseen(run, known)
}

/** A source that suddenly knows far less is taken for broken. */
function checkShrunk({ ports, options }: ResyncRun, count: number, known: number): void {
  const limit = ports.resync.shrinkLimit
  if (options.acceptsDrop === true || known < SHRINK_FROM_TOKENS || count >= known * (1 - limit)) return
  throw shrunk(`privacyIDEA shows ${count} tokens where ${known} are on record`, limit)
}

/** As many tokens as before, and others: it is another server that answers, or one that was filled anew. */
function checkReplaced({ ports, options }: ResyncRun, unseen: number, known: number): void {
  const limit = ports.resync.shrinkLimit
  const isAllGone = known >= ALL_GONE_FROM_TOKENS && unseen >= known
  const isOverLimit = known >= SHRINK_FROM_TOKENS && unseen > known * limit
  if (options.acceptsDrop === true || (!isAllGone && !isOverLimit)) return
  throw shrunk(`privacyIDEA no longer shows ${unseen} of the ${known} tokens on record`, limit)
}

function shrunk(what: string, limit: number): AppError {
  return new AppError('source-shrunk', `${what}: that is more than ${Math.round(limit * 100)} % fewer`, {
    hint: 'Nothing was changed. Look whether it is the right server and whether the account still sees every realm; if it is true: lockstep resync --accept-drop.',
  })
}

/** What the record has of these tokens; what it has beside them between the two ids is missing at privacyIDEA. */
async function recordedOf(
  { ports, number }: ResyncRun,
  tokens: readonly Token[],
  after: number,
  upTo: number,
): Promise<ReadonlyMap<Serial, RecordedToken>> {
  const { record } = ports
  const shown = new Set(tokens.map(({ serial }) => serial))
  const recorded = new Map<Serial, RecordedToken>()
  for await (const page of record.between(after, upTo)) {
    for (const token of page) if (shown.has(token.serial)) recorded.set(token.serial, token)
    await record.miss(number, serialsOf(page.filter(({ serial }) => !shown.has(serial))))
  }
  const others = tokens.filter(({ serial }) => !recorded.has(serial))
  if (others.length === 0) return recorded
  for (const [serial, token] of await record.tokensOf(serialsOf(others))) recorded.set(serial, token)
  await record.place(others.filter(({ serial }) => recorded.has(serial)))
  return recorded
}

function serialsOf(tokens: readonly { readonly serial: Serial }[]): Serial[] {
  return tokens.map(({ serial }) => serial)
}

interface Differing {
  readonly token: Token
  readonly before: RecordedToken | undefined
  readonly why: string
}

async function comparePage(
  run: ResyncRun,
  tokens: readonly Token[],
  recorded: ReadonlyMap<Serial, RecordedToken>,
  owners: Owners,
): Promise<void> {
  const { ports } = run
  const differing: Differing[] = []
  for (const token of tokens) {
    const before = recorded.get(token.serial)
    const why = differenceOf(token, before, ports) ?? (await differenceOfAll(token, before, ports))
    if (why !== null) differing.push({ token, before, why })
  }
  if (differing.length === 0) return
  const accounts = new Map<AccountKey, NotedAccount>()
  const keys = new Set<AccountKey>()
  const found = await owners.accountsOf(
    differing.flatMap(({ token }) => (token.owner.kind === 'user' ? [token.owner] : [])),
  )
  for (const { token, before, why } of differing) {
    const account = token.owner.kind === 'user' ? found.get(nameOf(token.owner)) : null
    // Where the directory did not tell, nothing follows.
    if (account === undefined || (account === null && before === undefined)) continue
    if (account !== null) {
      accounts.set(account.key, account)
      run.announce(token.serial, account.key)
    }
    if (before !== undefined && before.accountKey !== account?.key) keys.add(before.accountKey)
    run.tell({
      account: account?.dn ?? before?.accountKey ?? '',
      serial: token.serial,
      now: before === undefined ? 'not on record' : before.isLocked ? 'locked' : 'open',
      should: account === null ? 'not its own' : isLockedAlone(token, ports.policy) ? 'locked' : 'open',
      why,
    })
  }
  if (!run.options.isDryRun) await ports.record.stage(run.number, [...accounts.values()], [...keys])
}

/** Why a token does not fit its record, or null. By a single token it cannot be told whether all of a user's are locked. */
function differenceOf(token: Token, before: RecordedToken | undefined, ports: ResyncPorts): string | null {
  const { owner } = token
  if (owner.kind === 'user') {
    if (before === undefined) return `the token of ${owner.login} is not on record`
    if (before.userId !== null && before.userId !== owner.userId) return `the token now belongs to ${owner.login}`
  }
  if (owner.kind === 'none' && before !== undefined) return 'the token has no owner any more'
  if (before === undefined || owner.kind !== 'user') return null
  const isLocked = isLockedAlone(token, ports.policy)
  if (ports.policy.lockWhen === 'any-token-locked' && isLocked !== before.isLocked) {
    return isLocked ? 'its fail counter is full' : 'its fail counter is no longer full'
  }
  return ports.policy.lockWhen === 'all-tokens-locked' && before.isLocked && !isLocked
    ? 'its fail counter is no longer full'
    : null
}

/** Where all of a user's tokens must be locked, a full one that holds nothing asks for the others. */
async function differenceOfAll(
  token: Token,
  before: RecordedToken | undefined,
  ports: ResyncPorts,
): Promise<string | null> {
  if (ports.policy.lockWhen !== 'all-tokens-locked' || token.owner.kind !== 'user') return null
  if (before === undefined || before.isLocked || !isLockedAlone(token, ports.policy)) return null
  const truths = tokenTruths(await ports.source.tokensOfOwner(token.owner), ports.policy)
  const isHeld = truths.some(({ serial, isLocked }) => serial === token.serial && isLocked)
  return isHeld ? 'the fail counters of all of the user’s tokens are full' : null
}

/** Whoever looks at the account asks again for each of these tokens before anything follows from its absence. */
async function tellUnseen(run: ResyncRun, known: number): Promise<void> {
  const { record } = run.ports
  checkReplaced(run, await record.countUnseen(run.number), known)
  for await (const page of record.unseen(run.number)) {
    for (const { serial, accountKey, isLocked } of page) {
      const now = isLocked ? 'locked' : 'open'
      run.tell({ account: accountKey, serial, now, should: 'not its own', why: 'the token is gone' })
    }
    if (!run.options.isDryRun)
      await record.stage(run.number, [], [...new Set(page.map(({ accountKey }) => accountKey))])
  }
}

/** The accounts of users, by few searches. A directory that failed once in a run is not asked again in it. */
export class Owners {
  readonly #ports: Pick<ResyncPorts, 'directory'>
  readonly #failing = new Set<Realm>()
  readonly #unmapped = new Set<Realm>()

  constructor(ports: Pick<ResyncPorts, 'directory'>) {
    this.#ports = ports
  }

  /** The configuration says nothing about this realm, as one of the last calls showed. */
  isUnmapped(realm: Realm): boolean {
    return this.#unmapped.has(realm)
  }

  /** By `nameOf` the user; null: he has no account. Left out where the directory did not tell. */
  async accountsOf(users: readonly UserOfSource[]): Promise<ReadonlyMap<string, NotedAccount | null>> {
    const wanted = new Map(users.filter(({ realm }) => !this.#failing.has(realm)).map((user) => [nameOf(user), user]))
    const asked = [...wanted.values()]
    const accounts = new Map<string, NotedAccount | null>()
    if (asked.length === 0) return accounts
    const answers = await this.#ports.directory.findByUsers(asked)
    asked.forEach((user, index) => {
      const answer = answers[index]
      if (answer === undefined) return
      if (!(answer instanceof AppError)) {
        accounts.set(nameOf(user), { key: answer.key, dn: answer.dn, login: user.login, realm: user.realm })
        return
      }
      const { code } = toAppError(answer)
      if (code === 'realm-unmapped') this.#unmapped.add(user.realm)
      if (code === 'unknown-user' || code === 'realm-unmapped') accounts.set(nameOf(user), null)
      else if (code !== 'ambiguous-match') this.#failing.add(user.realm)
    })
    return accounts
  }
}

export function nameOf({ resolver, userId, login, realm }: UserOfSource): string {
  return `${resolver}\n${userId}\n${login}\n${realm}`
}

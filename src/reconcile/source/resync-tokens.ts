import { counted } from '../../core/format/counted.ts'
import { oneAhead } from '../../core/ahead.ts'
import { AppError, toAppError } from '../../core/error.ts'
import type { AccountKey, DirectoryName, Realm, Serial } from '../../core/names.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { Token, UserOfSource } from '../../core/source/token.ts'
import { deriveEvents, isLockedAlone, tokenSnapshots } from '../../core/source/snapshot.ts'
import type { UnplacedToken } from '../../core/reasons/unplaced.ts'
import type { NotedAccount, RecordedToken } from '../../ports/store/store.ts'
import type { ResyncPorts, ResyncRun } from './resync-ports.ts'
import { causeOfOwner, placeFound, placeOfError, unplacedToken, type Place } from '../place.ts'
import { isStillTheirs } from './snapshot.ts'

/**
 * Every token of privacyIDEA against the record. Both come in the order of privacyIDEA's ids, so that a page of the one
 * is compared with the same stretch of the other, and what is missing in between is found without remembering anything.
 */

/** Fewer known tokens than this are no measure of a sudden drop. */
const SHRINK_FROM_TOKENS = 10
/** So many or more that are all gone at once are another server's, or nobody's. */
const ALL_GONE_FROM_TOKENS = 3

/** Fails with `source-*`, `source-shrunk`: nothing that was staged is to be released then. */
export async function compareTokens(run: ResyncRun): Promise<void> {
  const { ports } = run
  const { source, record } = ports
  const known = await countShown(run)
  // On a new server there is nothing to compare; the results of earlier events stay until a token shows.
  if (known === 0 && (await source.showsNoToken())) return
  await source.proveTokenList()
  const owners = new Owners(ports)
  let lastId = -1
  for await (const page of oneAhead(source.walkTokens())) {
    run.marks.add(page.tokens)
    await checkShrunk(run, page.count, known)
    const upTo = page.tokens.at(-1)?.id ?? lastId
    const recorded = await recordedOf(run, page.tokens, lastId, upTo)
    lastId = upTo
    await comparePage(run, page.tokens, recorded, owners)
    run.sawOdd(page.odd)
    run.sawTokens(page.tokens.length, page.count)
  }
  for await (const left of record.between(lastId, null)) {
    await record.miss(run.number, serialsOf(left))
  }
  await reportUnseen(run, known)
}

/** Without tokens of a resolver that is in no realm: up to 3.13 those do not show, and none of the others is compared less. */
async function countShown({ ports, options }: ResyncRun): Promise<number> {
  const { source, record } = ports
  let count = await record.countTokens()
  if (options.acceptsDrop === true || count === 0) return count
  for (const { resolver, tokens } of await record.resolvers()) {
    if (await source.isResolverGone(resolver)) count -= tokens
  }
  return count
}

/** A source that suddenly has far fewer tokens counts as broken. */
async function checkShrunk(run: ResyncRun, count: number, known: number): Promise<void> {
  const limit = run.ports.resync.shrinkLimit
  if (run.options.acceptsDrop === true || known < SHRINK_FROM_TOKENS || count >= known * (1 - limit)) return
  if (await run.askWhoAnswers()) return
  throw shrunk(`privacyIDEA shows ${counted(count, 'token')} where ${known} are on record`, limit)
}

/** As many tokens as before, and others: it is another server that answers, or one that was filled anew. */
async function checkReplaced(run: ResyncRun, unseen: number, known: number): Promise<void> {
  const limit = run.ports.resync.shrinkLimit
  const isAllGone = known >= ALL_GONE_FROM_TOKENS && unseen >= known
  const isOverLimit = known >= SHRINK_FROM_TOKENS && unseen > known * limit
  if (run.options.acceptsDrop === true || (!isAllGone && !isOverLimit)) return
  if (await run.askWhoAnswers()) return
  throw shrunk(`privacyIDEA no longer shows ${unseen} of the ${known} tokens on record`, limit)
}

/** As many marks of a directory as would be removed at once: the marks there count as well as those on record. */
export function checkMarks({ ports, options }: ResyncRun, directory: DirectoryName, going: number, all: number): void {
  const limit = ports.resync.shrinkLimit
  if (options.acceptsDrop === true || options.acceptsMarks === true) return
  if (all < SHRINK_FROM_TOKENS || going <= all * limit) return
  throw shrunk(`privacyIDEA does not show ${going} of the ${all} serials that stand in directory ${directory}`, limit)
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
  readonly why: Reason
}

async function comparePage(
  run: ResyncRun,
  tokens: readonly Token[],
  recorded: ReadonlyMap<Serial, RecordedToken>,
  owners: Owners,
): Promise<void> {
  const { ports } = run
  const differing: Differing[] = []
  const unplaced: UnplacedToken[] = []
  for (const token of tokens) {
    const before = recorded.get(token.serial)
    if (isKnownLoss(token, before, run)) continue
    const cause = await causeOfOwner(token, ports.source)
    const isOnRecord = before !== undefined && (cause === 'user-gone' || cause === 'unreadable')
    if (cause !== null && !isOnRecord) unplaced.push(unplacedToken(token, cause, ports.policy))
    const why = differenceOf(token, before, ports) ?? (await differenceOfAll(token, before, ports))
    if (why !== null) differing.push({ token, before, why })
  }
  if (differing.length === 0) return run.isUnplaced(unplaced)
  await allowOwnerless(run, differing)
  const kept: Serial[] = []
  const accounts = new Map<AccountKey, NotedAccount>()
  const keys = new Set<AccountKey>()
  const found = await owners.placesOf(
    differing.flatMap(({ token }) => (token.owner.kind === 'user' ? [token.owner] : [])),
  )
  for (const { token, before, why } of differing) {
    const place = token.owner.kind === 'user' ? found.get(nameOf(token.owner)) : null
    // Where the directory did not answer, nothing follows.
    if (place === undefined || place?.kind === 'silent') {
      kept.push(token.serial)
      continue
    }
    if (place?.kind === 'unplaced') unplaced.push(unplacedToken(token, place.cause, ports.policy))
    const account = place?.kind === 'account' ? place.account : null
    const isOfSeveral = place?.kind === 'unplaced' && place.cause === 'several-accounts'
    if (account === null && (before === undefined || isOfSeveral)) continue
    if (account !== null) {
      accounts.set(account.key, account)
      run.announce(token.serial, account.key)
    }
    if (before !== undefined && before.accountKey !== account?.key) keys.add(before.accountKey)
    run.notify({
      account: account?.dn ?? before?.accountKey ?? '',
      serial: token.serial,
      now: before === undefined ? 'not on record' : before.isLocked ? 'locked' : 'open',
      should: account === null ? 'not its own' : isLockedAlone(token, ports.policy) ? 'locked' : 'open',
      why,
    })
  }
  await run.isUnplaced(unplaced)
  if (run.options.isDryRun) return
  await ports.record.stage(run.number, [...accounts.values()], [...keys])
  await ports.unplaced.keep(run.number, kept)
}

/** It lost its owner, and that is pending in the review queue. */
function isKnownLoss({ owner }: Token, before: RecordedToken | undefined, { options }: ResyncRun): boolean {
  return owner.kind === 'none' && before?.isLossHeld === true && options.acceptsDrop !== true
}

/** A person states that so many tokens have really gone: those without an owner are among them. */
async function allowOwnerless({ ports, options }: ResyncRun, differing: readonly Differing[]): Promise<void> {
  if (options.acceptsDrop !== true || options.isDryRun) return
  const lost = differing.filter(({ token, before }) => token.owner.kind === 'none' && before !== undefined)
  if (lost.length > 0) await ports.snapshots.allowLosses(lost.map(({ token }) => token.serial))
}

/** Why a token does not fit its record, or null. A single token does not show whether all of a user's are locked. */
function differenceOf(token: Token, before: RecordedToken | undefined, ports: ResyncPorts): Reason | null {
  const { owner, serial } = token
  if (owner.kind === 'user') {
    if (before === undefined) return { code: 'token-not-on-record', params: { serial, login: owner.login } }
    if (before.isLossHeld) return { code: 'token-listed-again', params: { serial } }
    if (!isStillTheirs(owner, before)) return { code: 'token-changed-owner', params: { serial, login: owner.login } }
  }
  if (owner.kind === 'none' && before !== undefined) return { code: 'token-ownerless', params: { serial } }
  if (before === undefined || owner.kind !== 'user') return null
  const isLocked = isLockedAlone(token, ports.policy)
  if (ports.policy.lockWhen === 'any-token-locked' && isLocked !== before.isLocked) {
    const because = tokenSnapshots([token], ports.policy)[0]?.because ?? 'token-max-fail'
    return { code: isLocked ? because : 'token-usable', params: { serial } }
  }
  return ports.policy.lockWhen === 'all-tokens-locked' && before.isLocked && !isLocked
    ? { code: 'token-usable', params: { serial } }
    : null
}

/** Where all of a user's tokens must be locked, a full one that holds nothing asks for the others. */
async function differenceOfAll(
  token: Token,
  before: RecordedToken | undefined,
  ports: ResyncPorts,
): Promise<Reason | null> {
  if (ports.policy.lockWhen !== 'all-tokens-locked' || token.owner.kind !== 'user') return null
  if (before === undefined || before.isLocked || !isLockedAlone(token, ports.policy)) return null
  const truths = tokenSnapshots(await ports.source.tokensOfOwner(token.owner), ports.policy)
  const isHeld = truths.some(({ serial, isLocked }) => serial === token.serial && isLocked)
  return isHeld ? { code: 'user-tokens-unusable', params: {} } : null
}

/**
 * The turn of the account asks once more for each of these tokens before anything follows from its absence. One of a
 * resolver that is in no realm may merely not show: it stays, and is reported, until a person states that it is gone.
 */
async function reportUnseen(run: ResyncRun, known: number): Promise<void> {
  const { record, source } = run.ports
  const isHidden = async ({ resolver }: RecordedToken): Promise<boolean> =>
    resolver !== null && (await source.isResolverGone(resolver))
  const isAccepted = run.options.acceptsDrop === true
  await run.askWhoAnswers()
  let unseen = await record.countUnseen(run.number)
  if (unseen > 0 && !isAccepted) {
    for await (const page of record.unseen(run.number, { withHeldLosses: false })) {
      for (const token of page) if (await isHidden(token)) unseen--
    }
  }
  await checkReplaced(run, unseen, known)
  for await (const page of record.unseen(run.number, { withHeldLosses: isAccepted })) {
    const gone: RecordedToken[] = []
    const unplaced: UnplacedToken[] = []
    for (const token of page) {
      if (!(await isHidden(token))) gone.push(token)
      else if (isAccepted) await takeOff(run, token)
      else unplaced.push(hiddenToken(token))
    }
    for (const { serial, accountKey, isLocked } of gone) {
      const now = isLocked ? 'locked' : 'open'
      run.notify({
        account: accountKey,
        serial,
        now,
        should: 'not its own',
        why: { code: 'token-gone', params: { serial } },
      })
    }
    await run.isUnplaced(unplaced)
    if (run.options.isDryRun || run.isOtherSource) continue
    if (isAccepted) await run.ports.snapshots.allowLosses(serialsOf(gone))
    await record.stage(run.number, [], [...new Set(gone.map(({ accountKey }) => accountKey))])
  }
}

function hiddenToken({ serial, resolver, userId, isLocked }: RecordedToken): UnplacedToken {
  return { serial, cause: 'resolver-gone', login: null, realm: null, resolver, userId, isFull: isLocked }
}

/** A person stated that what does not show is gone. */
async function takeOff({ ports, options, notify }: ResyncRun, token: RecordedToken): Promise<void> {
  const { serial, accountKey, isLocked } = token
  const now = isLocked ? 'locked' : 'open'
  const why = { code: 'token-and-resolver-gone', params: { serial } } as const
  notify({ account: accountKey, serial, now, should: 'not its own', why })
  if (options.isDryRun) return
  const snapshot = { tokens: [], gone: [serial], lockout: 'unknown' as const }
  const before = { tokens: [{ serial, isLocked }], lockout: null }
  const events = deriveEvents(accountKey, before, snapshot, ports.clock.nowMs() * 1000, () => ports.newId())
  await ports.snapshots.record(accountKey, { user: null, snapshot, reset: [], events }, null)
}

/** The accounts of users, by few searches. A directory that failed once in a run is not asked again in it. */
export class Owners {
  readonly #ports: Pick<ResyncPorts, 'directory'>
  readonly #failing = new Set<Realm>()

  constructor(ports: Pick<ResyncPorts, 'directory'>) {
    this.#ports = ports
  }

  /** By `nameOf` the user. Left out where the directory failed before. */
  async placesOf(users: readonly UserOfSource[]): Promise<ReadonlyMap<string, Place>> {
    const wanted = new Map(users.filter(({ realm }) => !this.#failing.has(realm)).map((user) => [nameOf(user), user]))
    const asked = [...wanted.values()]
    const places = new Map<string, Place>()
    if (asked.length === 0) return places
    const answers = await this.#ports.directory.findByUsers(asked)
    asked.forEach((user, index) => {
      const answer = answers[index]
      if (answer === undefined) return
      const place = answer instanceof AppError ? placeOfError(toAppError(answer)) : placeFound(user, answer)
      places.set(nameOf(user), place)
      if (place.kind === 'silent') this.#failing.add(user.realm)
    })
    return places
  }
}

export function nameOf({ resolver, userId, login, realm }: UserOfSource): string {
  return `${resolver}\n${userId}\n${login}\n${realm}`
}

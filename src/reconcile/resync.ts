import { AppError } from '../core/error.ts'
import type { AccountKey, DirectoryName, Serial } from '../core/names.ts'
import { serialsIn } from '../core/serial-values.ts'
import type { ResyncSettings } from '../core/settings.ts'
import type { ObservedState } from '../core/state.ts'
import type { Token } from '../core/token.ts'
import { deriveEvents, isLockedAlone, tokenTruths } from '../core/truth.ts'
import type { DirectoryPort } from '../ports/directory.ts'
import type { NotedAccount, RecordedToken } from '../ports/store.ts'
import { accountOfUser, isStillHis, type TruthPorts } from './truth.ts'

/**
 * The full comparison (mode `api`): every token of privacyIDEA, and every account that carries a mark of ours, against
 * the record. What differs is told, and its account is marked; nothing is held in memory but one page and the drift
 * that is told. A run that is not complete marks nobody for what it did not see.
 */
export interface ResyncPorts extends TruthPorts {
  readonly directory: Pick<DirectoryPort, 'findByUser' | 'walkMarked' | 'names'>
  readonly resync: ResyncSettings
}

export interface Drift {
  readonly account: string
  readonly serial: Serial
  readonly now: string
  readonly should: string
  readonly why: string
}

export interface ResyncReport {
  readonly tokens: number
  readonly accounts: number
  /** How many differences there were; `drift` holds the first of them. */
  readonly differences: number
  readonly drift: readonly Drift[]
}

export interface ResyncOptions {
  /** Tells what differs, and marks nobody. */
  readonly isDryRun: boolean
  onProgress?(done: { tokens: number; tokensInAll: number; accounts: number }): void
}

const DRIFT_MAX = 10_000
/** Fewer known tokens than this are no measure of a sudden drop. */
const SHRINK_FROM_TOKENS = 10

/** Marked accounts that are compared at a time. */
const ACCOUNTS_AT_ONCE = 200

interface Tally {
  tokens: number
  tokensInAll: number
  accounts: number
  differences: number
  readonly drift: Drift[]
}

/** Fails with `source-*`, `source-shrunk`, `directory-*`: then nobody is marked for what was not seen. */
export async function resync(ports: ResyncPorts, options: ResyncOptions): Promise<ResyncReport> {
  const tally: Tally = { tokens: 0, tokensInAll: 0, accounts: 0, differences: 0, drift: [] }
  const run = await ports.truth.nextRun()
  await compareTokens(ports, run, options, tally)
  await markUnseen(ports, run, options, tally)
  if (!options.isDryRun) await markUnread(ports)
  for (const name of ports.directory.names()) await compareAccounts(ports, name, options, tally)
  const { tokens, accounts, differences, drift } = tally
  return { tokens, accounts, differences, drift }
}

async function compareTokens(ports: ResyncPorts, run: number, options: ResyncOptions, tally: Tally): Promise<void> {
  const known = await ports.truth.countTokens()
  // On a new server there is nothing to compare; what events said before stays until a token shows.
  if (known === 0 && (await ports.source.showsNoToken())) return
  await ports.source.proveTokenList()
  for await (const page of ports.source.walkTokens()) {
    checkShrunk(page.count, known, ports.resync.shrinkLimit)
    tally.tokensInAll = page.count
    tally.tokens += page.tokens.length
    const serials = page.tokens.map((token) => token.serial)
    const recorded = await ports.truth.tokensOf(serials)
    await compareTokenPage(ports, page.tokens, recorded, options, tally)
    await ports.truth.see(run, serials)
    options.onProgress?.(tally)
  }
}

/** A source that suddenly knows far less is taken for broken. */
function checkShrunk(count: number, known: number, limit: number): void {
  if (known < SHRINK_FROM_TOKENS || count >= known * (1 - limit)) return
  throw new AppError(
    'source-shrunk',
    `privacyIDEA shows ${count} tokens where ${known} are on record: that is more than ${Math.round(limit * 100)} % fewer`,
    {
      hint: 'Nothing was changed. Look whether it is the right server and whether the account still sees every realm; if it is true, raise resync.shrinkLimit once.',
    },
  )
}

async function compareTokenPage(
  ports: ResyncPorts,
  tokens: readonly Token[],
  recorded: ReadonlyMap<Serial, RecordedToken>,
  options: ResyncOptions,
  tally: Tally,
): Promise<void> {
  const accounts = new Map<AccountKey, NotedAccount>()
  const keys = new Set<AccountKey>()
  for (const token of tokens) {
    const before = recorded.get(token.serial)
    const why = differenceOf(token, before, ports) ?? (await differenceOfAll(token, before, ports))
    if (why === null) continue
    const account = token.owner.kind === 'user' ? await accountOfUser(token.owner, ports) : null
    if (account === null && before === undefined) continue
    if (account !== null) accounts.set(account.key, account)
    if (before !== undefined && before.accountKey !== account?.key) keys.add(before.accountKey)
    tell(tally, {
      account: account?.dn ?? before?.accountKey ?? '',
      serial: token.serial,
      now: before === undefined ? 'not on record' : before.isLocked ? 'locked' : 'open',
      should: account === null ? 'not its own' : isLockedAlone(token, ports.policy) ? 'locked' : 'open',
      why,
    })
  }
  if (options.isDryRun) return
  if (accounts.size > 0) await ports.truth.hint([...accounts.values()])
  if (keys.size > 0) await ports.truth.hintKeys([...keys])
}

/** Why a token does not fit its record, or null. By a single token it cannot be told whether all of a user's are locked. */
function differenceOf(token: Token, before: RecordedToken | undefined, ports: ResyncPorts): string | null {
  const { owner } = token
  if (owner.kind === 'user') {
    if (before === undefined) return `the token of ${owner.login} is not on record`
    if (!isStillHis(owner, before)) return `the token now belongs to ${owner.login}`
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
async function markUnseen(ports: ResyncPorts, run: number, options: ResyncOptions, tally: Tally): Promise<void> {
  for await (const page of ports.truth.unseen(run)) {
    for (const { serial, accountKey, isLocked } of page) {
      const now = isLocked ? 'locked' : 'open'
      tell(tally, { account: accountKey, serial, now, should: 'not its own', why: 'the token is gone' })
    }
    if (!options.isDryRun) await ports.truth.hintKeys([...new Set(page.map(({ accountKey }) => accountKey))])
  }
}

/** Holds that events of mode `events` made, and that no token was found for. */
async function markUnread(ports: ResyncPorts): Promise<void> {
  for await (const keys of ports.truth.unreadHolds()) await ports.truth.hintKeys(keys)
}

async function compareAccounts(
  ports: ResyncPorts,
  name: DirectoryName,
  options: ResyncOptions,
  tally: Tally,
): Promise<void> {
  let page: ObservedState[] = []
  for await (const observed of ports.directory.walkMarked(name)) {
    tally.accounts++
    page.push(observed)
    if (page.length < ACCOUNTS_AT_ONCE) continue
    await takeBackStrays(ports, await straysOf(ports, page), options, tally)
    page = []
    options.onProgress?.(tally)
  }
  await takeBackStrays(ports, await straysOf(ports, page), options, tally)
  options.onProgress?.(tally)
}

interface Stray {
  readonly serial: Serial
  readonly observed: ObservedState
}

async function straysOf(ports: ResyncPorts, accounts: readonly ObservedState[]): Promise<Stray[]> {
  const carried = accounts.flatMap((observed) =>
    serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues).map((serial) => ({
      serial,
      observed,
    })),
  )
  const recorded = await ports.truth.tokensOf(carried.map(({ serial }) => serial))
  return carried.filter(({ serial, observed }) => recorded.get(serial)?.accountKey !== observed.key)
}

/** Serials that stand at accounts which the record does not know as theirs: privacyIDEA says whose they are. */
async function takeBackStrays(
  ports: ResyncPorts,
  strays: readonly Stray[],
  options: ResyncOptions,
  tally: Tally,
): Promise<void> {
  if (strays.length === 0) return
  // Whatever is read of these accounts meanwhile is newer.
  const atUs = ports.clock.nowMs() * 1000
  const found = new Map(
    (await ports.source.tokensBySerial(strays.map(({ serial }) => serial))).map((t) => [t.serial, t]),
  )
  for (const { serial, observed } of strays) {
    const owner = found.get(serial)?.owner
    if (owner !== undefined && owner.kind !== 'user' && owner.kind !== 'none') continue
    const account = owner?.kind === 'user' ? await accountOfUser(owner, ports) : null
    if (account?.key === observed.key) continue
    const why = owner === undefined ? 'no such token exists' : `the token is not that of this account`
    tell(tally, { account: observed.dn, serial, now: 'carried', should: 'not carried', why })
    if (options.isDryRun) continue
    await ports.truth.hint([{ key: observed.key, dn: observed.dn, login: null, realm: null }])
    const before = { tokens: [{ serial, isLocked: false }], lockout: null }
    const truth = { tokens: [], gone: [serial], lockout: 'unknown' as const }
    const events = deriveEvents(observed.key, before, truth, atUs, () => ports.newId())
    await ports.truth.record(observed.key, { user: null, truth, reset: [], events })
  }
}

function tell(tally: Tally, drift: Drift): void {
  tally.differences++
  if (tally.drift.length < DRIFT_MAX) tally.drift.push(drift)
}

import type { ResyncRecordPort } from '../ports/resync.ts'
import type { AccountKey, Serial } from '../core/names.ts'
import type { Token, UserOfSource } from '../core/token.ts'
import { isLockedAlone, isSameLockout } from '../core/truth.ts'
import type { NotedAccount, RecordedToken } from '../ports/store.ts'
import type { FailCountFloor } from './fail-count-floor.ts'
import { lockoutOf, type Lockouts } from './lockouts.ts'
import { LogTail } from './log-tail.ts'
import { accountOfUser, isStillHis, type TruthPorts } from './truth.ts'

/**
 * The quick look (mode `api`): the fullest tokens, those that hold an account, those that the authentication log names,
 * and the users that privacyIDEA keeps out. What differs from the record marks its account; what is to be done is decided by whoever looks at that. So locks and
 * unlocks that no event told are found, and a sweep that misses something costs time and nothing else.
 */
export interface ScanPorts extends TruthPorts {
  readonly lockouts: Lockouts
  readonly failCounts: Pick<FailCountFloor, 'value'>
  readonly record: Pick<ResyncRecordPort, 'countTokens'>
}

export interface ScanReport {
  /** Tokens that were looked at. */
  readonly tokens: number
  /** Accounts that were marked. */
  readonly marked: number
  /** False: so many tokens have failed that a full one may lie below those that were looked at. */
  readonly isComplete: boolean
}

/** Users without an account, remembered so that they are not searched for at every scan. */
const STRANGERS_MAX = 10_000

export class Scanner {
  readonly #ports: ScanPorts
  /** What a token said at the last scan; what it says again needs no other look. */
  #said = new Map<Serial, string>()
  readonly #log: LogTail
  readonly #strangers = new Set<string>()

  constructor(ports: ScanPorts) {
    this.#ports = ports
    this.#log = new LogTail(ports.source)
  }

  /** Fails with `source-*`; what was found until then is marked. */
  async scan(): Promise<ScanReport> {
    const { source, truth, failCounts, record } = this.#ports
    const said = new Map<Serial, string>()
    const { tokens, isComplete, isEmpty } = await source.fullestTokens(failCounts.value)
    // Where tokens are on record, one that shows none has taken them away or does not show them.
    if (isEmpty && (await record.countTokens()) > 0) await source.proveTokenList()
    let marked = await this.#compare(tokens, said)
    let looked = tokens.length
    const seen = new Set(tokens.map((token) => token.serial))
    for await (const page of truth.lockedTokens()) {
      const recorded = page.filter(({ serial }) => !seen.has(serial))
      const found = await source.tokensBySerial(recorded.map(({ serial }) => serial))
      const there = new Set(found.map((token) => token.serial))
      const gone = recorded.filter(({ serial }) => !there.has(serial)).map(({ accountKey }) => accountKey)
      await truth.hintKeys([...new Set(gone)])
      marked += gone.length + (await this.#compare(found, said))
      looked += recorded.length
    }
    const told = await this.#followLog(said)
    looked += told.tokens
    this.#said = said
    marked += told.marked + (await this.#compareLockouts())
    return { tokens: looked, marked, isComplete }
  }

  /** Tokens that the authentication log names and that were not looked at yet, and the users of failures without one. */
  async #followLog(said: Map<Serial, string>): Promise<{ tokens: number; marked: number }> {
    const { source, truth } = this.#ports
    const { serials, users } = await this.#log.read()
    const others = serials.filter((serial) => !said.has(serial))
    const found = others.length === 0 ? [] : await source.tokensBySerial(others)
    const marked = await this.#compare(found, said)
    const accounts = new Map<AccountKey, NotedAccount>()
    for (const user of users) {
      const account = await this.#accountOf(user)
      if (account !== null) accounts.set(account.key, account)
    }
    if (accounts.size > 0) await truth.hint([...accounts.values()])
    return { tokens: others.length, marked: marked + accounts.size }
  }

  /** @returns how many accounts were marked */
  async #compare(tokens: readonly Token[], said: Map<Serial, string>): Promise<number> {
    const recorded = await this.#ports.truth.tokensOf(tokens.map((token) => token.serial))
    const differing = tokens.filter((token) => {
      const says = signature(token)
      said.set(token.serial, says)
      const before = this.#said.get(token.serial)
      if (before !== undefined && before !== says) return true
      const known = recorded.get(token.serial)
      if (before === undefined) return hasMoved(token, known) || this.#differs(token, known)
      return this.#isToldAlone(token) && this.#differs(token, known)
    })
    return this.#hint(differing, recorded)
  }

  /**
   * Such a token is compared with the record at every scan: between two of them it may have been reset, read, and be full
   * again. Others say nothing alone, or their owner cannot be read, and are looked at when they change.
   */
  #isToldAlone({ owner }: Token): boolean {
    const { lockWhen } = this.#ports.policy
    return lockWhen === 'any-token-locked' && (owner.kind === 'user' || owner.kind === 'none')
  }

  #differs(token: Token, recorded: RecordedToken | undefined): boolean {
    return isLockedAlone(token, this.#ports.policy) !== (recorded?.isLocked ?? false)
  }

  async #hint(tokens: readonly Token[], recorded: ReadonlyMap<Serial, RecordedToken>): Promise<number> {
    const keys = new Set<AccountKey>()
    const accounts = new Map<AccountKey, NotedAccount>()
    for (const token of tokens) {
      const known = recorded.get(token.serial)
      if (known !== undefined) keys.add(known.accountKey)
      if (token.owner.kind !== 'user') continue
      const account = await this.#accountOf(token.owner)
      if (account !== null) accounts.set(account.key, account)
    }
    for (const key of accounts.keys()) keys.delete(key)
    if (accounts.size > 0) await this.#ports.truth.hint([...accounts.values()])
    if (keys.size > 0) await this.#ports.truth.hintKeys([...keys])
    return accounts.size + keys.size
  }

  async #accountOf(user: UserOfSource): Promise<NotedAccount | null> {
    const name = `${user.resolver} ${user.userId} ${user.login} ${user.realm}`
    if (this.#strangers.has(name)) return null
    const account = await accountOfUser(user, this.#ports)
    if (account === null && this.#strangers.size < STRANGERS_MAX) this.#strangers.add(name)
    return account
  }

  /** A full resync looks for everybody again. */
  forgetStrangers(): void {
    this.#strangers.clear()
    this.#log.reopen()
  }

  async #compareLockouts(): Promise<number> {
    const { lockouts, truth } = this.#ports
    const now = await lockouts.list()
    if (now === null) return 0
    const known = await truth.lockouts()
    const found = new Map<AccountKey, NotedAccount>()
    const standing = new Map<AccountKey, boolean>()
    for (const each of now) {
      const account = await this.#accountOf(each.user)
      if (account === null) continue
      // Of several users with one account, the record keeps the lockout that lasts longest.
      const isKnown = isSameLockout(known.get(account.key) ?? null, lockoutOf(each))
      standing.set(account.key, isKnown || (standing.get(account.key) ?? false))
      found.set(account.key, account)
    }
    for (const [key, isKnown] of standing) if (isKnown) found.delete(key)
    const ended = [...known.keys()].filter((key) => !standing.has(key))
    if (found.size > 0) await truth.hint([...found.values()])
    if (ended.length > 0) await truth.hintKeys(ended)
    return found.size + ended.length
  }
}

function hasMoved({ owner }: Token, known: RecordedToken | undefined): boolean {
  if (known === undefined) return false
  return owner.kind === 'none' || (owner.kind === 'user' && !isStillHis(owner, known))
}

/** What of a token matters; a fail counter that only rises does not. */
function signature({ isFull, isActive, isRevoked, isEnrolled, owner }: Token): string {
  const whose = owner.kind === 'none' ? [] : [owner.resolver, owner.userId]
  return JSON.stringify([isFull, isActive, isRevoked, isEnrolled, owner.kind, ...whose])
}

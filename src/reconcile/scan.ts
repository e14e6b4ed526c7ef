import type { AccountKey, Serial } from '../core/names.ts'
import type { Token, UserOfSource } from '../core/token.ts'
import { tokenTruths } from '../core/truth.ts'
import type { UserLockout } from '../ports/privacyidea.ts'
import type { NotedAccount, RecordedToken } from '../ports/store.ts'
import { lockoutOf, type Lockouts } from './lockouts.ts'
import { accountOfUser, type TruthPorts } from './truth.ts'

/**
 * The quick look (mode `api`): the fullest tokens, those that hold an account, and the users that privacyIDEA keeps out.
 * What differs from the record marks its account; what is to be done is decided by whoever looks at that. So locks and
 * unlocks that no event told are found, and a sweep that misses something costs time and nothing else.
 */
export interface ScanPorts extends TruthPorts {
  readonly lockouts: Lockouts
}

export interface ScanReport {
  /** Tokens that were looked at. */
  readonly tokens: number
  /** Accounts that were marked. */
  readonly marked: number
}

const ASK_AGAIN_MS = 30_000
/** Users without an account, remembered so that they are not searched for at every scan. */
const STRANGERS_MAX = 10_000

export class Scanner {
  readonly #ports: ScanPorts
  /** Where all of a user's tokens have to be full: when a full one that does not hold him was asked about last. */
  #asked = new Map<Serial, number>()
  #failCountMin = 1
  readonly #strangers = new Set<string>()

  constructor(ports: ScanPorts) {
    this.#ports = ports
  }

  /** Fails with `source-*`; what was found until then is marked. */
  async scan(): Promise<ScanReport> {
    const { source, truth } = this.#ports
    const asked = new Map<Serial, number>()
    const { tokens } = await source.fullestTokens(this.#failCountMin)
    this.#failCountMin = lowestMax(tokens, this.#failCountMin)
    let marked = await this.#compare(tokens, asked)
    let looked = tokens.length
    const seen = new Set(tokens.map((token) => token.serial))
    for await (const page of truth.lockedTokens()) {
      const recorded = page.filter(({ serial }) => !seen.has(serial))
      const found = await source.tokensBySerial(recorded.map(({ serial }) => serial))
      const there = new Set(found.map((token) => token.serial))
      const gone = recorded.filter(({ serial }) => !there.has(serial)).map(({ accountKey }) => accountKey)
      await truth.hintKeys([...new Set(gone)])
      marked += gone.length + (await this.#compare(found, asked))
      looked += recorded.length
    }
    this.#asked = asked
    marked += await this.#compareLockouts()
    return { tokens: looked, marked }
  }

  /** @returns how many accounts were marked */
  async #compare(tokens: readonly Token[], asked: Map<Serial, number>): Promise<number> {
    const recorded = await this.#ports.truth.tokensOf(tokens.map((token) => token.serial))
    const differing = tokens.filter((token) => {
      if (!this.#differs(token, recorded.get(token.serial))) return false
      // Of one token it cannot be told whether the others are full as well: that is asked now and then.
      const isHeld = recorded.get(token.serial)?.isLocked === true
      if (isHeld || this.#ports.policy.lockWhen === 'any-token-locked') return true
      const nowMs = this.#ports.clock.nowMs()
      const askedMs = this.#asked.get(token.serial) ?? 0
      const isDue = nowMs - askedMs >= ASK_AGAIN_MS
      asked.set(token.serial, isDue ? nowMs : askedMs)
      return isDue
    })
    return this.#hint(differing, recorded)
  }

  #differs(token: Token, recorded: RecordedToken | undefined): boolean {
    const isLocked = tokenTruths([token], this.#ports.policy)[0]?.isLocked ?? false
    return isLocked !== (recorded?.isLocked ?? false) || (recorded !== undefined && isOthers(token, recorded))
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
  }

  async #compareLockouts(): Promise<number> {
    const { lockouts, truth } = this.#ports
    const now = await lockouts.list()
    if (now === null) return 0
    const known = await truth.lockouts()
    const found = new Map<AccountKey, NotedAccount>()
    const standing = new Set<AccountKey>()
    for (const each of now) {
      const account = await this.#accountOf(each.user)
      if (account === null) continue
      standing.add(account.key)
      if (!isSame(known.get(account.key), each)) found.set(account.key, account)
    }
    const ended = [...known.keys()].filter((key) => !standing.has(key))
    if (found.size > 0) await truth.hint([...found.values()])
    if (ended.length > 0) await truth.hintKeys(ended)
    return found.size + ended.length
  }
}

/** The token is no longer that of the account on record. */
function isOthers({ owner }: Token, { userId }: RecordedToken): boolean {
  return owner.kind === 'none' || (owner.kind === 'user' && userId !== null && owner.userId !== userId)
}

function isSame(known: { untilUs: number | null } | undefined, lockout: UserLockout): boolean {
  return known !== undefined && known.untilUs === lockoutOf(lockout).untilUs
}

function lowestMax(tokens: readonly Token[], before: number): number {
  const all = tokens.map((token) => token.failCountMax).filter((max) => max > 0)
  return all.length === 0 ? before : Math.max(1, Math.min(...all))
}

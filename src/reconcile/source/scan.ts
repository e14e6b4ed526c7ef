import type { ResyncRecordPort } from '../../ports/store/resync.ts'
import type { AccountKey, Serial } from '../../core/names.ts'
import type { Token, UserOfSource } from '../../core/source/token.ts'
import { isLockedAlone, isSameLockout } from '../../core/source/snapshot.ts'
import type { UnplacedToken } from '../../core/reasons/unplaced.ts'
import type { NotedAccount, RecordedToken } from '../../ports/store/store.ts'
import type { FailCountFloor } from './fail-count-floor.ts'
import { lockoutOf, type Lockouts } from './lockouts.ts'
import { LogTail } from './log-tail.ts'
import { causeOfOwner, placeOfUser, unplacedToken, type Place } from '../place.ts'
import { CHECK_AGE_MAX_MS, isStillTheirs, type SnapshotPorts } from './snapshot.ts'

/**
 * The quick scan (mode `api`): the fullest tokens, those that hold an account, those that the authentication log names,
 * and the users that privacyIDEA locks out. A difference from the record marks its account; the turn of the account
 * decides what is to be done. So locks and unlocks without an event are found, and a sweep that misses something costs
 * time and nothing else.
 */
export interface ScanPorts extends SnapshotPorts {
  readonly lockouts: Lockouts
  readonly failCounts: Pick<FailCountFloor, 'value'>
  readonly record: Pick<ResyncRecordPort, 'countTokens'>
}

export interface ScanReport {
  /** Tokens that were looked at. */
  readonly tokens: number
  /** Accounts that were marked. */
  readonly marked: number
  /** False: so many tokens have failed that a full one may be below those that were read. */
  readonly isComplete: boolean
}

/** Users without an account, remembered so that they are not searched for at every scan. */
const UNKNOWN_OWNERS_MAX = 10_000

export class Scanner {
  readonly #ports: ScanPorts
  /** The state of a token at the last scan; an unchanged one needs no further reading. */
  #said = new Map<Serial, string>()
  readonly #log: LogTail
  readonly #unknownOwners = new Map<string, Place>()
  /** Tokens on record whose owners have no account, and that are to be read; and as what this scanner noted each. */
  #noted = new Map<Serial, string | null>()
  /** Those of them that have to be observed a second time. */
  readonly #due = new Set<Serial>()

  constructor(ports: ScanPorts) {
    this.#ports = ports
    this.#log = new LogTail(ports.source)
  }

  /** Fails with `source-*`; what was found until then is marked. */
  async scan(): Promise<ScanReport> {
    const { source, snapshots: snapshot, failCounts, record } = this.#ports
    const said = new Map<Serial, string>()
    const { tokens, isComplete, isEmpty } = await source.fullestTokens(failCounts.value)
    // Where tokens are on record, a privacyIDEA that shows none has removed them or does not show them.
    if (isEmpty && (await record.countTokens()) > 0) await source.proveTokenList()
    this.#noted = await this.#readNoted()
    let marked = await this.#compare(tokens, said)
    let looked = tokens.length
    const seen = new Set(tokens.map((token) => token.serial))
    for await (const page of snapshot.lockedTokens()) {
      const recorded = page.filter(({ serial }) => !seen.has(serial))
      const found = await source.tokensBySerial(recorded.map(({ serial }) => serial))
      const there = new Set(found.map((token) => token.serial))
      const gone = recorded
        .filter(({ serial, isLossHeld }) => !there.has(serial) && !isLossHeld)
        .map(({ accountKey }) => accountKey)
      marked += (await this.#hintAbsent([...new Set(gone)])) + (await this.#compare(found, said))
      looked += recorded.length
    }
    looked += await this.#lookAtNoted(said)
    const followed = await this.#followLog(said)
    looked += followed.tokens
    this.#said = said
    marked += followed.marked + (await this.#compareLockouts())
    return { tokens: looked, marked, isComplete }
  }

  async #readNoted(): Promise<Map<Serial, string | null>> {
    const noted = new Map<Serial, string | null>()
    this.#due.clear()
    for await (const page of this.#ports.unplaced.toLookAt()) {
      for (const { serial, isDue } of page) {
        noted.set(serial, this.#noted.get(serial) ?? null)
        if (isDue) this.#due.add(serial)
      }
    }
    return noted
  }

  /** Those that are on record unchanged need no write: there may be thousands, and a scan every few seconds. */
  async #note(unknownOwners: readonly UnplacedToken[]): Promise<void> {
    const changed = unknownOwners.filter((token) => this.#noted.get(token.serial) !== JSON.stringify(token))
    await this.#ports.unplaced.note(changed)
    for (const token of changed) this.#noted.set(token.serial, JSON.stringify(token))
  }

  /** Tokens not seen by this scan, or to be seen twice: they may be open again, have an account now, or be gone. */
  async #lookAtNoted(said: Map<Serial, string>): Promise<number> {
    const { source, unplaced, policy } = this.#ports
    const serials = [...this.#noted.keys()].filter((serial) => !said.has(serial) || this.#due.has(serial))
    if (serials.length === 0) return 0
    const found = new Map((await source.tokensBySerial(serials)).map((token) => [token.serial, token]))
    const over: Serial[] = []
    const open: UnplacedToken[] = []
    for (const serial of serials) {
      const token = found.get(serial)
      if (token === undefined || token.owner.kind === 'none') over.push(serial)
      else {
        const place = token.owner.kind === 'user' ? await this.#placeOf(token.owner) : null
        const cause =
          place === null ? await causeOfOwner(token, source) : place.kind === 'unplaced' ? place.cause : null
        if (place?.kind === 'account' || place?.kind === 'excluded') over.push(serial)
        else if (cause !== null && (this.#due.has(serial) || !isLockedAlone(token, policy)))
          open.push(unplacedToken(token, cause, policy))
      }
    }
    await unplaced.forget(over)
    await unplaced.note(open)
    return serials.length
  }

  /** Tokens that the authentication log names and that were not read yet, and the users of failures without one. */
  async #followLog(said: Map<Serial, string>): Promise<{ tokens: number; marked: number }> {
    const { source, snapshots: snapshot } = this.#ports
    const marks = await this.#log.read()
    const others = marks.serials.filter((serial) => !said.has(serial))
    let found: readonly Token[]
    try {
      found = others.length === 0 ? [] : await source.tokensBySerial(others)
    } catch (thrown) {
      this.#log.keep(marks)
      throw thrown
    }
    const marked = await this.#compare(found, said)
    const accounts = new Map<AccountKey, NotedAccount>()
    const left: UserOfSource[] = []
    for (const user of marks.users) {
      const place = await this.#placeOf(user)
      if (place.kind === 'account') accounts.set(place.account.key, place.account)
      if (place.kind === 'silent') left.push(user)
    }
    this.#log.keep({ serials: [], users: left })
    if (accounts.size > 0) await snapshot.markForRefresh([...accounts.values()])
    return { tokens: others.length, marked: marked + accounts.size }
  }

  /** @returns how many accounts were marked */
  async #compare(tokens: readonly Token[], said: Map<Serial, string>): Promise<number> {
    const recorded = await this.#ports.snapshots.tokensOf(tokens.map((token) => token.serial))
    const again = new Set<Serial>()
    const differing = tokens.filter((token) => {
      const says = signature(token)
      said.set(token.serial, says)
      const before = this.#said.get(token.serial)
      const known = recorded.get(token.serial)
      // A loss that is held back is nothing new; a token that is listed again is.
      if (known?.isLossHeld === true) return token.owner.kind === 'user'
      if (before !== undefined && before !== says) return true
      if (before === undefined) return hasMoved(token, known) || this.#differs(token, known)
      if (!this.#isToldAlone(token) || !this.#differs(token, known)) return false
      if (known !== undefined) again.add(token.serial)
      return true
    })
    // Another privacyIDEA keeps differing from the record: once is enough.
    const isOther = again.size > 0 && (await this.#ports.check.isOther(CHECK_AGE_MAX_MS))
    return this.#hint(isOther ? differing.filter(({ serial }) => !again.has(serial)) : differing, recorded, said)
  }

  /** What is no longer shown. What another privacyIDEA does not show proves nothing. @returns how many were marked */
  async #hintAbsent(keys: readonly AccountKey[]): Promise<number> {
    if (keys.length === 0 || (await this.#ports.check.isOther(CHECK_AGE_MAX_MS))) return 0
    await this.#ports.snapshots.markKeysForRefresh(keys)
    return keys.length
  }

  /**
   * Such a token is compared with the record at every scan: between two of them it may have been reset, read, and be
   * full again. Others have no effect alone, or their owner cannot be read, and are read when they change.
   */
  #isToldAlone({ owner }: Token): boolean {
    const { lockWhen } = this.#ports.policy
    return lockWhen === 'any-token-locked' && (owner.kind === 'user' || owner.kind === 'none')
  }

  #differs(token: Token, recorded: RecordedToken | undefined): boolean {
    return isLockedAlone(token, this.#ports.policy) !== (recorded?.isLocked ?? false)
  }

  async #hint(
    tokens: readonly Token[],
    recorded: ReadonlyMap<Serial, RecordedToken>,
    said: Map<Serial, string>,
  ): Promise<number> {
    const { snapshots: snapshot, unplaced, policy, source } = this.#ports
    const keys = new Set<AccountKey>()
    const accounts = new Map<AccountKey, NotedAccount>()
    const unknownOwners: UnplacedToken[] = []
    const placed: Serial[] = []
    for (const token of tokens) {
      const known = recorded.get(token.serial)
      if (known !== undefined) keys.add(known.accountKey)
      const place = token.owner.kind === 'user' ? await this.#placeOf(token.owner) : null
      // The next scan reads those that could not be asked about; nobody else waits for that.
      if (place?.kind === 'silent') said.delete(token.serial)
      if (place?.kind === 'account') {
        accounts.set(place.account.key, place.account)
        if (this.#noted.has(token.serial)) placed.push(token.serial)
      } else if (isLockedAlone(token, policy)) {
        const cause =
          place === null ? await causeOfOwner(token, source) : place.kind === 'unplaced' ? place.cause : null
        const isOnRecord = known !== undefined && (cause === 'user-gone' || cause === 'unreadable')
        if (cause !== null && !isOnRecord) unknownOwners.push(unplacedToken(token, cause, policy))
      }
    }
    await this.#note(unknownOwners)
    await unplaced.forget(placed)
    for (const key of accounts.keys()) keys.delete(key)
    if (accounts.size > 0) await snapshot.markForRefresh([...accounts.values()])
    if (keys.size > 0) await snapshot.markKeysForRefresh([...keys])
    return accounts.size + keys.size
  }

  async #placeOf(user: UserOfSource): Promise<Place> {
    const name = `${user.resolver} ${user.userId} ${user.login} ${user.realm}`
    const before = this.#unknownOwners.get(name)
    if (before !== undefined) return before
    const place = await placeOfUser(user, this.#ports)
    const isUnknownOwner = place.kind === 'unplaced' || place.kind === 'excluded'
    if (isUnknownOwner && this.#unknownOwners.size < UNKNOWN_OWNERS_MAX) this.#unknownOwners.set(name, place)
    return place
  }

  /** A full resync looks for everybody again. */
  forgetUnknownOwners(): void {
    this.#unknownOwners.clear()
    this.#log.reopen()
  }

  async #compareLockouts(): Promise<number> {
    const { lockouts, snapshots: snapshot } = this.#ports
    const now = await lockouts.list()
    if (now === null) return 0
    const known = await snapshot.lockouts()
    const found = new Map<AccountKey, NotedAccount>()
    const status = new Map<AccountKey, boolean>()
    for (const each of now.lockouts) {
      const place = await this.#placeOf(each.user)
      // A directory that does not answer proves nothing about the account that is on record.
      if (place.kind === 'silent') for (const key of await snapshot.accountsOfUser(each.user)) status.set(key, true)
      if (place.kind !== 'account') continue
      const { account } = place
      // Of several users with one account, the record keeps the lockout that lasts longest.
      const isKnown = isSameLockout(known.get(account.key) ?? null, lockoutOf(each))
      status.set(account.key, isKnown || (status.get(account.key) ?? false))
      found.set(account.key, account)
    }
    for (const [key, isKnown] of status) if (isKnown) found.delete(key)
    const ended = [...known.keys()].filter((key) => !status.has(key))
    if (found.size > 0) await snapshot.markForRefresh([...found.values()])
    return found.size + (await this.#hintAbsent(ended))
  }
}

function hasMoved({ owner }: Token, known: RecordedToken | undefined): boolean {
  if (known === undefined) return false
  return owner.kind === 'none' || (owner.kind === 'user' && !isStillTheirs(owner, known))
}

/** The properties of a token that matter; a fail counter that only rises does not. */
function signature({ isFull, isActive, isRevoked, isEnrolled, owner }: Token): string {
  const whose = owner.kind === 'none' ? [] : [owner.resolver, owner.userId]
  return JSON.stringify([isFull, isActive, isRevoked, isEnrolled, owner.kind, ...whose])
}

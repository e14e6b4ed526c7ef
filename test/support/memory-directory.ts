import type { Change, ChangeDraft } from '../../src/core/account/change.ts'
import { AppError, toAppError } from '../../src/core/error.ts'
import {
  accountKey,
  asDn,
  parseAccountId,
  type AccountKey,
  type DirectoryName,
  type Dn,
  type Login,
  type Realm,
  type Serial,
} from '../../src/core/names.ts'
import { integerOf, withBits } from '../../src/core/account/bit.ts'
import { spelledAmong } from '../../src/core/serials/serial-key.ts'
import type { LastWriter } from '../../src/core/account/late.ts'
import { duplicatesAmong, serialsIn } from '../../src/core/account/serial-values.ts'
import { isLocked } from '../../src/core/account/slot.ts'
import {
  hasValue,
  isOpenForSure,
  type AttributeValue,
  type DuplicateSerial,
  type EntryVersion,
  type LockObservation,
  type LockSlot,
  type ObservedState,
  type OtherLock,
} from '../../src/core/account/state.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { DirectoryPort, FoundAccount, ServerReading, ServerState } from '../../src/ports/directory.ts'
import { parseGeneralizedTime } from '../../src/directory/protocol/generalized-time.ts'
import { controlAfter, MEMORY_CONTROL_ATTRIBUTE, modified, raced } from './memory-modify.ts'
import type { MemoryAccount, MemoryFaults, MemoryOptions } from './memory-account.ts'
import { ReadingCache } from '../../src/directory/accounts/reading-cache.ts'

export const MEMORY_LOCK_ATTRIBUTE = 'pwdAccountLockedTime'
export const MEMORY_LOCKED = '000001010000Z'

/** What a lock of several places writes beside the first: two values among others, and one that is taken out. */
export const MEMORY_PLACES_ELSEWHERE = [
  { attribute: 'denied', mode: 'value', locked: 'mail' },
  { attribute: 'denied', mode: 'value', locked: 'vpn' },
  { attribute: 'allowed', mode: 'absent', locked: 'login' },
] as const
/** A lock that is a bit of an integer, as Active Directory's. */
export const MEMORY_DISABLED = 2
const MEMORY_CONTROL = '512'
const SERIAL_ATTRIBUTE = 'description'
const MEMORY_URL = 'memory:'
const READINGS_MAX = 4096
const DUPLICATES_MAX = 10

/**
 * A directory in memory with the contract of the real ones, for simulations: deterministic (time is the clock's, ids
 * are counted), with faults and with the edits that other people make. A time stamp as the lock's value counts as
 * somebody else's lock once its time has come, as with OpenLDAP and no lockout duration.
 */
export class MemoryDirectory implements DirectoryPort {
  readonly faults: MemoryFaults = { isDown: false, lostAnswers: [], effective: { is: 'yes' }, hidesWriters: false }
  /** Writes that were sent and have not arrived, the oldest first. */
  readonly onTheWay: { readonly change: ChangeDraft; readonly asRead: EntryVersion | undefined }[] = []
  /** Writes that happened. */
  writes = 0
  /** A lock of one attribute, as OpenLDAP's (default), of several places, as a custom one, or of a bit. */
  lockPlaces: 'one' | 'several' | 'bit'
  readonly #clock: Clock
  readonly #name: DirectoryName
  readonly #format: string
  readonly #isMultiValued: boolean
  readonly #hasVersions: boolean
  readonly #realms: ReadonlySet<Realm>
  readonly #accounts = new Map<AccountKey, MemoryAccount>()
  readonly #readings = new ReadingCache<MemoryAccount>(READINGS_MAX)
  #created = 0

  constructor(options: MemoryOptions, clock: Clock) {
    this.#clock = clock
    this.#name = options.name
    this.#format = options.serialFormat ?? 'privacyIDEA:{serial}'
    this.#isMultiValued = options.multiValued ?? true
    this.lockPlaces = options.lockPlaces ?? 'one'
    this.#hasVersions = options.hasVersions ?? false
    this.#realms = new Set(options.realms)
  }

  // ── what other people do ──

  addAccount(login: Login): AccountKey {
    this.#created += 1
    const id = parseAccountId(`00000000-0000-4000-8000-${this.#created.toString(16).padStart(12, '0')}`)
    if (id === null) throw new RangeError('an id that is none')
    const key = accountKey(this.#name, id)
    const dn = asDn(`uid=${login},ou=people,dc=example,dc=org`)
    const values = { serialValues: [], lockValues: [], denied: [], allowed: ['login'], control: [MEMORY_CONTROL] }
    const about = { protectedBy: null, otherLock: null, lastWriter: 'others', version: 0 } as const
    this.#accounts.set(key, { key, dn, login, ...values, ...about })
    return key
  }

  deleteAccount(key: AccountKey): void {
    this.#accounts.delete(key)
  }

  renameAccount(key: AccountKey, login: Login): void {
    this.edit(key, { login, dn: asDn(`uid=${login},ou=people,dc=example,dc=org`) })
  }

  /** @param value null: nobody's lock */
  setLock(key: AccountKey, value: AttributeValue | null): void {
    this.edit(key, { lockValues: value === null ? [] : [value] })
  }

  addSerialValue(key: AccountKey, value: AttributeValue): void {
    const { serialValues } = this.account(key)
    if (!hasValue(serialValues, value)) this.edit(key, { serialValues: [...serialValues, value] })
  }

  removeSerialValue(key: AccountKey, value: AttributeValue): void {
    const { serialValues } = this.account(key)
    this.edit(key, { serialValues: serialValues.filter((each) => !hasValue([each], value)) })
  }

  protect(key: AccountKey, reason: string | null): void {
    this.edit(key, { protectedBy: reason })
  }

  edit(key: AccountKey, change: Partial<MemoryAccount>): void {
    const account = this.account(key)
    this.#accounts.set(key, { ...account, lastWriter: 'others', ...change, version: account.version + 1 })
  }

  /** The oldest of the writes on the way arrives. @returns whether it succeeded */
  deliver(): boolean {
    const late = this.onTheWay.shift()
    if (late === undefined) return false
    try {
      this.#write(late.change, late.asRead)
      return true
    } catch (thrown) {
      if (thrown instanceof AppError) return false
      throw thrown
    }
  }

  /** How an account stands, for looking at it from outside; throws when there is none. */
  account(key: AccountKey): MemoryAccount {
    const account = this.#accounts.get(key)
    if (account === undefined) throw new RangeError(`no account ${key}`)
    return account
  }

  /** Whether a place of an account holds what a lock of ours writes there, by any author. */
  hasLockedPlace(key: AccountKey): boolean {
    return this.#lock(this.account(key)).slots.some((slot) => isLocked(slot))
  }

  accounts(): readonly MemoryAccount[] {
    return [...this.#accounts.values()]
  }

  serialsOf(key: AccountKey): Serial[] {
    return this.#serials(this.account(key))
  }

  // ── the port ──

  async findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount> {
    if (realm !== null && this.#realms.size > 0 && !this.#realms.has(realm)) {
      throw new AppError('realm-unmapped', `the realm ${realm} belongs to no directory`)
    }
    this.#mustBeUp()
    let found: MemoryAccount | null = null
    for (const account of this.#accounts.values()) {
      if (account.login !== login) continue
      if (found !== null) throw new AppError('ambiguous-match', `several accounts: ${found.dn} and ${account.dn}`)
      found = account
    }
    if (found === null) throw new AppError('unknown-user', `directory ${this.#name} has no account for this login`)
    return this.#found(found)
  }

  async findByUser({ login, realm, userId }: Parameters<DirectoryPort['findByUser']>[0]): Promise<FoundAccount> {
    this.#mustBeUp()
    const id = parseAccountId(userId)
    const known = id === null ? undefined : this.#accounts.get(accountKey(this.#name, id))
    return known === undefined ? this.findByLogin(login, realm) : this.#found(known)
  }

  async findByUsers(users: Parameters<DirectoryPort['findByUsers']>[0]): ReturnType<DirectoryPort['findByUsers']> {
    return Promise.all(users.map((user) => this.findByUser(user).catch((thrown: unknown) => toAppError(thrown))))
  }

  async findBySerial(serial: Serial): Promise<readonly FoundAccount[]> {
    this.#mustBeUp()
    return this.#carriersOf(serial)
      .slice(0, DUPLICATES_MAX)
      .map((account) => this.#found(account))
  }

  async *walkMarked(): AsyncGenerator<ObservedState> {
    this.#mustBeUp()
    for (const account of this.accounts()) {
      const isMarked = this.#serials(account).length > 0 || account.lockValues[0] === MEMORY_LOCKED
      if (isMarked) yield this.#observed(account, {})
    }
  }

  async *walkLocked(): AsyncGenerator<ObservedState> {
    this.#mustBeUp()
    for (const account of this.accounts()) {
      const observed = this.#observed(account, {})
      if (!isOpenForSure(observed.lock)) yield observed
    }
  }

  async observe(key: AccountKey, duplicatesOf: readonly Serial[], maxAgeMs: number): Promise<ObservedState> {
    const mayBeOld = duplicatesOf.length === 0 && maxAgeMs > 0
    const kept = mayBeOld ? this.#readings.get(key, this.#clock.nowMs(), maxAgeMs) : undefined
    if (kept !== undefined) return this.#observed(kept, {})
    this.#mustBeUp()
    const carriedElsewhere: Record<string, DuplicateSerial[]> = {}
    for (const serial of duplicatesOf) {
      const others = this.#carriersOf(serial).filter((account) => account.key !== key)
      const found = others.map(({ key: each, dn, ...account }) => ({ key: each, dn, serials: this.#serials(account) }))
      carriedElsewhere[serial] = duplicatesAmong(found, serial).slice(0, DUPLICATES_MAX)
    }
    return this.#observed(this.#keep(this.#existing(key)), carriedElsewhere)
  }

  async apply(change: Change | ChangeDraft, asRead?: EntryVersion): Promise<ObservedState> {
    this.#readings.drop(change.key)
    this.#mustBeUp()
    const lost = this.faults.lostAnswers.shift()
    if (lost === 'late') this.onTheWay.push({ change, asRead })
    else if (lost !== 'not-written') this.#write(change, asRead)
    if (lost !== undefined) throw new AppError('outcome-unknown', `the answer to the change of ${change.dn} was lost`)
    return this.#observed(this.#keep(this.#existing(change.key)), {})
  }

  async lastWriters(key: AccountKey, dns: readonly Dn[]): Promise<ReadonlyMap<Dn, LastWriter>> {
    this.#mustBeUp()
    const { lastWriter } = this.#existing(key)
    return new Map(dns.map((dn) => [dn, this.faults.hidesWriters ? 'unknown' : lastWriter]))
  }

  async observeAt(key: AccountKey): Promise<ObservedState | null> {
    return this.faults.isDown ? null : this.#observed(this.#existing(key), {})
  }

  async readLocks(_name: DirectoryName, keys: readonly AccountKey[]): Promise<readonly ServerReading[]> {
    const accounts = keys.flatMap((key) => this.#accounts.get(key) ?? [])
    const locks = new Map(accounts.map((each) => [each.key, { dn: each.dn, lock: this.#lock(each) }] as const))
    return [{ url: MEMORY_URL, error: null, locks }]
  }

  servers(): readonly ServerState[] {
    return [{ url: MEMORY_URL, is: this.faults.isDown ? 'down' : 'up', sinceMs: 0, reason: '' }]
  }

  async lookAtServers(): Promise<readonly ServerState[]> {
    return this.servers()
  }

  names(): readonly DirectoryName[] {
    return [this.#name]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // nothing is held
  }

  #write(change: ChangeDraft, asRead: EntryVersion | undefined): void {
    const account = this.#existing(change.key)
    if (asRead !== undefined && asRead.value !== String(account.version)) throw raced(`${account.dn} has changed`)
    let { serialValues, lockValues, denied, allowed, control } = account
    for (const step of change.forward) {
      if (step.dn !== account.dn) throw raced(`${step.dn} is now ${account.dn}`)
      control = controlAfter(control, step.modifications)
      for (const modification of step.modifications) {
        if (modification.attribute === SERIAL_ATTRIBUTE) {
          serialValues = modified(serialValues, modification, this.#isMultiValued)
        } else if (modification.attribute === MEMORY_LOCK_ATTRIBUTE) {
          lockValues = modified(lockValues, modification, false)
        } else if (modification.attribute === 'denied') denied = modified(denied, modification, true)
        else if (modification.attribute === 'allowed') allowed = modified(allowed, modification, true)
        else if (modification.attribute !== MEMORY_CONTROL_ATTRIBUTE)
          throw new AppError('directory-refused', `no attribute ${modification.attribute} here`)
      }
    }
    const version = account.version + 1
    const values = { serialValues, lockValues, denied, allowed, control }
    this.#accounts.set(account.key, { ...account, ...values, lastWriter: 'us', version })
    this.writes += 1
  }

  #observed(account: MemoryAccount, carriedElsewhere: ObservedState['carriedElsewhere']): ObservedState {
    return {
      key: account.key,
      dn: account.dn,
      serialAttribute: SERIAL_ATTRIBUTE,
      serialAttributeMultiValued: this.#isMultiValued,
      serialFormat: this.#format,
      serialValues: account.serialValues,
      carriedElsewhere,
      lock: this.#lock(account),
      protectedBy: account.protectedBy,
      ...(this.#hasVersions ? { version: { url: MEMORY_URL, value: String(account.version) } } : {}),
    }
  }

  #lock(account: MemoryAccount): LockObservation {
    if (this.lockPlaces === 'bit') return this.#bitLock(account)
    const current = account.lockValues
    const { dn } = account
    const first: LockSlot = {
      dn,
      attribute: MEMORY_LOCK_ATTRIBUTE,
      mode: 'whole',
      current,
      locked: [MEMORY_LOCKED],
      unlocked: [],
    }
    if (this.lockPlaces === 'several') {
      const others = MEMORY_PLACES_ELSEWHERE.map(({ attribute, mode, locked }): LockSlot => {
        return { dn, attribute, mode, current: account[attribute], locked: [locked] }
      })
      const slots = [first, ...others]
      const isAll = slots.every((slot) => isLocked(slot))
      return { state: isAll ? 'as-ours' : 'open', other: account.otherLock, slots, effective: this.faults.effective }
    }
    const slots = [first]
    const [value] = current
    const state = value === MEMORY_LOCKED ? 'as-ours' : 'open'
    const stamp = value === undefined || value === MEMORY_LOCKED ? null : this.#lockOfStamp(value)
    return { state, other: account.otherLock ?? stamp, slots, effective: this.faults.effective }
  }

  #bitLock(account: MemoryAccount): LockObservation {
    const { dn, control } = account
    const locked = control.map((text) => withBits(String(text), MEMORY_DISABLED))
    const unlocked = control.map((text) => String(Number(text) & ~MEMORY_DISABLED))
    const slot: LockSlot = { dn, attribute: MEMORY_CONTROL_ATTRIBUTE, mode: 'bit', current: control, locked, unlocked }
    const isSet = ((integerOf(control) ?? 0) & MEMORY_DISABLED) !== 0
    return {
      state: isSet ? 'as-ours' : 'open',
      other: account.otherLock,
      slots: [slot],
      effective: this.faults.effective,
    }
  }

  #lockOfStamp(value: AttributeValue): OtherLock | null {
    const sinceMs = typeof value === 'string' ? parseGeneralizedTime(value) : null
    if (sinceMs !== null && sinceMs > this.#clock.nowMs()) return null
    return { is: 'locked', cause: 'too-many-failures', attribute: MEMORY_LOCK_ATTRIBUTE, untilUs: null }
  }

  #carriersOf(serial: Serial): MemoryAccount[] {
    const found: MemoryAccount[] = []
    for (const account of this.#accounts.values()) {
      if (account.serialValues.length > 0 && spelledAmong(this.#serials(account), serial) !== null) found.push(account)
    }
    return found
  }

  #serials(account: Pick<MemoryAccount, 'serialValues'>): Serial[] {
    return serialsIn(this.#format, this.#isMultiValued, account.serialValues)
  }

  #found(account: MemoryAccount): FoundAccount {
    this.#keep(account)
    return { key: account.key, dn: account.dn, login: account.login, serials: this.#serials(account) }
  }

  #keep(account: MemoryAccount): MemoryAccount {
    this.#readings.put(account.key, account, this.#clock.nowMs())
    return account
  }

  #existing(key: AccountKey): MemoryAccount {
    const account = this.#accounts.get(key)
    if (account !== undefined) return account
    this.#readings.drop(key)
    throw new AppError('entry-not-found', `the account ${key} is no longer there`)
  }

  #mustBeUp(): void {
    if (this.faults.isDown) throw new AppError('directory-unreachable', `directory ${this.#name} is down`)
  }
}

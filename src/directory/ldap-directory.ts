import { OrFilter, PresenceFilter, type Entry, type Filter } from 'ldapts'
import type { ChangeDraft } from '../core/change.ts'
import { AppError, toAppError } from '../core/error.ts'
import {
  accountIdOf,
  accountKey,
  parseAccountId,
  type AccountKey,
  type Dn,
  type Login,
  type Realm,
  type Serial,
} from '../core/names.ts'
import { serialsIn } from '../core/serial-values.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { ObservedState } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { IdentityPort } from '../ports/identity.ts'
import type { FoundAccount } from '../ports/directory.ts'
import { AccountReader, type Account } from './account.ts'
import { writeChange, type Written } from './apply-change.ts'
import type { SearchRequest } from './connection.ts'
import { idFilter, markedFilter, searchProven, serialFilter } from './directory-searches.ts'
import type { LockDriver } from './driver.ts'
import { driverOf } from './drivers.ts'
import { compileFilter, type FilterTemplate } from './filter.ts'
import { identityCheck } from './identity.ts'
import { LockReadings } from './lock-readings.ts'
import { allValuesAt, valuesAt } from './places-elsewhere.ts'
import { Pool, type PoolTimes, type Reads } from './pool.ts'
import { ProtectionReader } from './protection.ts'
import { ReadingCache } from './reading-cache.ts'
import { resultCodeOf } from './result-code.ts'
import { idCodecOf } from './id-codec.ts'
import { searchLine } from './search-line.ts'
import { FactsReader } from './server-facts.ts'
import { readStored } from './stored-values.ts'
import { Surroundings } from './surroundings.ts'

export interface Carrier {
  readonly key: AccountKey
  readonly dn: Dn
}
export type Carriers = Readonly<Record<string, readonly Carrier[]>>

/** Other accounts with the same serial at most; more would say nothing new. */
const CARRIERS_MAX = 10
/** Where serials stand among other text, a search also finds longer ones that hold the one asked for. */
const SIMILAR_MAX = 1000
const READINGS_MAX = 2048
const PAGE_ENTRIES = 500
/** LDAP result 12: another server answers now, which knows less than the one that was asked for its facts. */
const UNSUPPORTED_CONTROL = 12

/** One directory of the configuration: what the port promises, for the accounts in it. */
export class LdapDirectory {
  readonly settings: DirectorySettings
  readonly pool: Pool
  readonly driver: LockDriver
  readonly facts: FactsReader
  readonly surroundings: Surroundings
  readonly locks: LockReadings
  readonly #clock: Clock
  readonly #attributes: readonly string[]
  readonly #userFilter: FilterTemplate
  readonly protection: ProtectionReader
  readonly #readings = new ReadingCache<Account>(READINGS_MAX)
  #reader: AccountReader | null = null

  /** @param identities null: whatever directory answers is taken for the one that is meant */
  constructor(settings: DirectorySettings, clock: Clock, times?: PoolTimes, identities: IdentityPort | null = null) {
    this.settings = settings
    this.#clock = clock
    this.driver = driverOf(settings)
    const { idAttribute, serialAttribute, loginAttribute } = settings
    this.#attributes = [idAttribute, serialAttribute, loginAttribute, ...this.driver.attributes]
    this.#userFilter = compileFilter(settings.userFilter, `directories.${settings.name}.userFilter`)
    const check = identities === null ? undefined : identityCheck(settings, identities)
    this.pool = new Pool(settings, clock, times, check)
    this.facts = new FactsReader(this.pool, clock, this.#attributes)
    this.surroundings = new Surroundings(this.pool, clock, settings, this.driver.needs)
    this.locks = new LockReadings(settings, this.driver, clock, this.#attributes, this.pool.servers)
    this.protection = new ProtectionReader(settings, this.pool, clock)
  }

  async findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount> {
    const reader = await this.reader()
    const filter = this.#userFilter({ login, realm: realm ?? '' })
    const [first, second] = await this.#search(reader, filter, 2)
    if (first === undefined) {
      throw new AppError(
        'unknown-user',
        `directory ${this.settings.name} has no account for this login below ${this.settings.base}`,
        {
          hint: `Check userFilter, base and that the user exists. What the directory says: ${searchLine(this.settings, login, realm)}`,
        },
      )
    }
    if (second !== undefined) {
      throw new AppError(
        'ambiguous-match',
        `directory ${this.settings.name} has several accounts for one login: ${first.dn} and ${second.dn}`,
        {
          hint: 'Narrow userFilter or base so that it finds one.',
        },
      )
    }
    return reader.found(first)
  }

  /** @returns null where the text is no id of this directory */
  async findById(text: string): Promise<FoundAccount | null> {
    const id = parseAccountId(text)
    if (id === null || !idCodecOf(this.settings.idAttribute).isOwn(id)) return null
    const reader = await this.reader()
    const key = accountKey(this.settings.name, id)
    const [account] = await this.#search(reader, idFilter(this.settings, key), 1, key)
    return account === undefined ? null : reader.found(account)
  }

  idFilterOf(text: string): Filter | null {
    const id = parseAccountId(text)
    return id === null || !idCodecOf(this.settings.idAttribute).isOwn(id)
      ? null
      : idFilter(this.settings, accountKey(this.settings.name, id))
  }

  loginFilterOf(login: Login, realm: Realm | null): Filter {
    return this.#userFilter({ login, realm: realm ?? '' })
  }

  /** Accounts that match any of the filters; for many at a time (find-many.ts). */
  async findAny(filters: readonly Filter[], sizeMax: number): Promise<FoundAccount[]> {
    const reader = await this.reader()
    const accounts = await this.#search(reader, new OrFilter({ filters: [...filters] }), sizeMax)
    return accounts.map((account) => reader.found(account))
  }

  async findBySerial(serial: Serial): Promise<FoundAccount[]> {
    const reader = await this.reader()
    const filter = serialFilter(this.settings, reader, serial)
    const accounts = await this.#search(reader, filter, reader.isMultiValued ? CARRIERS_MAX : SIMILAR_MAX)
    const found = accounts.map((account) => reader.found(account))
    return found.filter((account) => account.serials.includes(serial)).slice(0, CARRIERS_MAX)
  }

  async observe(key: AccountKey, carriersOf: readonly Serial[], maxAgeMs: number): Promise<ObservedState> {
    const reader = await this.reader()
    if (carriersOf.length > 0) return this.#observeWithCarriers(reader, key, carriersOf)
    const kept = maxAgeMs > 0 ? this.#readings.get(key, this.#clock.nowMs(), maxAgeMs) : undefined
    return this.#complete(reader, kept ?? (await this.#read(reader, key)), {})
  }

  async apply(change: ChangeDraft): Promise<ObservedState> {
    const reader = await this.reader()
    const atMs = this.#clock.nowMs()
    let written: Written | null
    try {
      written = await writeChange(
        this.pool,
        this.settings,
        reader,
        this.driver.addressOf(accountIdOf(change.key), change.dn),
        change,
      )
    } catch (error) {
      this.#readings.drop(change.key)
      if (error instanceof AppError && resultCodeOf(error.cause) === UNSUPPORTED_CONTROL) this.facts.forget()
      if (error instanceof AppError && error.code === 'entry-not-found') throw await this.#movedOrGone(reader, change)
      throw error
    }
    try {
      const told = written?.account ?? null
      const account = told?.key === change.key ? this.#keep(told, atMs) : await this.#read(reader, change.key)
      return await this.#complete(reader, account, {})
    } catch (cause) {
      const message = `directory ${this.settings.name}: ${change.dn} was written and could not be read afterwards: ${toAppError(cause).message}`
      throw new AppError('outcome-unknown', message, { hint: 'Lockstep looks at the entry again by itself.', cause })
    }
  }

  async *walkMarked(): AsyncGenerator<ObservedState> {
    const reader = await this.reader()
    const isSure = this.driver.coverable.length === 0
    const filter = markedFilter(this.settings, reader, this.driver.marks())
    for await (const observed of this.#walk(reader, filter)) if (isSure || isMarked(observed)) yield observed
  }

  async *walkLocked(): AsyncGenerator<ObservedState> {
    const reader = await this.reader()
    const marks = this.driver.lockedMarks?.(this.#clock.nowMs()) ?? this.driver.marks()
    const filter = marks.length === 0 ? null : new OrFilter({ filters: [...marks] })
    for await (const observed of this.#walk(reader, filter)) if (observed.lock.state !== 'open') yield observed
  }

  /** The accounts that a filter finds (null: none), and those that a lock in another entry names. */
  async *#walk(reader: AccountReader, filter: Filter | null): AsyncGenerator<ObservedState> {
    const hasOthers = this.driver.markedElsewhere().length > 0
    const seen = new Set<AccountKey>()
    for await (const { entries, url } of filter === null ? [] : this.#pages(reader, filter)) {
      for (const entry of entries) {
        // Not kept for later: so many would push out all that are in work, and live just long enough to be dear.
        const account = reader.fromSearch(entry, url)
        if (hasOthers) seen.add(account.key)
        const observed = await this.#completeUnlessHidden(reader, account)
        if (observed !== null) yield observed
      }
    }
    for (const place of this.driver.markedElsewhere()) {
      for (const name of await allValuesAt(this.pool, reader, place.dn, place.attribute)) {
        const account = await this.#accountNamed(reader, place.names, String(name))
        if (account === null || seen.has(account.key)) continue
        seen.add(account.key)
        yield await this.#complete(reader, account, {})
      }
    }
  }

  /** How accounts are read; the schema is looked at when this is first needed, and now and then. */
  async reader(): Promise<AccountReader> {
    const fresh = this.facts.fresh
    if (this.#reader !== null && this.#reader.facts === fresh) return this.#reader
    const facts = fresh ?? (await this.facts.read())
    this.#reader = new AccountReader(this.settings, facts, this.#attributes, this.driver.singleValued)
    return this.#reader
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }

  /** What another server than the one that took our last write says may be older than it, and is not kept. */
  #keep(account: Account, atMs: number): Account {
    const writer = this.pool.writerOf(account.key)
    if (writer === null || writer === account.url) this.#readings.put(account.key, account, atMs)
    return account
  }

  /** At its last known DN first, which needs no index; else wherever it is now. */
  async #read(reader: AccountReader, key: AccountKey): Promise<Account> {
    const last = this.#readings.last(key)
    if (last !== undefined) {
      const address = this.driver.addressOf(accountIdOf(key), last.dn)
      const request = this.#request(reader, address, 'base', new PresenceFilter({ attribute: 'objectClass' }), 1)
      const [account] = await this.#ask(reader, request, key)
      if (account?.key === key) return account
      this.#readings.drop(key)
    }
    const [account] = await this.#search(reader, idFilter(this.settings, key), 2, key)
    if (account === undefined) {
      throw new AppError('entry-not-found', `directory ${this.settings.name}: the account ${key} is no longer there`, {
        hint: 'It was deleted, or left base. Nothing is left to lock or unlock.',
      })
    }
    return account
  }

  /** One search finds the account itself and all that carry the serials: an answer without itself proves nothing. */
  async #observeWithCarriers(
    reader: AccountReader,
    key: AccountKey,
    serials: readonly Serial[],
  ): Promise<ObservedState> {
    const filters = serials.map((serial) => serialFilter(this.settings, reader, serial))
    const filter = new OrFilter({ filters: [idFilter(this.settings, key), ...filters] })
    const sizeMax = 1 + (reader.isMultiValued ? CARRIERS_MAX : SIMILAR_MAX) * serials.length
    const accounts = await this.#search(reader, filter, sizeMax, key)
    const own = accounts.find((account) => account.key === key) ?? (await this.#read(reader, key))
    const others = accounts.filter((account) => account.key !== key).map((account) => reader.found(account))
    const carriers = serials.map((serial) => {
      const carrying = others.filter((account) => account.serials.includes(serial)).slice(0, CARRIERS_MAX)
      return [serial, carrying.map((account) => ({ key: account.key, dn: account.dn }))] as const
    })
    return this.#complete(reader, own, Object.fromEntries(carriers))
  }

  async #complete(reader: AccountReader, account: Account, carriedElsewhere: Carriers): Promise<ObservedState> {
    const { settings, driver } = this
    // What belongs to an account is read where its last write went.
    const reads: Reads = { read: (call) => this.pool.read(call, account.key) }
    const places = driver.placesElsewhere(account)
    const elsewhere =
      places.length === 0 ? [] : await Promise.all(places.map((place) => valuesAt(reads, reader, place)))
    const around = await this.surroundings.read(reader.facts)
    const stored = await readStored(reads, settings, reader, account, driver.coverable)
    const nowMs = this.#clock.nowMs()
    return {
      key: account.key,
      dn: account.dn,
      serialAttribute: settings.serialAttribute,
      serialAttributeMultiValued: reader.isMultiValued,
      serialFormat: settings.serialFormat,
      serialValues: account.values(settings.serialAttribute),
      carriedElsewhere,
      lock: driver.readLock(account, { ...around, nowMs, facts: reader.facts, elsewhere, stored }),
      ...(await this.#protectionOf(account, reader)),
      ...(settings.urls.length > 1 ? { server: account.url } : {}),
    }
  }

  /** One account whose lock may not be read must not end a walk over all the others; null: such a one. */
  async #completeUnlessHidden(reader: AccountReader, account: Account): Promise<ObservedState | null> {
    try {
      return await this.#complete(reader, account, {})
    } catch (error) {
      if (error instanceof AppError && error.code === 'directory-not-permitted') return null
      throw error
    }
  }

  /** What the kind of directory protects by itself needs no look at the configuration. */
  async #protectionOf(
    account: Account,
    reader: AccountReader,
  ): Promise<Pick<ObservedState, 'protectedBy' | 'protectionUnread'>> {
    const protectedBy = this.driver.protects(account)
    return protectedBy === null ? this.protection.of(account, reader.facts) : { protectedBy }
  }

  async #accountNamed(reader: AccountReader, kind: 'dn' | 'login', name: string): Promise<Account | null> {
    const filter =
      kind === 'login' ? this.#userFilter({ login: name, realm: '' }) : new PresenceFilter({ attribute: 'objectClass' })
    const request =
      kind === 'login'
        ? this.#request(reader, this.settings.base, 'sub', filter, 2)
        : this.#request(reader, name, 'base', filter, 1)
    const [account, another] = await this.#ask(reader, request)
    return another === undefined ? (account ?? null) : null
  }

  /** The account's DN was not there when it was written to. */
  async #movedOrGone(reader: AccountReader, change: ChangeDraft): Promise<AppError> {
    try {
      const account = await this.#read(reader, change.key)
      return new AppError(
        'write-raced',
        `directory ${this.settings.name}: ${change.dn} is now ${account.dn}; nothing was written`,
      )
    } catch (error) {
      return toAppError(error)
    }
  }

  #search(reader: AccountReader, filter: Filter, sizeMax: number, key?: AccountKey): Promise<Account[]> {
    return this.#ask(reader, this.#request(reader, this.settings.base, 'sub', filter, sizeMax), key)
  }

  /** @param key the account that it is about: asked where its last write went */
  async #ask(reader: AccountReader, request: SearchRequest, key?: AccountKey): Promise<Account[]> {
    const atMs = this.#clock.nowMs()
    const { entries, url } = await this.pool.read(async (connection) => {
      return { entries: await searchProven(connection, request, this.settings), url: connection.server.url }
    }, key)
    return entries.map((entry) => this.#keep(reader.fromSearch(entry, url), atMs))
  }

  /** Page by page on one connection; what a lost identity hides would look like the end. */
  #pages(reader: AccountReader, filter: Filter): AsyncGenerator<{ entries: Entry[]; url: string }> {
    const request = this.#request(reader, this.settings.base, 'sub', filter, 0)
    return this.pool.hold(async function* (connection) {
      const { url } = connection.server
      for await (const entries of connection.searchPages(request, PAGE_ENTRIES)) yield { entries, url }
      await connection.proveIdentity()
    })
  }

  #request(reader: AccountReader, base: string, scope: 'base' | 'sub', filter: Filter, sizeMax: number): SearchRequest {
    return { base, scope, filter, attributes: reader.names.wanted, bytesOf: reader.names.canonical, sizeMax }
  }
}

/** A search finds values by the server's matching, and those that cover what is stored; a mark of ours is neither. */
function isMarked({ lock, serialFormat, serialAttributeMultiValued, serialValues }: ObservedState): boolean {
  return lock.state === 'as-ours' || serialsIn(serialFormat, serialAttributeMultiValued, serialValues).length > 0
}

import { OrFilter, PresenceFilter, type Filter } from 'ldapts'
import type { ChangeDraft } from '../core/account/change.ts'
import { AppError, toAppError, type ErrorCode } from '../core/error.ts'
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
import { spelledAmong } from '../core/serials/serial-key.ts'
import { duplicatesAmong } from '../core/account/serial-values.ts'
import { SeenSet } from '../core/seen-set.ts'
import type { DirectorySettings } from '../core/settings/settings.ts'
import type { LastWriter } from '../core/account/late.ts'
import { isOpenForSure, type DuplicateSerial, type EntryVersion, type ObservedState } from '../core/account/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { IdentityPort } from '../ports/store/identity.ts'
import type { FoundAccount } from '../ports/directory.ts'
import { AccountReader, type Account } from './accounts/account.ts'
import { writeChange, type Written } from './accounts/write-change.ts'
import type { SearchRequest } from './ldap/connection.ts'
import {
  idFilter,
  isDnBelow,
  isMarked,
  markedFilter,
  searchProven,
  serialFilter,
  walkPages,
  unlessHidden,
} from './accounts/directory-searches.ts'
import type { DirectoryDriver, LockJudge } from './drivers/driver.ts'
import { driverOf } from './drivers/drivers.ts'
import { compileFilter, type FilterTemplate } from './protocol/filter.ts'
import { identityCheck } from './pool/identity.ts'
import { EntryVersions, VERSION_ATTRIBUTE, versionIn } from './accounts/entry-version.ts'
import { readLastWriters } from './accounts/last-writer.ts'
import { LockReadings } from './accounts/lock-readings.ts'
import { allValuesAt, valuesAt } from './accounts/places-elsewhere.ts'
import { Pool, type PoolTimes } from './pool/pool.ts'
import type { Reads } from './ldap/reads.ts'
import { protectionOf, ProtectionRules } from './protection/protection-rules.ts'
import { ReadingCache } from './accounts/reading-cache.ts'
import { resultCodeOf } from './protocol/result-code.ts'
import { idCodecOf } from './accounts/id-codec.ts'
import { searchLine } from './protocol/search-line.ts'
import { FactsReader } from './pool/server-facts.ts'
import { readValues } from './accounts/stored-values.ts'
import { walkInParts } from './accounts/split-walk.ts'

export type DuplicateSerials = Readonly<Record<string, readonly DuplicateSerial[]>>

/** Other accounts with the same serial at most; more would add no information. */
const DUPLICATES_MAX = 10
/** Where serials are part of a longer text, a search also finds longer serials that contain this one. */
const SIMILAR_MAX = 1000
const READINGS_MAX = 2048
const NO_ENTRY_CODES: readonly ErrorCode[] = ['entry-not-found', 'directory-refused']
/** LDAP result 12: another server answers now, which supports less than the one whose facts were read. */
const UNSUPPORTED_CONTROL = 12

/** One directory of the configuration: implements the port for the accounts in it. */
export class LdapDirectory {
  readonly settings: DirectorySettings
  readonly pool: Pool
  readonly driver: DirectoryDriver
  readonly facts: FactsReader
  readonly #judge: LockJudge
  readonly locks: LockReadings
  readonly #clock: Clock
  readonly #attributes: readonly string[]
  readonly #userFilter: FilterTemplate
  readonly protection: ProtectionRules
  readonly #readings = new ReadingCache<Account>(READINGS_MAX)
  readonly #versions: EntryVersions
  #reader: AccountReader | null = null

  /** @param identities null: any directory that answers is accepted */
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
    this.#judge = this.driver.judge(this.pool, settings, clock)
    this.locks = new LockReadings(settings, this.driver, clock, this.#attributes, this.pool.servers)
    this.protection = new ProtectionRules(settings, this.pool, clock)
    this.#versions = new EntryVersions(clock)
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
          hint: `Check userFilter, base and that the user exists. What the directory answers (-W asks for the password that bindPasswordFile holds): ${searchLine(this.settings, login, realm)}`,
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

  /** By the id, or by the DN (`UIDTYPE=DN`). @returns null where the text is neither of this directory */
  async findById(text: string): Promise<FoundAccount | null> {
    const id = parseAccountId(text)
    if (id === null || !idCodecOf(this.settings.idAttribute).isOwn(id)) return this.findByDn(text)
    const reader = await this.reader()
    const key = accountKey(this.settings.name, id)
    const [account] = await this.#search(reader, idFilter(this.settings, key), 1, key)
    return account === undefined ? null : reader.found(account)
  }

  /** @returns null where it is no DN below the base, or no account has it */
  async findByDn(text: string): Promise<FoundAccount | null> {
    if (!isDnBelow(this.settings, text)) return null
    const reader = await this.reader()
    const filter = new PresenceFilter({ attribute: 'objectClass' })
    try {
      const [account] = await this.#ask(reader, this.#request(reader, text, 'base', filter, 1))
      return account === undefined ? null : reader.found(account)
    } catch (thrown) {
      if (thrown instanceof AppError && NO_ENTRY_CODES.includes(thrown.code)) return null
      throw thrown
    }
  }

  idFilterOf(text: string): Filter | null {
    const id = parseAccountId(text)
    if (id === null || !idCodecOf(this.settings.idAttribute).isOwn(id)) return null
    return idFilter(this.settings, accountKey(this.settings.name, id))
  }

  isOwnId(text: string): boolean {
    return this.idFilterOf(text) !== null || isDnBelow(this.settings, text)
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
    const accounts = await this.#search(reader, filter, reader.isMultiValued ? DUPLICATES_MAX : SIMILAR_MAX)
    this.#refuseTooMany(reader, serial, accounts.length)
    const found = accounts.map((account) => reader.found(account))
    return found.filter(({ serials }) => spelledAmong(serials, serial) !== null).slice(0, DUPLICATES_MAX)
  }

  /** Among so many similar ones the searched one may be missing. */
  #refuseTooMany(reader: AccountReader, serial: Serial, count: number): void {
    if (reader.isMultiValued || count < SIMILAR_MAX) return
    const { name, serialAttribute } = this.settings
    throw new AppError('directory-cut', `directory ${name}: ${count} accounts or more have serials like ${serial}`, {
      hint: `Choose a serialAttribute of several values in place of ${serialAttribute}.`,
    })
  }

  async observe(key: AccountKey, duplicatesOf: readonly Serial[], maxAgeMs: number): Promise<ObservedState> {
    const reader = await this.reader()
    if (duplicatesOf.length > 0) return this.#observeWithCarriers(reader, key, duplicatesOf)
    const kept = maxAgeMs > 0 ? this.#readings.get(key, this.#clock.nowMs(), maxAgeMs) : undefined
    return this.#complete(reader, kept ?? (await this.#read(reader, key)), {})
  }

  async apply(change: ChangeDraft, asRead?: EntryVersion): Promise<ObservedState> {
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
        { asRead, versions: this.#versions },
      )
    } catch (error) {
      this.#readings.drop(change.key)
      if (error instanceof AppError && resultCodeOf(error.cause) === UNSUPPORTED_CONTROL) this.facts.forget()
      if (error instanceof AppError && error.code === 'entry-not-found') throw await this.#movedOrGone(reader, change)
      throw error
    }
    try {
      const readBack = written?.account ?? null
      const account = readBack?.key === change.key ? this.#keep(readBack, atMs) : await this.#read(reader, change.key)
      return await this.#complete(reader, account, {})
    } catch (cause) {
      const message = `directory ${this.settings.name}: ${change.dn} was written and could not be read afterwards: ${toAppError(cause).message}`
      throw new AppError('outcome-unknown', message, { hint: 'Lockstep looks at the entry again by itself.', cause })
    }
  }

  async lastWriters(key: AccountKey, dns: readonly Dn[]): Promise<ReadonlyMap<Dn, LastWriter>> {
    return readLastWriters({ read: (call) => this.pool.read(call, key) }, this.settings, dns)
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
    for await (const observed of this.#walk(reader, filter)) if (!isOpenForSure(observed.lock)) yield observed
  }

  /** The accounts that a filter finds (null: none), and those that a lock in another entry names. */
  async *#walk(reader: AccountReader, filter: Filter | null): AsyncGenerator<ObservedState> {
    // An entry comes a second time where a search was cut short, or where another entry names it.
    const seen = new SeenSet(Math.floor(this.#clock.random() * 2 ** 32))
    const { loginAttribute } = this.settings
    const walk = {
      attribute: loginAttribute,
      pages: (part: Filter) => walkPages(this.pool, this.#request(reader, this.settings.base, 'sub', part, 0)),
    }
    for await (const { entries, url } of filter === null ? [] : walkInParts({ ...walk, filter })) {
      for (const entry of entries) {
        // Not cached: so many would push out all accounts in work, and stay in memory just long enough to be expensive.
        const account = reader.fromSearch(entry, url)
        if (seen.has(account.key)) continue
        seen.add(account.key)
        const observed = await unlessHidden(this.#complete(reader, account, {}))
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
    const attributes = facts.hasAssertion ? [...this.#attributes, VERSION_ATTRIBUTE] : this.#attributes
    this.#reader = new AccountReader(this.settings, facts, attributes, this.driver.singleValued)
    return this.#reader
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }

  /** A reading from another server than the one that took our last write may be older than it, and is not kept. */
  #keep(account: Account, atMs: number): Account {
    const writer = this.pool.writerOf(account.key)
    if (writer === null || writer === account.url) this.#readings.put(account.key, account, atMs)
    return account
  }

  /** At its last known DN first, which needs no index; else by a search. */
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

  /**
   * One search finds the account itself and all accounts with the serials: an answer without the account proves
   * nothing.
   */
  async #observeWithCarriers(
    reader: AccountReader,
    key: AccountKey,
    serials: readonly Serial[],
  ): Promise<ObservedState> {
    const filters = serials.map((serial) => serialFilter(this.settings, reader, serial))
    const filter = new OrFilter({ filters: [idFilter(this.settings, key), ...filters] })
    const sizeMax = 1 + (reader.isMultiValued ? DUPLICATES_MAX : SIMILAR_MAX) * serials.length
    const accounts = await this.#search(reader, filter, sizeMax, key)
    const own = accounts.find((account) => account.key === key) ?? (await this.#read(reader, key))
    const others = accounts.filter((account) => account.key !== key).map((account) => reader.found(account))
    const duplicates = serials.map((serial) => {
      return [serial, duplicatesAmong(others, serial).slice(0, DUPLICATES_MAX)] as const
    })
    return this.#complete(reader, own, Object.fromEntries(duplicates))
  }

  async #complete(reader: AccountReader, account: Account, carriedElsewhere: DuplicateSerials): Promise<ObservedState> {
    const { settings, driver } = this
    // The parts of an account are read from the server that took its last write.
    const reads: Reads = { read: (call) => this.pool.read(call, account.key) }
    const places = driver.placesElsewhere(account)
    const elsewhere =
      places.length === 0 ? [] : await Promise.all(places.map((place) => valuesAt(reads, reader, place)))
    const values = await readValues(reads, settings, reader, account, driver)
    const lengthMax = driver.lengthsMax?.[settings.serialAttribute.toLowerCase()]
    return {
      key: account.key,
      dn: account.dn,
      serialAttribute: settings.serialAttribute,
      serialAttributeMultiValued: reader.isMultiValued,
      ...(lengthMax === undefined ? {} : { serialLengthMax: lengthMax }),
      serialFormat: settings.serialFormat,
      serialValues: account.values(settings.serialAttribute),
      carriedElsewhere,
      lock: await this.#judge(account, { facts: reader.facts, elsewhere, ...values }),
      ...(await protectionOf(this.driver, this.protection, account, reader.facts)),
      ...(settings.urls.length > 1 ? { server: account.url } : {}),
      ...versionIn(account),
    }
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

  /** At the write there was no entry at the account's DN. */
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

  /** @param key the account that it is about: the server that took its last write is asked */
  async #ask(reader: AccountReader, request: SearchRequest, key?: AccountKey): Promise<Account[]> {
    const atMs = this.#clock.nowMs()
    const { entries, url } = await this.pool.read(async (connection) => {
      return { entries: await searchProven(connection, request, this.settings), url: connection.server.url }
    }, key)
    return entries.map((entry) => this.#keep(reader.fromSearch(entry, url), atMs))
  }

  #request(reader: AccountReader, base: string, scope: 'base' | 'sub', filter: Filter, sizeMax: number): SearchRequest {
    return { base, scope, filter, attributes: reader.names.wanted, bytesOf: reader.names.canonical, sizeMax }
  }
}

import { EqualityFilter, OrFilter, PresenceFilter, type Entry, type Filter } from 'ldapts'
import type { ChangeDraft } from '../core/change.ts'
import { AppError, toAppError } from '../core/error.ts'
import {
  accountKey,
  parseAccountId,
  type AccountKey,
  type Dn,
  type Login,
  type Realm,
  type Serial,
} from '../core/names.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { AttributeValue, ObservedState } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { FoundAccount } from '../ports/directory.ts'
import { AccountReader, type Account } from './account.ts'
import { writeChange } from './apply-change.ts'
import type { SearchRequest } from './connection.ts'
import type { WireEntry } from './controls.ts'
import { customDriver } from './custom.ts'
import { idFilter, markedFilter, searchProven, serialFilter } from './directory-searches.ts'
import type { LockDriver, PlaceElsewhere } from './driver.ts'
import { valuesIn } from './entry.ts'
import { compileFilter, type FilterTemplate } from './filter.ts'
import { openldapDriver } from './openldap.ts'
import { PolicyReader } from './password-policy.ts'
import { Pool, type PoolTimes } from './pool.ts'
import { ProtectionReader } from './protection.ts'
import { ReadingCache } from './reading-cache.ts'
import { resultCodeOf } from './result-code.ts'
import { searchLine } from './search-line.ts'
import { FactsReader } from './server-facts.ts'

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
const NO_ATTRIBUTES = ['1.1']
/** A UUID, as entryUUID and objectGUID are: nothing else is taken for an id of the directory's own. */
const UNIQUE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** One directory of the configuration: what the port promises, for the accounts in it. */
export class LdapDirectory {
  readonly settings: DirectorySettings
  readonly pool: Pool
  readonly driver: LockDriver
  readonly facts: FactsReader
  readonly policies: PolicyReader
  readonly #clock: Clock
  readonly #attributes: readonly string[]
  readonly #userFilter: FilterTemplate
  readonly protection: ProtectionReader
  readonly #readings = new ReadingCache<Account>(READINGS_MAX)
  #reader: AccountReader | null = null

  constructor(settings: DirectorySettings, clock: Clock, times?: PoolTimes) {
    this.settings = settings
    this.#clock = clock
    this.driver = settings.type === 'openldap' ? openldapDriver : customDriver(settings.lock)
    const { idAttribute, serialAttribute, loginAttribute } = settings
    this.#attributes = [idAttribute, serialAttribute, loginAttribute, ...this.driver.attributes]
    this.#userFilter = compileFilter(settings.userFilter, `directories.${settings.name}.userFilter`)
    this.pool = new Pool(settings, clock, times)
    this.facts = new FactsReader(this.pool, clock, this.#attributes)
    this.policies = new PolicyReader(this.pool, clock, settings)
    this.protection = new ProtectionReader(settings, this.pool, clock)
  }

  async findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount> {
    const reader = await this.reader()
    const atMs = this.#clock.nowMs()
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
    return reader.found(this.#keep(reader.fromSearch(first), atMs))
  }

  /** @returns null where the text is no id of this directory */
  async findById(text: string): Promise<FoundAccount | null> {
    const id = parseAccountId(text)
    if (id === null || !UNIQUE_ID.test(id)) return null
    const reader = await this.reader()
    const atMs = this.#clock.nowMs()
    const [entry] = await this.#search(reader, idFilter(this.settings, accountKey(this.settings.name, id)), 1)
    return entry === undefined ? null : reader.found(this.#keep(reader.fromSearch(entry), atMs))
  }

  async findBySerial(serial: Serial): Promise<FoundAccount[]> {
    const reader = await this.reader()
    const atMs = this.#clock.nowMs()
    const filter = serialFilter(this.settings, reader, serial)
    const entries = await this.#search(reader, filter, reader.isMultiValued ? CARRIERS_MAX : SIMILAR_MAX)
    const found = entries.map((entry) => reader.found(this.#keep(reader.fromSearch(entry), atMs)))
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
    let after: WireEntry | null
    try {
      after = await writeChange(this.pool, this.settings, reader, change)
    } catch (error) {
      this.#readings.drop(change.key)
      if (error instanceof AppError && resultCodeOf(error.cause) === UNSUPPORTED_CONTROL) this.facts.forget()
      if (error instanceof AppError && error.code === 'entry-not-found') throw await this.#movedOrGone(reader, change)
      throw error
    }
    try {
      const told = after === null ? null : reader.fromWire(after)
      const account = told?.key === change.key ? this.#keep(told, atMs) : await this.#read(reader, change.key)
      return await this.#complete(reader, account, {})
    } catch (cause) {
      const message = `directory ${this.settings.name}: ${change.dn} was written and could not be read afterwards: ${toAppError(cause).message}`
      throw new AppError('outcome-unknown', message, { hint: 'Lockstep looks at the entry again by itself.', cause })
    }
  }

  async *walkMarked(): AsyncGenerator<ObservedState> {
    const reader = await this.reader()
    const filter = markedFilter(this.settings, reader, this.driver.marks())
    const hasOthers = this.driver.markedElsewhere().length > 0
    const seen = new Set<AccountKey>()
    for await (const entries of this.#pages(reader, filter)) {
      const atMs = this.#clock.nowMs()
      for (const entry of entries) {
        const account = this.#keep(reader.fromSearch(entry), atMs)
        if (hasOthers) seen.add(account.key)
        yield await this.#complete(reader, account, {})
      }
    }
    for (const place of this.driver.markedElsewhere()) {
      for (const name of await this.#allValuesAt(reader, place.dn, place.attribute)) {
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
    this.#reader = new AccountReader(this.settings, facts, this.#attributes)
    return this.#reader
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }

  #keep(account: Account, atMs: number): Account {
    this.#readings.put(account.key, account, atMs)
    return account
  }

  /** At its last known DN first, which needs no index; else wherever it is now. */
  async #read(reader: AccountReader, key: AccountKey): Promise<Account> {
    const atMs = this.#clock.nowMs()
    const last = this.#readings.last(key)
    if (last !== undefined) {
      const request = this.#request(reader, last.dn, 'base', new PresenceFilter({ attribute: 'objectClass' }), 1)
      const entries = await this.pool.read((connection) => searchProven(connection, request, this.settings))
      const account = entries[0] === undefined ? null : reader.fromSearch(entries[0])
      if (account?.key === key) return this.#keep(account, atMs)
      this.#readings.drop(key)
    }
    const [entry] = await this.#search(reader, idFilter(this.settings, key), 2)
    if (entry === undefined) {
      throw new AppError('entry-not-found', `directory ${this.settings.name}: the account ${key} is no longer there`, {
        hint: 'It was deleted, or left base. Nothing is left to lock or unlock.',
      })
    }
    return this.#keep(reader.fromSearch(entry), atMs)
  }

  /** One search finds the account itself and all that carry the serials: an answer without itself proves nothing. */
  async #observeWithCarriers(
    reader: AccountReader,
    key: AccountKey,
    serials: readonly Serial[],
  ): Promise<ObservedState> {
    const atMs = this.#clock.nowMs()
    const filters = serials.map((serial) => serialFilter(this.settings, reader, serial))
    const filter = new OrFilter({ filters: [idFilter(this.settings, key), ...filters] })
    const entries = await this.#search(
      reader,
      filter,
      1 + (reader.isMultiValued ? CARRIERS_MAX : SIMILAR_MAX) * serials.length,
    )
    const accounts = entries.map((entry) => this.#keep(reader.fromSearch(entry), atMs))
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
    const places = driver.placesElsewhere(account)
    const elsewhere = places.length === 0 ? [] : await Promise.all(places.map((place) => this.#valuesAt(reader, place)))
    const policies = driver.needsPolicies ? (this.policies.fresh ?? (await this.policies.read(reader.facts))) : null
    return {
      key: account.key,
      dn: account.dn,
      serialAttribute: settings.serialAttribute,
      serialAttributeMultiValued: reader.isMultiValued,
      serialFormat: settings.serialFormat,
      serialValues: account.values(settings.serialAttribute),
      carriedElsewhere,
      lock: driver.readLock(account, { nowMs: this.#clock.nowMs(), facts: reader.facts, policies, elsewhere }),
      ...(await this.protection.of(account, reader.facts)),
    }
  }

  /** What stands in another entry, as far as it matters for the account. */
  async #valuesAt(reader: AccountReader, place: PlaceElsewhere): Promise<readonly AttributeValue[]> {
    if (place.values === null) return this.#allValuesAt(reader, place.dn, place.attribute)
    const found = place.values.map(async (value) => {
      const filter = new EqualityFilter({ attribute: place.attribute, value })
      const request = {
        base: place.dn,
        scope: 'base' as const,
        filter,
        attributes: NO_ATTRIBUTES,
        bytesOf: [],
        sizeMax: 1,
      }
      return (await this.pool.read((connection) => connection.search(request))).length > 0
    })
    const present = await Promise.all(found)
    return place.values.filter((_, index) => present[index])
  }

  async #allValuesAt(reader: AccountReader, dn: Dn, attribute: string): Promise<AttributeValue[]> {
    const canonical = reader.facts.canonical(attribute)
    const filter = new PresenceFilter({ attribute: 'objectClass' })
    const request = {
      base: dn,
      scope: 'base' as const,
      filter,
      attributes: [attribute],
      bytesOf: [canonical],
      sizeMax: 1,
    }
    const [entry] = await this.pool.read((connection) => connection.search(request))
    return valuesIn(entry, canonical)
  }

  async #accountNamed(reader: AccountReader, kind: 'dn' | 'login', name: string): Promise<Account | null> {
    const atMs = this.#clock.nowMs()
    const filter =
      kind === 'login' ? this.#userFilter({ login: name, realm: '' }) : new PresenceFilter({ attribute: 'objectClass' })
    const request =
      kind === 'login'
        ? this.#request(reader, this.settings.base, 'sub', filter, 2)
        : this.#request(reader, name, 'base', filter, 1)
    const entries = await this.pool.read((connection) => searchProven(connection, request, this.settings))
    return entries.length === 1 && entries[0] !== undefined ? this.#keep(reader.fromSearch(entries[0]), atMs) : null
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

  #search(reader: AccountReader, filter: Filter, sizeMax: number): Promise<Entry[]> {
    const request = this.#request(reader, this.settings.base, 'sub', filter, sizeMax)
    return this.pool.read((connection) => searchProven(connection, request, this.settings))
  }

  /** Page by page on one connection; what a lost identity hides would look like the end. */
  #pages(reader: AccountReader, filter: Filter): AsyncGenerator<Entry[]> {
    const request = this.#request(reader, this.settings.base, 'sub', filter, 0)
    return this.pool.hold(async function* (connection) {
      yield* connection.searchPages(request, PAGE_ENTRIES)
      await connection.proveIdentity()
    })
  }

  #request(reader: AccountReader, base: string, scope: 'base' | 'sub', filter: Filter, sizeMax: number): SearchRequest {
    return { base, scope, filter, attributes: reader.names.wanted, bytesOf: reader.names.canonical, sizeMax }
  }
}

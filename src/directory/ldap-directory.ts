import { EqualityFilter, OrFilter, PresenceFilter, type Entry, type Filter } from 'ldapts'
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
import type { DirectorySettings } from '../core/settings.ts'
import type { AttributeValue, ObservedState } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { FoundAccount } from '../ports/directory.ts'
import { AccountReader, type Account } from './account.ts'
import { writeChange, type Written } from './apply-change.ts'
import type { SearchRequest } from './connection.ts'
import { idFilter, markedFilter, searchProven, serialFilter } from './directory-searches.ts'
import { normalDn } from './dn.ts'
import type { LockDriver, PlaceElsewhere } from './driver.ts'
import { driverOf } from './drivers.ts'
import { valuesIn } from './entry.ts'
import { compileFilter, type FilterTemplate } from './filter.ts'
import { OwnWrites } from './own-writes.ts'
import { Pool, type PoolTimes } from './pool.ts'
import { ReadingCache } from './reading-cache.ts'
import { resultCodeOf } from './result-code.ts'
import { idCodecOf } from './id-codec.ts'
import { searchLine } from './search-line.ts'
import { FactsReader } from './server-facts.ts'
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
/** A server that may lack our last write is asked again after this. */
const BEHIND_LOOK_MS = 15_000
const NO_ATTRIBUTES = ['1.1']

/** One directory of the configuration: what the port promises, for the accounts in it. */
export class LdapDirectory {
  readonly settings: DirectorySettings
  readonly pool: Pool
  readonly driver: LockDriver
  readonly facts: FactsReader
  readonly surroundings: Surroundings
  readonly #clock: Clock
  readonly #attributes: readonly string[]
  readonly #userFilter: FilterTemplate
  readonly #protectFilter: Filter | null
  readonly #protectedDns: ReadonlyMap<string, string>
  readonly #readings = new ReadingCache<Account>(READINGS_MAX)
  readonly #writes = new OwnWrites()
  #reader: AccountReader | null = null

  constructor(settings: DirectorySettings, clock: Clock, times?: PoolTimes) {
    this.settings = settings
    this.#clock = clock
    this.driver = driverOf(settings)
    const { idAttribute, serialAttribute, loginAttribute, protect } = settings
    this.#attributes = [idAttribute, serialAttribute, loginAttribute, ...this.driver.attributes]
    this.#userFilter = compileFilter(settings.userFilter, `directories.${settings.name}.userFilter`)
    this.#protectFilter = protect.filter === null ? null : compileFilter(protect.filter, 'guards.protect.filter')({})
    this.#protectedDns = protectedDns(settings)
    this.pool = new Pool(settings, clock, times)
    this.facts = new FactsReader(this.pool, clock, this.#attributes)
    this.surroundings = new Surroundings(this.pool, clock, settings, this.driver.needs)
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
    const filter = idFilter(this.settings, accountKey(this.settings.name, id))
    const [account] = await this.#search(reader, filter, 1)
    return account === undefined ? null : reader.found(account)
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
      if (written !== null) this.#writes.note(change.key, written.url, atMs)
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
    const filter = markedFilter(this.settings, reader, this.driver.marks())
    const hasOthers = this.driver.markedElsewhere().length > 0
    const seen = new Set<AccountKey>()
    for await (const { entries, url } of this.#pages(reader, filter)) {
      const atMs = this.#clock.nowMs()
      for (const entry of entries) {
        const account = this.#keep(reader.fromSearch(entry, url), atMs)
        if (hasOthers) seen.add(account.key)
        const observed = await this.#completeUnlessHidden(reader, account)
        if (observed !== null) yield observed
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
    this.#reader = new AccountReader(this.settings, facts, this.#attributes, this.driver.singleValued)
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
    const last = this.#readings.last(key)
    if (last !== undefined) {
      const address = this.driver.addressOf(accountIdOf(key), last.dn)
      const request = this.#request(reader, address, 'base', new PresenceFilter({ attribute: 'objectClass' }), 1)
      const [account] = await this.#ask(reader, request)
      if (account?.key === key) return account
      this.#readings.drop(key)
    }
    const [account] = await this.#search(reader, idFilter(this.settings, key), 2)
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
    const accounts = await this.#search(reader, filter, sizeMax)
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
    const around = await this.surroundings.read(reader.facts)
    const nowMs = this.#clock.nowMs()
    const lock = driver.readLock(account, { ...around, nowMs, facts: reader.facts, elsewhere })
    const isBehind = this.#writes.isBehind(account.key, account.url, nowMs)
    return {
      key: account.key,
      dn: account.dn,
      serialAttribute: settings.serialAttribute,
      serialAttributeMultiValued: reader.isMultiValued,
      serialFormat: settings.serialFormat,
      serialValues: account.values(settings.serialAttribute),
      carriedElsewhere,
      lock: isBehind ? { ...lock, otherUntilUs: soonerOf(lock.otherUntilUs, nowMs) } : lock,
      protectedBy: driver.protects(account) ?? (await this.#protectedBy(account.dn)),
      ...(isBehind ? { isBehind } : {}),
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

  async #protectedBy(dn: Dn): Promise<string | null> {
    const listed = this.#protectedDns.get(normalDn(dn))
    if (listed !== undefined) return listed
    if (this.#protectFilter === null) return null
    const request = {
      base: dn,
      scope: 'base' as const,
      filter: this.#protectFilter,
      attributes: NO_ATTRIBUTES,
      bytesOf: [],
      sizeMax: 1,
    }
    const entries = await this.pool.read((connection) => searchProven(connection, request, this.settings))
    return entries.length === 0 ? null : 'it matches guards.protect.filter'
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

  #search(reader: AccountReader, filter: Filter, sizeMax: number): Promise<Account[]> {
    return this.#ask(reader, this.#request(reader, this.settings.base, 'sub', filter, sizeMax))
  }

  async #ask(reader: AccountReader, request: SearchRequest): Promise<Account[]> {
    const atMs = this.#clock.nowMs()
    const { entries, url } = await this.pool.read(async (connection) => {
      return { entries: await searchProven(connection, request, this.settings), url: connection.server.url }
    })
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

/** What may be gone once our last write has come round is looked at again. */
function soonerOf(untilUs: number | null, nowMs: number): number {
  const soonUs = (nowMs + BEHIND_LOOK_MS) * 1000
  return untilUs === null ? soonUs : Math.min(untilUs, soonUs)
}

function protectedDns(settings: DirectorySettings): Map<string, string> {
  const listed = settings.protect.dns.map((dn) => [normalDn(dn), 'its DN is in guards.protect.dns'] as const)
  return new Map([...listed, [normalDn(settings.bindDn), 'it is the account that Lockstep binds as']])
}

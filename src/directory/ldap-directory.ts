import { OrFilter, PresenceFilter, type Entry, type Filter } from 'ldapts'
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
import type { ObservedState } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { IdentityPort } from '../ports/identity.ts'
import type { FoundAccount } from '../ports/directory.ts'
import { AccountReader, type Account } from './account.ts'
import { writeChange } from './apply-change.ts'
import type { SearchRequest } from './connection.ts'
import type { WireEntry } from './controls.ts'
import { customDriver } from './custom.ts'
import { idFilter, markedFilter, searchProven, serialFilter } from './directory-searches.ts'
import { normalDn } from './dn.ts'
import { LockReadings } from './lock-readings.ts'
import type { LockDriver } from './driver.ts'
import { compileFilter, type FilterTemplate } from './filter.ts'
import { identityCheck } from './identity.ts'
import { openldapDriver } from './openldap.ts'
import { PolicyReader } from './password-policy.ts'
import { allValuesAt, valuesAt } from './places-elsewhere.ts'
import { Pool, type PoolTimes, type Reads } from './pool.ts'
import { ReadingCache } from './reading-cache.ts'
import { resultCodeOf } from './result-code.ts'
import { searchLine } from './search-line.ts'
import { FactsReader } from './server-facts.ts'

export interface Carrier {
  readonly key: AccountKey
  readonly dn: Dn
}
export type Carriers = Readonly<Record<string, readonly Carrier[]>>

/** An account as one of the servers told it. */
interface Reading {
  readonly account: Account
  /** The server's URL. */
  readonly server: string
}

/** What one of the servers found. */
interface Answer {
  readonly entries: readonly Entry[]
  readonly server: string
}

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
  readonly locks: LockReadings
  readonly #clock: Clock
  readonly #attributes: readonly string[]
  readonly #userFilter: FilterTemplate
  readonly #protectFilter: Filter | null
  readonly #protectedDns: ReadonlyMap<string, string>
  readonly #readings = new ReadingCache<Reading>(READINGS_MAX)
  #reader: AccountReader | null = null
  readonly #onlyUrl: string

  /** @param identities null: whatever directory answers is taken for the one that is meant */
  constructor(settings: DirectorySettings, clock: Clock, times?: PoolTimes, identities: IdentityPort | null = null) {
    this.settings = settings
    this.#clock = clock
    this.driver = settings.type === 'openldap' ? openldapDriver : customDriver(settings.lock)
    const { idAttribute, serialAttribute, loginAttribute, protect } = settings
    this.#attributes = [idAttribute, serialAttribute, loginAttribute, ...this.driver.attributes]
    this.#userFilter = compileFilter(settings.userFilter, `directories.${settings.name}.userFilter`)
    this.#protectFilter = protect.filter === null ? null : compileFilter(protect.filter, 'guards.protect.filter')({})
    this.#protectedDns = protectedDns(settings)
    this.#onlyUrl = settings.urls[0] ?? ''
    const check = identities === null ? undefined : identityCheck(settings, identities)
    this.pool = new Pool(settings, clock, times, check)
    this.facts = new FactsReader(this.pool, clock, this.#attributes)
    this.policies = new PolicyReader(this.pool, clock, settings)
    this.locks = new LockReadings(settings, this.driver, clock, this.#attributes, this.pool.servers)
  }

  async findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount> {
    const reader = await this.reader()
    const atMs = this.#clock.nowMs()
    const filter = this.#userFilter({ login, realm: realm ?? '' })
    const { entries, server } = await this.#search(reader, filter, 2)
    const [first, second] = entries
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
    return reader.found(this.#keep(reader.fromSearch(first), server, atMs).account)
  }

  /** @returns null where the text is no id of this directory */
  async findById(text: string): Promise<FoundAccount | null> {
    const id = parseAccountId(text)
    if (id === null || !UNIQUE_ID.test(id)) return null
    const reader = await this.reader()
    const atMs = this.#clock.nowMs()
    const key = accountKey(this.settings.name, id)
    const { entries, server } = await this.#search(reader, idFilter(this.settings, key), 1, key)
    const [entry] = entries
    return entry === undefined ? null : reader.found(this.#keep(reader.fromSearch(entry), server, atMs).account)
  }

  idFilterOf(text: string): Filter | null {
    const id = parseAccountId(text)
    return id === null || !UNIQUE_ID.test(id) ? null : idFilter(this.settings, accountKey(this.settings.name, id))
  }

  loginFilterOf(login: Login, realm: Realm | null): Filter {
    return this.#userFilter({ login, realm: realm ?? '' })
  }

  /** Accounts that match any of the filters; for many at a time (find-many.ts). */
  async findAny(filters: readonly Filter[], sizeMax: number): Promise<FoundAccount[]> {
    const reader = await this.reader()
    const { entries } = await this.#search(reader, new OrFilter({ filters: [...filters] }), sizeMax)
    return entries.map((entry) => reader.found(reader.fromSearch(entry)))
  }

  async findBySerial(serial: Serial): Promise<FoundAccount[]> {
    const reader = await this.reader()
    const atMs = this.#clock.nowMs()
    const filter = serialFilter(this.settings, reader, serial)
    const { entries, server } = await this.#search(reader, filter, reader.isMultiValued ? CARRIERS_MAX : SIMILAR_MAX)
    const found = entries.map((entry) => reader.found(this.#keep(reader.fromSearch(entry), server, atMs).account))
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
      const server = this.pool.writerOf(change.key) ?? this.#onlyUrl
      const reading = told?.key === change.key ? this.#keep(told, server, atMs) : await this.#read(reader, change.key)
      return await this.#complete(reader, reading, {})
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
    for await (const { entries, server } of this.#pages(reader, filter)) {
      for (const entry of entries) {
        // Not kept for later: so many would push out all that are in work, and live just long enough to be dear.
        const account = reader.fromSearch(entry)
        if (hasOthers) seen.add(account.key)
        yield await this.#complete(reader, { account, server }, {})
      }
    }
    for (const place of this.driver.markedElsewhere()) {
      for (const name of await allValuesAt(this.pool, reader, place.dn, place.attribute)) {
        const reading = await this.#accountNamed(reader, place.names, String(name))
        if (reading === null || seen.has(reading.account.key)) continue
        seen.add(reading.account.key)
        yield await this.#complete(reader, reading, {})
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

  /** What another server than the one that took our last write says may be older than it, and is not kept. */
  #keep(account: Account, server: string, atMs: number): Reading {
    const reading = { account, server }
    const writer = this.pool.writerOf(account.key)
    if (writer === null || writer === server) this.#readings.put(account.key, reading, atMs)
    return reading
  }

  /** At its last known DN first, which needs no index; else wherever it is now. */
  async #read(reader: AccountReader, key: AccountKey): Promise<Reading> {
    const atMs = this.#clock.nowMs()
    const last = this.#readings.last(key)
    if (last !== undefined) {
      const filter = new PresenceFilter({ attribute: 'objectClass' })
      const { entries, server } = await this.#ask(this.#request(reader, last.account.dn, 'base', filter, 1), key)
      const account = entries[0] === undefined ? null : reader.fromSearch(entries[0])
      if (account?.key === key) return this.#keep(account, server, atMs)
      this.#readings.drop(key)
    }
    const { entries, server } = await this.#search(reader, idFilter(this.settings, key), 2, key)
    const [entry] = entries
    if (entry === undefined) throw this.#gone(key)
    return this.#keep(reader.fromSearch(entry), server, atMs)
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
    const sizeMax = 1 + (reader.isMultiValued ? CARRIERS_MAX : SIMILAR_MAX) * serials.length
    const { entries, server } = await this.#search(reader, filter, sizeMax, key)
    const readings = entries.map((entry) => this.#keep(reader.fromSearch(entry), server, atMs))
    const own = readings.find(({ account }) => account.key === key) ?? (await this.#read(reader, key))
    const others = readings.filter(({ account }) => account.key !== key).map(({ account }) => reader.found(account))
    const carriers = serials.map((serial) => {
      const carrying = others.filter((account) => account.serials.includes(serial)).slice(0, CARRIERS_MAX)
      return [serial, carrying.map((account) => ({ key: account.key, dn: account.dn }))] as const
    })
    return this.#complete(reader, own, Object.fromEntries(carriers))
  }

  async #complete(
    reader: AccountReader,
    { account, server }: Reading,
    carriedElsewhere: Carriers,
  ): Promise<ObservedState> {
    // What belongs to an account is read where its last write went.
    const reads: Reads = { read: (call) => this.pool.read(call, account.key) }
    const { settings, driver } = this
    const places = driver.placesElsewhere(account)
    const elsewhere =
      places.length === 0 ? [] : await Promise.all(places.map((place) => valuesAt(reads, reader, place)))
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
      protectedBy: await this.#protectedBy(account.dn),
      ...(settings.urls.length > 1 ? { server } : {}),
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

  async #accountNamed(reader: AccountReader, kind: 'dn' | 'login', name: string): Promise<Reading | null> {
    const atMs = this.#clock.nowMs()
    const filter =
      kind === 'login' ? this.#userFilter({ login: name, realm: '' }) : new PresenceFilter({ attribute: 'objectClass' })
    const request =
      kind === 'login'
        ? this.#request(reader, this.settings.base, 'sub', filter, 2)
        : this.#request(reader, name, 'base', filter, 1)
    const { entries, server } = await this.#ask(request)
    const [first] = entries
    return entries.length === 1 && first !== undefined ? this.#keep(reader.fromSearch(first), server, atMs) : null
  }

  #gone(key: AccountKey): AppError {
    return new AppError('entry-not-found', `directory ${this.settings.name}: the account ${key} is no longer there`, {
      hint: 'It was deleted, or left base. Nothing is left to lock or unlock.',
    })
  }

  /** The account's DN was not there when it was written to. */
  async #movedOrGone(reader: AccountReader, change: ChangeDraft): Promise<AppError> {
    try {
      const { account } = await this.#read(reader, change.key)
      return new AppError(
        'write-raced',
        `directory ${this.settings.name}: ${change.dn} is now ${account.dn}; nothing was written`,
      )
    } catch (error) {
      return toAppError(error)
    }
  }

  #search(reader: AccountReader, filter: Filter, sizeMax: number, key?: AccountKey): Promise<Answer> {
    return this.#ask(this.#request(reader, this.settings.base, 'sub', filter, sizeMax), key)
  }

  /** @param key the account that it is about: asked where its last write went */
  #ask(request: SearchRequest, key?: AccountKey): Promise<Answer> {
    return this.pool.read(async (connection) => {
      const entries = await searchProven(connection, request, this.settings)
      return { entries, server: connection.server.url }
    }, key)
  }

  /** Page by page on one connection; what a lost identity hides would look like the end. */
  #pages(reader: AccountReader, filter: Filter): AsyncGenerator<Answer> {
    const request = this.#request(reader, this.settings.base, 'sub', filter, 0)
    return this.pool.hold(async function* (connection) {
      const server = connection.server.url
      for await (const entries of connection.searchPages(request, PAGE_ENTRIES)) yield { entries, server }
      await connection.proveIdentity()
    })
  }

  #request(reader: AccountReader, base: string, scope: 'base' | 'sub', filter: Filter, sizeMax: number): SearchRequest {
    return { base, scope, filter, attributes: reader.names.wanted, bytesOf: reader.names.canonical, sizeMax }
  }
}

function protectedDns(settings: DirectorySettings): Map<string, string> {
  const listed = settings.protect.dns.map((dn) => [normalDn(dn), 'its DN is in guards.protect.dns'] as const)
  return new Map([...listed, [normalDn(settings.bindDn), 'it is the account that Lockstep binds as']])
}

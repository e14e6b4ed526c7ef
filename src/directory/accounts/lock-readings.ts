import { OrFilter, type Entry } from 'ldapts'
import { AppError, toAppError } from '../../core/error.ts'
import type { AccountKey } from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import { READ_LOCKS_MAX, type LockAtServer, type ServerReading } from '../../ports/directory.ts'
import { AccountReader, type Account } from './account.ts'
import { halvedWhenCut } from '../ldap/cut-answers.ts'
import { idFilter, searchProven } from './directory-searches.ts'
import type { DirectoryDriver, LockJudge } from '../drivers/driver.ts'
import { valuesAt } from './places-elsewhere.ts'
import type { ServerPool } from '../pool/server-pool.ts'
import { FactsReader } from '../pool/server-facts.ts'
import { readValues } from './stored-values.ts'

/** One server of a directory and its own facts: another server may lack a policy that this one has. */
interface View {
  readonly server: ServerPool
  readonly facts: FactsReader
  readonly judge: LockJudge
}

/**
 * The status of locks on each server of a directory, read by a connection to that server and judged by its own facts.
 */
export class LockReadings {
  readonly #settings: DirectorySettings
  readonly #driver: DirectoryDriver
  readonly #attributes: readonly string[]
  readonly #views: readonly View[]

  /** @param attributes of an account that are read */
  constructor(
    settings: DirectorySettings,
    driver: DirectoryDriver,
    clock: Clock,
    attributes: readonly string[],
    servers: readonly ServerPool[],
  ) {
    this.#settings = settings
    this.#driver = driver
    this.#attributes = attributes
    this.#views = servers.map((server) => {
      return {
        server,
        facts: new FactsReader(server, clock, attributes),
        judge: driver.judge(server, settings, clock),
      }
    })
  }

  /** One answer per server, in the order of `urls`; a server that fails has the reason. At most READ_LOCKS_MAX keys. */
  async read(keys: readonly AccountKey[]): Promise<ServerReading[]> {
    if (keys.length > READ_LOCKS_MAX) throw new RangeError(`more than ${READ_LOCKS_MAX} accounts at once`)
    return Promise.all(
      this.#views.map(async (view): Promise<ServerReading> => {
        const { url } = view.server.server
        const { failure } = view.server
        if (failure !== null) return { url, error: failure, locks: new Map() }
        try {
          return { url, error: null, ...(await this.#readAt(view, keys)) }
        } catch (thrown) {
          return { url, error: toAppError(thrown), locks: new Map() }
        }
      }),
    )
  }

  /** An account whose lock may not be read (one that became an administrator's) does not affect the others. */
  async #readAt(view: View, keys: readonly AccountKey[]): Promise<Pick<ServerReading, 'locks' | 'unread'>> {
    const facts = view.facts.fresh ?? (await view.facts.read())
    const reader = new AccountReader(this.#settings, facts, this.#attributes, this.#driver.singleValued)
    const entries = await halvedWhenCut(keys, (some) => this.#search(view, reader, some))
    const accounts = entries.map((entry) => reader.fromSearch(entry, view.server.server.url))
    const locks = new Map<AccountKey, LockAtServer>()
    const unread = new Map<AccountKey, AppError>()
    const look = async (account: Account): Promise<void> => {
      try {
        locks.set(account.key, await this.#lockOf(account, reader, view))
      } catch (thrown) {
        if (!(thrown instanceof AppError) || thrown.code !== 'directory-not-permitted') throw thrown
        unread.set(account.key, thrown)
      }
    }
    await Promise.all(accounts.map(look))
    return { locks, unread }
  }

  #search({ server }: View, reader: AccountReader, keys: readonly AccountKey[]): Promise<Entry[]> {
    const request = {
      base: this.#settings.base,
      scope: 'sub' as const,
      filter: new OrFilter({ filters: keys.map((key) => idFilter(this.#settings, key)) }),
      attributes: reader.names.wanted,
      bytesOf: reader.names.canonical,
      sizeMax: 0,
    }
    return server.read((connection) => searchProven(connection, request, this.#settings))
  }

  async #lockOf(account: Account, reader: AccountReader, { server, judge }: View): Promise<LockAtServer> {
    const places = this.#driver.placesElsewhere(account)
    const elsewhere = await Promise.all(places.map((place) => valuesAt(server, reader, place)))
    const values = await readValues(server, this.#settings, reader, account, this.#driver)
    return { dn: account.dn, lock: await judge(account, { facts: reader.facts, elsewhere, ...values }) }
  }
}

import { AndFilter, EqualityFilter, OrFilter, type Entry } from 'ldapts'
import { attributesOfName } from '../../core/settings/bind-name.ts'
import { normalDn } from '../../core/dn.ts'
import { AppError } from '../../core/error.ts'
import { accountKey, asDn, type AccountKey, type Dn, type WindowsName } from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import { searchProven } from '../accounts/directory-searches.ts'
import { valuesIn } from '../protocol/entry.ts'
import { idCodecOf } from '../accounts/id-codec.ts'
import type { Reads } from '../ldap/reads.ts'
import { namingContextOf, type ServerFacts } from '../pool/server-facts.ts'
import { sidText } from '../protocol/sid.ts'

/** The account that we bind as, as far as the directory reports it. */
export interface OwnAccount {
  readonly dns: readonly Dn[]
  /** Why its entry could not be found; null: it was. */
  readonly unread: AppError | null
  has(account: { readonly key: AccountKey; readonly dn: Dn }): boolean
}

/** More than one where a login of one account is the userPrincipalName of another. */
const ENTRIES_MAX = 10
/** An entry that was not found is searched for again after this time; one that was found, with the server's facts. */
const RETRY_MS = 10_000
const SID = 'objectSid'

/**
 * Finds the entry of the account that we bind as by another name than its DN (Active Directory). It is searched for in
 * the domain, and must be of the account whose token the connection has. Afterwards its id identifies it too, so that a
 * rename or move of the account changes nothing.
 */
export class OwnAccountReader {
  readonly #name: WindowsName
  readonly #settings: DirectorySettings
  readonly #reads: Reads
  readonly #clock: Clock
  #last: { readonly facts: ServerFacts; readonly own: OwnAccount; readonly atMs: number } | null = null
  #reading: Promise<OwnAccount> | null = null

  constructor(name: WindowsName, settings: DirectorySettings, reads: Reads, clock: Clock) {
    this.#name = name
    this.#settings = settings
    this.#reads = reads
    this.#clock = clock
  }

  /** Fails where the directory as a whole does not answer; that the entry is not found is part of the answer. */
  async read(facts: ServerFacts): Promise<OwnAccount> {
    const last = this.#last
    if (last !== null && last.facts === facts && (last.own.unread === null || this.#isRecent(last.atMs)))
      return last.own
    this.#reading ??= this.#load(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  #isRecent(atMs: number): boolean {
    const ageMs = this.#clock.nowMs() - atMs
    return ageMs >= 0 && ageMs < RETRY_MS
  }

  async #load(facts: ServerFacts): Promise<OwnAccount> {
    const atMs = this.#clock.nowMs()
    const own = await this.#find(facts)
    this.#last = { facts, own, atMs }
    return own
  }

  async #find(facts: ServerFacts): Promise<OwnAccount> {
    try {
      const entries = await this.#entriesOf(facts)
      if (entries.length === 0) return notFound(this.#unread('no entry that may be seen is of that account'))
      return ownAccount(
        entries.map(({ dn }) => asDn(dn)),
        entries.flatMap((entry) => this.#keyOf(entry) ?? []),
      )
    } catch (error) {
      if (!(error instanceof AppError) || !UNREAD_CODES.includes(error.code)) throw error
      return notFound(this.#unread(error.message))
    }
  }

  /** Those with the name, and of them the one whose token the connection has, where the server reports that. */
  async #entriesOf(facts: ServerFacts): Promise<Entry[]> {
    const { base, idAttribute } = this.#settings
    const request = {
      base: namingContextOf(facts, base) ?? base,
      scope: 'sub' as const,
      filter: filterOf(this.#name),
      attributes: [idAttribute, SID],
      bytesOf: [facts.canonical(idAttribute), idAttribute, SID],
      sizeMax: ENTRIES_MAX,
    }
    return this.#reads.read(async (connection) => {
      const entries = await searchProven(connection, request, this.#settings)
      const token = await connection.tokenSids()
      return token.length === 0 ? entries : entries.filter((entry) => token.includes(sidOf(entry) ?? ''))
    })
  }

  #keyOf(entry: Entry): AccountKey | null {
    const { name, idAttribute } = this.#settings
    const [value] = valuesIn(entry, idAttribute)
    const id = value === undefined ? null : idCodecOf(idAttribute).decode(value)
    return id === null ? null : accountKey(name, id)
  }

  #unread(why: string): AppError {
    const message = `directory ${this.#settings.name}: the entry of ${this.#name}, the account that Lockstep binds as, was not found: ${why}`
    return new AppError('directory-not-permitted', message, {
      hint: 'Write the DN of the account into bindDn, or let it read its own entry with objectSid.',
    })
  }
}

/** Failures of this one search; all others are failures of the directory. */
const UNREAD_CODES = ['directory-not-permitted', 'directory-refused', 'directory-cut', 'entry-not-found']

function ownAccount(dns: readonly Dn[], keys: readonly AccountKey[]): OwnAccount {
  const normal = new Set(dns.map(normalDn))
  const known = new Set(keys)
  return { dns, unread: null, has: ({ key, dn }) => known.has(key) || normal.has(normalDn(dn)) }
}

function notFound(unread: AppError): OwnAccount {
  return { dns: [], unread, has: () => false }
}

function filterOf(name: WindowsName): AndFilter {
  const { userPrincipalName, login } = attributesOfName(name)
  const byName = [
    new EqualityFilter({ attribute: 'sAMAccountName', value: login }),
    ...(userPrincipalName === null
      ? []
      : [new EqualityFilter({ attribute: 'userPrincipalName', value: userPrincipalName })]),
  ]
  const isAccount = new EqualityFilter({ attribute: 'objectClass', value: 'user' })
  return new AndFilter({ filters: [isAccount, new OrFilter({ filters: byName })] })
}

function sidOf(entry: Entry): string | null {
  return sidText(valuesIn(entry, SID)[0])
}

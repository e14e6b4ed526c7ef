import type { Entry } from 'ldapts'
import { AppError } from '../../core/error.ts'
import { accountKey, asDn, parseLogin, type AccountKey, type Dn, type Login } from '../../core/names.ts'
import { serialsIn } from '../../core/account/serial-values.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { AttributeValue } from '../../core/account/state.ts'
import type { FoundAccount } from '../../ports/directory.ts'
import type { WireEntry } from '../protocol/controls.ts'
import type { AccountEntry } from '../drivers/driver.ts'
import { AttributeNames, fromSearch, fromWire, type ReadEntry } from '../protocol/entry.ts'
import { idCodecOf, type IdCodec } from './id-codec.ts'
import type { ServerFacts } from '../pool/server-facts.ts'

/** An account as it was read: its own entry, and its stable id. */
export class Account implements AccountEntry {
  readonly key: AccountKey
  readonly dn: Dn
  readonly login: Login | null
  /** The server that returned it, as in the configuration. */
  readonly url: string
  readonly #entry: ReadEntry

  constructor(key: AccountKey, login: Login | null, url: string, entry: ReadEntry) {
    this.key = key
    this.url = url
    this.dn = asDn(entry.dn)
    this.login = login
    this.#entry = entry
  }

  values(attribute: string): readonly AttributeValue[] {
    return this.#entry.values(attribute)
  }

  text(attribute: string): string | null {
    return this.#entry.text(attribute)
  }
}

/** How accounts of one directory are read, once its schema is known. */
export class AccountReader {
  readonly names: AttributeNames
  readonly facts: ServerFacts
  readonly isMultiValued: boolean
  readonly #settings: DirectorySettings
  readonly #ids: IdCodec

  constructor(
    settings: DirectorySettings,
    facts: ServerFacts,
    attributes: readonly string[],
    singleValued: readonly string[],
  ) {
    this.#settings = settings
    this.#ids = idCodecOf(settings.idAttribute)
    this.facts = facts
    this.names = new AttributeNames(attributes, (name) => facts.canonical(name))
    const serialAttribute = settings.serialAttribute.toLowerCase()
    const isSingle = singleValued.some((name) => name.toLowerCase() === serialAttribute)
    this.isMultiValued = !isSingle && !facts.isSingleValued(settings.serialAttribute)
  }

  fromSearch(entry: Entry, url: string): Account {
    return this.#accountOf(fromSearch(entry, this.names), url)
  }

  fromWire(entry: WireEntry, url: string): Account {
    return this.#accountOf(fromWire(entry, this.names), url)
  }

  found(account: Account): FoundAccount {
    const { serialFormat, serialAttribute } = this.#settings
    const serials = serialsIn(serialFormat, this.isMultiValued, account.values(serialAttribute))
    return { key: account.key, dn: account.dn, login: account.login, serials }
  }

  #accountOf(entry: ReadEntry, url: string): Account {
    const { name, idAttribute, loginAttribute } = this.#settings
    const value = entry.values(idAttribute)[0]
    const id = value === undefined ? null : this.#ids.decode(value)
    if (id === null) {
      const what = value === undefined ? 'has no readable' : 'has a value that cannot be used in its'
      throw new AppError('directory-refused', `directory ${name}: ${entry.dn} ${what} ${idAttribute}`, {
        hint: 'Let the account that Lockstep binds as read it, or set idAttribute to an attribute of letters, digits and "-" that never changes.',
      })
    }
    const login = entry.text(loginAttribute)
    return new Account(accountKey(name, id), login === null ? null : parseLogin(login), url, entry)
  }
}

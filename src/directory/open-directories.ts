import type { Change, ChangeDraft } from '../core/account/change.ts'
import { AppError, toAppError } from '../core/error.ts'
import type { LastWriter } from '../core/account/late.ts'
import {
  directoryOf,
  type AccountKey,
  type DirectoryName,
  type Dn,
  type Login,
  type Realm,
  type Serial,
} from '../core/names.ts'
import { duplicatesAmong } from '../core/account/serial-values.ts'
import type { Settings } from '../core/settings/settings.ts'
import type { DuplicateSerial, EntryVersion, ObservedState } from '../core/account/state.ts'
import type { Clock } from '../ports/clock.ts'
import type {
  AttributePort,
  DirectoryPort,
  FoundAccount,
  FurtherAnswer,
  FurtherPort,
  GroupPort,
  ServerReading,
  ServerState,
} from '../ports/directory.ts'
import type { IdentityPort } from '../ports/store/identity.ts'
import { readAttributes } from './accounts/attributes.ts'
import { findLoginInOrder, findManyInOrder, findUserInOrder } from './accounts/find-in-order.ts'
import { findMany } from './accounts/find-many.ts'
import { loginsOfGroup } from './protection/group-members.ts'
import { LdapDirectory, type DuplicateSerials } from './ldap-directory.ts'
import type { PoolTimes } from './pool/pool.ts'

/**
 * The directories of the configuration as one port. Each connection is opened when it is first needed. To be disposed
 * of.
 * @param identities the recorded identities of the directories; null: any directory that answers is accepted
 * @param times tests shorten them
 */
export function openDirectories(
  settings: Pick<Settings, 'directories' | 'realms'>,
  clock: Clock,
  identities: IdentityPort | null = null,
  times?: PoolTimes,
): DirectoryPort & AttributePort & GroupPort & FurtherPort {
  const directories = new Map<DirectoryName, LdapDirectory>()
  for (const each of settings.directories) {
    directories.set(each.name, new LdapDirectory(each, clock, times, identities))
  }
  return new Directories(directories, settings.realms)
}

class Directories implements DirectoryPort, AttributePort, GroupPort, FurtherPort {
  readonly #directories: ReadonlyMap<DirectoryName, LdapDirectory>
  readonly #realms: Settings['realms']

  constructor(directories: ReadonlyMap<DirectoryName, LdapDirectory>, realms: Settings['realms']) {
    this.#directories = directories
    this.#realms = realms
  }

  async findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount> {
    return findLoginInOrder(this.#ofRealm(realm), login, realm)
  }

  async findByUser(user: Parameters<DirectoryPort['findByUser']>[0]): Promise<FoundAccount> {
    return findUserInOrder(this.#ofRealm(user.realm), user)
  }

  async findByUsers(users: Parameters<DirectoryPort['findByUsers']>[0]): ReturnType<DirectoryPort['findByUsers']> {
    const found: (FoundAccount | AppError)[] = []
    const places = new Map<string, { directories: readonly LdapDirectory[]; indexes: number[] }>()
    users.forEach(({ realm }, index) => {
      try {
        const directories = this.#ofRealm(realm)
        const id = directories.map(({ settings }) => settings.name).join(' ')
        const known = places.get(id)
        if (known === undefined) places.set(id, { directories, indexes: [index] })
        else known.indexes.push(index)
      } catch (thrown) {
        found[index] = toAppError(thrown)
      }
    })
    const search = async (directories: readonly LdapDirectory[], indexes: readonly number[]): Promise<void> => {
      const wanted = indexes.flatMap((index) => users[index] ?? [])
      const [only, ...more] = directories
      const isOne = only !== undefined && more.length === 0
      const accounts = isOne ? await findMany(only, wanted) : await findManyInOrder(directories, wanted)
      indexes.forEach((index, at) => (found[index] = accounts[at] ?? unmapped('nobody')))
    }
    await Promise.all([...places.values()].map(({ directories, indexes }) => search(directories, indexes)))
    return found
  }

  async findElsewhere(key: AccountKey, login: Login, realm: Realm): Promise<readonly FurtherAnswer[]> {
    const others = this.#ofRealm(realm).filter(({ settings }) => settings.name !== directoryOf(key))
    const ask = async (directory: LdapDirectory): Promise<FoundAccount | AppError | null> => {
      try {
        return await directory.findByLogin(login, realm)
      } catch (thrown) {
        const error = toAppError(thrown)
        return error.code === 'unknown-user' ? null : error
      }
    }
    return Promise.all(others.map(async (each) => ({ directory: each.settings.name, found: await ask(each) })))
  }

  async findBySerial(serial: Serial): Promise<readonly FoundAccount[]> {
    const all = [...this.#directories.values()]
    const found = await Promise.all(all.map((directory) => directory.findBySerial(serial)))
    return found.flat()
  }

  async *walkMarked(name: DirectoryName): AsyncGenerator<ObservedState> {
    yield* this.#named(name).walkMarked()
  }

  async *walkLocked(name: DirectoryName): AsyncGenerator<ObservedState> {
    yield* this.#named(name).walkLocked()
  }

  async observe(key: AccountKey, duplicatesOf: readonly Serial[], maxAgeMs: number): Promise<ObservedState> {
    const own = this.#named(directoryOf(key))
    const others = duplicatesOf.length === 0 ? [] : [...this.#directories.values()].filter((each) => each !== own)
    if (others.length === 0) return own.observe(key, duplicatesOf, maxAgeMs)
    const [observed, ...elsewhere] = await Promise.all([
      own.observe(key, duplicatesOf, maxAgeMs),
      ...others.map((directory) => duplicatesIn(directory, duplicatesOf)),
    ])
    const unknown = elsewhere.find((each) => each instanceof AppError)
    const known = elsewhere.flatMap((each) => (each instanceof AppError ? [] : [each]))
    const all = { ...observed, carriedElsewhere: merged([observed.carriedElsewhere, ...known]) }
    if (unknown === undefined) return all
    const reason = `whether another account carries it could not be asked: ${unknown.message}`
    const silent = others.filter((_, at) => elsewhere[at] instanceof AppError).map(({ settings }) => settings.name)
    return { ...all, duplicatesUnknown: { code: unknown.code, reason, directories: silent } }
  }

  async apply(change: Change | ChangeDraft, asRead?: EntryVersion): Promise<ObservedState> {
    return this.#named(directoryOf(change.key)).apply(change, asRead)
  }

  async lastWriters(key: AccountKey, dns: readonly Dn[]): Promise<ReadonlyMap<Dn, LastWriter>> {
    return this.#named(directoryOf(key)).lastWriters(key, dns)
  }

  async observeAt(key: AccountKey, urls: readonly string[]): Promise<ObservedState | null> {
    const directory = this.#named(directoryOf(key))
    for (const url of urls) {
      if (!(await directory.pool.turnTo(key, url))) continue
      const observed = await directory.observe(key, [], 0)
      if (observed.server === url) return observed
    }
    return null
  }

  async readLocks(name: DirectoryName, keys: readonly AccountKey[]): Promise<readonly ServerReading[]> {
    const { locks, pool } = this.#named(name)
    await pool.meet()
    return locks.read(keys)
  }

  servers(name: DirectoryName): readonly ServerState[] {
    return this.#named(name).pool.states()
  }

  async lookAtServers(name: DirectoryName): Promise<readonly ServerState[]> {
    const { pool } = this.#named(name)
    await pool.lookAtAll()
    return pool.states()
  }

  attributesOf(key: AccountKey, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const { pool, settings } = this.#named(directoryOf(key))
    return readAttributes(pool, settings, key, names)
  }

  loginsOfGroup(name: DirectoryName, groupDn: string): Promise<readonly Login[]> {
    const { pool, settings } = this.#named(name)
    return loginsOfGroup(pool, settings, groupDn)
  }

  names(): readonly DirectoryName[] {
    return [...this.#directories.keys()]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#directories.values()].map((directory) => directory[Symbol.asyncDispose]()))
  }

  /** One directory serves every realm where the configuration assigns no realms. */
  #ofRealm(realm: Realm | null): readonly LdapDirectory[] {
    const all = [...this.#directories.values()]
    const [only] = all.length === 1 ? all : []
    const isUnmapped = Object.keys(this.#realms).length === 0
    if (only !== undefined && (realm === null || isUnmapped)) return [only]
    if (realm === null) throw unmapped('an event without a realm, and there are several directories')
    const names = this.#realms[realm]
    if (names === undefined) throw unmapped(`the realm ${realm} belongs to no directory`)
    if (names.length === 0) {
      throw new AppError(
        'realm-excluded',
        `the realm ${realm} has no directory on purpose (realms in the configuration)`,
      )
    }
    return names.map((name) => this.#named(name))
  }

  #named(name: DirectoryName): LdapDirectory {
    const directory = this.#directories.get(name)
    if (directory === undefined) throw unmapped(`the directory ${name} is not in the configuration`)
    return directory
  }
}

/** @returns why it cannot be searched, where the directory is the cause: it must not block the others */
async function duplicatesIn(
  directory: LdapDirectory,
  serials: readonly Serial[],
): Promise<DuplicateSerials | AppError> {
  let found: FoundAccount[][]
  try {
    found = await Promise.all(serials.map((serial) => directory.findBySerial(serial)))
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code.startsWith('directory-')) return thrown
    throw thrown
  }
  const duplicates = serials.map((serial, index) => {
    return [serial, duplicatesAmong(found[index] ?? [], serial)] as const
  })
  return Object.fromEntries(duplicates)
}

function merged(all: readonly DuplicateSerials[]): DuplicateSerials {
  const result: Record<string, readonly DuplicateSerial[]> = {}
  for (const duplicates of all) {
    for (const [serial, list] of Object.entries(duplicates)) result[serial] = [...(result[serial] ?? []), ...list]
  }
  return result
}

function unmapped(what: string): AppError {
  return new AppError('realm-unmapped', what, { hint: 'Add it under realms (or directories) in the configuration.' })
}

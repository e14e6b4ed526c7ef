import { AppError, toAppError } from '../../core/error.ts'
import {
  directoryOf,
  partedLogin,
  type AccountKey,
  type DirectoryName,
  type Login,
  type Realm,
} from '../../core/names.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { DirectoryPort, FoundAccount } from '../../ports/directory.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import type { Store } from '../../store/store.ts'

/**
 * Whom a person means by a LOGIN of the command line; every command that takes one asks here. The text is a login as it
 * stands, since a login may hold an `@`; where nobody is called so it is parted at its last `@`, if a realm stands right of it.
 *
 * | called so as it stands | right of the last `@`     | so called in that realm | meant                         |
 * | ---------------------- | ------------------------- | ----------------------- | ----------------------------- |
 * | somebody               | no realm that is known    |                         | the login as it stands        |
 * | somebody               | a realm that is known     | nobody else             | the login as it stands        |
 * | somebody               | a realm that is known     | somebody else           | as it stands, and a note      |
 * | nobody                 | a realm that is known     | somebody                | that one                      |
 * | nobody                 | a realm that is known     | nobody                  | nobody                        |
 * | nobody                 | no realm that is known    |                         | nobody; the realms are listed |
 *
 * A realm is known that the configuration names or that an account on record is of.
 */
export interface NameReader<Found> {
  /** The realm that was given beside the name (`--realm`); null: none. */
  readonly realm: Realm | null
  realms(): Promise<readonly Realm[]>
  asItStands(): Promise<readonly Match<Found>[]>
  ofUser(login: Login, realm: Realm): Promise<readonly Match<Found>[]>
}

export interface Match<Found> {
  /** Tells it apart from the others. */
  readonly id: string
  /** How it can be named so that nobody else is meant. */
  readonly name: string
  /** For people: what it is. */
  readonly is: string
  readonly found: Found
}

export interface Named<Found> {
  readonly matches: readonly Match<Found>[]
  /** That somebody else could be meant as well; null: nobody. */
  readonly note: string | null
  /** Why nobody may be found under it, where its right part is no realm that is known; else ''. */
  readonly hint: string
}

export async function readName<Found>(text: string, reader: NameReader<Found>): Promise<Named<Found>> {
  const matches = await reader.asItStands()
  const parted = partedLogin(text)
  if (parted === null) return { matches, note: null, hint: '' }
  const { login, realm } = parted
  const realms = await reader.realms()
  if (!realms.includes(realm)) return { matches, note: null, hint: noSuchRealm(parted, realms) }
  const isOther = reader.realm !== null && reader.realm !== realm
  if (isOther) return { matches, note: null, hint: `--realm ${reader.realm} and @${realm} are two realms.` }
  if (matches.length === 0) return { matches: await reader.ofUser(login, realm), note: null, hint: '' }
  return { matches, note: noteOn(text, parted, matches, await quietly(reader.ofUser(login, realm))), hint: '' }
}

function noSuchRealm({ login, realm }: { login: Login; realm: Realm }, realms: readonly Realm[]): string {
  if (realms.length === 0) return `No realm is known here, so that ${realm} is none. Name the login alone: ${login}.`
  return `${realm} is no realm that is known here (these are: ${realms.join(', ')}). Name one of them, or the login alone: ${login}.`
}

/** Who else could be meant is a remark, and no matter where it cannot be found out. */
async function quietly<Found>(reading: Promise<readonly Match<Found>[]>): Promise<readonly Match<Found>[]> {
  try {
    return await reading
  } catch {
    return []
  }
}

function noteOn<Found>(
  text: string,
  { login, realm }: { login: Login; realm: Realm },
  matches: readonly Match<Found>[],
  others: readonly Match<Found>[],
): string | null {
  const [other] = others.filter(({ id }) => !matches.some((match) => match.id === id))
  if (other === undefined) return null
  return `${text} is taken as a login. ${login} of realm ${realm} is somebody else: ${other.is}`
}

/** Fails with `unknown-user` and `ambiguous-match`. @param unknown what was answered where nobody was found */
export function onlyMatch<Found>(text: string, { matches, hint }: Named<Found>, unknown: AppError): Found {
  const [only, ...more] = matches
  if (only === undefined) {
    throw new AppError(unknown.code, unknown.message, { cause: unknown, hint: `${hint} ${unknown.hint}`.trim() })
  }
  if (more.length > 0) throw ambiguous(text, matches)
  return only.found
}

export function ambiguous(text: string, matches: readonly Match<unknown>[]): AppError {
  const list = matches.map(({ name, is }) => `${name} (${is})`).join(', ')
  return new AppError('ambiguous-match', `${text} is the name of ${matches.length} accounts: ${list}`, {
    hint: `Name one of them: ${matches.map(({ name }) => name).join(', or ')}.`,
  })
}

/** What is asked of the record. */
export interface RecordAccess {
  readonly settings: Pick<Settings, 'realms' | 'directories'>
  readonly store: Pick<Store, 'reports'>
}

/** Of the configuration, and of the record. */
export async function knownRealms({ settings, store }: RecordAccess): Promise<readonly Realm[]> {
  return [...new Set([...configuredRealms(settings), ...(await store.reports.realms())])]
}

export function configuredRealms({ realms }: Pick<Settings, 'realms'>): readonly Realm[] {
  return Object.keys(realms) as Realm[]
}

/** Accounts on record by a login, a serial, an account key or id, or a DN. */
export function accountsNamed(access: RecordAccess, text: string, limit: number): Promise<Named<AccountReport>> {
  return readName(text, {
    realm: null,
    realms: () => knownRealms(access),
    asItStands: async () => matchesOf(access, await access.store.reports.find(text, limit)),
    ofUser: async (login, realm) => matchesOf(access, await ofLogin(access, login, realm, limit)),
  })
}

function ofLogin({ settings, store }: RecordAccess, login: Login, realm: Realm, limit: number) {
  return store.reports.findLogin(login, realm, directoriesOf(settings, realm), limit)
}

/** One directory takes every realm where nobody said which realm is whose. */
function directoriesOf({ realms, directories }: RecordAccess['settings'], realm: Realm): readonly DirectoryName[] {
  return Object.keys(realms).length === 0 ? directories.map(({ name }) => name) : (realms[realm] ?? [])
}

function matchesOf(access: RecordAccess, accounts: readonly AccountReport[]): Match<AccountReport>[] {
  return accounts.map((account) => {
    const realm = account.realm ?? realmOf(access.settings, account.key as AccountKey)
    const isTold = account.login !== null && realm !== null
    return { id: account.key, name: isTold ? `${account.login}@${realm}` : account.key, is: account.dn, found: account }
  })
}

/** The only one that the account's directory belongs to; null: there are several, or none. */
function realmOf({ realms }: Pick<Settings, 'realms'>, key: AccountKey): Realm | null {
  const [only, ...more] = configuredRealms({ realms }).filter((each) => realms[each]?.includes(directoryOf(key)))
  return only === undefined || more.length > 0 ? null : only
}

/** Whose account it is, as an event names them, and where it lies. */
export interface AccountOfLogin {
  readonly account: Pick<FoundAccount, 'key' | 'dn' | 'serials'>
  readonly login: Login
  /** Null: none was named, and none is told by where it was found. */
  readonly realm: Realm | null
}

/**
 * The accounts on record that are called so: where the directory cannot be asked. As there, whoever is called so in a
 * directory of the realm is meant, where nobody of that very realm is on record.
 */
export function recordedLogins(
  access: RecordAccess,
  login: Login,
  realm: Realm | null,
  limit: number,
): Promise<Named<AccountReport>> {
  const find = async (user: Login, of: Realm | null): Promise<Match<AccountReport>[]> => {
    const exact = of === null ? [] : await ofLogin(access, user, of, limit)
    if (exact.length > 0) return matchesOf(access, exact)
    const places: readonly string[] | null = of === null ? null : directoriesOf(access.settings, of)
    const called = (await access.store.reports.find(user, limit)).filter(
      (account) => account.login?.toLowerCase() === user.toLowerCase(),
    )
    return matchesOf(
      access,
      called.filter(({ directory }) => places === null || places.includes(directory)),
    )
  }
  return readName(login, {
    realm,
    realms: () => knownRealms(access),
    asItStands: () => find(login, realm),
    ofUser: find,
  })
}

export interface DirectoryAccess {
  readonly settings: Pick<Settings, 'realms' | 'directories'>
  readonly directory: Pick<DirectoryPort, 'findByLogin'>
  /** Realms of the record. */
  recordedRealms(): Promise<readonly Realm[]>
}

/**
 * The one account that the directories have under this login. Without a realm all of them are asked: one that does not
 * answer may have it as well.
 * Fails with `unknown-user`, `ambiguous-match`, `realm-unmapped`, `realm-excluded`, `directory-*`.
 */
export async function accountOfLogin(
  access: DirectoryAccess,
  text: Login,
  realm: Realm | null,
): Promise<AccountOfLogin & { readonly note: string | null }> {
  const { settings } = access
  let unknown = new AppError('unknown-user', 'no directory belongs to a realm')
  const realms = async (): Promise<readonly Realm[]> => {
    return [...new Set([...configuredRealms(settings), ...(await access.recordedRealms())])]
  }
  const ask = async (login: Login, of: Realm | null): Promise<readonly Match<AccountOfLogin>[]> => {
    const found = new Map<AccountKey, Match<AccountOfLogin>>()
    for (const each of askedRealms(settings, of)) {
      const answer = await answerOf(access, login, each)
      if (answer instanceof AppError) unknown = answer
      else found.set(answer.key, matchOf(settings, answer, { login, asked: each, given: of }))
    }
    return [...found.values()]
  }
  const named = await readName(text, {
    realm,
    realms,
    asItStands: () => ask(text, realm),
    ofUser: (login, of) => ask(login, of),
  }).catch(async (thrown: unknown) => {
    const error = toAppError(thrown)
    if (error.code !== 'realm-unmapped' || realm === null) throw error
    const known = await realms()
    const these = known.length === 0 ? '' : `The realms that are known here: ${known.join(', ')}. `
    throw new AppError(error.code, error.message, { cause: error, hint: these + error.hint })
  })
  return { ...onlyMatch(text, named, unknown), note: named.note }
}

/** Those through which every directory is asked once; null: whatever its realm is. */
function askedRealms({ realms, directories }: DirectoryAccess['settings'], realm: Realm | null): (Realm | null)[] {
  if (realm !== null || directories.length < 2) return [realm]
  const byDirectories = new Map<string, Realm>()
  for (const each of configuredRealms({ realms })) {
    const id = (realms[each] ?? []).join(' ')
    if (id !== '' && !byDirectories.has(id)) byDirectories.set(id, each)
  }
  return [...byDirectories.values()]
}

/** @returns an error where nobody is called so; all others are thrown */
async function answerOf(
  { directory }: DirectoryAccess,
  login: Login,
  realm: Realm | null,
): Promise<FoundAccount | AppError> {
  try {
    return await directory.findByLogin(login, realm)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code !== 'unknown-user') throw error
    return error
  }
}

function matchOf(
  settings: Pick<Settings, 'realms'>,
  account: FoundAccount,
  { login, asked, given }: { login: Login; asked: Realm | null; given: Realm | null },
): Match<AccountOfLogin> {
  const { key, dn } = account
  // One of several realms of the same directory says nothing about whose account it is.
  const found = { account, login, realm: given ?? (asked === null ? null : realmOf(settings, key)) }
  return { id: key, name: asked === null ? key : `${login}@${asked}`, is: dn, found }
}

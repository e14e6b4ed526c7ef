import { AppError } from '../../core/error.ts'
import {
  directoryOf,
  partedLogin,
  type AccountKey,
  type DirectoryName,
  type Login,
  type Realm,
} from '../../core/names.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import type { Store } from '../../store/store.ts'

/**
 * The account that a LOGIN of the command line means; every command with a LOGIN uses this. The whole text is a login,
 * since a login may contain an `@`. Where no account has it, it is split at its last `@`, if the right part is a realm.
 *
 * | account of the whole text | right of the last `@` | account in that realm | meant                         |
 * | ------------------------- | --------------------- | --------------------- | ----------------------------- |
 * | one                       | no known realm        |                       | the whole login               |
 * | one                       | a known realm         | no other              | the whole login               |
 * | one                       | a known realm         | another one           | the whole login, and a note   |
 * | none                      | a known realm         | one                   | the one in that realm         |
 * | none                      | a known realm         | none                  | none                          |
 * | none                      | no known realm        |                       | none; the realms are listed   |
 *
 * A known realm is one of the configuration or of an account on record. Where it is not known whether an account has
 * the whole login, `called` fails: nothing is split then.
 */
export interface NameReader<Found> {
  realms(): Promise<readonly Realm[]>
  /**
   * The accounts that have the whole text as a name. @param realm the one that was given beside the name (`--realm`);
   * null: none
   */
  called(text: string, realm: Realm | null): Promise<readonly Candidate<Found>[]>
  ofUser(login: Login, realm: Realm): Promise<readonly Candidate<Found>[]>
}

/** A name, and the realm that is given beside it (`--realm`); null: none. */
export interface Way {
  readonly text: string
  readonly realm: Realm | null
}

export interface Candidate<Found> {
  /** Distinguishes it from the others. */
  readonly id: string
  /** The names for it, the shortest first. Each is checked by the rule above before it is proposed. At least one. */
  readonly ways: readonly [Way, ...Way[]]
  /** For people: what it is. */
  readonly is: string
  readonly found: Found
}

export interface Match<Found> extends Candidate<Found> {
  /** A name that means no other account, as on the command line. */
  readonly name: string
}

export interface Named<Found> {
  readonly matches: readonly Match<Found>[]
  /** Another account that may be meant too; null: none. */
  readonly note: string | null
  /** Why no account may be found, where its right part is no known realm; else ''. */
  readonly hint: string
}

interface Reading<Found> {
  readonly matches: readonly Candidate<Found>[]
  readonly note: string | null
  readonly hint: string
}

/** @param realm the one that was given beside the name (`--realm`); null: none */
export async function readName<Found>(
  text: string,
  realm: Realm | null,
  reader: NameReader<Found>,
): Promise<Named<Found>> {
  const reading = await readAs({ text, realm }, reader)
  return { ...reading, matches: await distinguished(reading.matches, reader) }
}

async function readAs<Found>({ text, realm: given }: Way, reader: NameReader<Found>): Promise<Reading<Found>> {
  const matches = await reader.called(text, given)
  const parted = partedLogin(text)
  if (parted === null) return { matches, note: null, hint: '' }
  const { login, realm } = parted
  const realms = await reader.realms()
  if (!realms.includes(realm)) return { matches, note: null, hint: noSuchRealm(parted, realms) }
  const isOther = given !== null && given !== realm
  if (isOther) return { matches, note: null, hint: `--realm ${given} and @${realm} are two realms.` }
  if (matches.length === 0) return { matches: await reader.ofUser(login, realm), note: null, hint: '' }
  return { matches, note: noteOn(text, parted, matches, await quietly(reader.ofUser(login, realm))), hint: '' }
}

/** Where there are several, each with the first of its names that means it alone. */
async function distinguished<Found>(
  matches: readonly Candidate<Found>[],
  reader: NameReader<Found>,
): Promise<readonly Match<Found>[]> {
  const named: Match<Found>[] = []
  for (const match of matches) {
    const way = matches.length > 1 ? await onlyWay(match, reader) : match.ways[0]
    named.push({ ...match, name: way === null ? match.id : shownWay(way) })
  }
  return named
}

async function onlyWay<Found>({ id, ways }: Candidate<Found>, reader: NameReader<Found>): Promise<Way | null> {
  for (const way of ways) {
    const [only, ...more] = await quietly(readAs(way, reader).then(({ matches }) => matches))
    if (only?.id === id && more.length === 0) return way
  }
  return null
}

export function shownWay({ text, realm }: Way): string {
  return realm === null ? text : `${text} --realm ${realm}`
}

function noSuchRealm({ login, realm }: { login: Login; realm: Realm }, realms: readonly Realm[]): string {
  if (realms.length === 0) return `No realm is known here, so that ${realm} is none. Name the login alone: ${login}.`
  return `${realm} is no realm that is known here (these are: ${realms.join(', ')}). Name one of them, or the login alone: ${login}.`
}

/** Other possible accounts are a remark only; a failure to find them out does not matter. */
async function quietly<Found>(reading: Promise<readonly Candidate<Found>[]>): Promise<readonly Candidate<Found>[]> {
  try {
    return await reading
  } catch {
    return []
  }
}

function noteOn<Found>(
  text: string,
  { login, realm }: { login: Login; realm: Realm },
  matches: readonly Candidate<Found>[],
  others: readonly Candidate<Found>[],
): string | null {
  const [other] = others.filter(({ id }) => !matches.some((match) => match.id === id))
  if (other === undefined) return null
  return `${text} is taken as a login. ${login} of realm ${realm} is somebody else: ${other.is}`
}

/** Fails with `unknown-user` and `ambiguous-match`. @param unknown the error where no account was found */
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

/** Reads of the record. */
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
  return readName(text, null, {
    realms: () => knownRealms(access),
    called: async (name) => matchesOf(access, await access.store.reports.find(name, limit)),
    ofUser: async (login, realm) => matchesOf(access, await recordedOfLogin(access, login, realm, limit)),
  })
}

function recordedOfLogin({ settings, store }: RecordAccess, login: Login, realm: Realm, limit: number) {
  return store.reports.findLogin(login, realm, directoriesOf(settings, realm), limit)
}

/** One directory serves every realm where the configuration assigns no realms. */
function directoriesOf({ realms, directories }: RecordAccess['settings'], realm: Realm): readonly DirectoryName[] {
  return Object.keys(realms).length === 0 ? directories.map(({ name }) => name) : (realms[realm] ?? [])
}

function matchesOf(access: RecordAccess, accounts: readonly AccountReport[]): Candidate<AccountReport>[] {
  return accounts.map((account) => {
    const key: Way = { text: account.key, realm: null }
    const realm = account.realm ?? realmOf(access.settings, account.key as AccountKey)
    const isCalled = account.login !== null && realm !== null
    const ways: Candidate<AccountReport>['ways'] = isCalled
      ? [{ text: `${account.login}@${realm}`, realm: null }, key]
      : [key]
    return { id: account.key, ways, is: placeOf(account.key as AccountKey, account.dn), found: account }
  })
}

export function placeOf(key: AccountKey, dn: string): string {
  return `${dn} in directory ${directoryOf(key)}`
}

/** The only realm of the account's directory; null: there are several, or none. */
export function realmOf({ realms }: Pick<Settings, 'realms'>, key: AccountKey): Realm | null {
  const [only, ...more] = configuredRealms({ realms }).filter((each) => realms[each]?.includes(directoryOf(key)))
  return only === undefined || more.length > 0 ? null : only
}

/**
 * The accounts on record with that name, for use without the directory. As in the directory: where no account of
 * exactly that realm is on record, accounts of that name in a directory of the realm are meant.
 */
export async function recordedCalled(
  access: RecordAccess,
  login: Login,
  realm: Realm | null,
  limit: number,
): Promise<readonly AccountReport[]> {
  const exact = realm === null ? [] : await recordedOfLogin(access, login, realm, limit)
  if (exact.length > 0) return exact
  const places: readonly string[] | null = realm === null ? null : directoriesOf(access.settings, realm)
  return (await access.store.reports.find(login, limit)).filter((account) => {
    const isCalled = account.login?.toLowerCase() === login.toLowerCase()
    return isCalled && (places === null || places.includes(account.directory))
  })
}

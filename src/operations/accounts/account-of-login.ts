import { AppError, toAppError } from '../../core/error.ts'
import {
  asDn,
  parseLogin,
  parseRealm,
  partedLogin,
  splitAccountKey,
  type AccountKey,
  type Login,
  type Realm,
} from '../../core/names.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { DirectoryPort, FoundAccount } from '../../ports/directory.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import type { Store } from '../../store/store.ts'
import {
  configuredRealms,
  onlyMatch,
  placeOf,
  readName,
  realmOf,
  recordedCalled,
  shownWay,
  type Candidate,
  type NameReader,
} from './named-account.ts'

/** An account with the names that an event has for it, and its place. */
export interface AccountOfLogin {
  readonly account: Pick<FoundAccount, 'key' | 'dn' | 'serials'>
  readonly login: Login
  /** Null: none was given, and the place of the account determines none. */
  readonly realm: Realm | null
}

export interface LoginAccess {
  readonly settings: Pick<Settings, 'realms' | 'directories'>
  readonly directory: Pick<DirectoryPort, 'findByLogin'>
  /** Null: the record is not used. */
  readonly store: Pick<Store, 'reports'> | null
  /**
   * The record replaces a directory that does not answer: a release must be possible meanwhile. A name that could be
   * split at its `@` is then refused where the silent directory may have it as a whole.
   */
  readonly isRecordEnough: boolean
}

type Found = Candidate<AccountOfLogin>

/**
 * The directories' answers for a login. `silent`: the failure of a directory that may have it too; null: all answered.
 */
interface Answers {
  readonly found: readonly Found[]
  readonly silent: AppError | null
}

/** Accounts of one name that are listed where there are several. */
const RECORDED_MAX = 10

/**
 * The one account that is meant by a login, or by the key of an account on record. Without a realm all directories are
 * searched: one that does not answer may have it too.
 * Fails with `unknown-user`, `ambiguous-match`, `realm-unmapped`, `realm-excluded`, `directory-*`.
 */
export async function accountOfLogin(
  access: LoginAccess,
  text: Login,
  realm: Realm | null,
): Promise<AccountOfLogin & { readonly note: string | null }> {
  const asking: Asking = {
    ...access,
    answers: new Map(),
    unknown: new AppError('unknown-user', 'no directory belongs to a realm'),
  }
  const reader = readerOf(asking)
  const named = await readName(text, realm, reader).catch(async (thrown: unknown) => {
    const error = toAppError(thrown)
    if (error.code !== 'realm-unmapped' || realm === null) throw error
    const known = await reader.realms()
    const these = known.length === 0 ? '' : `The realms that are known here: ${known.join(', ')}. `
    throw new AppError(error.code, error.message, { cause: error, hint: these + error.hint })
  })
  return { ...onlyMatch(text, named, asking.unknown), note: named.note }
}

interface Asking extends LoginAccess {
  /** By login and realm: a name is read more than once where several accounts have it. */
  readonly answers: Map<string, FoundAccount | AppError>
  /** The last answer where no account was found. */
  unknown: AppError
}

function readerOf(asking: Asking): NameReader<AccountOfLogin> {
  const realms = async (): Promise<readonly Realm[]> => {
    return [...new Set([...configuredRealms(asking.settings), ...((await asking.store?.reports.realms()) ?? [])])]
  }
  const called = async (text: string, realm: Realm | null): Promise<readonly Found[]> => {
    const keyed = realm === null ? await ofKey(asking, text) : null
    if (keyed !== null) return [keyed]
    const login = parseLogin(text)
    if (login === null) return []
    const { found, silent } = await ask(asking, login, realm)
    if (silent === null) return found
    const parted = partedLogin(text)
    const isOther = parted === null || (realm !== null && realm !== parted.realm)
    if (isOther || !(await realms()).includes(parted.realm))
      return withRecorded(asking, { found, silent }, login, realm)
    const ways = waysWithRealm(login, parted, configuredRealms(asking.settings))
    if (!asking.isRecordEnough) throw unproven(silent, text, ways)
    const existing = await withRecorded(asking, { found, silent }, login, realm)
    const others = await ofUser(parted.login, parted.realm)
    const isOneReading = others.every(({ id }) => existing.some((each) => each.id === id))
    if (existing.length === 0 || !isOneReading) throw unproven(silent, text, ways)
    return existing
  }
  const ofUser = async (login: Login, realm: Realm): Promise<readonly Found[]> => {
    return withRecorded(asking, await ask(asking, login, realm), login, realm)
  }
  return { realms, called, ofUser }
}

/** Fails as the directory that does not answer, where the record may not replace it. */
async function withRecorded(
  asking: Asking,
  { found, silent }: Answers,
  login: Login,
  realm: Realm | null,
): Promise<readonly Found[]> {
  if (silent === null) return found
  const { settings, store, isRecordEnough } = asking
  if (store === null || !isRecordEnough) throw silent
  asking.unknown = silent
  const recorded = await recordedCalled({ settings, store }, login, realm, RECORDED_MAX)
  const more = recorded.filter(({ key }) => !found.some(({ id }) => id === key))
  return [...found, ...more.map((account) => recordedMatch(settings, account, { login, realm }))]
}

/** A split at the `@` is not proven while a directory that may have the whole login does not answer. */
function unproven(silent: AppError, text: string, ways: readonly string[]): AppError {
  const message = `${text} may be a login of a directory that does not answer, so that whom it means is not known: ${silent.message}`
  const hint = `Name one account alone: ${[...ways, 'or by the key that lockstep show names (DIRECTORY/ID)'].join(', ')}.`
  return new AppError(silent.code, message, { cause: silent, hint: `${hint} ${silent.hint}`.trim() })
}

function waysWithRealm(
  text: Login,
  { login, realm }: { readonly login: Login; readonly realm: Realm },
  realms: readonly Realm[],
): string[] {
  const parted = `${shownWay({ text: login, realm })} (${login} of realm ${realm})`
  const existing = realms.filter((each) => each !== realm)
  return [parted, ...existing.map((each) => `${shownWay({ text, realm: each })} (the login ${text} of realm ${each})`)]
}

/** The account on record that has this key. */
async function ofKey({ settings, store }: LoginAccess, text: string): Promise<Found | null> {
  const key = splitAccountKey(text)?.key
  if (key === undefined || store === null) return null
  const account = (await store.reports.find(key, RECORDED_MAX)).find((each) => each.key === key)
  const login = parseLogin(account?.login ?? '') ?? parseLogin(text)
  return account === undefined || login === null ? null : recordedMatch(settings, account, { login, realm: null })
}

async function ask(asking: Asking, login: Login, realm: Realm | null): Promise<Answers> {
  const { settings } = asking
  const found = new Map<AccountKey, Found>()
  let silent: AppError | null = null
  for (const each of askedRealms(settings, realm)) {
    const answer = await answerOf(asking, login, each)
    if (!(answer instanceof AppError)) {
      found.set(answer.key, foundMatch(settings, answer, { login, asked: each, given: realm }))
    } else if (answer.code === 'unknown-user') asking.unknown = answer
    else silent ??= answer
  }
  return { found: [...found.values()], silent }
}

/** The realms to search so that every directory is searched once; null: in any realm. */
function askedRealms({ realms, directories }: LoginAccess['settings'], realm: Realm | null): (Realm | null)[] {
  if (realm !== null || directories.length < 2) return [realm]
  const byDirectories = new Map<string, Realm>()
  for (const each of configuredRealms({ realms })) {
    const id = (realms[each] ?? []).join(' ')
    if (id !== '' && !byDirectories.has(id)) byDirectories.set(id, each)
  }
  return [...byDirectories.values()]
}

/**
 * @returns an error where no account has the login, and where the directory does not answer; other errors are thrown
 */
async function answerOf(
  { directory, answers }: Asking,
  login: Login,
  realm: Realm | null,
): Promise<FoundAccount | AppError> {
  const id = JSON.stringify([login, realm])
  const known = answers.get(id)
  if (known !== undefined) return known
  let answer: FoundAccount | AppError
  try {
    answer = await directory.findByLogin(login, realm)
  } catch (thrown) {
    answer = toAppError(thrown)
    if (answer.code !== 'unknown-user' && !answer.code.startsWith('directory-')) throw answer
  }
  answers.set(id, answer)
  return answer
}

function foundMatch(
  settings: LoginAccess['settings'],
  account: FoundAccount,
  { login, asked, given }: { login: Login; asked: Realm | null; given: Realm | null },
): Found {
  const { key, dn } = account
  // Where a directory belongs to several realms, the searched realm does not determine the account's realm.
  const found = { account, login, realm: given ?? (asked === null ? null : realmOf(settings, key)) }
  return { id: key, ways: waysOf(key, login, asked), is: placeOf(key, dn), found }
}

function recordedMatch(
  settings: LoginAccess['settings'],
  { key: text, dn, login: recordedLogin, realm: recordedRealm }: AccountReport,
  { login: given, realm }: { login: Login; realm: Realm | null },
): Found {
  const key = text as AccountKey
  const [login, of] = [parseLogin(recordedLogin ?? '') ?? given, parseRealm(recordedRealm ?? '') ?? realm]
  const ways = waysOf(key, login, of ?? realmOf(settings, key))
  return {
    id: key,
    ways,
    is: placeOf(key, dn),
    found: { account: { key, dn: asDn(dn), serials: [] }, login, realm: of },
  }
}

function waysOf(key: AccountKey, login: Login, realm: Realm | null): Found['ways'] {
  const keyed = { text: key, realm: null }
  return realm === null ? [keyed] : [{ text: `${login}@${realm}`, realm: null }, { text: login, realm }, keyed]
}

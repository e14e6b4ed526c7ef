import type { Filter } from 'ldapts'
import { toAppError, type AppError } from '../../core/error.ts'
import { mapAtOnce } from '../../core/ahead.ts'
import { parseAccountId, type Login, type Realm } from '../../core/names.ts'
import type { FoundAccount } from '../../ports/directory.ts'
import { halvedWhenCut } from '../ldap/cut-answers.ts'

/** Accounts in one search; slapd looks up each by its index. */
const BATCH = 100
/** Parallel searches for users that a batch search could not assign. */
const AT_ONCE = 16

export interface WantedUser {
  readonly login: Login
  readonly realm: Realm
  readonly userId: string
}

/** What finding many needs of one directory. */
export interface FindingDirectory {
  /** Null: the text is no id of this directory. */
  idFilterOf(text: string): Filter | null
  /** It may be the id or the DN of an account here. */
  isOwnId(text: string): boolean
  /** Null: it is no DN of this directory. */
  findByDn(text: string): Promise<FoundAccount | null>
  loginFilterOf(login: Login, realm: Realm | null): Filter
  /** Those that match any of the filters, each once. */
  findAny(filters: readonly Filter[], sizeMax: number): Promise<readonly FoundAccount[]>
  findByLogin(login: Login, realm: Realm | null): Promise<FoundAccount>
}

/**
 * As `findById`, else `findByLogin`, for each of them, by a search for a hundred at a time. Never fails: the result of
 * a user may be the error. After a failure of the directory itself the others fail with it.
 */
export async function findMany(
  directory: FindingDirectory,
  users: readonly WantedUser[],
): Promise<readonly (FoundAccount | AppError)[]> {
  const found: (FoundAccount | AppError)[] = []
  try {
    for (let at = 0; at < users.length; at += BATCH) {
      found.push(...(await findBatch(directory, users.slice(at, at + BATCH))))
    }
  } catch (thrown) {
    const error = toAppError(thrown)
    while (found.length < users.length) found.push(error)
  }
  return found
}

async function findBatch(
  directory: FindingDirectory,
  users: readonly WantedUser[],
): Promise<readonly (FoundAccount | AppError)[]> {
  const byId = await findByIds(directory, users)
  const left = users.filter(({ userId }) => !byId.has(userId.toLowerCase()))
  const byLogin = await findByLogins(directory, left)
  return mapAtOnce(users, AT_ONCE, async ({ userId, login, realm }) => {
    const known = byId.get(userId.toLowerCase()) ?? byLogin.get(nameOf(login, realm))
    if (known !== undefined) return known
    try {
      return await directory.findByLogin(login, realm)
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code === 'unknown-user' || error.code === 'ambiguous-match') return error
      throw error
    }
  })
}

/** By the id in lower case: those that the directory has. Fails with `directory-*`. */
export async function findByIds(
  directory: FindingDirectory,
  users: readonly WantedUser[],
): Promise<ReadonlyMap<string, FoundAccount>> {
  const filters = users.flatMap(({ userId }) => directory.idFilterOf(userId) ?? [])
  const byDn = await findByDns(directory, users)
  if (filters.length === 0) return byDn
  const found = await halvedWhenCut(filters, (some) => directory.findAny(some, some.length + 1))
  const wanted = new Set(users.flatMap(({ userId }) => parseAccountId(userId) ?? []))
  const ids = found.map((account) => [account.key.slice(account.key.indexOf('/') + 1), account] as const)
  return new Map([...byDn, ...ids.filter(([id]) => wanted.has(id as never))])
}

/** No filter finds an entry by its DN on every kind of server: each is read by itself. */
async function findByDns(
  directory: FindingDirectory,
  users: readonly WantedUser[],
): Promise<ReadonlyMap<string, FoundAccount>> {
  const dns = users
    .map(({ userId }) => userId)
    .filter((id) => directory.isOwnId(id) && directory.idFilterOf(id) === null)
  const found = await mapAtOnce(dns, AT_ONCE, (dn) => directory.findByDn(dn))
  return new Map(dns.flatMap((dn, at) => (found[at] ? [[dn.toLowerCase(), found[at]] as const] : [])))
}

/**
 * Only users that a search for all of their logins assigns without doubt: one account each, by the login that it shows.
 */
async function findByLogins(
  directory: FindingDirectory,
  users: readonly WantedUser[],
): Promise<ReadonlyMap<string, FoundAccount>> {
  if (users.length < 2) return new Map()
  const filters = users.map(({ login, realm }) => directory.loginFilterOf(login, realm))
  const parts = await halvedWhenCut(filters, (some) => directory.findAny(some, 2 * some.length))
  const found = [...new Map(parts.map((account) => [account.key, account])).values()]
  const shown = Map.groupBy(found, ({ login }) => login?.toLowerCase() ?? '')
  const asked = Map.groupBy(users, ({ login }) => login.toLowerCase())
  const isStrange = [...shown.keys()].some((login) => !asked.has(login))
  if (isStrange) return new Map()
  const known = [...asked].flatMap(([login, [user]]) => {
    const accounts = shown.get(login) ?? []
    return user !== undefined && accounts.length === 1 && accounts[0] !== undefined
      ? [[nameOf(user.login, user.realm), accounts[0]] as const]
      : []
  })
  return new Map(known)
}

function nameOf(login: Login, realm: Realm): string {
  return `${realm}\n${login.toLowerCase()}`
}

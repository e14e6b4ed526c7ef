import { PresenceFilter, type Entry } from 'ldapts'
import { AppError } from '../core/error.ts'
import { parseLogin, type Login } from '../core/names.ts'
import type { DirectorySettings } from '../core/settings.ts'
import { searchProven } from './directory-searches.ts'
import { normalDn } from '../core/dn.ts'
import type { Pool } from './pool.ts'

/** RFC 4519, 2307 and Active Directory. */
const DN_ATTRIBUTES = ['member', 'uniqueMember']
const LOGIN_ATTRIBUTE = 'memberUid'
const MEMBERS_MAX = 1_000_000
const LOOKUPS_AT_ONCE = 16
/** Active Directory gives 1,500 values at once: a million members are so many ranges. */
const RANGES_MAX = 1_000

/**
 * The logins of all who are in a group, directly or by groups in groups, each once. A member that is gone, or has no
 * login, is left out.
 * Fails with `entry-not-found` (no such group, or it may not be seen), `limit-exceeded`, and as reading does.
 */
export async function loginsOfGroup(
  pool: Pool,
  settings: DirectorySettings,
  groupDn: string,
): Promise<readonly Login[]> {
  const entryAt = (dn: string, attributes: readonly string[]): Promise<Entry | null> =>
    pool.read(async (connection) => {
      const filter = new PresenceFilter({ attribute: 'objectClass' })
      const request = { base: dn, scope: 'base' as const, filter, attributes, bytesOf: [], sizeMax: 1 }
      return (await searchProven(connection, request, settings))[0] ?? null
    })
  return new Walk(settings, entryAt).from(groupDn)
}

type EntryAt = (dn: string, attributes: readonly string[]) => Promise<Entry | null>

class Walk {
  readonly #settings: DirectorySettings
  readonly #entryAt: EntryAt
  readonly #seen = new Set<string>()
  readonly #logins = new Map<string, Login>()

  constructor(settings: DirectorySettings, entryAt: EntryAt) {
    this.#settings = settings
    this.#entryAt = entryAt
  }

  async from(groupDn: string): Promise<readonly Login[]> {
    const attributes = [...DN_ATTRIBUTES, LOGIN_ATTRIBUTE]
    const top = await this.#entryAt(groupDn, attributes)
    if (top === null) {
      throw new AppError('entry-not-found', `directory ${this.#settings.name}: there is no group ${groupDn}`, {
        hint: 'Or the account that Lockstep binds as may not see it.',
      })
    }
    this.#seen.add(normalDn(groupDn))
    let next = await this.#take(groupDn, top)
    while (next.length > 0) {
      const found: string[] = []
      for (let at = 0; at < next.length; at += LOOKUPS_AT_ONCE) {
        const members = next.slice(at, at + LOOKUPS_AT_ONCE)
        found.push(...(await Promise.all(members.map((dn) => this.#look(dn)))).flat())
      }
      next = found
    }
    return [...this.#logins.values()]
  }

  /** @returns the members, where it is a group itself */
  async #look(dn: string): Promise<readonly string[]> {
    const { loginAttribute } = this.#settings
    const entry = await this.#entryAt(dn, [loginAttribute, ...DN_ATTRIBUTES, LOGIN_ATTRIBUTE])
    if (entry === null) return []
    const members = await this.#take(dn, entry)
    const login = parseLogin(textsIn(entry, loginAttribute)[0] ?? '')
    if (members.length === 0 && login !== null) this.#note(login)
    return members
  }

  /** Notes the logins that a group names, and gives the DNs that were not seen yet. */
  async #take(dn: string, entry: Entry): Promise<string[]> {
    for (const text of textsIn(entry, LOGIN_ATTRIBUTE)) {
      const login = parseLogin(text)
      if (login !== null) this.#note(login)
    }
    const fresh: string[] = []
    for (const attribute of DN_ATTRIBUTES) {
      for (const written of await this.#all(dn, entry, attribute)) {
        // RFC 4517, 3.3.21: a unique member may have a bit string after its name.
        const member = written.replace(/#'[01]*'B$/, '')
        const key = normalDn(member)
        if (this.#seen.has(key)) continue
        this.#seen.add(key)
        fresh.push(member)
      }
    }
    if (this.#seen.size > MEMBERS_MAX) {
      throw new AppError(
        'limit-exceeded',
        `directory ${this.#settings.name}: a group has more than ${MEMBERS_MAX} members`,
      )
    }
    return fresh
  }

  /** All values, also where the server hands them out in ranges (MS-ADTS, 3.1.1.3.1.3.3). */
  async #all(dn: string, entry: Entry, attribute: string): Promise<readonly string[]> {
    const values = [...textsIn(entry, attribute)]
    let ranged: Entry | null = entry
    for (let ranges = 0; ranges < RANGES_MAX && ranged !== null; ranges += 1) {
      const name: string | undefined = Object.keys(ranged).find((each) => isRange(each, attribute))
      if (name === undefined) return values
      values.push(...textsIn(ranged, name))
      const end = /-(\d+)$/.exec(name)?.[1]
      if (end === undefined) return values
      ranged = await this.#entryAt(dn, [`${attribute};range=${Number(end) + 1}-*`])
    }
    return values
  }

  #note(login: Login): void {
    const key = login.toLowerCase()
    if (!this.#logins.has(key)) this.#logins.set(key, login)
  }
}

function isRange(name: string, attribute: string): boolean {
  return name.toLowerCase().startsWith(`${attribute.toLowerCase()};range=`)
}

function textsIn(entry: Entry, attribute: string): readonly string[] {
  const name = Object.keys(entry).find((each) => each.toLowerCase() === attribute.toLowerCase())
  const value: unknown = name === undefined ? [] : entry[name]
  return (Array.isArray(value) ? value : [value]).filter(
    (each): each is string => typeof each === 'string' && each !== '',
  )
}

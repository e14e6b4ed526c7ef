import { AndFilter, EqualityFilter, NotFilter, type Entry } from 'ldapts'
import { AppError } from '../../core/error.ts'
import { parseLogin, type Login } from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { searchProven } from '../accounts/directory-searches.ts'
import { normalDn } from '../../core/dn.ts'
import { valuesIn } from '../protocol/entry.ts'
import {
  allValuesOf,
  classesOf,
  isGroup,
  MEMBER_ATTRIBUTES,
  MEMBER_LOGIN_ATTRIBUTE,
  SID_ATTRIBUTE,
  withoutUid,
} from '../protocol/group-entry.ts'
import { oneEntry } from '../ldap/reads.ts'
import type { Pool } from '../pool/pool.ts'
import { relativeIdOf } from '../protocol/sid.ts'

const GROUP_ATTRIBUTES = ['objectClass', ...MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE, SID_ATTRIBUTE]
const MEMBERS_MAX = 1_000_000
const LOOKUPS_AT_ONCE = 16
const PAGE_ENTRIES = 500

/**
 * The logins of all members of a group, directly or by groups in groups, each once. A member that is gone, or has no
 * login, or is a computer, is left out. Members by their primary group, as `Domain Users` of Active Directory, are in
 * no group's entry: they are searched for below `base`.
 * Fails with `entry-not-found` (no such group, or it may not be seen), `limit-exceeded`, and as reading does.
 */
export async function loginsOfGroup(
  pool: Pool,
  settings: DirectorySettings,
  groupDn: string,
): Promise<readonly Login[]> {
  const entryAt = (dn: string, attributes: readonly string[]): Promise<Entry | null> =>
    pool.read(async (connection) => {
      const request = oneEntry(dn, attributes, { bytesOf: [SID_ATTRIBUTE], isLarge: true })
      return (await searchProven(connection, request, settings))[0] ?? null
    })
  return new Walk(settings, entryAt, (id) => peopleByPrimaryGroup(pool, settings, id)).from(groupDn)
}

/** Users whose primary group it is, as Active Directory names it: the end of its SID. */
function peopleByPrimaryGroup(
  pool: Pool,
  settings: DirectorySettings,
  primaryGroupId: string,
): AsyncIterable<readonly Entry[]> {
  const isIn = new EqualityFilter({ attribute: 'primaryGroupID', value: primaryGroupId })
  const isNoComputer = new NotFilter({ filter: new EqualityFilter({ attribute: 'objectClass', value: COMPUTER }) })
  const request = {
    base: settings.base,
    scope: 'sub' as const,
    filter: new AndFilter({ filters: [isIn, isNoComputer] }),
    attributes: [settings.loginAttribute],
    bytesOf: [],
    sizeMax: 0,
  }
  return pool.hold(async function* (connection) {
    yield* connection.searchPages(request, PAGE_ENTRIES)
    await connection.proveIdentity()
  })
}

const COMPUTER = 'computer'

type PeopleOf = (primaryGroupId: string) => AsyncIterable<readonly Entry[]>
type EntryAt = (dn: string, attributes: readonly string[]) => Promise<Entry | null>

class Walk {
  readonly #settings: DirectorySettings
  readonly #entryAt: EntryAt
  readonly #peopleOf: PeopleOf
  readonly #seen = new Set<string>()
  readonly #logins = new Map<string, Login>()

  constructor(settings: DirectorySettings, entryAt: EntryAt, peopleOf: PeopleOf) {
    this.#settings = settings
    this.#peopleOf = peopleOf
    this.#entryAt = entryAt
  }

  async from(groupDn: string): Promise<readonly Login[]> {
    const top = await this.#entryAt(groupDn, GROUP_ATTRIBUTES)
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
    const entry = await this.#entryAt(dn, [loginAttribute, ...GROUP_ATTRIBUTES])
    if (entry === null || classesOf(entry).includes(COMPUTER)) return []
    if (isGroup(entry)) return this.#take(dn, entry)
    this.#note(textsIn(entry, loginAttribute)[0])
    return []
  }

  /** Notes the logins that a group names, and returns the DNs that were not seen yet. */
  async #take(dn: string, entry: Entry): Promise<string[]> {
    for (const text of textsIn(entry, MEMBER_LOGIN_ATTRIBUTE)) this.#note(text)
    const primaryGroupId = relativeIdOf(valuesIn(entry, SID_ATTRIBUTE)[0])
    if (primaryGroupId !== null) {
      for await (const people of this.#peopleOf(String(primaryGroupId))) {
        for (const each of people) this.#note(textsIn(each, this.#settings.loginAttribute)[0])
        this.#mustFit()
      }
    }
    const more = (name: string): Promise<Entry | null> => this.#entryAt(dn, [name])
    const fresh: string[] = []
    for (const attribute of MEMBER_ATTRIBUTES) {
      for (const written of await allValuesOf(entry, attribute, more, MEMBERS_MAX)) {
        const member = withoutUid(written)
        const key = normalDn(member)
        if (this.#seen.has(key)) continue
        this.#seen.add(key)
        fresh.push(member)
      }
    }
    this.#mustFit()
    return fresh
  }

  #mustFit(): void {
    if (Math.max(this.#seen.size, this.#logins.size) <= MEMBERS_MAX) return
    throw new AppError(
      'limit-exceeded',
      `directory ${this.#settings.name}: a group has more than ${MEMBERS_MAX} members`,
    )
  }

  #note(text: string | undefined): void {
    const login = parseLogin(text ?? '')
    if (login === null) return
    const key = login.toLowerCase()
    if (!this.#logins.has(key)) this.#logins.set(key, login)
  }
}

function textsIn(entry: Entry, attribute: string): readonly string[] {
  const name = Object.keys(entry).find((each) => each.toLowerCase() === attribute.toLowerCase())
  const value: unknown = name === undefined ? [] : entry[name]
  return (Array.isArray(value) ? value : [value]).filter(
    (each): each is string => typeof each === 'string' && each !== '',
  )
}

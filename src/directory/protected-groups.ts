import { PresenceFilter, type Entry } from 'ldapts'
import { normalDn } from '../core/dn.ts'
import { AppError, toAppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { Clock } from '../ports/clock.ts'
import { searchProven } from './directory-searches.ts'
import { valuesIn } from './entry.ts'
import {
  allValuesOf,
  classesOf,
  isGroup,
  MEMBER_ATTRIBUTES,
  MEMBER_LOGIN_ATTRIBUTE,
  NEVER_EMPTY,
  SID_ATTRIBUTE,
  withoutUid,
} from './group-entry.ts'
import type { Pool } from './pool.ts'
import { textsOf, type ServerFacts } from './server-facts.ts'
import { relativeIdOf } from './windows-principal.ts'

/** The protected groups as they were read: who is in them, directly or by groups in groups. */
export interface Groups {
  /** Of the groups themselves and of those in them; with the chain rule, of the former alone. */
  readonly dns: readonly string[]
  /** Active Directory: the last part of the SIDs of all of them. */
  readonly primaryGroupIds: readonly string[]
  /** Why one of them could not be read; null: all were. */
  readonly unread: AppError | null
  /** @returns why the account is in one of them, as far as their entries tell; null: it is not */
  memberOf(account: { readonly dn: string; readonly login: string | null }): string | null
}

const GROUP_ATTRIBUTES = ['objectClass', ...MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE, SID_ATTRIBUTE]

/** Members, and groups, at most: whoever protects more uses a filter. Each member is looked at once, for it may be a group. */
const MEMBERS_MAX = 10_000
const GROUPS_MAX = 1_000
const LOOKUPS_AT_ONCE = 16
/** What was read is believed for so many times as long as the reading took, within these bounds. */
const AGE_SHARE = 20
const AGE_MIN_MS = 2_000
const AGE_MAX_MS = 60_000

/** Reads the groups when they are first needed, once for all that wait, and again when that is a moment ago. */
export class GroupReader {
  readonly #settings: DirectorySettings
  readonly #pool: Pool
  readonly #clock: Clock
  #reading: Promise<Groups> | null = null
  #last: Groups | null = null
  #untilMs = 0

  constructor(settings: DirectorySettings, pool: Pool, clock: Clock) {
    this.#settings = settings
    this.#pool = pool
    this.#clock = clock
  }

  /** Fails where the directory as a whole does not answer; a group that does not is part of the answer. */
  async read(facts: ServerFacts): Promise<Groups> {
    const nowMs = this.#clock.nowMs()
    if (this.#last !== null && nowMs < this.#untilMs && nowMs >= this.#untilMs - AGE_MAX_MS) return this.#last
    this.#reading ??= this.#load(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  async #load(facts: ServerFacts): Promise<Groups> {
    const startedMs = this.#clock.nowMs()
    const entryAt: EntryAt = (dn, attributes) => this.#entryAt(dn, attributes, facts)
    const walk = new GroupWalk(this.#settings, entryAt, facts)
    this.#last = await walk.all()
    const nowMs = this.#clock.nowMs()
    this.#untilMs = nowMs + Math.min(AGE_MAX_MS, Math.max(AGE_MIN_MS, AGE_SHARE * (nowMs - startedMs)))
    return this.#last
  }

  /** Null where nothing is there, or nothing may be seen of it. */
  async #entryAt(dn: string, attributes: readonly string[], facts: ServerFacts): Promise<Entry | null> {
    const request = {
      base: dn,
      scope: 'base' as const,
      filter: new PresenceFilter({ attribute: 'objectClass' }),
      attributes,
      bytesOf: [facts.canonical(SID_ATTRIBUTE)],
      sizeMax: 1,
    }
    const [entry] = await this.#pool.read((connection) => searchProven(connection, request, this.#settings))
    return entry ?? null
  }
}

type EntryAt = (dn: string, attributes: readonly string[]) => Promise<Entry | null>

/** One reading of all groups, breadth first. */
class GroupWalk {
  readonly #settings: DirectorySettings
  readonly #entryAt: EntryAt
  readonly #facts: ServerFacts
  readonly #groups: string[] = []
  readonly #sids = new Set<string>()
  /** By DN in normal form, or login in lower case: the configured group that it is in. */
  readonly #members = new Map<string, string>()
  readonly #logins = new Map<string, string>()

  constructor(settings: DirectorySettings, entryAt: EntryAt, facts: ServerFacts) {
    this.#settings = settings
    this.#entryAt = entryAt
    this.#facts = facts
  }

  async all(): Promise<Groups> {
    let unread: AppError | null = null
    for (const { value, key } of this.#settings.protect.groups) {
      try {
        await this.#readTop(value, key)
      } catch (thrown) {
        const error = toAppError(thrown)
        if (!UNREAD_CODES.includes(error.code)) throw error
        unread ??= error
      }
    }
    const [members, logins] = [this.#members, this.#logins]
    return {
      dns: this.#groups,
      primaryGroupIds: [...this.#sids],
      unread,
      memberOf: ({ dn, login }) => {
        const group = members.get(normalDn(dn)) ?? (login === null ? undefined : logins.get(login.toLowerCase()))
        return group === undefined ? null : `it is a member of ${group}`
      },
    }
  }

  async #readTop(dn: string, key: string): Promise<void> {
    const entry = await this.#entryAt(dn, GROUP_ATTRIBUTES)
    if (entry === null) throw this.#unread(dn, key, 'it is not there, or may not be seen')
    const top = `${dn} of ${key}`
    this.#groups.push(dn)
    let next = await this.#take(entry, dn, key, top)
    while (next.length > 0) {
      const found = await inBatches(next, LOOKUPS_AT_ONCE, async (member) => {
        const group = await this.#entryAt(member, GROUP_ATTRIBUTES)
        return group === null || !isGroup(group) ? [] : this.#take(group, member, key, top)
      })
      next = found.flat()
    }
  }

  /** Notes the members of a group. @returns those that were not known yet */
  async #take(entry: Entry, dn: string, key: string, top: string): Promise<string[]> {
    const more = (name: string): Promise<Entry | null> => this.#entryAt(dn, [name])
    const listed = await Promise.all(MEMBER_ATTRIBUTES.map((name) => allValuesOf(entry, name, more, MEMBERS_MAX)))
    const members = listed.flat().map(withoutUid)
    const logins = textsOf(entry, MEMBER_LOGIN_ATTRIBUTE)
    if (members.length + logins.length === 0 && this.#mustHaveMembers(entry)) {
      throw this.#unread(dn, key, 'its members may not be read')
    }
    this.#noteSid(entry, dn, key)
    // With the chain rule the server itself goes on from a group to those in it.
    const isAsked = this.#facts.hasChainRule || normalDn(dn) === normalDn(this.#groups.at(-1) ?? '')
    if (!isAsked) this.#groups.push(dn)
    for (const login of logins) this.#logins.set(login.toLowerCase(), top)
    const fresh = members.filter((member) => !this.#members.has(normalDn(member)))
    for (const member of fresh) this.#members.set(normalDn(member), top)
    const groups = Math.max(this.#groups.length, this.#sids.size)
    if (this.#members.size + this.#logins.size > MEMBERS_MAX || groups > GROUPS_MAX) {
      throw this.#unread(dn, key, `it has more than ${MEMBERS_MAX} members or ${GROUPS_MAX} groups; use a filter`)
    }
    return fresh
  }

  /** For those whose primary group it is. Whoever may not see that of a group does not see its members either. */
  #noteSid(entry: Entry, dn: string, key: string): void {
    const sid = valuesIn(entry, SID_ATTRIBUTE)[0]
    if (sid === undefined && this.#facts.hasChainRule) throw this.#unread(dn, key, 'it may not be read')
    const relativeId = relativeIdOf(sid)
    if (relativeId !== null) this.#sids.add(String(relativeId))
  }

  /** 389 Directory Server allows a group of nobody. */
  #mustHaveMembers(entry: Entry): boolean {
    return this.#facts.vendor === 'OpenLDAP' && classesOf(entry).some((name) => NEVER_EMPTY.includes(name))
  }

  #unread(dn: string, key: string, why: string): AppError {
    const message = `directory ${this.#settings.name}: the group ${dn} of ${key} cannot be read: ${why}`
    return new AppError('directory-not-permitted', message, {
      hint: 'Correct the DN, or let the account that Lockstep binds as read the group and its members.',
    })
  }
}

/** Failures of one group; all others are the directory's. */
const UNREAD_CODES = ['directory-not-permitted', 'directory-refused', 'entry-not-found', 'limit-exceeded']

async function inBatches<Item, Result>(
  items: readonly Item[],
  size: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let at = 0; at < items.length; at += size) {
    results.push(...(await Promise.all(items.slice(at, at + size).map(work))))
  }
  return results
}

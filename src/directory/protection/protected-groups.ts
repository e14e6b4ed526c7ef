import type { Entry } from 'ldapts'
import { normalDn } from '../../core/dn.ts'
import { AppError, toAppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import { searchProven } from '../accounts/directory-searches.ts'
import type { AttributeValue } from '../../core/account/state.ts'
import { textsOf, valuesIn } from '../protocol/entry.ts'
import {
  allValuesOf,
  classesOf,
  isGroup,
  MEMBER_ATTRIBUTES,
  MEMBER_LOGIN_ATTRIBUTE,
  NEVER_EMPTY,
  SID_ATTRIBUTE,
  withoutUid,
} from '../protocol/group-entry.ts'
import { LargeGroups, type LargeGroup, type Member } from './large-groups.ts'
import { oneEntry } from '../ldap/reads.ts'
import type { Pool } from '../pool/pool.ts'
import type { ServerFacts } from '../pool/server-facts.ts'
import { relativeIdOf } from '../protocol/sid.ts'

/** The protected groups as they were read: their members, directly or by groups in groups. */
export interface Groups {
  /** Of the groups themselves and of those in them; with the chain rule, of the former alone. */
  readonly dns: readonly string[]
  /** Active Directory: the last part of the SIDs of all of them. */
  readonly primaryGroupIds: readonly string[]
  /** Why one of them could not be read; null: all were. */
  readonly unread: AppError | null
  /** Those whose members were not read, because of their number. */
  readonly large: readonly LargeGroup[]
  /**
   * Searches the server for large groups. Fails as a search does.
   * @returns why the account is in one of them, as far as their entries show; null: it is not
   */
  memberOf(account: Member): Promise<string | null>
}

/** What is read of a group beside its members. */
const FACT_ATTRIBUTES = ['objectClass', SID_ATTRIBUTE]
const GROUP_ATTRIBUTES = [...FACT_ATTRIBUTES, ...MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE]

/**
 * Members that are read, of all groups together; groups at most. Each member is read once, for it may be a group.
 * Beyond that the server is asked about each account. (answer-limits.ts takes the same number in one message.)
 */
const MEMBERS_MAX = 10_000
const GROUPS_MAX = 1_000
const LOOKUPS_AT_ONCE = 16
/** A reading is used for so many times the time that it took, within these bounds. */
const AGE_SHARE = 20
const AGE_MIN_MS = 2_000
const AGE_MAX_MS = 60_000
/** For how long a group that was large is not read as a whole again. */
const LARGE_MS = 600_000

/** Reads the groups when they are first needed, once for all that wait, and again when that is a moment ago. */
export class GroupReader {
  readonly #settings: DirectorySettings
  readonly #pool: Pool
  readonly #clock: Clock
  #reading: Promise<Groups> | null = null
  #last: Groups | null = null
  #untilMs = 0
  /** By DN in normal form: until when it is taken for large. */
  readonly #large = new Map<string, number>()

  constructor(settings: DirectorySettings, pool: Pool, clock: Clock) {
    this.#settings = settings
    this.#pool = pool
    this.#clock = clock
  }

  /** Fails where the directory as a whole does not answer; a group that cannot be read is part of the answer. */
  async read(facts: ServerFacts): Promise<Groups> {
    const nowMs = this.#clock.nowMs()
    if (this.#last !== null && nowMs < this.#untilMs && nowMs >= this.#untilMs - AGE_MAX_MS) return this.#last
    this.#reading ??= this.#load(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  async #load(facts: ServerFacts): Promise<Groups> {
    const startedMs = this.#clock.nowMs()
    const entryAt: EntryAt = (dn, attributes) => this.#entryAt(dn, attributes, facts)
    const isLarge = (dn: string): boolean => {
      const untilMs = this.#large.get(normalDn(dn)) ?? 0
      return startedMs < untilMs && startedMs >= untilMs - LARGE_MS
    }
    const asked = new LargeGroups(this.#settings, this.#pool, facts)
    this.#last = await new GroupWalk(this.#settings, { entryAt, isLarge, asked }, facts).all()
    const nowMs = this.#clock.nowMs()
    for (const { dn } of this.#last.large) if (!isLarge(dn)) this.#large.set(normalDn(dn), nowMs + LARGE_MS)
    this.#untilMs = nowMs + Math.min(AGE_MAX_MS, Math.max(AGE_MIN_MS, AGE_SHARE * (nowMs - startedMs)))
    return this.#last
  }

  /** Null where there is no entry, or none may be seen. */
  async #entryAt(dn: string, attributes: readonly string[], facts: ServerFacts): Promise<Entry | null> {
    const request = oneEntry(dn, attributes, { bytesOf: [facts.canonical(SID_ATTRIBUTE)] })
    const [entry] = await this.#pool.read((connection) => searchProven(connection, request, this.#settings))
    return entry ?? null
  }
}

type EntryAt = (dn: string, attributes: readonly string[]) => Promise<Entry | null>

interface GroupReads {
  readonly entryAt: EntryAt
  /** The group was large a moment ago. */
  readonly isLarge: (dn: string) => boolean
  readonly asked: LargeGroups
}

/** The configured group from which another one was reached. */
interface From {
  readonly key: string
  readonly top: string
}

/** One reading of all groups, breadth first. */
class GroupWalk {
  readonly #settings: DirectorySettings
  readonly #reads: GroupReads
  readonly #facts: ServerFacts
  readonly #groups: string[] = []
  readonly #large = new Map<string, LargeGroup>()
  readonly #sids = new Set<string>()
  /** By DN in normal form, or login in lower case: the configured group that it is in. */
  readonly #members = new Map<string, string>()
  readonly #logins = new Map<string, string>()

  constructor(settings: DirectorySettings, reads: GroupReads, facts: ServerFacts) {
    this.#settings = settings
    this.#reads = reads
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
    const [members, logins, large, { asked }] = [this.#members, this.#logins, [...this.#large.values()], this.#reads]
    return {
      dns: this.#groups,
      primaryGroupIds: [...this.#sids],
      unread,
      large,
      memberOf: async ({ dn, login }) => {
        const read = members.get(normalDn(dn)) ?? (login === null ? undefined : logins.get(login.toLowerCase()))
        const group = read ?? (await asked.groupOf({ dn, login }, large))?.top
        return group === undefined ? null : `it is a member of ${group}`
      },
    }
  }

  async #readTop(dn: string, key: string): Promise<void> {
    const from: From = { key, top: `${dn} of ${key}` }
    const entry = await this.#read(dn, from)
    if (entry === null) throw this.#unread(dn, key, 'it is not there, or may not be seen')
    this.#groups.push(dn)
    let next = await this.#take(entry, dn, from)
    while (next.length > 0) {
      const found = await inBatches(next, LOOKUPS_AT_ONCE, async (member) => {
        const group = await this.#read(member, from)
        const isOne = group !== null && (this.#large.has(normalDn(member)) || isGroup(group))
        return isOne ? this.#take(group, member, from) : []
      })
      next = found.flat()
    }
  }

  /** Without its members where they are more than one answer holds, or were a moment ago. */
  async #read(dn: string, from: From): Promise<Entry | null> {
    const { entryAt, isLarge } = this.#reads
    if (!isLarge(dn)) {
      try {
        return await entryAt(dn, GROUP_ATTRIBUTES)
      } catch (thrown) {
        if (toAppError(thrown).code !== 'limit-exceeded') throw thrown
      }
    }
    const entry = await entryAt(dn, FACT_ATTRIBUTES)
    if (entry !== null) await this.#noteLarge(dn, from)
    return entry
  }

  /** Of a large group only the group itself is noted: the groups in it are found from the account in question. */
  async #noteLarge(dn: string, { key, top }: From): Promise<void> {
    if (!(await this.#reads.asked.hasSearchableMembers(dn))) {
      throw this.#unread(dn, key, 'its members may not be searched')
    }
    this.#large.set(normalDn(dn), { dn, top })
    if (!this.#facts.hasChainRule) return
    for await (const sid of this.#reads.asked.nestedSids(dn)) this.#noteRelativeId(sid)
    this.#mustFit(dn, key)
  }

  /** Notes the members of a group. @returns those that were not known yet */
  async #take(entry: Entry, dn: string, from: From): Promise<string[]> {
    const { key, top } = from
    if (this.#large.has(normalDn(dn))) return this.#noteGroup(entry, dn, key)
    const more = (name: string): Promise<Entry | null> => this.#reads.entryAt(dn, [name])
    const listed = await Promise.all(MEMBER_ATTRIBUTES.map((name) => allValuesOf(entry, name, more, MEMBERS_MAX)))
    const members = listed.flat().map(withoutUid)
    const logins = textsOf(entry, MEMBER_LOGIN_ATTRIBUTE)
    if (this.#members.size + this.#logins.size + members.length + logins.length > MEMBERS_MAX) {
      await this.#noteLarge(dn, from)
      return this.#noteGroup(entry, dn, key)
    }
    if (members.length + logins.length === 0 && this.#mustHaveMembers(entry)) {
      throw this.#unread(dn, key, 'its members may not be read')
    }
    this.#noteGroup(entry, dn, key)
    for (const login of logins) this.#logins.set(login.toLowerCase(), top)
    const fresh = members.filter((member) => !this.#members.has(normalDn(member)))
    for (const member of fresh) this.#members.set(normalDn(member), top)
    return fresh
  }

  /** @returns no members */
  #noteGroup(entry: Entry, dn: string, key: string): string[] {
    this.#noteSid(entry, dn, key)
    // With the chain rule the server itself follows a group to those in it.
    const isAsked = this.#facts.hasChainRule || normalDn(dn) === normalDn(this.#groups.at(-1) ?? '')
    if (!isAsked) this.#groups.push(dn)
    this.#mustFit(dn, key)
    return []
  }

  #mustFit(dn: string, key: string): void {
    if (Math.max(this.#groups.length, this.#sids.size) <= GROUPS_MAX) return
    throw this.#unread(dn, key, `it holds more than ${GROUPS_MAX} groups; use a filter`)
  }

  /** For members by primary group. An account that may not see the SID of a group does not see its members either. */
  #noteSid(entry: Entry, dn: string, key: string): void {
    const sid = valuesIn(entry, SID_ATTRIBUTE)[0]
    if (sid === undefined && this.#facts.hasChainRule) throw this.#unread(dn, key, 'it may not be read')
    if (sid !== undefined) this.#noteRelativeId(sid)
  }

  #noteRelativeId(sid: AttributeValue): void {
    const relativeId = relativeIdOf(sid)
    if (relativeId !== null) this.#sids.add(String(relativeId))
  }

  /** 389 Directory Server allows an empty group. */
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

/** Failures of one group; all others are failures of the directory. */
const UNREAD_CODES = [
  'directory-not-permitted',
  'directory-refused',
  'directory-cut',
  'entry-not-found',
  'limit-exceeded',
]

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

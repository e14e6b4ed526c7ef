import { AndFilter, EqualityFilter, ExtensibleFilter, OrFilter, PresenceFilter, type Filter } from 'ldapts'
import { isWithin, normalDn } from '../../core/dn.ts'
import { AppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { searchProven } from '../accounts/directory-searches.ts'
import type { AttributeValue } from '../../core/account/state.ts'
import { valuesIn } from '../protocol/entry.ts'
import { MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE, SID_ATTRIBUTE } from '../protocol/group-entry.ts'
import { oneEntry } from '../ldap/reads.ts'
import type { Pool } from '../pool/pool.ts'
import type { ServerFacts } from '../pool/server-facts.ts'

/**
 * Protected groups with more members than are read: the server is asked whether one account is a member. Groups in groups
 * are followed upwards, from the account to the groups that hold it and on to those that hold them; Active Directory does
 * that itself.
 */

export interface LargeGroup {
  readonly dn: string
  /** As it is shown: the configured group that it is in. */
  readonly top: string
}

export interface Member {
  readonly dn: string
  readonly login: string | null
}

/** LDAP_MATCHING_RULE_IN_CHAIN (MS-ADTS 3.1.1.3.4.4.3): nested memberships, followed by the server. */
export const IN_CHAIN = '1.2.840.113556.1.4.1941'

/** Groups that hold one account, directly or by others, at most. */
const UPWARD_GROUPS_MAX = 1_000
const DNS_PER_SEARCH = 50
const PAGE_ENTRIES = 500

export class LargeGroups {
  readonly #settings: DirectorySettings
  readonly #pool: Pool
  readonly #facts: ServerFacts

  constructor(settings: DirectorySettings, pool: Pool, facts: ServerFacts) {
    this.#settings = settings
    this.#pool = pool
    this.#facts = facts
  }

  /** Whether the members may be searched: else no account would seem to be one. */
  async hasSearchableMembers(dn: string): Promise<boolean> {
    const names = [...MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE]
    return this.#matches(dn, new OrFilter({ filters: names.map((attribute) => new PresenceFilter({ attribute })) }))
  }

  /**
   * The group that the account is in; null: in none of them.
   * Fails with `limit-exceeded`, and as any search does.
   */
  async groupOf(account: Member, groups: readonly LargeGroup[]): Promise<LargeGroup | null> {
    if (groups.length === 0) return null
    for (const group of groups) if (await this.#matches(group.dn, this.#holds(account))) return group
    return this.#facts.hasChainRule ? null : this.#upward(account, groups)
  }

  /** Active Directory: the SIDs of the groups in a group, however deep. */
  async *nestedSids(dn: string): AsyncGenerator<AttributeValue> {
    const isIn = new ExtensibleFilter({ matchType: 'memberOf', rule: IN_CHAIN, value: dn })
    const filter = new AndFilter({ filters: [new EqualityFilter({ attribute: 'objectClass', value: 'group' }), isIn] })
    const name = this.#facts.canonical(SID_ATTRIBUTE)
    for (const base of this.#basesOf([dn])) {
      const request = { base, scope: 'sub' as const, filter, attributes: [name], bytesOf: [name], sizeMax: 0 }
      for await (const page of this.#pool.hold((connection) => connection.searchPages(request, PAGE_ENTRIES))) {
        for (const entry of page) yield* valuesIn(entry, name)
      }
    }
  }

  async #upward(account: Member, groups: readonly LargeGroup[]): Promise<LargeGroup | null> {
    const wanted = new Map(groups.map((group) => [normalDn(group.dn), group]))
    const bases = this.#basesOf([account.dn, ...groups.map(({ dn }) => dn)])
    const seen = new Set<string>()
    let next = await this.#groupsWith(bases, this.#holds(account))
    while (next.length > 0) {
      const fresh = next.filter((dn) => !seen.has(normalDn(dn)))
      for (const dn of fresh) {
        const group = wanted.get(normalDn(dn))
        if (group !== undefined) return group
        seen.add(normalDn(dn))
      }
      if (seen.size > UPWARD_GROUPS_MAX) throw this.#tooMany(account.dn)
      const found: string[] = []
      for (let at = 0; at < fresh.length; at += DNS_PER_SEARCH) {
        const filters = fresh.slice(at, at + DNS_PER_SEARCH).flatMap((dn) => namedBy(dn))
        found.push(...(await this.#groupsWith(bases, new OrFilter({ filters }))))
      }
      next = found
    }
    return null
  }

  async #groupsWith(bases: readonly string[], filter: Filter): Promise<string[]> {
    const found: string[] = []
    for (const base of bases) {
      const request = { base, scope: 'sub' as const, filter, attributes: ['1.1'], bytesOf: [], sizeMax: 0 }
      const entries = await this.#pool.read((connection) => searchProven(connection, request, this.#settings))
      found.push(...entries.map(({ dn }) => dn))
    }
    return found
  }

  async #matches(base: string, filter: Filter): Promise<boolean> {
    const request = oneEntry(base, ['1.1'], { filter })
    return (await this.#pool.read((connection) => searchProven(connection, request, this.#settings))).length > 0
  }

  #holds({ dn, login }: Member): Filter {
    const chain = this.#facts.hasChainRule
      ? [new ExtensibleFilter({ matchType: 'member', rule: IN_CHAIN, value: dn })]
      : []
    const logins = login === null ? [] : [...new Set([login, login.toLowerCase()])]
    const byLogin = logins.map((value) => new EqualityFilter({ attribute: MEMBER_LOGIN_ATTRIBUTE, value }))
    return new OrFilter({ filters: [...namedBy(dn), ...chain, ...byLogin] })
  }

  /** The suffixes of the server in which these names lie. */
  #basesOf(dns: readonly string[]): string[] {
    const names = dns.map(normalDn)
    return this.#facts.namingContexts.filter((context) => names.some((dn) => isWithin(dn, normalDn(context))))
  }

  #tooMany(dn: string): AppError {
    const message = `directory ${this.#settings.name}: ${dn} is in more than ${UPWARD_GROUPS_MAX} groups, by groups in groups`
    return new AppError('limit-exceeded', message, { hint: 'Protect by guards.protect.filter in place of a group.' })
  }
}

function namedBy(dn: string): Filter[] {
  return MEMBER_ATTRIBUTES.map((attribute) => new EqualityFilter({ attribute, value: dn }))
}

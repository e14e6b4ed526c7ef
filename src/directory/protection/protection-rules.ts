import { EqualityFilter, ExtensibleFilter, OrFilter, type Filter } from 'ldapts'
import { isWindowsName } from '../../core/settings/bind-name.ts'
import { isWithin, normalDn } from '../../core/dn.ts'
import type { AppError } from '../../core/error.ts'
import type { AccountKey, Dn } from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { ObservedState } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Account } from '../accounts/account.ts'
import { searchProven } from '../accounts/directory-searches.ts'
import type { DirectoryDriver } from '../drivers/driver.ts'
import { compileFilter } from '../protocol/filter.ts'
import { OwnAccountReader, type OwnAccount } from './own-account.ts'
import { IN_CHAIN } from './large-groups.ts'
import { oneEntry } from '../ldap/reads.ts'
import type { Pool } from '../pool/pool.ts'
import { GroupReader, type Groups } from './protected-groups.ts'
import type { ServerFacts } from '../pool/server-facts.ts'

/**
 * Whether the configuration forbids to lock an account. DNs and subtrees are compared here; filters, attributes and
 * `memberOf` are asked of the server in one search of the account's entry; members of groups are read
 * (protected-groups.ts), and the account that we bind as is found where the configuration has no DN of it
 * (own-account.ts). What cannot be read leaves it open: nobody is locked on a guess.
 *
 * A new kind of rule is a key of PROTECT (config/keys/guard-keys.ts), a list of ProtectSettings, and here a filter among
 * `#parts` where the server can judge it. What a type of directory protects by itself is in its driver (`protects`).
 */
export class ProtectionRules {
  readonly #settings: DirectorySettings
  readonly #pool: Pool
  readonly #dns: ReadonlyMap<string, string>
  readonly #subtrees: readonly (readonly [base: string, why: string])[]
  readonly #parts: readonly Part[]
  readonly #groups: GroupReader | null
  readonly #own: OwnAccountReader | null

  constructor(settings: DirectorySettings, pool: Pool, clock: Clock) {
    const { protect, bindDn } = settings
    this.#settings = settings
    this.#pool = pool
    const listed = protect.dns.map(({ key, value }) => [normalDn(value), `its DN is in ${key}`] as const)
    this.#dns = new Map([...listed, ...(isWindowsName(bindDn) ? [] : [[normalDn(bindDn), IS_OURS] as const])])
    this.#subtrees = protect.subtrees.map(({ key, value }) => [normalDn(value), `it lies below ${value} of ${key}`])
    this.#parts = [
      ...protect.filters.map(({ key, value }) => ({ filter: compileFilter(value, key)({}), why: `it matches ${key}` })),
      ...protect.attributes.map(({ key, value: { attribute, values } }) => ({
        filter: anyOf(values.map((value) => new EqualityFilter({ attribute, value }))),
        why: `its ${attribute} has a value of ${key}`,
      })),
    ]
    this.#groups = protect.groups.length === 0 ? null : new GroupReader(settings, pool, clock)
    this.#own = isWindowsName(bindDn) ? new OwnAccountReader(bindDn, settings, pool, clock) : null
  }

  /** Fails with `directory-*` as any search does. */
  async of(
    account: { readonly key: AccountKey; readonly dn: Dn; readonly login: string | null },
    facts: ServerFacts,
  ): Promise<Pick<ObservedState, 'protectedBy' | 'protectionUnread'>> {
    const here = this.#byName(account.dn)
    if (here !== null) return { protectedBy: here }
    const own = this.#own === null ? null : await this.#own.read(facts)
    if (own?.has(account) === true) return { protectedBy: IS_OURS }
    const groups = this.#groups === null ? NO_GROUPS : await this.#groups.read(facts)
    const member = await groups.memberOf(account)
    if (member !== null) return { protectedBy: member }
    const parts = [...this.#parts, ...(groups.dns.length === 0 ? [] : [membershipPart(groups, facts)])]
    const protectedBy = parts.length === 0 ? null : await this.#bySearch(account.dn, parts)
    const unread = own?.unread ?? groups.unread
    if (protectedBy !== null || unread === null) return { protectedBy }
    const { code, message } = unread
    return { protectedBy, protectionUnread: { code, reason: message } }
  }

  /** Why a protected group cannot be read; null: all can, or there is none. */
  async unreadGroup(facts: ServerFacts): Promise<AppError | null> {
    return this.#groups === null ? null : (await this.#groups.read(facts)).unread
  }

  /** The account that we bind as, where the configuration names it by another name than its DN; else null. */
  async ownAccount(facts: ServerFacts): Promise<OwnAccount | null> {
    return this.#own === null ? null : this.#own.read(facts)
  }

  #byName(dn: Dn): string | null {
    const normal = normalDn(dn)
    return this.#dns.get(normal) ?? this.#subtrees.find(([base]) => isWithin(normal, base))?.[1] ?? null
  }

  async #bySearch(dn: Dn, parts: readonly Part[]): Promise<string | null> {
    if (!(await this.#matches(dn, anyOf(parts.map(({ filter }) => filter))))) return null
    for (const { filter, why } of parts) if (await this.#matches(dn, filter)) return why
    return parts[0]?.why ?? null
  }

  async #matches(dn: Dn, filter: Filter): Promise<boolean> {
    const request = oneEntry(dn, ['1.1'], { filter })
    return (await this.#pool.read((connection) => searchProven(connection, request, this.#settings))).length > 0
  }
}

const IS_OURS = 'it is the account that Lockstep binds as'

interface Part {
  readonly filter: Filter
  readonly why: string
}

const NO_GROUPS: Groups = { dns: [], primaryGroupIds: [], unread: null, large: [], memberOf: async () => null }

/** The groups of the account by its own entry, where the server keeps that. */
function membershipPart({ dns, primaryGroupIds }: Groups, { hasChainRule }: ServerFacts): Part {
  const named = dns.map((value) =>
    hasChainRule
      ? new ExtensibleFilter({ matchType: 'memberOf', rule: IN_CHAIN, value })
      : new EqualityFilter({ attribute: 'memberOf', value }),
  )
  // Active Directory does not list a user's primary group among their groups.
  const primary = primaryGroupIds.map((value) => new EqualityFilter({ attribute: 'primaryGroupID', value }))
  return { filter: anyOf([...named, ...primary]), why: 'it is a member of a protected group' }
}

function anyOf(filters: readonly Filter[]): Filter {
  const [only] = filters
  return filters.length === 1 && only !== undefined ? only : new OrFilter({ filters: [...filters] })
}

/** Protection by the kind of directory needs no look at the configuration. */
export async function protectionOf(
  driver: Pick<DirectoryDriver, 'protects'>,
  configured: ProtectionRules,
  account: Account,
  facts: ServerFacts,
): Promise<Pick<ObservedState, 'protectedBy' | 'protectionUnread'>> {
  const protectedBy = driver.protects(account)
  return protectedBy === null ? configured.of(account, facts) : { protectedBy }
}

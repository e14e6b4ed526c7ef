import { EqualityFilter, OrFilter, PresenceFilter, type Entry } from 'ldapts'
import type { Dn } from '../core/names.ts'
import { AppError } from '../core/error.ts'
import type { Clock } from '../ports/clock.ts'
import { normalDn } from './dn.ts'
import type { Pool } from './pool.ts'
import { resultCodeOf } from './result-code.ts'
import { namingContextOf, textsOf, type ServerFacts } from './server-facts.ts'

/** An entry of class `pwdPolicy` (draft-behera-ldap-password-policy-10, 5.2), as far as locking goes. */
export interface PasswordPolicy {
  readonly dn: string
  readonly lockout: boolean
  /** How long a lockout by time stamp lasts; 0: until somebody ends it. */
  readonly lockoutDurationMs: number
}

/** What could be learned of the policies; an ordinary account cannot read everything. */
export interface PolicyView {
  /** By DN in normal form. */
  readonly policies: ReadonlyMap<string, PasswordPolicy>
  /**
   * The policy of accounts that name none. `known`: cn=config told, `dn` null when there is none. `no-overlay`: cn=config
   * told that no overlay is active on the database. `unknown`: cn=config may not be read.
   */
  readonly fallback:
    { readonly kind: 'known'; readonly dn: string | null } | { readonly kind: 'no-overlay' | 'unknown' }
}

const POLICIES_MAX_AGE_MS = 60_000
/** More policies than any directory has. */
const POLICIES_MAX = 200
const CONFIG_ENTRIES_MAX = 500
const NOTHING: PolicyView = { policies: new Map(), fallback: { kind: 'unknown' } }

/** Reads the password policies, once for all that wait, and again when they are a minute old. */
export class PolicyReader {
  readonly #pool: Pool
  readonly #clock: Clock
  readonly #base: Dn
  #view: PolicyView | null = null
  #atMs = 0
  #reading: Promise<PolicyView> | null = null

  constructor(pool: Pool, clock: Clock, base: Dn) {
    this.#pool = pool
    this.#clock = clock
    this.#base = base
  }

  get fresh(): PolicyView | null {
    const ageMs = this.#clock.nowMs() - this.#atMs
    return ageMs >= 0 && ageMs < POLICIES_MAX_AGE_MS ? this.#view : null
  }

  read(facts: ServerFacts): Promise<PolicyView> {
    this.#reading ??= this.#load(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  async #load(facts: ServerFacts): Promise<PolicyView> {
    const context = namingContextOf(facts, this.#base)
    this.#view = facts.hasPasswordPolicy === false || context === null ? NOTHING : await this.#loadFrom(context)
    this.#atMs = this.#clock.nowMs()
    return this.#view
  }

  async #loadFrom(context: string): Promise<PolicyView> {
    const isPolicy = new EqualityFilter({ attribute: 'objectClass', value: 'pwdPolicy' })
    const [policies, config] = await Promise.all([
      this.#search(context, isPolicy, ['pwdLockout', 'pwdLockoutDuration'], POLICIES_MAX),
      this.#search('cn=config', CONFIG_FILTER, ['olcSuffix', 'olcPPolicyDefault', 'objectClass'], CONFIG_ENTRIES_MAX),
    ])
    const read = (policies ?? []).map(policyFrom)
    return {
      policies: new Map(read.map((policy) => [normalDn(policy.dn), policy])),
      fallback: fallbackFrom(config ?? [], normalDn(context)),
    }
  }

  /** Null where it may not be read, is not there, or takes the server too long. */
  async #search(
    base: string,
    filter: OrFilter | EqualityFilter,
    attributes: string[],
    sizeMax: number,
  ): Promise<Entry[] | null> {
    const request = { base, scope: 'sub' as const, filter, attributes, bytesOf: [], sizeMax }
    try {
      return await this.#pool.read((connection) => connection.search(request))
    } catch (error) {
      if (error instanceof AppError && resultCodeOf(error.cause) !== null && UNREADABLE.has(error.code)) return null
      throw error
    }
  }
}

const UNREADABLE: ReadonlySet<string> = new Set([
  'entry-not-found',
  'directory-not-permitted',
  'directory-refused',
  'directory-timeout',
])
const CONFIG_FILTER = new OrFilter({
  filters: [
    new PresenceFilter({ attribute: 'olcSuffix' }),
    new EqualityFilter({ attribute: 'objectClass', value: 'olcPPolicyConfig' }),
  ],
})

export function policyFrom(entry: Entry): PasswordPolicy {
  const seconds = Number(textsOf(entry, 'pwdLockoutDuration')[0] ?? 0)
  return {
    dn: entry.dn,
    lockout: textsOf(entry, 'pwdLockout')[0]?.toUpperCase() === 'TRUE',
    lockoutDurationMs: Number.isSafeInteger(seconds) ? seconds * 1000 : 0,
  }
}

/** slapd-config(5): the overlay's entry lies below the one of its database. */
function fallbackFrom(config: readonly Entry[], context: string): PolicyView['fallback'] {
  const database = config.find((entry) => textsOf(entry, 'olcSuffix').some((suffix) => normalDn(suffix) === context))
  if (database === undefined) return { kind: 'unknown' }
  const below = `,${database.dn.toLowerCase()}`
  const overlay = config.find(
    (entry) => entry.dn.toLowerCase().endsWith(below) && /ppolicy/i.test(entry.dn.slice(0, entry.dn.indexOf(','))),
  )
  if (overlay === undefined) return { kind: 'no-overlay' }
  const dn = textsOf(overlay, 'olcPPolicyDefault')[0]
  return { kind: 'known', dn: dn === undefined ? null : normalDn(dn) }
}

import { EqualityFilter, OrFilter, PresenceFilter, type Entry } from 'ldapts'
import { AppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { Clock } from '../ports/clock.ts'
import { normalDn } from '../core/dn.ts'
import type { Reads } from './pool.ts'
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
   * told that no overlay is active on the database. `unknown`: cn=config may not be read, or not enough of it.
   */
  readonly fallback:
    { readonly kind: 'known'; readonly dn: string | null } | { readonly kind: 'no-overlay' | 'unknown' }
  /**
   * What our own bind told, which needs no right: an active overlay answers its control (draft-behera, 6.1) to everybody
   * in its database but the rootdn. `active`: it answered. `silent`: it did not, so that it is not active, or we are the
   * rootdn. `unknown`: the account that we bind as lies in another database, or the control is not offered.
   */
  readonly overlay: 'active' | 'silent' | 'unknown'
}

/** More policies than any directory has. */
const POLICIES_MAX = 200
const CONFIG_ENTRIES_MAX = 500
const NOTHING: PolicyView = { policies: new Map(), fallback: { kind: 'unknown' }, overlay: 'unknown' }

/** Reads the password policies, once for all that wait. */
export class PolicyReader {
  readonly #reads: Reads
  readonly #clock: Clock
  readonly #settings: Pick<DirectorySettings, 'base' | 'bindDn'>
  #view: PolicyView | null = null
  #atMs = 0
  #reading: Promise<PolicyView> | null = null

  constructor(reads: Reads, clock: Clock, settings: Pick<DirectorySettings, 'base' | 'bindDn'>) {
    this.#reads = reads
    this.#clock = clock
    this.#settings = settings
  }

  /** What was read at most so long ago, and not before a time; else null. */
  kept(maxAgeMs: number, notBeforeMs: number): PolicyView | null {
    const ageMs = this.#clock.nowMs() - this.#atMs
    return ageMs >= 0 && ageMs < maxAgeMs && this.#atMs >= notBeforeMs ? this.#view : null
  }

  read(facts: ServerFacts): Promise<PolicyView> {
    this.#reading ??= this.#load(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  async #load(facts: ServerFacts): Promise<PolicyView> {
    const atMs = this.#clock.nowMs()
    const context = namingContextOf(facts, this.#settings.base)
    this.#view = facts.hasPasswordPolicy === false || context === null ? NOTHING : await this.#loadFrom(context, facts)
    this.#atMs = atMs
    return this.#view
  }

  async #loadFrom(context: string, facts: ServerFacts): Promise<PolicyView> {
    const isPolicy = new EqualityFilter({ attribute: 'objectClass', value: 'pwdPolicy' })
    const [policies, config, overlay] = await Promise.all([
      this.#search(context, isPolicy, ['pwdLockout', 'pwdLockoutDuration'], POLICIES_MAX),
      this.#search('cn=config', CONFIG_FILTER, ['olcSuffix', 'olcPPolicyDefault', 'objectClass'], CONFIG_ENTRIES_MAX),
      this.#overlayByBind(context, facts),
    ])
    const read = (policies ?? []).map(policyFrom)
    return {
      policies: new Map(read.map((policy) => [normalDn(policy.dn), policy])),
      fallback: fallbackFrom(config ?? [], normalDn(context), overlay),
      overlay,
    }
  }

  async #overlayByBind(context: string, facts: ServerFacts): Promise<PolicyView['overlay']> {
    const isInDatabase = namingContextOf(facts, this.#settings.bindDn) === context
    if (!isInDatabase || facts.hasPasswordPolicy !== true) return 'unknown'
    const answered = await this.#reads.read(async (connection) => connection.hasPolicyAnswer)
    return answered ? 'active' : 'silent'
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
      return await this.#reads.read((connection) => connection.search(request))
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
  'directory-cut',
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

const FRONTEND = 'olcdatabase={-1}frontend,cn=config'

/**
 * slapd-config(5): the overlay's entry lies below the one of its database, or of the frontend, for all of them. That
 * there is none is believed unless our bind told otherwise: an entry that may not be read looks the same.
 */
function fallbackFrom(
  config: readonly Entry[],
  context: string,
  byBind: PolicyView['overlay'],
): PolicyView['fallback'] {
  const database = config.find((entry) => textsOf(entry, 'olcSuffix').some((suffix) => normalDn(suffix) === context))
  if (database === undefined) return { kind: 'unknown' }
  const overlay = overlayBelow(config, database.dn.toLowerCase()) ?? overlayBelow(config, FRONTEND)
  if (overlay === undefined) return { kind: byBind === 'active' ? 'unknown' : 'no-overlay' }
  const dn = textsOf(overlay, 'olcPPolicyDefault')[0]
  return { kind: 'known', dn: dn === undefined ? null : normalDn(dn) }
}

function overlayBelow(config: readonly Entry[], database: string): Entry | undefined {
  const isBelow = (dn: string): boolean => dn.endsWith(`,${database}`) && /ppolicy/.test(dn.slice(0, dn.indexOf(',')))
  return config.find((entry) => isBelow(entry.dn.toLowerCase()))
}

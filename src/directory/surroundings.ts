import type { DirectorySettings } from '../core/settings.ts'
import type { Clock } from '../ports/clock.ts'
import { LockoutPolicyReader, type LockoutPolicies } from './kerberos-lockout.ts'
import { PolicyReader, type PolicyView } from './password-policy.ts'
import type { Reads } from './pool.ts'
import type { ServerFacts } from './server-facts.ts'
import { DomainReader, type DomainView } from './windows-domain.ts'

/** What a driver may need to know besides entries; each is read by its own reader, which keeps it for a while. */
export type Need = 'policies' | 'lockout-policies' | 'domain'

/** Null: the driver does not ask for it. */
export interface SurroundingsView {
  /** Password policies of OpenLDAP. */
  readonly policies: PolicyView | null
  /** Lockout policies of FreeIPA. */
  readonly lockoutPolicies: LockoutPolicies | null
  /** The domain of Active Directory. */
  readonly domain: DomainView | null
}

const NOTHING: SurroundingsView = { policies: null, lockoutPolicies: null, domain: null }

/** What stands around the accounts of one directory and decides about their locks. */
export class Surroundings {
  readonly policies: PolicyReader
  readonly lockoutPolicies: LockoutPolicyReader
  readonly domain: DomainReader
  readonly #needs: ReadonlySet<Need>

  constructor(reads: Reads, clock: Clock, settings: DirectorySettings, needs: readonly Need[]) {
    this.policies = new PolicyReader(reads, clock, settings)
    this.lockoutPolicies = new LockoutPolicyReader(reads, clock, settings)
    this.domain = new DomainReader(reads, clock, settings)
    this.#needs = new Set(needs)
  }

  async read(facts: ServerFacts): Promise<SurroundingsView> {
    if (this.#needs.size === 0) return NOTHING
    const policies = this.#needs.has('policies') ? (this.policies.fresh ?? (await this.policies.read(facts))) : null
    const lockouts = this.lockoutPolicies
    const lockoutPolicies = this.#needs.has('lockout-policies')
      ? (lockouts.fresh ?? (await lockouts.read(facts)))
      : null
    const domain = this.#needs.has('domain') ? (this.domain.fresh ?? (await this.domain.read(facts))) : null
    return { policies, lockoutPolicies, domain }
  }
}

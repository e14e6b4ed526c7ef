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

interface KeptReader<View> {
  kept(maxAgeMs: number, notBeforeMs: number): View | null
  read(facts: ServerFacts): Promise<View>
}

const KEPT_MAX_AGE_MS = 60_000
/** How long a lock lasts is as the server judges it now: a policy that was changed a moment ago counts. */
const FRESH_MAX_AGE_MS = 1_000
const SECOND_MS = 1_000

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

  /** @param lockedSinceMs see LockDriver.restsOnPoliciesSince */
  async read(facts: ServerFacts, lockedSinceMs: number | null): Promise<SurroundingsView> {
    if (this.#needs.size === 0) return NOTHING
    const maxAgeMs = lockedSinceMs === null ? KEPT_MAX_AGE_MS : FRESH_MAX_AGE_MS
    // Times of locks are of whole seconds.
    const notBeforeMs = lockedSinceMs === null ? 0 : lockedSinceMs + SECOND_MS
    const from = async <View>(need: Need, reader: KeptReader<View>): Promise<View | null> => {
      if (!this.#needs.has(need)) return null
      return reader.kept(maxAgeMs, notBeforeMs) ?? (await reader.read(facts))
    }
    return {
      policies: await from('policies', this.policies),
      lockoutPolicies: await from('lockout-policies', this.lockoutPolicies),
      domain: await from('domain', this.domain),
    }
  }
}

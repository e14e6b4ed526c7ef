import { EqualityFilter, OrFilter, PresenceFilter, type Entry } from 'ldapts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { normalDn } from '../../core/dn.ts'
import type { Reads } from '../ldap/reads.ts'
import { searchIfAllowed } from '../ldap/search-if-allowed.ts'
import { textsOf } from '../protocol/entry.ts'
import { namingContextOf, type ServerFacts } from '../pool/server-facts.ts'

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

type Where = Pick<DirectorySettings, 'base' | 'bindDn'>

/** Reads the password policies. Fails with `directory-*`; what may not be read is left out. */
export async function readPolicies(reads: Reads, { base, bindDn }: Where, facts: ServerFacts): Promise<PolicyView> {
  const context = namingContextOf(facts, base)
  if (facts.hasPasswordPolicy === false || context === null) return NOTHING
  const isPolicy = new EqualityFilter({ attribute: 'objectClass', value: 'pwdPolicy' })
  const [policies, config, overlay] = await Promise.all([
    searchIfAllowed(reads, context, isPolicy, ['pwdLockout', 'pwdLockoutDuration'], POLICIES_MAX),
    searchIfAllowed(reads, 'cn=config', CONFIG_FILTER, CONFIG_ATTRIBUTES, CONFIG_ENTRIES_MAX),
    overlayByBind(reads, bindDn, context, facts),
  ])
  const read = policies.map(policyFrom)
  return {
    policies: new Map(read.map((policy) => [normalDn(policy.dn), policy])),
    fallback: fallbackFrom(config, normalDn(context), overlay),
    overlay,
  }
}

async function overlayByBind(
  reads: Reads,
  bindDn: string,
  context: string,
  facts: ServerFacts,
): Promise<PolicyView['overlay']> {
  const isInDatabase = namingContextOf(facts, bindDn) === context
  if (!isInDatabase || facts.hasPasswordPolicy !== true) return 'unknown'
  const answered = await reads.read(async (connection) => connection.hasPolicyAnswer)
  return answered ? 'active' : 'silent'
}

const CONFIG_ATTRIBUTES = ['olcSuffix', 'olcPPolicyDefault', 'objectClass']
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

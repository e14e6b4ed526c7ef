import { EqualityFilter, OrFilter, PresenceFilter, type Entry } from 'ldapts'
import type { Effectiveness, LockObservation, LockSlot, OtherLock } from '../../core/account/state.ts'
import { lockedBy, type AccountEntry, type LockContext, type LockDriver } from './driver.ts'
import { parseGeneralizedTime } from '../protocol/generalized-time.ts'
import { normalDn } from '../../core/dn.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Reads } from '../ldap/reads.ts'
import { searchIfAllowed } from '../ldap/search-if-allowed.ts'
import { textsOf } from '../protocol/entry.ts'
import { namingContextOf, type ServerFacts } from '../pool/server-facts.ts'

export const LOCK_ATTRIBUTE = 'pwdAccountLockedTime'
/** slapo-ppolicy(5): locked until an administrator unlocks it, with any pwdLockoutDuration. */
const LOCKED_FOR_GOOD = '000001010000Z'
const POLICY_OF_ENTRY = 'pwdPolicySubentry'
const START = 'pwdStartTime'
const END = 'pwdEndTime'
const PASSWORD_CHANGED = 'pwdChangedTime'

/**
 * OpenLDAP with the password policy overlay. The lock is `pwdAccountLockedTime: 000001010000Z`. The overlay itself
 * writes a time stamp there after too many failures: while that is in effect the account is locked by others; otherwise
 * it is not locked. The stamp is restored when our lock goes. `pwdStartTime` and `pwdEndTime` lock too, also beside our
 * lock.
 */
export const openldapDriver: LockDriver<PolicyView> = {
  attributes: [LOCK_ATTRIBUTE, POLICY_OF_ENTRY, START, END, PASSWORD_CHANGED],
  lockAttributes: [LOCK_ATTRIBUTE],
  coverable: [],
  singleValued: [],
  addressOf: (_id, dn) => dn,
  protects: () => null,
  restsOnPoliciesSince: (account) => {
    const since = account.text(LOCK_ATTRIBUTE)
    // Most are open, or locked by us: neither is a time.
    return since === null || since === LOCKED_FOR_GOOD ? null : parseGeneralizedTime(since)
  },
  placesElsewhere: () => [],
  readContext: readPolicies,
  readLock,
  marks: () => [new EqualityFilter({ attribute: LOCK_ATTRIBUTE, value: LOCKED_FOR_GOOD })],
  lockedMarks: () => [LOCK_ATTRIBUTE, START, END].map((attribute) => new PresenceFilter({ attribute })),
  markedElsewhere: () => [],
}

function readLock(account: AccountEntry, context: LockContext<PolicyView>): LockObservation {
  const current = account.values(LOCK_ATTRIBUTE)
  const slot: LockSlot = {
    dn: account.dn,
    attribute: LOCK_ATTRIBUTE,
    mode: 'whole',
    current,
    locked: [LOCKED_FOR_GOOD],
    unlocked: [],
  }
  const { effective, policies } = lockEffect(account, context, POLICY_OF_ENTRY)
  const passwordChangedMs = parseGeneralizedTime(account.text(PASSWORD_CHANGED) ?? '')
  const state = isOurs(current) ? 'as-ours' : 'open'
  const other = validityLock(account, context.nowMs) ?? stampLock(account, policies, context.nowMs)
  return { state, other, slots: [slot], effective, passwordChangedMs }
}

function isOurs(current: LockSlot['current']): boolean {
  return current.length === 1 && current[0] === LOCKED_FOR_GOOD
}

/** The account is not valid yet, or not any more; this does not depend on pwdLockout. */
function validityLock(account: AccountEntry, nowMs: number): OtherLock | null {
  const endMs = parseGeneralizedTime(account.text(END) ?? '')
  if (endMs !== null && endMs <= nowMs) return lockedBy('expired', END)
  const startMs = parseGeneralizedTime(account.text(START) ?? '')
  return startMs !== null && startMs > nowMs ? lockedBy('not-yet-valid', START, startMs) : null
}

/**
 * A time stamp of the overlay, by each of the policies that may apply. Where they differ the result is not known: our
 * lock then replaces the stamp and restores it later, which locks in either case.
 */
function stampLock(account: AccountEntry, policies: readonly PasswordPolicy[] | null, nowMs: number): OtherLock | null {
  const stamp = account.text(LOCK_ATTRIBUTE)
  if (stamp === null || stamp === LOCKED_FOR_GOOD || policies?.length === 0) return null
  const sinceMs = parseGeneralizedTime(stamp)
  if (sinceMs !== null && sinceMs > nowMs) return null
  const untils = policies?.map((policy) => stampUntil(stamp, policy, nowMs)) ?? []
  if (policies !== null && untils.every((untilMs) => untilMs === null)) return null
  const ends = untils.filter((untilMs) => untilMs !== null)
  const unjudged = { is: 'unknown', cause: 'too-many-failures', attribute: LOCK_ATTRIBUTE, untilUs: null } as const
  if (policies === null || ends.length < untils.length) return unjudged
  const untilMs = Math.max(...ends)
  const cause = /^0{4}/.test(stamp) ? 'disabled' : 'too-many-failures'
  return lockedBy(cause, LOCK_ATTRIBUTE, untilMs === Infinity ? null : untilMs)
}

/** @returns when it ends; Infinity: not by itself; null: it does not lock */
function stampUntil(stamp: string, policy: PasswordPolicy, nowMs: number): number | null {
  if (!policy.lockout) return null
  if (/^0{4}/.test(stamp)) return Infinity
  const sinceMs = parseGeneralizedTime(stamp)
  if (sinceMs === null || sinceMs > nowMs) return null
  if (policy.lockoutDurationMs === 0) return Infinity
  const untilMs = sinceMs + policy.lockoutDurationMs
  return untilMs > nowMs ? untilMs : null
}

/**
 * Whether OpenLDAP would enforce a lock: the overlay is active on the account's database, a policy applies to the
 * account, and that one has `pwdLockout: TRUE` (slapo-ppolicy(5)). An ordinary account may read few of these, so what
 * cannot be seen is reported as unknown, never guessed.
 */
interface LockEffect {
  readonly effective: Effectiveness
  /**
   * The policies that may apply to the account; they say how long the server's own locks last. All policies where it is
   * not known which one applies. Empty: none applies. Null: what applies could not be read.
   */
  readonly policies: readonly PasswordPolicy[] | null
}

const NO_MODULE =
  'the server has no password policy module, so that pwdAccountLockedTime does nothing: load it (olcModuleLoad: ppolicy) and add the overlay to the database (olcOverlay: ppolicy)'
const NO_OVERLAY =
  'the password policy overlay is not active on the database, so that pwdAccountLockedTime does nothing: add it (olcOverlay: ppolicy) with a default policy'
const NO_POLICY =
  'no password policy applies to the account, so that pwdAccountLockedTime does nothing: set olcPPolicyDefault to a policy with pwdLockout: TRUE'
const NOT_READ = 'which password policy applies could not be read; lockstep doctor shows what to do'
const NOT_SEEN =
  'the password policy overlay does not seem to be active on the database, and its configuration could not be read; lockstep doctor shows what to do'

type Facts = Pick<LockContext<PolicyView>, 'facts' | 'context'>

function lockEffect(account: AccountEntry, { facts, context: policies }: Facts, ownPolicy: string): LockEffect {
  if (facts.hasPasswordPolicy === false) return no(NO_MODULE)
  const { fallback, overlay } = policies
  if (fallback.kind === 'no-overlay') return no(NO_OVERLAY)
  const isActive = fallback.kind === 'known' || overlay === 'active'
  const own = account.text(ownPolicy)
  if (own !== null) return judged(policies.policies.get(normalDn(own)), isActive, own)
  if (fallback.kind === 'known') {
    return fallback.dn === null ? no(NO_POLICY) : judged(policies.policies.get(fallback.dn), isActive, fallback.dn)
  }
  return guessed(policies)
}

/** The default policy is not known: what all policies have in common holds in any case. */
function guessed({ policies, overlay }: PolicyView): LockEffect {
  const all = [...policies.values()]
  const [first] = all
  if (first !== undefined && all.every((policy) => !policy.lockout)) return judged(first, false, first.dn)
  return unknown(overlay === 'silent' ? NOT_SEEN : NOT_READ, first === undefined ? null : all)
}

function judged(policy: PasswordPolicy | undefined, isActive: boolean, dn: string): LockEffect {
  if (policy === undefined)
    return unknown(`the password policy ${dn} could not be read; lockstep doctor shows what to do`)
  if (!policy.lockout) {
    const reason = `the password policy ${policy.dn} has pwdLockout: FALSE, so that pwdAccountLockedTime does nothing: set pwdLockout: TRUE there`
    return { effective: { is: 'no', reason }, policies: [policy] }
  }
  return isActive ? { effective: { is: 'yes' }, policies: [policy] } : unknown(NOT_SEEN, [policy])
}

function no(reason: string): LockEffect {
  return { effective: { is: 'no', reason }, policies: [] }
}

function unknown(reason: string, policies: readonly PasswordPolicy[] | null = null): LockEffect {
  return { effective: { is: 'unknown', reason }, policies }
}

/** An entry of class `pwdPolicy` (draft-behera-ldap-password-policy-10, 5.2), as far as locking goes. */
interface PasswordPolicy {
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
   * The policy of accounts that name none. `known`: from cn=config; `dn` is null when there is none. `no-overlay`: by
   * cn=config no overlay is active on the database. `unknown`: cn=config may not be read, or not enough of it.
   */
  readonly fallback:
    { readonly kind: 'known'; readonly dn: string | null } | { readonly kind: 'no-overlay' | 'unknown' }
  /**
   * What our own bind shows, which needs no right: an active overlay answers its control (draft-behera, 6.1) to
   * everybody in its database but the rootdn. `active`: it answered. `silent`: it did not, so it is not active, or we
   * are the rootdn. `unknown`: the account that we bind as lies in another database, or the control is not offered.
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

function policyFrom(entry: Entry): PasswordPolicy {
  const seconds = Number(textsOf(entry, 'pwdLockoutDuration')[0] ?? 0)
  return {
    dn: entry.dn,
    lockout: textsOf(entry, 'pwdLockout')[0]?.toUpperCase() === 'TRUE',
    lockoutDurationMs: Number.isSafeInteger(seconds) ? seconds * 1000 : 0,
  }
}

const FRONTEND = 'olcdatabase={-1}frontend,cn=config'

/**
 * slapd-config(5): the overlay's entry lies below the one of its database, or of the frontend, for all of them. A
 * missing entry means no overlay, unless our bind showed one: an entry that may not be read looks the same.
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

import {
  AndFilter,
  ExtensibleFilter,
  GreaterThanEqualsFilter,
  LessThanEqualsFilter,
  PresenceFilter,
  type Filter,
} from 'ldapts'
import { integerOf, withBits } from '../../core/account/bit.ts'
import { AppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { LockObservation, LockSlot, OtherLock } from '../../core/account/state.ts'
import { lockedBy, type AccountEntry, type LockContext, type LockDriver } from './driver.ts'
import { fileTimeOf, parseFileTime, parseTimeSpan } from '../protocol/windows-time.ts'
import { relativeIdOf } from '../protocol/sid.ts'
import type { Reads } from '../ldap/reads.ts'
import { searchIfAllowed } from '../ldap/search-if-allowed.ts'
import { textsOf } from '../protocol/entry.ts'
import { namingContextOf, type ServerFacts } from '../pool/server-facts.ts'

const CONTROL = 'userAccountControl'
/** MS-ADTS, 2.2.16: UF_ACCOUNT_DISABLE. */
const DISABLED = 0x2
const LOCKOUT_TIME = 'lockoutTime'
const EXPIRES = 'accountExpires'
/** Constructed (MS-ADTS, 3.1.1.4.5.17): what follows from times and policies, also from fine-grained ones. */
const COMPUTED = 'msDS-User-Account-Control-Computed'
const COMPUTED_LOCKOUT = 0x10
/** Constructed: the fine-grained password policy of the account, whose lockout has a length of its own. */
const OWN_POLICY = 'msDS-ResultantPSO'
/** LDAP_MATCHING_RULE_BIT_AND (MS-ADTS, 3.1.1.3.4.4.1). */
const BIT_AND = '1.2.840.113556.1.4.803'
/** A lockout that ends at a time that is not known is looked at again after this. */
const LOOK_AGAIN_MS = 10_000

/**
 * Active Directory. The lock is the bit 0x2 (disabled) of `userAccountControl`, and no other bit. A lockout after too
 * many wrong passwords and an expired account are locks by others. An expired password is no lock: the user can change
 * it. So a hold is written all the same, and the expired password is left to the user when the hold goes.
 */
export function activeDirectoryDriver(settings: Pick<DirectorySettings, 'clearLockout'>): LockDriver<DomainView> {
  return {
    attributes: [CONTROL, LOCKOUT_TIME, EXPIRES, COMPUTED, OWN_POLICY, ...PRINCIPAL_ATTRIBUTES],
    lockAttributes: [CONTROL],
    coverable: [],
    singleValued: ['description'],
    // rangeUpper of the schema (MS-ADA1, MS-ADA2).
    lengthsMax: { description: 1024, info: 1024 },
    readContext: readDomain,
    // It stays with the account when it is renamed, and never names another one (MS-ADTS, 3.1.1.3.1.2.4).
    addressOf: (id) => `<GUID=${id}>`,
    protects: protectedPrincipal,
    placesElsewhere: () => [],
    restsOnPoliciesSince: (account) => parseFileTime(account.text(LOCKOUT_TIME)),
    readLock: (account, context) => readLock(account, context, settings.clearLockout),
    marks: () => [IS_DISABLED],
    lockedMarks,
    markedElsewhere: () => [],
  }
}

const IS_DISABLED = new ExtensibleFilter({ matchType: CONTROL, rule: BIT_AND, value: String(DISABLED) })

/** Both times are 0 where there is none; that of a lockout stays behind after it ended. */
function lockedMarks(nowMs: number): readonly Filter[] {
  const from = (attribute: string) => new GreaterThanEqualsFilter({ attribute, value: '1' })
  const hasExpired = new LessThanEqualsFilter({ attribute: EXPIRES, value: fileTimeOf(nowMs) })
  return [IS_DISABLED, from(LOCKOUT_TIME), new AndFilter({ filters: [from(EXPIRES), hasExpired] })]
}

function readLock(account: AccountEntry, context: LockContext<DomainView>, clearLockout: boolean): LockObservation {
  const current = account.text(CONTROL)
  const control = integerOf(account.values(CONTROL))
  if (current === null || control === null) {
    // An account that is never locked need not be readable; that it is not readable is not reported either.
    if (protectedPrincipal(account) === null) throw unreadable(account)
    return { state: 'open', other: null, slots: [], effective: { is: 'unknown', reason: NOT_READ } }
  }
  const locked = [withBits(current, DISABLED)]
  const unlocked = [String(control & ~DISABLED)]
  const slot: LockSlot = { dn: account.dn, attribute: CONTROL, mode: 'bit', current: [current], locked, unlocked }
  const lockout = lockoutOf(account, context)
  const other = expiryOf(account, context.nowMs) ?? lockout
  const found = { other, slots: [slot], effective: { is: 'yes' } } as const
  if ((control & DISABLED) === 0) return { ...found, state: 'open' }
  const isLeft = lockout === null || !clearLockout
  return { ...found, state: 'as-ours', ...(isLeft ? {} : { onRelease: END_OF_LOCKOUT }) }
}

const NOT_READ = 'userAccountControl may not be read'

/** Nothing else may be written there. */
const END_OF_LOCKOUT = [{ op: 'replace', attribute: LOCKOUT_TIME, values: ['0'] }] as const

function expiryOf(account: AccountEntry, nowMs: number): OtherLock | null {
  const atMs = parseFileTime(account.text(EXPIRES))
  return atMs !== null && atMs <= nowMs ? lockedBy('expired', EXPIRES) : null
}

/** The server's own judgement counts, where it has one; it uses the policy that applies to the account. */
function lockoutOf(account: AccountEntry, { nowMs, context: domain }: LockContext<DomainView>): OtherLock | null {
  const sinceMs = parseFileTime(account.text(LOCKOUT_TIME))
  const durationMs = account.text(OWN_POLICY) === null ? domain.lockoutDurationMs : null
  const endMs = sinceMs === null || durationMs === null ? null : sinceMs + durationMs
  const computed = integerOf(account.values(COMPUTED))
  const isOut = computed === null ? endMs !== null && endMs > nowMs : (computed & COMPUTED_LOCKOUT) !== 0
  if (!isOut) return null
  const untilMs = endMs === Infinity ? null : endMs !== null && endMs > nowMs ? endMs : nowMs + LOOK_AGAIN_MS
  return lockedBy('too-many-failures', LOCKOUT_TIME, untilMs)
}

function unreadable(account: AccountEntry): AppError {
  return new AppError('directory-not-permitted', `${account.dn} has no ${CONTROL} that can be read`, {
    hint: 'Give the account that Lockstep binds as the right to read it (docs/how-to/active-directory.md); lockstep doctor prints the line.',
  })
}

/** Accounts of Active Directory that keep the domain itself going, and are therefore never locked. */

const PRINCIPAL_ATTRIBUTES = ['objectSid', 'objectClass', 'userAccountControl', 'sAMAccountName'] as const

/** MS-ADTS, 2.2.16: UF_INTERDOMAIN_TRUST_ACCOUNT, UF_WORKSTATION_TRUST_ACCOUNT, UF_SERVER_TRUST_ACCOUNT. */
const TRUST_BITS = 0x0800
const COMPUTER_BITS = 0x1000 | 0x2000
/** MS-DTYP, 2.4.2.4: well-known relative ids of a domain. */
const WELL_KNOWN: Readonly<Record<number, string>> = {
  500: 'it is the built-in administrator',
  502: 'it is krbtgt, whose keys the whole domain rests on',
}
/** Of a read-only domain controller. */
const KRBTGT_OF_RODC = /^krbtgt_\d+$/i
const CLASSES: Readonly<Record<string, string>> = {
  computer: 'it is a computer account',
  'msds-managedserviceaccount': 'it is a managed service account',
  'msds-groupmanagedserviceaccount': 'it is a group managed service account',
  'msds-delegatedmanagedserviceaccount': 'it is a delegated managed service account',
}

/** @returns why it is never locked, as in "it is a computer account"; null for an account of a person */
function protectedPrincipal(account: AccountEntry): string | null {
  const rid = relativeIdOf(account.values('objectSid')[0])
  const wellKnown = rid === null ? undefined : WELL_KNOWN[rid]
  if (wellKnown !== undefined) return wellKnown
  if (KRBTGT_OF_RODC.test(account.text('sAMAccountName') ?? '')) return WELL_KNOWN[502] ?? null
  const classes = account.values('objectClass').map((name) => String(name).toLowerCase())
  // The most special class comes last.
  const special = classes.toReversed().find((name) => CLASSES[name] !== undefined)
  if (special !== undefined) return CLASSES[special] ?? null
  const control = integerOf(account.values('userAccountControl')) ?? 0
  if ((control & TRUST_BITS) !== 0) return 'it is the account of a trust with another domain'
  return (control & COMPUTER_BITS) === 0 ? null : 'it is a computer account'
}

/** The lockout after wrong passwords, from the domain's own entry. */
export interface DomainView {
  /** Infinity: until an administrator ends it; null: it could not be read. */
  readonly lockoutDurationMs: number | null
}

const UNKNOWN: DomainView = { lockoutDurationMs: null }

/** Reads the domain's settings. Fails with `directory-*`. */
export async function readDomain(
  reads: Reads,
  { base }: Pick<DirectorySettings, 'base'>,
  facts: ServerFacts,
): Promise<DomainView> {
  const domain = namingContextOf(facts, base)
  if (domain === null) return UNKNOWN
  const isThere = new PresenceFilter({ attribute: 'objectClass' })
  const [entry] = await searchIfAllowed(reads, domain, isThere, ['lockoutDuration'], 1, 'base')
  return { lockoutDurationMs: parseTimeSpan(textsOf(entry ?? null, 'lockoutDuration')[0] ?? null) }
}

import { ENROLL_TYPES, type EnrollType } from '../../core/source/enrollment.ts'
import type { MirrorPolicy } from '../../core/settings/settings.ts'

/**
 * The admin policies that give Lockstep's accounts what they need and no more. Pure. The rights of all policies add up:
 * another policy removes no rights, with one exception. Without any active admin policy every administrator may do
 * everything; the first policy ends that for all others (measured on 3.12.3 and 3.14).
 */
export interface AdminPolicy {
  readonly name: string
  /** `*` and `-name` as privacyIDEA has them. */
  readonly admins: readonly string[]
  readonly actions: readonly string[]
}

export interface ExistingPolicy extends AdminPolicy {
  readonly isActive: boolean
}

export interface PolicyRequest {
  /** The account of the daemon. */
  readonly runTimeAccount: string
  /** An account for set-up alone; null: an administrator with their own rights does it. */
  readonly setUpAccount: string | null
  /** As in `3.14`. */
  readonly version: string
  /** Fail counters are reset: automatically by policy, or by `lockstep unlock --reset-token`. */
  readonly resetsTokens: boolean
  /** New tokens are made as this account (`lockstep enroll`). */
  readonly enrolls?: boolean
  readonly mirrorDirectoryLocks: MirrorPolicy
}

export type PolicyChange =
  | { readonly kind: 'create' | 'update' | 'same'; readonly wanted: AdminPolicy; readonly stands: string }
  | { readonly kind: 'remove'; readonly name: string }

const RUN_TIME_POLICY = 'lockstep-run-time'
const SET_UP_POLICY = 'lockstep-set-up'
/** Keeps the rights that all others had without any policy. */
const OTHERS_POLICY = 'lockstep-other-admins'
const OUR_POLICIES: readonly string[] = [OTHERS_POLICY, RUN_TIME_POLICY, SET_UP_POLICY]

/** The rights of the running service. User lockouts and the authentication log came with 3.14. */
export function runTimeRights(
  request: Pick<PolicyRequest, 'version' | 'resetsTokens' | 'enrolls' | 'mirrorDirectoryLocks'>,
): string[] {
  const rights = ['tokenlist', 'userlist', 'auditlog']
  const hasLockouts = isAtLeast(request.version, 3, 14)
  if (hasLockouts) rights.push('user_lock_read', 'authentication_log_read')
  if (request.resetsTokens) rights.push('reset')
  if (request.mirrorDirectoryLocks === 'user-lock' && hasLockouts) rights.push('user_lock_set', 'user_lock_reset')
  if (request.mirrorDirectoryLocks === 'disable-tokens') rights.push('disable', 'enable')
  if (request.enrolls === true) rights.push(...enrollmentRights(ENROLL_TYPES))
  return rights
}

/** What `lockstep enroll` needs: a token whose mail could not be sent is deleted. */
export function enrollmentRights(types: readonly EnrollType[]): string[] {
  return [...new Set(types.map((type) => `enroll${type.toUpperCase()}`)), 'delete']
}

/** For people, to type it into the web interface of privacyIDEA (Config, Policies). */
export function policyLine(user: string, rights: readonly string[]): string {
  return `scope: admin, admin: ${user}, action: ${rights.join(', ')} (add it to ${RUN_TIME_POLICY}, or make a policy)`
}

export function wantedPolicies(request: PolicyRequest): readonly AdminPolicy[] {
  const { runTimeAccount, setUpAccount } = request
  const policies: AdminPolicy[] = [{ name: RUN_TIME_POLICY, admins: [runTimeAccount], actions: runTimeRights(request) }]
  if (setUpAccount !== null) {
    policies.push({
      name: SET_UP_POLICY,
      admins: [setUpAccount],
      actions: ['eventhandling_read', 'eventhandling_write'],
    })
  }
  return policies
}

/** Keeps the rights of the other administrators: everything, for everybody but Lockstep's own accounts. */
export function othersPolicy(request: PolicyRequest): AdminPolicy {
  const own = [request.runTimeAccount, request.setUpAccount].filter((name) => name !== null)
  return { name: OTHERS_POLICY, admins: [...own.map((name) => `-${name}`), '*'], actions: ['*'] }
}

/** True when ours would be the first, and would remove every right of all others. */
export function wouldLockOthersOut(existing: readonly ExistingPolicy[]): boolean {
  return !existing.some((policy) => policy.isActive)
}

/** In the order of writing: the policy that keeps the others' rights comes first. */
export function diffPolicies(
  existing: readonly ExistingPolicy[],
  wanted: readonly AdminPolicy[],
): readonly PolicyChange[] {
  const ordered = wanted.toSorted((a, b) => OUR_POLICIES.indexOf(a.name) - OUR_POLICIES.indexOf(b.name))
  return ordered.map((policy) => {
    const found = existing.find((each) => each.name === policy.name)
    if (found === undefined) return { kind: 'create', wanted: policy, stands: '' }
    const isSame = found.isActive && isEqual(found.admins, policy.admins) && isEqual(found.actions, policy.actions)
    return { kind: isSame ? 'same' : 'update', wanted: policy, stands: shownPolicy(found) }
  })
}

/** Only ours; the policy that keeps the others' rights goes last. */
export function policyRemovals(existing: readonly ExistingPolicy[]): readonly PolicyChange[] {
  const ours = OUR_POLICIES.toReversed().filter((name) => existing.some((policy) => policy.name === name))
  return ours.map((name) => ({ kind: 'remove', name }))
}

export function shownPolicy(policy: AdminPolicy & { readonly isActive?: boolean }): string {
  const off = policy.isActive === false ? ' (off)' : ''
  return `${policy.admins.join(', ')}: ${policy.actions.toSorted().join(', ')}${off}`
}

/** The body of `POST /policy/NAME`. 3.11 asks for `realm`, though it is empty. */
export function policyRequestOf(policy: AdminPolicy): Readonly<Record<string, unknown>> {
  return {
    scope: 'admin',
    active: true,
    realm: '',
    adminuser: policy.admins.join(', '),
    action: policy.actions.join(', '),
  }
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().join('\n') === b.toSorted().join('\n')
}

/** @param version as the server gives it: `3.12.3`, `3.14`, `3.14dev1`; a text without a number counts as the newest */
export function isAtLeast(version: string, major: number, minor: number, patch = 0): boolean {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version)
  if (match === null) return true
  const found = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)]
  const wanted = [major, minor, patch]
  const differs = found.findIndex((each, index) => each !== wanted[index])
  return differs === -1 || (found[differs] ?? 0) > (wanted[differs] ?? 0)
}

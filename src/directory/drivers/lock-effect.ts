import type { Effectiveness } from '../../core/account/state.ts'
import { normalDn } from '../../core/dn.ts'
import type { AccountEntry, LockContext } from './driver.ts'
import type { PasswordPolicy, PolicyView } from './password-policy.ts'

/**
 * Whether OpenLDAP would enforce a lock: the overlay is active on the account's database, a policy applies to the
 * account, and that one has `pwdLockout: TRUE` (slapo-ppolicy(5)). An ordinary account may read few of these, so what
 * cannot be seen is told as unknown, never guessed.
 */
export interface LockEffect {
  readonly effective: Effectiveness
  /**
   * The policies of which one applies to the account, and says how long the server's own locks last: all that there are where
   * it is not known which. Empty: none applies. Null: what applies could not be read.
   */
  readonly policies: readonly PasswordPolicy[] | null
}

const NO_MODULE =
  'the server has no password policy module, so that pwdAccountLockedTime does nothing: load it (olcModuleLoad: ppolicy) and add the overlay to the database (olcOverlay: ppolicy)'
const NO_OVERLAY =
  'the password policy overlay is not active on the database, so that pwdAccountLockedTime does nothing: add it (olcOverlay: ppolicy) with a default policy'
const NO_POLICY =
  'no password policy applies to the account, so that pwdAccountLockedTime does nothing: set olcPPolicyDefault to a policy with pwdLockout: TRUE'
const NOT_READ = 'which password policy applies could not be read; lockstep doctor says what to do'
const NOT_SEEN =
  'the password policy overlay does not seem to be active on the database, and its configuration could not be read; lockstep doctor says what to do'

type Facts = Pick<LockContext<PolicyView>, 'facts' | 'context'>

export function lockEffect(account: AccountEntry, { facts, context: policies }: Facts, ownPolicy: string): LockEffect {
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

/** Which policy is the default is not known: what all of them say holds in any case. */
function guessed({ policies, overlay }: PolicyView): LockEffect {
  const all = [...policies.values()]
  const [first] = all
  if (first !== undefined && all.every((policy) => !policy.lockout)) return judged(first, false, first.dn)
  return unknown(overlay === 'silent' ? NOT_SEEN : NOT_READ, first === undefined ? null : all)
}

function judged(policy: PasswordPolicy | undefined, isActive: boolean, dn: string): LockEffect {
  if (policy === undefined)
    return unknown(`the password policy ${dn} could not be read; lockstep doctor says what to do`)
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

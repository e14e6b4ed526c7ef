import type { DirectorySettings } from '../../../core/settings/settings.ts'
import type { PolicyView } from '../../../directory/drivers/openldap.ts'
import type { ServerFacts } from '../../../directory/pool/server-facts.ts'
import type { Place, Trial } from './account.ts'
import type { Findings } from '../findings.ts'
import {
  configReadAdvice,
  defaultPolicyAdvice,
  lockoutAdvice,
  moduleAdvice,
  overlayAdvice,
  policyReadAdvice,
} from '../../advice/openldap-advice.ts'

/** Checks of `lockstep doctor` for the password policy: a lock is enforced only with it. */

export function checkPolicy(found: Findings, view: PolicyView, facts: ServerFacts, context: string): void {
  const why = 'A lock can be written and is not enforced.'
  if (facts.hasPasswordPolicy === false) {
    found.fail('ppolicy-overlay', {
      what: 'the password policy overlay is not active on the server',
      why: `${why} Without its module it cannot even be written.`,
      fix: moduleAdvice(context),
    })
    return
  }
  const { fallback, policies } = view
  if (fallback.kind === 'no-overlay') {
    found.fail('ppolicy-overlay', {
      what: `the password policy overlay is not active on the database of ${context}`,
      why,
      fix: overlayAdvice(context),
    })
    return
  }
  if (fallback.kind === 'known' && fallback.dn === null) {
    found.fail('default-policy', {
      what: 'the password policy overlay names no default policy',
      why: `${why} Only accounts with a pwdPolicySubentry of their own would be locked.`,
      fix: defaultPolicyAdvice(context),
    })
    return
  }
  const off = [...policies].filter(([, policy]) => !policy.lockout)
  for (const [normalDn, policy] of off) {
    const trouble = {
      what: `the policy ${policy.dn} has no pwdLockout: TRUE`,
      why: `${why} This holds for every account under this policy.`,
      fix: lockoutAdvice(policy.dn, context),
    }
    const isForAll = off.length === policies.size || (fallback.kind === 'known' && fallback.dn === normalDn)
    found[isForAll ? 'fail' : 'warn']('pwd-lockout', trouble)
  }
  if (off.length === 0 && fallback.kind === 'known' && fallback.dn !== null && policies.has(fallback.dn)) {
    const names = [...policies.values()].map((policy) => policy.dn).join(', ')
    found.ok('pwd-lockout', `password policy: ${names} (pwdLockout: TRUE)`)
  }
}

const TRY_IT =
  "# or try it, with a test account's own password:\nLOCKSTEP_PROBE_PASSWORD=… lockstep doctor --probe LOGIN"
const CANNOT_READ =
  'A lock that no policy enforces is written and is not enforced. Lockstep could not detect that, and shows "effective: unknown" at every lock.'

/**
 * Settings that decide whether a lock is enforced, and may not be read: no fault where a trial has shown that it is.
 */
export function reportUnread(
  found: Findings,
  view: PolicyView,
  facts: ServerFacts,
  trial: Trial | null,
  { settings, context }: Place,
): void {
  const unread = unreadOf(view, facts, settings, context)
  if (unread === null) return
  if (trial?.isEnforced === true)
    found.ok(unread.check, `${unread.what}; but the trial shows that a lock keeps its user out`)
  else found.warn(unread.check, { what: unread.what, why: CANNOT_READ, fix: `${unread.fix}\n${TRY_IT}` })
}

interface Unread {
  readonly check: string
  readonly what: string
  readonly fix: string
}

function unreadOf(
  { fallback, overlay, policies }: PolicyView,
  facts: ServerFacts,
  settings: DirectorySettings,
  context: string,
): Unread | null {
  if (facts.hasPasswordPolicy === false || fallback.kind === 'no-overlay') return null
  if (fallback.kind === 'known') {
    if (fallback.dn === null || policies.has(fallback.dn)) return null
    const what = `the default password policy ${fallback.dn} is not there, or ${settings.bindDn} may not read it`
    return { check: 'policy-unread', what, fix: policyReadAdvice(settings, fallback.dn, context) }
  }
  if (overlay === 'silent') {
    const what = `the password policy overlay does not seem to be active on the database of ${context}: when ${settings.bindDn} binds, the server does not answer its control (to the rootdn it never does)`
    const fix = `${configReadAdvice(settings)}\n# where it is missing:\n${overlayAdvice(context)}`
    return { check: 'ppolicy-overlay', what, fix }
  }
  const seen = policies.size === 0 ? `, and no policy can be seen below ${context}` : ''
  const what = `which password policy applies could not be read: ${settings.bindDn} may not read cn=config${seen}`
  return { check: 'policy-unread', what, fix: configReadAdvice(settings) }
}

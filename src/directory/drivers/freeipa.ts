import { inactivationDriver } from './account-inactivation.ts'
import type { LockDriver } from './driver.ts'
import {
  failedSince,
  KERBEROS_ATTRIBUTES,
  KERBEROS_MARKS,
  kerberosLockout,
  principalExpired,
  readLockoutPolicies,
  type LockoutPolicies,
} from './kerberos-lockout.ts'

/**
 * FreeIPA: the lock is what `ipa user-disable` writes, so that its own tools show the account as disabled. Its lockout
 * after failed logins and an expired principal are somebody else's locks.
 */
export const freeipaDriver: LockDriver<LockoutPolicies> = inactivationDriver({
  locked: 'TRUE',
  attributes: KERBEROS_ATTRIBUTES,
  readContext: readLockoutPolicies,
  otherMarks: KERBEROS_MARKS,
  restsOnPoliciesSince: failedSince,
  otherLock: (account, context) =>
    principalExpired(account, context.nowMs) ?? kerberosLockout(account, context.context, context.nowMs),
})

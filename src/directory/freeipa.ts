import { inactivationDriver } from './account-inactivation.ts'
import type { LockDriver } from './driver.ts'
import {
  failedSince,
  KERBEROS_ATTRIBUTES,
  KERBEROS_MARKS,
  kerberosLockout,
  principalExpired,
} from './kerberos-lockout.ts'

/**
 * FreeIPA: the lock is what `ipa user-disable` writes, so that its own tools show the account as disabled. Its lockout
 * after failed logins and an expired principal are somebody else's locks.
 */
export const freeipaDriver: LockDriver = inactivationDriver({
  locked: 'TRUE',
  attributes: KERBEROS_ATTRIBUTES,
  needs: ['lockout-policies'],
  otherMarks: KERBEROS_MARKS,
  restsOnPoliciesSince: failedSince,
  otherLock: (account, context) =>
    principalExpired(account, context.nowMs) ??
    kerberosLockout(account, context.lockoutPolicies ?? new Map(), context.nowMs),
})

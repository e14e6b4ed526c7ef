import type { DirectoryType } from '../../../core/settings/directory-type.ts'
import type { DirectorySettings } from '../../../core/settings/settings.ts'
import type { PolicyView } from '../../../directory/drivers/openldap.ts'
import type { DirectoryProbe } from '../../../directory/probe/probe.ts'
import type { Trustee } from '../../advice/active-directory-advice.ts'
import type { Findings } from '../findings.ts'
import { checkActiveDirectory } from './active-directory.ts'
import { checkDs389, checkLockoutPolicies } from './ds389.ts'

/** What `lockstep doctor` looks at in a directory of one type, besides what it looks at in each. */

export interface DirectoryInView {
  readonly settings: DirectorySettings
  /** The naming context of the base. */
  readonly context: string
  /** The server cut a search short. */
  readonly isCut: boolean
}

export interface RightsFound {
  /** The server showed the rights to write, so that no trial has to. */
  readonly hasReadRights: boolean
  /** Whom the advice gives rights to, where that is another name than the one of the configuration. */
  readonly trustee: Trustee | null
}

interface TypeChecks {
  /** Every such server knows the attributes of the lock; false: they are a module's, which is looked at by itself. */
  readonly isLockInSchema: boolean
  /** The password policies that decide whether a lock is enforced; null: none do. */
  readPolicies(probe: DirectoryProbe): Promise<PolicyView | null>
  checkRights(found: Findings, probe: DirectoryProbe, directory: DirectoryInView): Promise<RightsFound>
}

const NO_POLICIES = { readPolicies: () => Promise.resolve(null) }
/** A trial alone shows them. */
const UNSEEN_RIGHTS = { checkRights: () => Promise.resolve({ hasReadRights: false, trustee: null }) }

const CHECKS: Readonly<Record<DirectoryType, TypeChecks>> = {
  openldap: { isLockInSchema: false, readPolicies: (probe) => probe.policies(), ...UNSEEN_RIGHTS },
  'active-directory': { isLockInSchema: true, ...NO_POLICIES, checkRights: checkActiveDirectory },
  '389ds': {
    isLockInSchema: true,
    ...NO_POLICIES,
    checkRights: async (...all) => ({ hasReadRights: await checkDs389(...all), trustee: null }),
  },
  freeipa: {
    isLockInSchema: true,
    ...NO_POLICIES,
    checkRights: async (...all) => {
      await checkLockoutPolicies(...all)
      return { hasReadRights: await checkDs389(...all), trustee: null }
    },
  },
  custom: { isLockInSchema: true, ...NO_POLICIES, ...UNSEEN_RIGHTS },
}

export function checksOf(type: DirectoryType): TypeChecks {
  return CHECKS[type]
}

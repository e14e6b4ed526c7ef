import type { DirectoryType } from '../../core/settings/directory-type.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import * as activeDirectory from './active-directory-advice.ts'
import type { Trustee } from './active-directory-advice.ts'
import * as ds389 from './ds389-advice.ts'
import * as openldap from './openldap-advice.ts'

/** What to do about a finding, by the kind of directory: lines that are ready to copy. */
export interface DirectoryAdvice {
  /** What a lock writes. */
  readonly lockAttribute: string
  /** The right to write one attribute of the accounts. */
  writeRight(settings: DirectorySettings, attribute: string, context: string, trustee: Trustee | undefined): string
  /** The right to find and read accounts. */
  readRight(settings: DirectorySettings, context: string): string
  index(settings: DirectorySettings, attribute: string, context: string): string
  /** Searches without a limit, for the account that Lockstep binds as. */
  searchLimit(settings: DirectorySettings, context: string): string
  /** A lock was written and is not enforced. */
  readonly notEnforced: string
}

const OPENLDAP: DirectoryAdvice = {
  lockAttribute: 'pwdAccountLockedTime',
  writeRight: openldap.writeRightAdvice,
  readRight: openldap.readRightAdvice,
  index: (_settings, attribute, context) => openldap.indexAdvice(attribute, context),
  searchLimit: openldap.searchLimitAdvice,
  notEnforced:
    'Check that the overlay ppolicy is active on this database, that a policy applies to the account (olcPPolicyDefault, or its pwdPolicySubentry), and that it has pwdLockout: TRUE (docs/how-to/openldap.md, 2).',
}

/** @param backend as `dsconf` names it */
const ds389Advice = (backend: string): DirectoryAdvice => ({
  lockAttribute: 'nsAccountLock',
  writeRight: (settings) => ds389.writeRightAdvice(settings),
  readRight: (settings) => ds389.readRightAdvice(settings),
  index: (_settings, attribute, context) => ds389.indexAdvice(attribute, context, backend),
  searchLimit: (settings) => ds389.limitsAdvice(settings),
  notEnforced:
    'Check whether a class of service gives the account another nsAccountLock: ldapsearch -b DN -s base nsAccountLock nsRole (docs/reference/locks.md, "389-DS and FreeIPA").',
})

const ACTIVE_DIRECTORY: DirectoryAdvice = {
  lockAttribute: 'userAccountControl',
  writeRight: (settings, attribute, _context, trustee) => {
    return activeDirectory.writeRightAdvice(settings, [attribute], trustee ?? activeDirectory.UNKNOWN_TRUSTEE)
  },
  readRight: (settings) => activeDirectory.readRightAdvice(settings),
  index: (_settings, attribute) => activeDirectory.indexAdvice(attribute),
  searchLimit: () => activeDirectory.searchLimitAdvice(),
  notEnforced:
    'The bind may have gone to another domain controller, which did not have the lock yet (docs/how-to/active-directory.md, "Several domain controllers").',
}

const FIXES: Readonly<Record<DirectoryType, DirectoryAdvice>> = {
  openldap: OPENLDAP,
  custom: OPENLDAP,
  'active-directory': ACTIVE_DIRECTORY,
  '389ds': ds389Advice('BACKEND'),
  freeipa: ds389Advice('userRoot'),
}

export function adviceOf(type: DirectoryType): DirectoryAdvice {
  return FIXES[type]
}

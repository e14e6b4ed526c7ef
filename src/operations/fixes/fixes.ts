import type { DirectoryType } from '../../core/settings/directory-type.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import * as activeDirectory from './active-directory-fix.ts'
import type { Trustee } from './active-directory-fix.ts'
import * as ds389 from './ds389-fix.ts'
import * as openldap from './openldap-fix.ts'

/** What to do about a finding, by the kind of directory: lines that are ready to copy. */
export interface Fixes {
  /** The page of the manual. */
  readonly page: string
  /** What a lock writes. */
  readonly lockAttribute: string
  /** The right to write one attribute of the accounts. */
  writeRight(settings: DirectorySettings, attribute: string, context: string, trustee: Trustee | undefined): string
  /** The right to find and read accounts. */
  readRight(settings: DirectorySettings, context: string): string
  index(settings: DirectorySettings, attribute: string, context: string): string
  /** Searches without a limit, for the account that Lockstep binds as. */
  searchLimit(settings: DirectorySettings, context: string): string
  /** A lock was written and its user got in. */
  readonly notEnforced: string
}

const OPENLDAP: Fixes = {
  page: 'docs/how-to/openldap.md',
  lockAttribute: 'pwdAccountLockedTime',
  writeRight: openldap.writeRightFix,
  readRight: openldap.readRightFix,
  index: (_settings, attribute, context) => openldap.indexFix(attribute, context),
  searchLimit: openldap.searchLimitFix,
  notEnforced:
    'Check that the overlay ppolicy is active on this database, that a policy applies to the account (olcPPolicyDefault, or its pwdPolicySubentry), and that it has pwdLockout: TRUE (docs/how-to/openldap.md, 2).',
}

const DS389: Fixes = {
  page: 'docs/how-to/389ds-freeipa.md',
  lockAttribute: 'nsAccountLock',
  writeRight: (settings) => ds389.writeRightFix(settings),
  readRight: (settings) => ds389.readRightFix(settings),
  index: ds389.indexFix,
  searchLimit: (settings) => ds389.limitsFix(settings),
  notEnforced:
    'Check whether a class of service gives the account another nsAccountLock: ldapsearch -b DN -s base nsAccountLock nsRole (docs/reference/locks.md, "389-DS and FreeIPA").',
}

const ACTIVE_DIRECTORY: Fixes = {
  page: 'docs/how-to/active-directory.md',
  lockAttribute: 'userAccountControl',
  writeRight: (settings, attribute, _context, trustee) => {
    return activeDirectory.writeRightFix(settings, [attribute], trustee ?? activeDirectory.UNKNOWN_TRUSTEE)
  },
  readRight: (settings) => activeDirectory.readRightFix(settings),
  index: (_settings, attribute) => activeDirectory.indexFix(attribute),
  searchLimit: () => activeDirectory.searchLimitFix(),
  notEnforced:
    'The bind may have gone to another domain controller, which had not heard of the lock yet (docs/how-to/active-directory.md, "Several domain controllers").',
}

const FIXES: Readonly<Record<DirectoryType, Fixes>> = {
  openldap: OPENLDAP,
  custom: OPENLDAP,
  'active-directory': ACTIVE_DIRECTORY,
  '389ds': DS389,
  freeipa: DS389,
}

export function fixesOf(type: DirectoryType): Fixes {
  return FIXES[type]
}

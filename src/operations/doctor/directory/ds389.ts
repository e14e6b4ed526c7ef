import { counted } from '../../../core/format/counted.ts'
import type { DirectorySettings } from '../../../core/settings/settings.ts'
import { rightsOn, type RightsProbe } from '../../../directory/probe/effective-rights.ts'
import type { DirectoryProbe } from '../../../directory/probe/probe.ts'
import {
  limitsAdvice,
  policyRightAdvice,
  readAttributes,
  readRightAdvice,
  writeAttributes,
  writeRightAdvice,
} from '../../advice/ds389-advice.ts'
import type { Findings } from '../findings.ts'

/** Checks of `lockstep doctor` for a 389-DS or FreeIPA alone. */

/** @returns whether the rights to write were found, so that no trial is needed for them */
export async function checkDs389(
  found: Findings,
  probe: DirectoryProbe,
  { settings, isCut }: { settings: DirectorySettings; isCut: boolean },
): Promise<boolean> {
  // Searches found to be cut short are reported, with the same fix.
  if (!isCut) await checkLimits(found, probe, settings)
  const rights = await probe.rights([...readAttributes(settings), ...writeAttributes(settings)])
  if (rights === null) return false
  checkRights(found, rights, settings)
  return true
}

/** As the server judges its ACIs for one account; nothing is written. */
function checkRights(found: Findings, rights: RightsProbe, settings: DirectorySettings): void {
  const { bindDn } = settings
  const unread = readAttributes(settings).filter((attribute) => {
    const { canRead, canSearch } = rightsOn(rights, attribute)
    return !canRead || !canSearch
  })
  const unwritten = writeAttributes(settings).filter((attribute) => !rightsOn(rights, attribute).canWrite)
  if (unread.length > 0) {
    found.fail('read-rights', {
      what: `${bindDn} may not read and search ${unread.join(', ')} of ${rights.dn}`,
      why: 'A lock of somebody else could not be distinguished from none, and accounts not be found.',
      fix: readRightAdvice(settings),
    })
  }
  if (unwritten.length > 0) {
    found.fail('write-rights', {
      what: `${bindDn} may not write ${unwritten.join(', ')} of ${rights.dn}`,
      why: 'Nobody could be locked, or no serial be kept.',
      fix: writeRightAdvice(settings),
    })
  }
  if (unread.length + unwritten.length > 0) return
  const written = writeAttributes(settings).join(' and ')
  found.ok('write-rights', `as the server reports, ${written} of accounts may be written`)
}

async function checkLimits(found: Findings, probe: DirectoryProbe, settings: DirectorySettings): Promise<void> {
  const limits = await probe.limits()
  const limited = limits.filter(({ limit }) => limit !== -1).map(({ attribute }) => attribute)
  if (limited.length === 0) {
    found.ok('limits', 'searches are not cut short by a limit of the server')
    return
  }
  found.warn('limits', {
    what: `${settings.bindDn} has no ${limited.join(', ')} of -1 that can be seen, so the limits for everybody hold (by default 2000 entries returned, 5000 looked at)`,
    why: 'Beyond them resync and rebuild search in parts, or fail: they go over all accounts with a serial.',
    fix: limitsAdvice(settings),
  })
}

/** Of FreeIPA alone. */
export async function checkLockoutPolicies(
  found: Findings,
  probe: DirectoryProbe,
  { settings, context }: { settings: DirectorySettings; context: string },
): Promise<void> {
  const count = await probe.lockoutPolicies()
  if (count > 0) {
    found.ok('lockout-policies', `${counted(count, 'password policy', 'password policies')} of FreeIPA can be read`)
    return
  }
  found.warn('lockout-policies', {
    what: `${settings.bindDn} sees no password policy below cn=kerberos,${context}`,
    why: "FreeIPA's own lockout after failed logins is not shown then; a lock of ours is written beside it all the same.",
    fix: policyRightAdvice(settings, context),
  })
}

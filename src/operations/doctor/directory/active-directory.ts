import { span } from '../../../core/format/duration.ts'
import type { DirectorySettings } from '../../../core/settings/settings.ts'
import type { DirectoryProbe } from '../../../directory/probe/probe.ts'
import type { ActiveDirectoryProbe } from '../../../directory/probe/active-directory-probe.ts'
import { indexAdvice, writeRightAdvice, writtenAttributes, type Trustee } from '../../advice/active-directory-advice.ts'
import type { Findings } from '../findings.ts'

/** Checks of `lockstep doctor` for Active Directory alone. */

/** MS-ADTS, 2.2.10: fTUPLEINDEX. */
const WORDS_INDEXED = 32

export async function checkActiveDirectory(
  found: Findings,
  probe: DirectoryProbe,
  { settings }: { settings: DirectorySettings },
): Promise<{ readonly hasReadRights: boolean; readonly trustee: Trustee }> {
  const written = writtenAttributes(settings)
  const seen = await probe.activeDirectory(written)
  const schemaIds = new Map([...seen.schema].map(([name, { id }]) => [name, id]))
  const trustee = { sid: seen.sid, name: seen.name, schemaIds }
  if (seen.account !== null) checkRights(found, seen.account, settings, trustee)
  reportWideRight(found, settings)
  reportAdmins(found, seen, settings)
  reportIndex(found, seen, settings)
  reportLockout(found, seen, settings)
  return { hasReadRights: seen.account !== null, trustee }
}

function checkRights(
  found: Findings,
  account: NonNullable<ActiveDirectoryProbe['account']>,
  settings: DirectorySettings,
  trustee: Trustee,
): void {
  const written = writtenAttributes(settings)
  const missing = written.filter((attribute) => !account.writable.has(attribute.toLowerCase()))
  if (missing.length === 0) {
    found.ok('write-rights', `as the server reports, ${written.join(', ')} of accounts may be written`)
    return
  }
  found.fail('write-rights', {
    what: `${settings.bindDn} may not write ${missing.join(', ')} of ${account.dn}`,
    why: missing.includes('userAccountControl')
      ? 'Nobody could be locked.'
      : 'Serials could not be kept, or a user not be let in again.',
    fix: writeRightAdvice(settings, written, trustee),
  })
}

function reportWideRight(found: Findings, settings: DirectorySettings): void {
  found.warn('wide-right', {
    what: 'the right to write userAccountControl allows more than to lock',
    why: 'Everybody who has the password of the bind account can also set "password not required", "no preauthentication needed" and the like on every account below the base. Lockstep itself writes the bit 0x2 and no other.',
    fix: `Keep the password of ${settings.bindDn} as that of an administrator, give the right on the containers of people alone, and watch event 4738 of other bits (docs/how-to/active-directory.md).`,
  })
}

function reportAdmins(found: Findings, { admins }: ActiveDirectoryProbe, { base }: DirectorySettings): void {
  if (admins.length === 0) return
  const [first] = admins
  const others = admins.length === 1 ? '' : ` and ${admins.length - 1} more`
  found.warn('admin-count', {
    what: `${first}${others} below ${base} are or were administrators (adminCount: 1)`,
    why: 'They inherit no rights, so that a lock of theirs is refused, and shown as failed.',
    fix: 'Leave it so, and name them in guards.protect; or clear adminCount and switch inheritance on where somebody is no administrator any more.',
  })
}

/** Serials are words within one value, so a plain index does not help. */
function reportIndex(found: Findings, { schema }: ActiveDirectoryProbe, { serialAttribute }: DirectorySettings): void {
  const flags = schema.get(serialAttribute.toLowerCase())?.searchFlags
  if (flags === undefined) return
  if ((flags & WORDS_INDEXED) !== 0) {
    found.ok('serial-index', `${serialAttribute} has an index of words`)
    return
  }
  found.warn('serial-index', {
    what: `${serialAttribute} has no index of the words within it (searchFlags ${flags})`,
    why: 'To find out who carries a serial, the domain controller reads every account below the base. Of some thousands nobody will notice.',
    fix: indexAdvice(serialAttribute),
  })
}

function reportLockout(found: Findings, { domain }: ActiveDirectoryProbe, { base }: DirectorySettings): void {
  const ms = domain.lockoutDurationMs
  if (ms === null) {
    found.warn('lockout-duration', {
      what: `lockoutDuration of the domain of ${base} cannot be read`,
      why: 'When a lockout after wrong passwords ends is not known then; it is looked at every 10 seconds.',
      fix: 'Give the bind account the right to read the entry of the domain.',
    })
  } else {
    const how = ms === Infinity ? 'until an administrator ends it' : `for ${span(Math.round(ms / 1000) * 1000)}`
    found.ok('lockout-duration', `a lockout after wrong passwords lasts ${how}`)
  }
}

import { span } from '../../../core/format/duration.ts'
import type { DirectorySettings } from '../../../core/settings/settings.ts'
import type { DirectoryProbe } from '../../../directory/probe/probe.ts'
import type { WindowsProbe } from '../../../directory/probe/windows-probe.ts'
import { indexFix, writeRightFix, writtenAttributes, type Trustee } from '../../fixes/active-directory-fix.ts'
import type { Findings } from '../../fixes/finding.ts'

/** What `lockstep doctor` says of Active Directory beyond what holds for every directory. */

/** MS-ADTS, 2.2.10: fTUPLEINDEX. */
const WORDS_INDEXED = 32

/** What was seen of the rights, for the steps that follow. */
export interface WindowsRights {
  readonly trustee: Trustee
  /** Whether the server told which rights we have, so that no trial has to show them. */
  readonly isReported: boolean
}

export async function checkActiveDirectory(
  found: Findings,
  probe: DirectoryProbe,
  settings: DirectorySettings,
): Promise<WindowsRights> {
  const written = writtenAttributes(settings)
  const seen = await probe.windows(written)
  const schemaIds = new Map([...seen.schema].map(([name, { id }]) => [name, id]))
  const trustee = { sid: seen.sid, name: seen.name, schemaIds }
  const isReported = seen.account !== null
  if (seen.account !== null) checkRights(found, seen.account, settings, trustee)
  reportWideRight(found, settings)
  reportAdmins(found, seen, settings)
  reportIndex(found, seen, settings)
  reportLockout(found, seen, settings)
  return { trustee, isReported }
}

function checkRights(
  found: Findings,
  account: NonNullable<WindowsProbe['account']>,
  settings: DirectorySettings,
  trustee: Trustee,
): void {
  const written = writtenAttributes(settings)
  const missing = written.filter((attribute) => !account.writable.has(attribute.toLowerCase()))
  if (missing.length === 0) {
    found.ok('write-rights', `by the server's word, ${written.join(', ')} of accounts may be written`)
    return
  }
  found.fail('write-rights', {
    what: `${settings.bindDn} may not write ${missing.join(', ')} of ${account.dn}`,
    why: missing.includes('userAccountControl')
      ? 'Nobody could be locked.'
      : 'Serials could not be kept, or a user not be let in again.',
    fix: writeRightFix(settings, written, trustee),
  })
}

function reportWideRight(found: Findings, settings: DirectorySettings): void {
  found.warn('wide-right', {
    what: 'the right to write userAccountControl allows more than to lock',
    why: 'Whoever has the password of the bind account can also set "password not required", "no preauthentication needed" and the like on every account below the base. Lockstep itself writes the bit 0x2 and no other.',
    fix: `Keep the password of ${settings.bindDn} as that of an administrator, give the right on the containers of people alone, and watch event 4738 of other bits (docs/how-to/active-directory.md).`,
  })
}

function reportAdmins(found: Findings, { admins }: WindowsProbe, { base }: DirectorySettings): void {
  if (admins.length === 0) return
  const [first] = admins
  const others = admins.length === 1 ? '' : ` and ${admins.length - 1} more`
  found.warn('admin-count', {
    what: `${first}${others} below ${base} are or were administrators (adminCount: 1)`,
    why: 'They inherit no rights, so that a lock of theirs is refused, and shown as failed.',
    fix: 'Leave it so, and name them in guards.protect; or clear adminCount and switch inheritance on where somebody is no administrator any more.',
  })
}

/** Serials are words within one value, so that a plain index does not help. */
function reportIndex(found: Findings, { schema }: WindowsProbe, { serialAttribute }: DirectorySettings): void {
  const flags = schema.get(serialAttribute.toLowerCase())?.searchFlags
  if (flags === undefined) return
  if ((flags & WORDS_INDEXED) !== 0) {
    found.ok('serial-index', `${serialAttribute} has an index of words`)
    return
  }
  found.warn('serial-index', {
    what: `${serialAttribute} has no index of the words within it (searchFlags ${flags})`,
    why: 'To find out who carries a serial, the domain controller reads every account below the base. Of some thousands nobody will notice.',
    fix: indexFix(serialAttribute),
  })
}

function reportLockout(found: Findings, { domain }: WindowsProbe, { base }: DirectorySettings): void {
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

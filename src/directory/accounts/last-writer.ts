import type { Entry } from 'ldapts'
import { normalDn } from '../../core/dn.ts'
import { AppError } from '../../core/error.ts'
import type { LastWriter } from '../../core/account/late.ts'
import type { Dn } from '../../core/names.ts'
import { TYPE_TRAITS } from '../../core/settings/directory-type.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Connection } from '../ldap/connection.ts'
import { oneEntry, type Reads } from '../ldap/reads.ts'
import { textsOf } from '../protocol/entry.ts'

/**
 * Who wrote to an entry last (RFC 4512, 3.4.2). It is about the entry as a whole: a later writer of another attribute
 * is named too. OpenLDAP's ppolicy writes at a failed bind under the name of the rootdn, and leaves the time of the
 * bind in `pwdFailureTime`; while our lock is in effect it writes nothing (measured with slapd 2.6). Active Directory
 * has nothing of the kind.
 */

const MODIFIERS_NAME = 'modifiersName'
const MODIFY_TIME = 'modifyTimestamp'
/** What a password policy writes at a bind, with the time of it. */
const BIND_TIMES = ['pwdFailureTime', 'pwdLastSuccess', 'authTimestamp']
/** `YYYYMMDDhhmmss` of a GeneralizedTime; a fraction may follow. */
const SECOND_LENGTH = 14

export async function readLastWriters(
  reads: Reads,
  settings: DirectorySettings,
  dns: readonly Dn[],
): Promise<ReadonlyMap<Dn, LastWriter>> {
  return new Map(await Promise.all(dns.map(async (dn) => [dn, await readLastWriter(reads, settings, dn)] as const)))
}

async function readLastWriter(reads: Reads, settings: DirectorySettings, dn: Dn): Promise<LastWriter> {
  if (!TYPE_TRAITS[settings.type].hasModifiersName) return 'unknown'
  const request = oneEntry(dn, [MODIFIERS_NAME, MODIFY_TIME, ...BIND_TIMES])
  try {
    return await reads.read(async (connection) => {
      const [entry] = await connection.search(request)
      return entry === undefined ? 'unknown' : lastWriterIn(entry, ourName(connection, settings))
    })
  } catch (thrown) {
    const isHidden =
      thrown instanceof AppError && (thrown.code === 'entry-not-found' || thrown.code === 'directory-not-permitted')
    if (isHidden) return 'unknown'
    throw thrown
  }
}

/** The server's name for us; the DN that we bind as need not be the one that it maps us to. */
function ourName({ identity }: Connection, { bindDn }: DirectorySettings): string {
  return identity?.toLowerCase().startsWith('dn:') === true ? identity.slice('dn:'.length) : bindDn
}

function lastWriterIn(entry: Entry, us: string): LastWriter {
  const [name] = textsOf(entry, MODIFIERS_NAME)
  if (name === undefined) return 'unknown'
  if (normalDn(name) === normalDn(us)) return 'us'
  const [at] = textsOf(entry, MODIFY_TIME)
  const bindTimes = BIND_TIMES.flatMap((attribute) => textsOf(entry, attribute))
  const isPolicy = at !== undefined && bindTimes.some((time) => secondOf(time) === secondOf(at))
  return isPolicy ? 'policy' : 'others'
}

function secondOf(time: string): string {
  return time.slice(0, SECOND_LENGTH)
}

import { isUtf8 } from 'node:buffer'
import { PresenceFilter, type Entry } from 'ldapts'
import {
  completedIdentity,
  differenceOfIdentity,
  isTelling,
  type DirectoryIdentity,
} from '../../core/settings/directory-identity.ts'
import { AppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { IdentityPort } from '../../ports/store/identity.ts'
import { Connection } from '../ldap/connection.ts'
import { normalDn } from '../../core/dn.ts'
import { textsOf } from '../protocol/entry.ts'
import { serverOf } from '../ldap/socket.ts'

/** Fails where the server at the other end is not to be used. */
export type ConnectionCheck = (connection: Connection) => Promise<void>

/**
 * Checked for every new connection, before it is used: the directory that answers is the one on record, or the first
 * that ever answered. Fails with `directory-changed`.
 */
export function identityCheck(settings: DirectorySettings, identities: IdentityPort): ConnectionCheck {
  return async (connection) => {
    const now = await readIdentity(connection, settings)
    if (!isTelling(now)) return
    let recorded = await identities.known(settings.name)
    if (recorded === null && differenceOfIdentity(now, now) === null) {
      recorded = await identities.remember(settings.name, now, null)
    }
    const difference = differenceOfIdentity(recorded ?? now, now)
    if (difference !== null) throw changed(settings, connection.server.url, difference)
    const complete = recorded === null ? null : completedIdentity(recorded, now)
    if (complete !== null) await identities.remember(settings.name, complete, recorded)
  }
}

function changed({ name }: DirectorySettings, url: string, difference: string): AppError {
  const message = `directory ${name}: another directory answers at ${url} than the one on record: ${difference}`
  return new AppError('directory-changed', message, {
    hint: `Nothing is read from it or written to it. Correct its URL; if it is meant to be this one from now on: lockstep directory accept ${name}`,
  })
}

/** Fails as a search does. */
export async function readIdentity(connection: Connection, settings: DirectorySettings): Promise<DirectoryIdentity> {
  const { base, idAttribute } = settings
  const [root, entry] = await Promise.all([
    entryAt(connection, '', ['namingContexts'], []),
    entryAt(connection, base, [idAttribute], [idAttribute]),
  ])
  const contexts = textsOf(root, 'namingContexts').map(normalDn).toSorted()
  return { contexts, base: normalDn(base), baseId: idOf(entry, idAttribute) }
}

/** The identity of the directory at one URL, without regard to the record. Fails as connecting and searching do. */
export async function identityAt(url: string, settings: DirectorySettings): Promise<DirectoryIdentity> {
  const connection = await Connection.open(serverOf(url, settings), settings)
  try {
    return await readIdentity(connection, settings)
  } finally {
    await connection.close()
  }
}

/** Null where it is not there, or not shown. */
async function entryAt(
  connection: Connection,
  base: string,
  attributes: string[],
  bytesOf: string[],
): Promise<Entry | null> {
  const filter = new PresenceFilter({ attribute: 'objectClass' })
  try {
    return (await connection.search({ base, scope: 'base', filter, attributes, bytesOf, sizeMax: 1 }))[0] ?? null
  } catch (thrown) {
    const isHidden = thrown instanceof AppError && ['entry-not-found', 'directory-not-permitted'].includes(thrown.code)
    if (isHidden) return null
    throw thrown
  }
}

/** Text where it is UTF-8, else hexadecimal digits. */
function idOf(entry: Entry | null, attribute: string): string | null {
  const lower = attribute.toLowerCase()
  const raw = Object.entries(entry ?? {}).find(([name]) => name.toLowerCase() === lower)?.[1]
  const value = Array.isArray(raw) ? raw[0] : raw
  if (value === undefined || value.length === 0) return null
  if (typeof value === 'string') return value.toLowerCase()
  return isUtf8(value) ? value.toString('utf8').toLowerCase() : value.toString('hex')
}

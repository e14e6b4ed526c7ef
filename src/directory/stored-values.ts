import { PresenceFilter } from 'ldapts'
import { AppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { AttributeValue } from '../core/state.ts'
import type { Account, AccountReader } from './account.ts'
import type { Connection } from './connection.ts'
import { RealAttributesControl } from './controls.ts'
import { searchProven } from './directory-searches.ts'
import type { Reads } from './pool.ts'

/** The values that are stored in an entry, by attribute. */
export type StoredValues = (attribute: string) => readonly AttributeValue[]

/**
 * What is stored of attributes that the server may cover with values of its own making (a class of service of 389-DS).
 * Where a search shows no value, none is stored: a cover always shows one; so an account that is not locked costs nothing more.
 * Fails with `write-raced` where another entry has taken the name meanwhile.
 */
export async function readStored(
  reads: Reads,
  settings: DirectorySettings,
  reader: AccountReader,
  account: Account,
  coverable: readonly string[],
): Promise<StoredValues> {
  const shown = coverable.filter((attribute) => account.values(attribute).length > 0)
  if (shown.length === 0 || !reader.facts.hasRealAttributes) return (attribute) => account.values(attribute)
  const stored = await reads.read((connection) => readReal(connection, settings, reader, account.dn))
  if (stored?.key === account.key) return (attribute) => stored.values(attribute)
  throw new AppError('write-raced', `directory ${settings.name}: ${account.dn} was renamed while it was read`)
}

/** The account at a DN with what is stored in its entry alone; null where there is none. */
export async function readReal(
  connection: Connection,
  settings: DirectorySettings,
  reader: AccountReader,
  dn: string,
): Promise<Account | null> {
  const request = {
    base: dn,
    scope: 'base' as const,
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: reader.names.wanted,
    bytesOf: reader.names.canonical,
    sizeMax: 1,
    controls: reader.facts.hasRealAttributes ? [new RealAttributesControl()] : [],
  }
  const [entry] = await searchProven(connection, request, settings)
  return entry === undefined ? null : reader.fromSearch(entry, connection.server.url)
}

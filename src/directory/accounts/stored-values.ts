import { AppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Account, AccountReader } from './account.ts'
import type { Connection } from '../ldap/connection.ts'
import { RealAttributesControl, VirtualAttributesControl } from '../protocol/controls.ts'
import { searchProven } from './directory-searches.ts'
import type { DirectoryDriver, ValuesBySource } from '../drivers/driver.ts'
import { oneEntry, type Reads } from '../ldap/reads.ts'
import { textsOf } from '../protocol/entry.ts'

/**
 * Stored and given values. Where a search shows no value, there is neither: a given value covers a stored one and
 * always shows. So an account that is not locked costs no further search. Given values are read where a value is
 * stored, since both may be equal. Fails with `write-raced` where another entry has taken the name meanwhile.
 */
export async function readValues(
  reads: Reads,
  settings: DirectorySettings,
  reader: AccountReader,
  account: Account,
  { coverable }: Pick<DirectoryDriver, 'coverable'>,
): Promise<ValuesBySource> {
  const shown = coverable.filter((attribute) => account.values(attribute).length > 0)
  const { hasRealAttributes, hasVirtualAttributes } = reader.facts
  if (shown.length === 0 || !hasRealAttributes) return { stored: (name) => account.values(name), given: () => [] }
  const stored = await reads.read((connection) => readReal(connection, settings, reader, account.dn))
  if (stored?.key !== account.key) throw wasRenamed(settings, account)
  if (shown.every((attribute) => stored.values(attribute).length === 0)) {
    return { stored: () => [], given: (name) => account.values(name) }
  }
  if (!hasVirtualAttributes) return { stored: (name) => stored.values(name), given: () => [] }
  const given = await reads.read((connection) => readGiven(connection, settings, account.dn, shown))
  return { stored: (name) => stored.values(name), given: (name) => given.get(name.toLowerCase()) ?? [] }
}

function wasRenamed({ name }: DirectorySettings, { dn }: Account): AppError {
  return new AppError('write-raced', `directory ${name}: ${dn} was renamed while it was read`)
}

async function readGiven(
  connection: Connection,
  settings: DirectorySettings,
  dn: string,
  attributes: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const request = oneEntry(dn, attributes, { controls: [new VirtualAttributesControl()] })
  const [entry] = await searchProven(connection, request, settings)
  return new Map(attributes.map((attribute) => [attribute.toLowerCase(), textsOf(entry ?? null, attribute)]))
}

/** The account at a DN with what is stored in its entry alone; null where there is none. */
export async function readReal(
  connection: Connection,
  settings: DirectorySettings,
  reader: AccountReader,
  dn: string,
): Promise<Account | null> {
  const controls = reader.facts.hasRealAttributes ? [new RealAttributesControl()] : []
  const request = oneEntry(dn, reader.names.wanted, { bytesOf: reader.names.canonical, controls })
  const [entry] = await searchProven(connection, request, settings)
  return entry === undefined ? null : reader.fromSearch(entry, connection.server.url)
}

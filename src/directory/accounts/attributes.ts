import { accountIdOf, type AccountKey } from '../../core/names.ts'
import { AppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { idFilter, searchProven } from './directory-searches.ts'
import type { Pool } from '../pool/pool.ts'

/** See AttributePort. Names are compared without regard to case, and of several values the first counts. */
export async function readAttributes(
  pool: Pool,
  settings: DirectorySettings,
  key: AccountKey,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const request = {
    base: settings.base,
    scope: 'sub' as const,
    filter: idFilter(settings, key),
    attributes: names,
    bytesOf: [],
    sizeMax: 1,
  }
  const [entry] = await pool.read((connection) => searchProven(connection, request, settings))
  if (entry === undefined) {
    const what = `directory ${settings.name}: the account ${accountIdOf(key)} is no longer there`
    throw new AppError('entry-not-found', what, { hint: 'It was deleted, or left base.' })
  }
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(entry)) {
    const first: unknown = Array.isArray(value) ? value[0] : value
    const wanted = names.find((each) => each.toLowerCase() === name.toLowerCase())
    if (wanted !== undefined && typeof first === 'string' && first !== '') found.set(wanted, first)
  }
  return found
}

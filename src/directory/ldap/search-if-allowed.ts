import type { Entry, Filter } from 'ldapts'
import { AppError } from '../../core/error.ts'
import type { Reads } from './reads.ts'
import { resultCodeOf } from '../protocol/result-code.ts'

/** The server answered with a refusal: the entry is not there, may not be read, or takes the server too long. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'entry-not-found',
  'directory-not-permitted',
  'directory-refused',
  'directory-cut',
  'directory-timeout',
])

/** Entries of settings; empty where it may not be read. Fails with `directory-*` where no server answers. */
export async function searchIfAllowed(
  reads: Reads,
  base: string,
  filter: Filter,
  attributes: readonly string[],
  sizeMax: number,
  scope: 'base' | 'sub' = 'sub',
): Promise<Entry[]> {
  const request = { base, scope, filter, attributes, bytesOf: [], sizeMax }
  try {
    return await reads.read((connection) => connection.search(request))
  } catch (error) {
    if (error instanceof AppError && resultCodeOf(error.cause) !== null && UNREADABLE.has(error.code)) return []
    throw error
  }
}

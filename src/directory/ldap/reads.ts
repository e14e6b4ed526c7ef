import { PresenceFilter } from 'ldapts'
import type { AccountKey } from '../../core/names.ts'
import type { Connection, SearchRequest } from './connection.ts'

/** A reader: the servers of a directory in their order, or one of them. */
export interface Reads {
  /** @param key the account that it is about: the server that took its last write is asked */
  read<Result>(call: (connection: Connection) => Promise<Result>, key?: AccountKey): Promise<Result>
}

/** A search for one entry, whatever it is. */
export function oneEntry(
  base: string,
  attributes: readonly string[],
  more: Partial<SearchRequest> = {},
): SearchRequest {
  const filter = new PresenceFilter({ attribute: 'objectClass' })
  return { base, scope: 'base', filter, attributes, bytesOf: [], sizeMax: 1, ...more }
}

import type { AccountKey } from '../../core/names.ts'
import type { Connection } from './connection.ts'

/** Who reads: the servers of a directory in their order, or one of them. */
export interface Reads {
  /** @param key the account that it is about: asked where its last write went */
  read<Result>(call: (connection: Connection) => Promise<Result>, key?: AccountKey): Promise<Result>
}

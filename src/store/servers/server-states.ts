import type { DirectoryName } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ServerState } from '../../ports/directory.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

/** The last observed state of the servers of each directory, so that `status` need not ask them. */

const KEY = 'directory-servers '

export interface ServersSeen {
  readonly directory: string
  /** In milliseconds since 1970. */
  readonly checkedMs: number
  readonly servers: readonly ServerState[]
}

export function openServerStates(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    /** A server with an unchanged state keeps its time. @returns what is on record now */
    note: (directory: DirectoryName, servers: readonly ServerState[]) =>
      writer.runSoon(async (scope) => {
        const key = `${KEY}${directory}`
        const before = (await readMeta<ServersSeen>(scope.trx, key))?.servers ?? []
        const now = servers.map((server) => sinceBefore(server, before))
        await writeMeta<ServersSeen>(scope, key, { directory, checkedMs: clock.nowMs(), servers: now })
        return now
      }),
    async all() {
      const rows = await db.selectFrom('meta').select('value').where('key', 'like', `${KEY}%`).orderBy('key').execute()
      return rows.map(({ value }) => JSON.parse(value) as ServersSeen)
    },
  }
}

function sinceBefore(server: ServerState, before: readonly ServerState[]): ServerState {
  const same = before.find(({ url, is }) => url === server.url && is === server.is)
  return same === undefined ? server : { ...server, sinceMs: Math.min(same.sinceMs, server.sinceMs) }
}

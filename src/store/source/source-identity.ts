import type { SourceIdentity } from '../../core/source/source-identity.ts'
import type { Clock } from '../../ports/clock.ts'
import type { SourceIdentityPort } from '../../ports/store/source-identity.ts'
import { serialFromRow } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

const KEY = 'source-identity'

export function openSourceIdentity(db: Database, writer: StoreWriter, clock: Clock): SourceIdentityPort {
  return {
    known: () => readMeta<SourceIdentity>(db, KEY),
    async recordedTokens(limit) {
      const rows = await db
        .selectFrom('token')
        .select(['serial', 'source_id'])
        .orderBy('source_id', 'desc')
        .limit(limit)
        .execute()
      return rows.map(({ serial, source_id: id }) => {
        return { serial: serialFromRow(serial), id: id === null ? null : Number(id), made: null }
      })
    },
    remember: (identity) => writer.runSoon((scope) => writeMeta(scope, KEY, identity)),
    accept: (identity, by) =>
      writer.run(async (scope) => {
        await writeMeta(scope, KEY, identity)
        const { tokens, rows } = identity
        const body = { by, tokens: tokens.length, auditRow: rows.at(-1)?.number ?? null }
        scope.log({ atMs: clock.nowMs(), kind: 'source-identity', subject: '', body })
      }),
  }
}

import type { SourceIdentity } from '../../core/source/source-identity.ts'
import type { Clock } from '../../ports/clock.ts'
import type { SourceIdentityPort } from '../../ports/store/source-identity.ts'
import { serialFromRow } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

const KEY = 'source-identity'

export function openSourceIdentity(db: Database, writer: StoreWriter, clock: Clock): SourceIdentityPort {
  return {
    async known() {
      const row = await db.selectFrom('meta').select('value').where('key', '=', KEY).executeTakeFirst()
      return row === undefined ? null : (JSON.parse(row.value) as SourceIdentity)
    },
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
    remember: (identity) => writer.runSoon((scope) => write(scope, identity)),
    accept: (identity, by) =>
      writer.run(async (scope) => {
        await write(scope, identity)
        const { tokens, rows } = identity
        const body = { by, tokens: tokens.length, auditRow: rows.at(-1)?.number ?? null }
        scope.log({ atMs: clock.nowMs(), kind: 'source-identity', subject: '', body })
      }),
  }
}

async function write(scope: WriteScope, identity: SourceIdentity): Promise<void> {
  await scope.hot.writeMeta.run(scope.on, { key: KEY, value: JSON.stringify(identity) })
}

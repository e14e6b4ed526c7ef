import type { Clock } from '../ports/clock.ts'
import type { Finding, FindingPort } from '../ports/finding.ts'
import type { FindingTable } from './guard-schema.ts'
import type { Database } from './schema.ts'
import type { Writer, WriteScope } from './writer.ts'

const LIST_MAX = 1_000

export function openFindings(db: Database, writer: Writer, clock: Clock): FindingPort {
  const select = () => db.selectFrom('finding').selectAll().orderBy('first_ms').limit(LIST_MAX)
  return {
    open: async () => (await select().where('ended_ms', 'is', null).execute()).map(findingFromRow),
    untold: async () => (await select().where('told_ms', 'is', null).execute()).map(findingFromRow),
    told: (findings) =>
      writer.runSoon(async ({ trx }) => {
        for (const { kind, subject, firstMs } of findings) {
          await trx
            .updateTable('finding')
            .set({ told_ms: clock.nowMs() })
            .where('kind', '=', kind)
            .where('subject', '=', subject)
            .where('first_ms', '=', firstMs)
            .execute()
        }
      }),
  }
}

function findingFromRow(row: FindingTable): Finding {
  const { kind, subject, reason } = row
  return { kind: kind as Finding['kind'], subject, reason, firstMs: Number(row.first_ms) }
}

export async function isFindingOpen({ hot, on }: WriteScope, kind: Finding['kind'], subject: string): Promise<boolean> {
  return (await hot.openFinding.run(on, { kind, subject })).rows.length > 0
}

/** One that ended so short a time ago goes on, and is not told again: locks that come and go are one attack. */
const GOES_ON_MS = 600_000

/** Does nothing while it lasts. */
export async function raiseFinding(
  scope: WriteScope,
  { kind, subject, reason }: Omit<Finding, 'firstMs'>,
  nowMs: number,
): Promise<void> {
  if (await isFindingOpen(scope, kind, subject)) return
  const { numUpdatedRows } = await scope.trx
    .updateTable('finding')
    .set({ ended_ms: null, reason })
    .where('kind', '=', kind)
    .where('subject', '=', subject)
    .where('ended_ms', '>', nowMs - GOES_ON_MS)
    .where('first_ms', '=', (from) =>
      from
        .selectFrom('finding')
        .select((select) => select.fn.max('first_ms').as('newest'))
        .where('kind', '=', kind)
        .where('subject', '=', subject),
    )
    .executeTakeFirstOrThrow()
  if (numUpdatedRows > 0n) return
  const row = { kind, subject, reason, first_ms: nowMs, told_ms: null, ended_ms: null }
  await scope.trx.insertInto('finding').values(row).execute()
  scope.log({ atMs: nowMs, kind: 'finding', subject: '', body: { kind, subject, reason } })
}

export async function endFinding(
  { trx }: WriteScope,
  kind: Finding['kind'],
  subject: string,
  nowMs: number,
): Promise<void> {
  await trx
    .updateTable('finding')
    .set({ ended_ms: nowMs })
    .where('kind', '=', kind)
    .where('subject', '=', subject)
    .where('ended_ms', 'is', null)
    .execute()
}

import type { Clock } from '../../ports/clock.ts'
import {
  isReasonCode,
  reasonFix,
  reasonGravity,
  reasonText,
  type Reason,
  type ReasonCode,
} from '../../core/reasons/reason.ts'
import type { Finding, FindingDraft, FindingKind, FindingPort } from '../../ports/store/finding.ts'
import type { FindingTable } from '../schema/guard-schema.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

const LIST_MAX = 1_000

export function openFindings(db: Database, writer: StoreWriter, clock: Clock): FindingPort {
  const select = () => db.selectFrom('finding').selectAll().orderBy('first_ms').limit(LIST_MAX)
  return {
    open: async () => (await select().where('ended_ms', 'is', null).execute()).map(findingFromRow),
    untold: async () => (await select().where('told_ms', 'is', null).execute()).map(findingFromRow),
    reported: (findings) =>
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
    raise: (draft) => writer.run((scope) => raiseReason(scope, draft, clock.nowMs())),
    end: (code, subject) => writer.run((scope) => endFinding(scope, code, subject, clock.nowMs())),
    sync: (code, drafts) => writer.run((scope) => syncReasons(scope, code, drafts, clock.nowMs())),
  }
}

function findingFromRow(row: FindingTable): Finding {
  const { kind, subject } = row
  const params = row.params === null ? null : (JSON.parse(row.params) as object)
  const base = { kind: kind as FindingKind, subject, params, firstMs: Number(row.first_ms) }
  // A newer version may have written a code that this one does not have: its sentence is on record all the same.
  if (params === null || !isReasonCode(kind)) return { ...base, reason: row.reason, fix: '', isAttention: false }
  const reason = { code: kind, params } as Reason
  const isAttention = reasonGravity(kind) === 'attention'
  return { ...base, reason: reasonText(reason), fix: reasonFix(reason), isAttention }
}

export async function isFindingOpen({ hot, on }: WriteScope, kind: FindingKind, subject: string): Promise<boolean> {
  return (await hot.openFinding.run(on, { kind, subject })).rows.length > 0
}

/** A finding whose reason is a code with parameters: opens it, or updates the parameters of the open one. */
export async function raiseReason(scope: WriteScope, { subject, reason }: FindingDraft, nowMs: number): Promise<void> {
  const params = JSON.stringify(reason.params)
  if (await isFindingOpen(scope, reason.code, subject)) {
    return setOpen(scope, reason.code, { params, reason: reasonText(reason) }, subject)
  }
  await raiseFinding(scope, { kind: reason.code, subject, reason: reasonText(reason), params }, nowMs)
}

export async function syncReasons(
  scope: WriteScope,
  code: ReasonCode,
  drafts: readonly FindingDraft[],
  nowMs: number,
): Promise<void> {
  const kept = new Set(drafts.map(({ subject }) => subject))
  const open = await scope.trx
    .selectFrom('finding')
    .select('subject')
    .where('kind', '=', code)
    .where('ended_ms', 'is', null)
    .execute()
  for (const { subject } of open) if (!kept.has(subject)) await endFinding(scope, code, subject, nowMs)
  for (const draft of drafts) await raiseReason(scope, draft, nowMs)
}

/** A finding that ended so recently continues, and is not reported again: locks that come and go are one attack. */
const GOES_ON_MS = 600_000

/** Does nothing while it lasts. */
export async function raiseFinding(
  scope: WriteScope,
  { kind, subject, reason, params = null }: Pick<Finding, 'kind' | 'subject' | 'reason'> & { params?: string | null },
  nowMs: number,
): Promise<void> {
  if (await isFindingOpen(scope, kind, subject)) return
  const { numUpdatedRows } = await scope.trx
    .updateTable('finding')
    .set({ ended_ms: null, reason, params })
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
  const row = { kind, subject, reason, params, first_ms: nowMs, told_ms: null, ended_ms: null }
  await scope.trx.insertInto('finding').values(row).execute()
  scope.log({
    atMs: nowMs,
    kind: 'finding',
    subject: '',
    body: { kind, subject, reason, ...(params === null ? {} : { params: JSON.parse(params) as object }) },
  })
}

export function endFinding(scope: WriteScope, kind: FindingKind, subject: string, nowMs: number): Promise<void> {
  return setOpen(scope, kind, { ended_ms: nowMs }, subject)
}

/** Of the findings of a kind that last; of the one about the subject, where that is given. */
export async function setOpen(
  { trx }: Pick<WriteScope, 'trx'>,
  kind: FindingKind,
  columns: Partial<Pick<FindingTable, 'params' | 'reason' | 'ended_ms'>>,
  subject?: string,
): Promise<void> {
  const open = trx.updateTable('finding').set(columns).where('kind', '=', kind).where('ended_ms', 'is', null)
  await (subject === undefined ? open : open.where('subject', '=', subject)).execute()
}

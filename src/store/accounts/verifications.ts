import { sql } from 'kysely'
import type { Outcome, Wanted } from '../../core/account/outcome.ts'
import type { AccountKey, DirectoryName } from '../../core/names.ts'
import { directoryOf } from '../../core/names.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { LockProblem, LockVerdict, ServerVerdict } from '../../core/health/verification.ts'
import type { Clock } from '../../ports/clock.ts'
import type { DueVerification, Verification, VerificationPort } from '../../ports/store/verification.ts'
import { keyFromRow, ownedFromRow } from '../rows/rows.ts'
import type { Database, VerificationRow } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { inPages } from '../rows/queries.ts'

/** The locks on each server of directories with several, and locks that somebody removed. */

/** Time for the write to reach the other servers, before they are asked for the first time. */
const FIRST_LOOK_MS = 200
const MARK_PAGE = 1_000
const NOT_CHECKED = { tries: 0, checked_ms: null, verdict: null } as const

export function openVerifications(db: Database, writer: StoreWriter, clock: Clock): VerificationPort {
  return {
    holdersOf: (key) => holdersOf(db, key),
    due: (nowMs, limit) => due(db, writer, nowMs, limit),
    async nextDueMs() {
      const query = db.selectFrom('verification').select((s) => s.fn.min('due_ms').as('next'))
      const { next } = await query.where('due_ms', 'is not', null).executeTakeFirstOrThrow()
      return next === null ? null : Number(next)
    },
    record: (looks) =>
      writer.runSoon(async (scope) => {
        for (const { due: each, found } of looks) await recordLook(scope, each, found, clock.nowMs())
      }),
    markAll: (directories, nowMs) => markAll(db, writer, directories, nowMs),
    keepOnly: (directories) => writer.runSoon((scope) => keepOnly(scope, directories)),
    forget: (beforeMs) =>
      writer.runSoon(async ({ trx }) => {
        await trx
          .deleteFrom('verification')
          .where('wanted', '<>', 'locked')
          .where('written_ms', '<', beforeMs)
          .execute()
      }),
  }
}

/** A problem as it is on record: older versions wrote the sentence in place of the reason. */
export type RecordedProblem = Omit<LockProblem, 'reason'> & { readonly reason: Reason | string }

/** With the account's settling: each write is checked everywhere, and each removed lock is reported. */
export async function noteVerification(
  scope: WriteScope,
  key: AccountKey,
  { lockWrite, lockRemoved, isRemovalOver }: Pick<Outcome, 'lockWrite' | 'lockRemoved' | 'isRemovalOver'>,
  nowMs: number,
): Promise<void> {
  if (isRemovalOver === true) await forgetRemoval(scope, key)
  if (lockWrite === undefined && lockRemoved === undefined) return
  const problem: RecordedProblem | null = lockRemoved === undefined ? null : { kind: 'removed', ...lockRemoved }
  const row = {
    directory: directoryOf(key),
    wanted: lockWrite?.wanted ?? ('removed' as const),
    writer: lockWrite?.server ?? null,
    written_ms: nowMs,
    due_ms: lockWrite === undefined ? null : nowMs + FIRST_LOOK_MS,
    ...NOT_CHECKED,
    problem: problem === null ? null : JSON.stringify(problem),
    problem_ms: problem === null ? null : nowMs,
  }
  await scope.trx
    .insertInto('verification')
    .values({ account_key: key, ...row })
    .onConflict((conflict) => conflict.column('account_key').doUpdateSet(row))
    .execute()
}

/** A removal by somebody no longer counts: nothing would hold the account, or we wrote to its lock since. */
export async function forgetRemoval({ hot, on }: WriteScope, key: AccountKey): Promise<void> {
  await hot.forgetRemoval.run(on, { key })
}

async function holdersOf(db: Database, key: AccountKey): Promise<readonly string[]> {
  const row = await db
    .selectFrom('verification')
    .selectAll()
    .where('account_key', '=', key)
    .where('wanted', '=', 'locked')
    .executeTakeFirst()
  if (row === undefined) return []
  const holders = serversOf(row).flatMap(({ url, hadIt }) => (hadIt ? [url] : []))
  return [...new Set([...(row.writer === null ? [] : [row.writer]), ...holders])]
}

function serversOf(row: Pick<VerificationRow, 'verdict'>): readonly ServerVerdict[] {
  return row.verdict === null ? [] : (JSON.parse(row.verdict) as LockVerdict).servers
}

/** A lock that is no longer ours needs no further check; its row is removed. */
async function due(
  db: Database,
  writer: StoreWriter,
  nowMs: number,
  limit: number,
): Promise<readonly DueVerification[]> {
  const rows = await db
    .selectFrom('verification')
    .leftJoin('account', 'account.key', 'verification.account_key')
    .selectAll('verification')
    .select('account.owned_lock')
    .where('verification.due_ms', '<=', nowMs)
    .orderBy('verification.due_ms')
    .limit(limit)
    .execute()
  const found = rows.map((row): DueVerification => {
    const wanted: Wanted = row.wanted === 'open' ? 'open' : 'locked'
    return {
      key: keyFromRow(row.account_key),
      wanted,
      owned: ownedFromRow({ key: row.account_key, owned_lock: row.owned_lock }),
      writer: row.writer,
      writtenMs: Number(row.written_ms),
      tries: row.tries,
      holders: serversOf(row).flatMap(({ url, hadIt }) => (hadIt ? [url] : [])),
      isReported: row.problem !== null,
    }
  })
  const isOver = ({ wanted, owned }: DueVerification): boolean => (wanted === 'locked') === (owned === null)
  const over = found.filter(isOver)
  if (over.length > 0) {
    await writer.runSoon(async (scope) => {
      for (const { key, writtenMs } of over) await drop(scope, key, writtenMs)
    })
  }
  return found.filter((each) => !isOver(each))
}

async function drop({ trx }: WriteScope, key: AccountKey, writtenMs: number): Promise<void> {
  await trx.deleteFrom('verification').where('account_key', '=', key).where('written_ms', '=', writtenMs).execute()
}

async function recordLook(scope: WriteScope, each: DueVerification, found: Verification, nowMs: number): Promise<void> {
  const { verdict, dueMs, isReported } = found
  if (each.wanted === 'open' && dueMs === null) return drop(scope, each.key, each.writtenMs)
  const problem = isReported && verdict.problem !== null ? JSON.stringify(verdict.problem) : null
  await scope.trx
    .updateTable('verification')
    .set({
      due_ms: dueMs,
      tries: each.tries + 1,
      checked_ms: nowMs,
      verdict: JSON.stringify(verdict),
      problem,
      problem_ms: problem === null ? null : sql<number>`coalesce(problem_ms, ${nowMs})`,
    })
    .where('account_key', '=', each.key)
    .where('written_ms', '=', each.writtenMs)
    .execute()
}

async function keepOnly({ trx }: WriteScope, directories: readonly DirectoryName[]): Promise<void> {
  const others = trx.deleteFrom('verification').where('wanted', '<>', 'removed')
  await (directories.length === 0 ? others : others.where('directory', 'not in', directories)).execute()
}

async function markAll(
  db: Database,
  writer: StoreWriter,
  directories: readonly DirectoryName[],
  nowMs: number,
): Promise<number> {
  if (directories.length === 0) return 0
  const query = db
    .selectFrom('account')
    .select(['key', 'directory', 'seen_ms'])
    .where('owned_lock', 'is not', null)
    .where('directory', 'in', directories)
  let marked = 0
  for await (const rows of inPages(query, 'key', MARK_PAGE)) {
    await writer.runSoon((scope) => markPage(scope, rows, nowMs))
    marked += rows.length
  }
  return marked
}

async function markPage(
  { trx }: WriteScope,
  rows: readonly { key: string; directory: string; seen_ms: number }[],
  nowMs: number,
): Promise<void> {
  const fresh = rows.map(({ key, directory, seen_ms }) => ({
    account_key: key,
    directory,
    wanted: 'locked' as const,
    writer: null,
    written_ms: Number(seen_ms),
    due_ms: nowMs,
    ...NOT_CHECKED,
    problem: null,
    problem_ms: null,
  }))
  await trx
    .insertInto('verification')
    .values(fresh)
    .onConflict((conflict) =>
      conflict.column('account_key').doUpdateSet({ due_ms: nowMs }).where('verification.wanted', '=', 'locked'),
    )
    .execute()
}

import { prepare } from './prepared.ts'
import type { LockCountTable, ReviewTable } from '../schema/guard-schema.ts'
import type { Database } from '../schema/schema.ts'

/** The breaker's queries for each lock. */
export function guardStatements(db: Database) {
  return {
    guardedAccount: prepare<{ key: string }>()(({ key }) =>
      db
        .selectFrom('account')
        .leftJoin('review', 'review.account_key', 'account.key')
        .select(['account.directory', 'account.realm', 'review.limit_id'])
        .select((account) =>
          account
            .selectFrom('approval')
            .select((approval) => approval.fn.countAll<number>().as('n'))
            .whereRef('approval.account_key', '=', 'account.key')
            .as('approvals'),
        )
        .where('account.key', '=', key),
    ),
    /** The lock that is so many places before the newest within the time; none: there are fewer. */
    countedLock: prepare<{ counted: string; since_ms: number; before: number }>()(({ counted, since_ms, before }) =>
      db
        .selectFrom('lock_count')
        .select('at_ms')
        .where('counted', '=', counted)
        .where('at_ms', '>', since_ms)
        .orderBy('at_ms', 'desc')
        .limit(1)
        .offset(before),
    ),
    countLock: prepare<LockCountTable>()((row) =>
      db
        .insertInto('lock_count')
        .values(row)
        .onConflict((conflict) => conflict.doNothing()),
    ),
    openFinding: prepare<{ kind: string; subject: string }>()(({ kind, subject }) =>
      db
        .selectFrom('finding')
        .select('first_ms')
        .where('kind', '=', kind)
        .where('subject', '=', subject)
        .where('ended_ms', 'is', null),
    ),
    insertReview: prepare<Omit<ReviewTable, 'state'>>()((row) =>
      db
        .insertInto('review')
        .values({ ...row, state: 'waiting' })
        .onConflict((conflict) =>
          conflict.column('account_key').doUpdateSet((update) => ({
            limit_id: update.ref('excluded.limit_id'),
            reason: update.ref('excluded.reason'),
            change: update.ref('excluded.change'),
          })),
        ),
    ),
    dropReview: prepare<{ key: string }>()(({ key }) => db.deleteFrom('review').where('account_key', '=', key)),
    dropApprovals: prepare<{ key: string }>()(({ key }) => db.deleteFrom('approval').where('account_key', '=', key)),
    anyReview: prepare<{ limit_id: string }>()(({ limit_id }) =>
      db.selectFrom('review').select('account_key').where('limit_id', '=', limit_id).limit(1),
    ),
  }
}

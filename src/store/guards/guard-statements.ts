import { prepare } from '../engine/prepared.ts'
import type { Database } from '../schema/schema.ts'

/** What each lock asks of the breaker. */
export function guardStatements(db: Database) {
  return {
    guardedAccount: prepare<{ key: string }>()((place) =>
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
        .where('account.key', '=', place('key')),
    ),
    /** The lock that is so many places before the newest within the time; none: there are fewer. */
    countedLock: prepare<{ counted: string; since_ms: number; before: number }>()((place) =>
      db
        .selectFrom('lock_count')
        .select('at_ms')
        .where('counted', '=', place('counted'))
        .where('at_ms', '>', place('since_ms'))
        .orderBy('at_ms', 'desc')
        .limit(1)
        .offset(place('before')),
    ),
    countLock: prepare<{ counted: string; at_ms: number; change_id: string }>()((place) =>
      db
        .insertInto('lock_count')
        .values({ counted: place('counted'), at_ms: place('at_ms'), change_id: place('change_id') })
        .onConflict((conflict) => conflict.doNothing()),
    ),
    openFinding: prepare<{ kind: string; subject: string }>()((place) =>
      db
        .selectFrom('finding')
        .select('first_ms')
        .where('kind', '=', place('kind'))
        .where('subject', '=', place('subject'))
        .where('ended_ms', 'is', null),
    ),
    insertReview: prepare<{
      key: string
      directory: string
      now_ms: number
      limit_id: string
      reason: string
      change: string
    }>()((place) =>
      db
        .insertInto('review')
        .values({
          account_key: place('key'),
          directory: place('directory'),
          since_ms: place('now_ms'),
          limit_id: place('limit_id'),
          reason: place('reason'),
          change: place('change'),
          state: 'waiting',
        })
        .onConflict((conflict) =>
          conflict.column('account_key').doUpdateSet((update) => ({
            limit_id: update.ref('excluded.limit_id'),
            reason: update.ref('excluded.reason'),
            change: update.ref('excluded.change'),
          })),
        ),
    ),
    dropReview: prepare<{ key: string }>()((place) => db.deleteFrom('review').where('account_key', '=', place('key'))),
    dropApprovals: prepare<{ key: string }>()((place) =>
      db.deleteFrom('approval').where('account_key', '=', place('key')),
    ),
    anyReview: prepare<{ limit_id: string }>()((place) =>
      db.selectFrom('review').select('account_key').where('limit_id', '=', place('limit_id')).limit(1),
    ),
  }
}

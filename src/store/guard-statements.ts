import { prepare } from './prepared.ts'
import type { Database } from './schema.ts'

/** What each lock asks of the breaker. */
export function guardStatements(db: Database) {
  return {
    guardedAccount: prepare((place) =>
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
        .where('account.key', '=', place<string>('key')),
    ),
    /** The lock that is so many places before the newest within the time; none: there are fewer. */
    countedLock: prepare((place) =>
      db
        .selectFrom('lock_count')
        .select('at_ms')
        .where('counted', '=', place<string>('counted'))
        .where('at_ms', '>', place<number>('since_ms'))
        .orderBy('at_ms', 'desc')
        .limit(1)
        .offset(place<number>('before')),
    ),
    countLock: prepare((place) =>
      db
        .insertInto('lock_count')
        .values({ counted: place('counted'), at_ms: place('at_ms'), change_id: place('change_id') })
        .onConflict((conflict) => conflict.doNothing()),
    ),
    openFinding: prepare((place) =>
      db
        .selectFrom('finding')
        .select('first_ms')
        .where('kind', '=', place<string>('kind'))
        .where('subject', '=', place<string>('subject'))
        .where('ended_ms', 'is', null),
    ),
    insertReview: prepare((place) =>
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
    dropReview: prepare((place) => db.deleteFrom('review').where('account_key', '=', place<string>('key'))),
    dropApprovals: prepare((place) => db.deleteFrom('approval').where('account_key', '=', place<string>('key'))),
    anyReview: prepare((place) =>
      db.selectFrom('review').select('account_key').where('limit_id', '=', place<string>('limit_id')).limit(1),
    ),
  }
}

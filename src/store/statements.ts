import { sql } from 'kysely'
import { guardStatements } from './guard-statements.ts'
import { prepare } from './prepared.ts'
import type { Database } from './schema.ts'
import { LIVE, WAITING } from './literals.ts'

/** The statements of the hot path: every event and every change runs through these, one row at a time. */
export type Statements = ReturnType<typeof prepareStatements>

export function prepareStatements(db: Database) {
  return {
    ...eventStatements(db),
    ...accountStatements(db),
    ...queueStatements(db),
    ...changeStatements(db),
    ...journalStatements(db),
    ...guardStatements(db),
  }
}

function eventStatements(db: Database) {
  return {
    insertEvent: prepare((place) =>
      db
        .insertInto('event')
        .values({
          id: place('id'),
          kind: place('kind'),
          serial: place('serial'),
          login: place('login'),
          realm: place('realm'),
          actor: place('actor'),
          taken_at_us: place('taken_at_us'),
          received_ms: place('received_ms'),
          source: place('source'),
          reason: place('reason'),
          until_us: place('until_us'),
          state: place('state'),
          live: place('live'),
          account_key: place('account_key'),
          attribute_serials: place('attribute_serials'),
          pinned_hold: place('pinned_hold'),
          why_code: place('why_code'),
          why: place('why'),
          attempts: place('attempts'),
          next_try_ms: place('next_try_ms'),
        })
        .onConflict((conflict) => conflict.column('id').doNothing()),
    ),
    assignEvent: prepare((place) =>
      db
        .updateTable('event')
        .set({
          state: 'resolved',
          live: 1,
          account_key: place('account_key'),
          attribute_serials: place('attribute_serials'),
          why_code: null,
          why: '',
          next_try_ms: null,
        })
        .where('id', '=', place<string>('id'))
        .where('state', '=', WAITING),
    ),
    postponeEvent: prepare((place) =>
      db
        .updateTable('event')
        .set({
          why_code: place('why_code'),
          why: place('why'),
          attempts: place('attempts'),
          next_try_ms: place('next_try_ms'),
        })
        .where('id', '=', place<string>('id'))
        .where('state', '=', WAITING),
    ),
    endEvent: prepare((place) =>
      db
        .updateTable('event')
        .set({ state: 'ended', why_code: null, why: place('why'), next_try_ms: null })
        .where('id', '=', place<string>('id'))
        .where('state', '=', WAITING),
    ),
    dueEvents: prepare((place) =>
      db
        .selectFrom('event')
        .selectAll()
        .where('state', '=', WAITING)
        .where('next_try_ms', '<=', place<number>('now_ms'))
        .orderBy('next_try_ms')
        .limit(place<number>('limit')),
    ),
    nextEvent: prepare(() =>
      db
        .selectFrom('event')
        .select('next_try_ms')
        .where('state', '=', WAITING)
        .where('next_try_ms', 'is not', null)
        .orderBy('next_try_ms')
        .limit(1),
    ),
    /** The accounts that a serial's events belong to, and whether some of them still wait for one. */
    ofSerial: prepare((place) =>
      db
        .selectFrom('event')
        .select(['account_key', 'state'])
        .distinct()
        .where('serial', '=', place<string>('serial'))
        .where((where) => where.or([where('live', '=', LIVE), where('state', '=', WAITING)])),
    ),
    streamOfAccount: prepare((place) =>
      db
        .selectFrom('event')
        .selectAll()
        .where('account_key', '=', place<string>('account_key'))
        .where('live', '=', LIVE),
    ),
    streamOfSerial: prepare((place) =>
      db
        .selectFrom('event')
        .selectAll()
        .where('serial', '=', place<string>('serial'))
        .where('live', '=', LIVE)
        .where('account_key', '<>', place<string>('account_key')),
    ),
  }
}

/** Anybody may have written a hint: what privacyIDEA itself said of the user, with his id, is not overwritten by it. */
function keptName(column: 'login' | 'realm') {
  const [ours, told] = [sql.ref(`account.${column}`), sql.ref(`excluded.${column}`)]
  return sql<
    string | null
  >`case when account.user_id is null then coalesce(${told}, ${ours}) else coalesce(${ours}, ${told}) end`
}

function accountStatements(db: Database) {
  return {
    noteAccount: prepare((place) =>
      db
        .insertInto('account')
        .values({
          key: place('key'),
          directory: place('directory'),
          dn: place('dn'),
          login: place('login'),
          realm: place('realm'),
          resolver: null,
          user_id: null,
          owned_lock: null,
          open_change: null,
          standing: 'in-step',
          standing_code: null,
          standing_reason: '',
          hold_count: 0,
          effective: null,
          seen_ms: 0,
          updated_ms: place('now_ms'),
          known_ms: place('now_ms'),
        })
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet((update) => ({
            dn: update.ref('excluded.dn'),
            login: keptName('login'),
            realm: keptName('realm'),
            updated_ms: update.ref('excluded.updated_ms'),
          })),
        ),
    ),
    claimedAccount: prepare((place) =>
      db
        .selectFrom('account')
        .leftJoin('review', 'review.account_key', 'account.key')
        .select([
          'owned_lock',
          'open_change',
          'standing',
          'standing_code',
          'standing_reason',
          'hold_count',
          'effective',
        ])
        .select(['seen_ms', 'account.realm', 'review.state as review'])
        .where('key', '=', place<string>('key')),
    ),
    openChange: prepare((place) =>
      db
        .updateTable('account')
        .set({ open_change: place('change'), dn: place('dn') })
        .where('key', '=', place<string>('key')),
    ),
    ownLock: prepare((place) =>
      db
        .updateTable('account')
        .set({
          open_change: null,
          owned_lock: place('owned_lock'),
          seen_ms: place('now_ms'),
          updated_ms: place('now_ms'),
        })
        .where('key', '=', place<string>('key')),
    ),
    seeLock: prepare((place) =>
      db
        .updateTable('account')
        .set({ seen_ms: place('now_ms') })
        .where('key', '=', place<string>('key')),
    ),
    standAccount: prepare((place) =>
      db
        .updateTable('account')
        .set({
          standing: place('standing'),
          standing_code: place('standing_code'),
          standing_reason: place('standing_reason'),
          hold_count: place('hold_count'),
          effective: place('effective'),
          updated_ms: place('now_ms'),
        })
        .where('key', '=', place<string>('key')),
    ),
    dropHolds: prepare((place) => db.deleteFrom('hold').where('account_key', '=', place<string>('key'))),
    insertHold: prepare((place) =>
      db.insertInto('hold').values({
        account_key: place('key'),
        name: place('name'),
        kind: place('kind'),
        serial: place('serial'),
        since_us: place('since_us'),
        until_us: place('until_us'),
        reason: place('reason'),
        actor: place('actor'),
      }),
    ),
  }
}

function queueStatements(db: Database) {
  return {
    markAccount: prepare((place) =>
      db
        .insertInto('queue')
        .values({
          account_key: place('key'),
          generation: 1,
          due_ms: place('due_ms'),
          attempts: 0,
          lease_owner: null,
          lease_until_ms: null,
          hinted: place('hinted'),
        })
        .onConflict((conflict) =>
          conflict.column('account_key').doUpdateSet((update) => ({
            generation: update('queue.generation', '+', 1),
            due_ms: update.ref('excluded.due_ms'),
            hinted: update.case().when('excluded.hinted', '=', 1).then(1).else(update.ref('queue.hinted')).end(),
          })),
        ),
    ),
    claimAccounts: prepare((place) =>
      db
        .updateTable('queue')
        .set({ lease_owner: place('owner'), lease_until_ms: place('until_ms') })
        .where('account_key', 'in', (from) =>
          from
            .selectFrom('queue')
            .select('account_key')
            .where('due_ms', '<=', place<number>('now_ms'))
            .where((where) =>
              where.or([where('lease_until_ms', 'is', null), where('lease_until_ms', '<', place<number>('now_ms'))]),
            )
            .orderBy('due_ms')
            .limit(place<number>('limit')),
        )
        .returning(['account_key', 'generation', 'attempts', 'hinted']),
    ),
    nextAccount: prepare((place) =>
      db
        .selectFrom('queue')
        .select('due_ms')
        .where((where) =>
          where.or([where('lease_until_ms', 'is', null), where('lease_until_ms', '<', place<number>('now_ms'))]),
        )
        .orderBy('due_ms')
        .limit(1),
    ),
    finishAccount: prepare((place) =>
      db
        .deleteFrom('queue')
        .where('account_key', '=', place<string>('key'))
        .where('lease_owner', '=', place<string>('owner'))
        .where('generation', '=', place<number>('generation')),
    ),
    postponeAccount: prepare((place) =>
      db
        .updateTable('queue')
        .set({ due_ms: place('due_ms'), attempts: place('attempts'), hinted: place('hinted') })
        .where('account_key', '=', place<string>('key'))
        .where('lease_owner', '=', place<string>('owner'))
        .where('generation', '=', place<number>('generation')),
    ),
    freeAccount: prepare((place) =>
      db
        .updateTable('queue')
        .set({ lease_owner: null, lease_until_ms: null })
        .where('account_key', '=', place<string>('key'))
        .where('lease_owner', '=', place<string>('owner')),
    ),
  }
}

function changeStatements(db: Database) {
  return {
    insertChange: prepare((place) =>
      db.insertInto('change').values({
        id: place('id'),
        account_key: place('account_key'),
        kind: place('kind'),
        serial: place('serial'),
        dn: place('dn'),
        body: place('body'),
        reason: place('reason'),
        actor: place('actor'),
        planned_ms: place('planned_ms'),
        state: place('state'),
        closed_ms: place('closed_ms'),
      }),
    ),
    closeChange: prepare((place) =>
      db
        .updateTable('change')
        .set({ state: place('state'), closed_ms: place('now_ms') })
        .where('id', '=', place<string>('id'))
        .where('state', '=', 'planned'),
    ),
    changeById: prepare((place) => db.selectFrom('change').selectAll().where('id', '=', place<string>('id'))),
  }
}

function journalStatements(db: Database) {
  return {
    insertJournal: prepare((place) =>
      db.insertInto('journal').values({
        seq: place('seq'),
        at_ms: place('at_ms'),
        kind: place('kind'),
        subject: place('subject'),
        body: place('body'),
        prev_hash: place('prev_hash'),
        hash: place('hash'),
      }),
    ),
    readMeta: prepare((place) => db.selectFrom('meta').select('value').where('key', '=', place<string>('key'))),
    writeMeta: prepare((place) =>
      db
        .insertInto('meta')
        .values({ key: place('key'), value: place('value') })
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet((update) => ({ value: update.ref('excluded.value') })),
        ),
    ),
  }
}

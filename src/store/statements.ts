import { sql } from 'kysely'
import type { SerialKey } from '../core/serial-key.ts'
import { authorshipStatements } from './authorship-statements.ts'
import { guardStatements } from './guard-statements.ts'
import { prepare } from './prepared.ts'
import { isHeld, queueStatements } from './queue-statements.ts'
import type { Database } from './schema.ts'
import { ENDED, LIVE, NOBODY, NOTHING, WAITING } from './literals.ts'
import { keyColumn } from './serial-column.ts'

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
    ...authorshipStatements(db),
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
          sole_serial: place('sole_serial'),
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
          counted_ms: place('counted_ms'),
          tried_ms: place('tried_ms'),
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
    /** The accounts that the events of a serial, in any spelling, belong to, and whether some of them still wait for one. */
    ofSerial: prepare((place) =>
      db
        .selectFrom('event')
        .select(['account_key', 'state'])
        .distinct()
        .where(keyColumn('serial'), '=', place<SerialKey>('serial_key'))
        .where('serial', 'is not', NOTHING)
        .where((where) => where.or([where('live', '=', LIVE), where('state', '=', WAITING)])),
    ),
    /** Who is named by the newest event of a serial that ended as a hint, and was taken after that time. */
    hintActor: prepare((place) =>
      db
        .selectFrom('event')
        .select('actor')
        .where(keyColumn('serial'), '=', place<SerialKey>('serial_key'))
        .where('serial', 'is not', NOTHING)
        .where('state', '=', ENDED)
        .where('actor', '<>', NOBODY)
        .where('kind', '=', place<string>('kind'))
        .where('taken_at_us', '>', place<number>('after_us'))
        .orderBy('taken_at_us', 'desc')
        .limit(1),
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
        .where(keyColumn('serial'), '=', place<SerialKey>('serial_key'))
        .where('serial', 'is not', NOTHING)
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
          other_lock: null,
          other_lock_is: null,
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
          'other_lock',
        ])
        .select(['seen_ms', 'account.login', 'account.realm', 'review.state as review', 'late_until_ms', 'adoption'])
        .where('key', '=', place<string>('key')),
    ),
    openChange: prepare((place) =>
      db
        .updateTable('account')
        .set({ open_change: place('change'), dn: place('dn') })
        .where('key', '=', place<string>('key'))
        .where(isHeld(place('key'), place('token'))),
    ),
    /** The change that was opened in this transaction is not to be made. */
    dropOpenChange: prepare((place) =>
      db.updateTable('account').set({ open_change: null }).where('key', '=', place<string>('key')),
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
        .where('key', '=', place<string>('key'))
        .where('open_change', '=', place<string>('change'))
        .where(isHeld(place('key'), place('token'))),
    ),
    /** What is ours changed without a write. */
    relabelLock: prepare((place) =>
      db
        .updateTable('account')
        .set({ owned_lock: place('owned_lock'), updated_ms: place('now_ms') })
        .where('key', '=', place<string>('key'))
        .where(isHeld(place('key'), place('token'))),
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
          other_lock: place('other_lock'),
          other_lock_is: place('other_lock_is'),
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
    forgetRemoval: prepare((place) =>
      db.deleteFrom('verification').where('account_key', '=', place<string>('key')).where('wanted', '=', 'removed'),
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
    /** The newest record of how an account stands. */
    lastStanding: prepare((place) =>
      db
        .selectFrom('journal')
        .select('body')
        .where('subject', '=', place<string>('key'))
        .where('kind', '=', 'standing')
        .orderBy('seq', 'desc')
        .limit(1),
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

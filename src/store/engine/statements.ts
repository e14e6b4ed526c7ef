import { sql } from 'kysely'
import type { SerialKey } from '../../core/serials/serial-key.ts'
import { authorshipStatements } from '../source/authorship-statements.ts'
import { guardStatements } from '../guards/guard-statements.ts'
import { prepare } from './prepared.ts'
import { isHeld, queueStatements } from '../accounts/queue-statements.ts'
import type { ChangeState, Database, NewChangeRow, NewEventRow } from '../schema/schema.ts'
import { ENDED, LIVE, NOBODY, NOTHING, WAITING } from '../rows/literals.ts'
import { keyColumn } from '../rows/serial-column.ts'

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
    insertEvent: prepare<NewEventRow>()((place) =>
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
    assignEvent: prepare<{ account_key: string; attribute_serials: string; id: string }>()((place) =>
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
        .where('id', '=', place('id'))
        .where('state', '=', WAITING),
    ),
    postponeEvent: prepare<{
      why_code: string | null
      why: string
      attempts: number
      next_try_ms: number | null
      counted_ms: number
      tried_ms: number
      id: string
    }>()((place) =>
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
        .where('id', '=', place('id'))
        .where('state', '=', WAITING),
    ),
    endEvent: prepare<{ why: string; id: string }>()((place) =>
      db
        .updateTable('event')
        .set({ state: 'ended', why_code: null, why: place('why'), next_try_ms: null })
        .where('id', '=', place('id'))
        .where('state', '=', WAITING),
    ),
    dueEvents: prepare<{ now_ms: number; limit: number }>()((place) =>
      db
        .selectFrom('event')
        .selectAll()
        .where('state', '=', WAITING)
        .where('next_try_ms', '<=', place('now_ms'))
        .orderBy('next_try_ms')
        .limit(place('limit')),
    ),
    nextEvent: prepare<object>()(() =>
      db
        .selectFrom('event')
        .select('next_try_ms')
        .where('state', '=', WAITING)
        .where('next_try_ms', 'is not', null)
        .orderBy('next_try_ms')
        .limit(1),
    ),
    /** The accounts that the events of a serial, in any spelling, belong to, and whether some of them still wait for one. */
    ofSerial: prepare<{ serial_key: SerialKey }>()((place) =>
      db
        .selectFrom('event')
        .select(['account_key', 'state'])
        .distinct()
        .where(keyColumn('serial'), '=', place('serial_key'))
        .where('serial', 'is not', NOTHING)
        .where((where) => where.or([where('live', '=', LIVE), where('state', '=', WAITING)])),
    ),
    /** Who is named by the newest event of a serial that ended as a hint, and was taken after that time. */
    refreshActor: prepare<{ serial_key: SerialKey; kind: string; after_us: number }>()((place) =>
      db
        .selectFrom('event')
        .select('actor')
        .where(keyColumn('serial'), '=', place('serial_key'))
        .where('serial', 'is not', NOTHING)
        .where('state', '=', ENDED)
        .where('actor', '<>', NOBODY)
        .where('kind', '=', place('kind'))
        .where('taken_at_us', '>', place('after_us'))
        .orderBy('taken_at_us', 'desc')
        .limit(1),
    ),
    streamOfAccount: prepare<{ account_key: string }>()((place) =>
      db.selectFrom('event').selectAll().where('account_key', '=', place('account_key')).where('live', '=', LIVE),
    ),
    streamOfSerial: prepare<{ serial_key: SerialKey; account_key: string }>()((place) =>
      db
        .selectFrom('event')
        .selectAll()
        .where(keyColumn('serial'), '=', place('serial_key'))
        .where('serial', 'is not', NOTHING)
        .where('live', '=', LIVE)
        .where('account_key', '<>', place('account_key')),
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
    noteAccount: prepare<{
      key: string
      directory: string
      dn: string
      login: string | null
      realm: string | null
      now_ms: number
    }>()((place) =>
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
    claimedAccount: prepare<{ key: string }>()((place) =>
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
        .where('key', '=', place('key')),
    ),
    openChange: prepare<{ change: string; dn: string; key: string; token: string }>()((place) =>
      db
        .updateTable('account')
        .set({ open_change: place('change'), dn: place('dn') })
        .where('key', '=', place('key'))
        .where(isHeld(place('key'), place('token'))),
    ),
    /** The change that was opened in this transaction is not to be made. */
    dropOpenChange: prepare<{ key: string }>()((place) =>
      db.updateTable('account').set({ open_change: null }).where('key', '=', place('key')),
    ),
    ownLock: prepare<{ owned_lock: string | null; now_ms: number; key: string; change: string; token: string }>()(
      (place) =>
        db
          .updateTable('account')
          .set({
            open_change: null,
            owned_lock: place('owned_lock'),
            seen_ms: place('now_ms'),
            updated_ms: place('now_ms'),
          })
          .where('key', '=', place('key'))
          .where('open_change', '=', place('change'))
          .where(isHeld(place('key'), place('token'))),
    ),
    /** What is ours changed without a write. */
    relabelLock: prepare<{ owned_lock: string | null; now_ms: number; key: string; token: string }>()((place) =>
      db
        .updateTable('account')
        .set({ owned_lock: place('owned_lock'), updated_ms: place('now_ms') })
        .where('key', '=', place('key'))
        .where(isHeld(place('key'), place('token'))),
    ),
    seeLock: prepare<{ now_ms: number; key: string }>()((place) =>
      db
        .updateTable('account')
        .set({ seen_ms: place('now_ms') })
        .where('key', '=', place('key')),
    ),
    standAccount: prepare<{
      standing: string
      standing_code: string | null
      standing_reason: string
      hold_count: number
      effective: string | null
      other_lock: string | null
      other_lock_is: string | null
      now_ms: number
      key: string
    }>()((place) =>
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
        .where('key', '=', place('key')),
    ),
    dropHolds: prepare<{ key: string }>()((place) => db.deleteFrom('hold').where('account_key', '=', place('key'))),
    insertHold: prepare<{
      key: string
      name: string
      kind: string
      serial: string | null
      since_us: number
      until_us: number | null
      reason: string
      actor: string
    }>()((place) =>
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
    insertChange: prepare<NewChangeRow>()((place) =>
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
    closeChange: prepare<{ state: ChangeState; now_ms: number; id: string }>()((place) =>
      db
        .updateTable('change')
        .set({ state: place('state'), closed_ms: place('now_ms') })
        .where('id', '=', place('id'))
        .where('state', '=', 'planned'),
    ),
    forgetRemoval: prepare<{ key: string }>()((place) =>
      db.deleteFrom('verification').where('account_key', '=', place('key')).where('wanted', '=', 'removed'),
    ),
    changeById: prepare<{ id: string }>()((place) => db.selectFrom('change').selectAll().where('id', '=', place('id'))),
  }
}

function journalStatements(db: Database) {
  return {
    insertJournal: prepare<{
      seq: number
      at_ms: number
      kind: string
      subject: string
      body: string
      prev_hash: string
      hash: string
    }>()((place) =>
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
    lastStatus: prepare<{ key: string }>()((place) =>
      db
        .selectFrom('journal')
        .select('body')
        .where('subject', '=', place('key'))
        .where('kind', '=', 'standing')
        .orderBy('seq', 'desc')
        .limit(1),
    ),
    readMeta: prepare<{ key: string }>()((place) =>
      db.selectFrom('meta').select('value').where('key', '=', place('key')),
    ),
    writeMeta: prepare<{ key: string; value: string }>()((place) =>
      db
        .insertInto('meta')
        .values({ key: place('key'), value: place('value') })
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet((update) => ({ value: update.ref('excluded.value') })),
        ),
    ),
  }
}

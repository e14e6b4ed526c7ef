import { sql } from 'kysely'
import type { SerialKey } from '../../core/serials/serial-key.ts'
import { ENDED, LIVE, NOBODY, NOTHING, WAITING } from '../rows/literals.ts'
import { keyColumn } from '../rows/serial-column.ts'
import type {
  AccountRow,
  ChangeState,
  Database,
  EventRow,
  HoldTable,
  JournalRow,
  MetaTable,
  NewChangeRow,
  NewEventRow,
} from '../schema/schema.ts'
import { authorshipStatements } from './authorship-statements.ts'
import { guardStatements } from './guard-statements.ts'
import { prepare } from './prepared.ts'
import { isHeld, queueStatements } from './queue-statements.ts'

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

type Postponed = Pick<EventRow, 'id' | 'why_code' | 'why' | 'attempts' | 'next_try_ms' | 'counted_ms' | 'tried_ms'>

function eventStatements(db: Database) {
  const ofSerial = (key: SerialKey) =>
    db.selectFrom('event').where(keyColumn('serial'), '=', key).where('serial', 'is not', NOTHING)
  const setWaiting = (id: string) => db.updateTable('event').where('id', '=', id).where('state', '=', WAITING)
  return {
    insertEvent: prepare<NewEventRow>()((row) =>
      db
        .insertInto('event')
        .values(row)
        .onConflict((conflict) => conflict.column('id').doNothing()),
    ),
    assignEvent: prepare<{ id: string; account_key: string; attribute_serials: string }>()(({ id, ...to }) =>
      setWaiting(id).set({ ...to, state: 'resolved', live: 1, why_code: null, why: '', next_try_ms: null }),
    ),
    postponeEvent: prepare<Postponed>()(({ id, ...postponed }) => setWaiting(id).set(postponed)),
    endEvent: prepare<{ id: string; why: string }>()(({ id, why }) =>
      setWaiting(id).set({ state: 'ended', why_code: null, why, next_try_ms: null }),
    ),
    dueEvents: prepare<{ now_ms: number; limit: number }>()(({ now_ms, limit }) =>
      db
        .selectFrom('event')
        .selectAll()
        .where('state', '=', WAITING)
        .where('next_try_ms', '<=', now_ms)
        .orderBy('next_try_ms')
        .limit(limit),
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
    /** The accounts of the events of a serial, in any spelling, and whether some of them still wait for one. */
    ofSerial: prepare<{ serial_key: SerialKey }>()(({ serial_key }) =>
      ofSerial(serial_key)
        .select(['account_key', 'state'])
        .distinct()
        .where((where) => where.or([where('live', '=', LIVE), where('state', '=', WAITING)])),
    ),
    /** The person in the newest event of a serial that only marked for refresh, and was taken after that time. */
    refreshActor: prepare<{ serial_key: SerialKey; kind: string; after_us: number }>()(
      ({ serial_key, kind, after_us }) =>
        ofSerial(serial_key)
          .select('actor')
          .where('state', '=', ENDED)
          .where('actor', '<>', NOBODY)
          .where('kind', '=', kind)
          .where('taken_at_us', '>', after_us)
          .orderBy('taken_at_us', 'desc')
          .limit(1),
    ),
    streamOfAccount: prepare<{ account_key: string }>()(({ account_key }) =>
      db.selectFrom('event').selectAll().where('account_key', '=', account_key).where('live', '=', LIVE),
    ),
    streamOfSerial: prepare<{ serial_key: SerialKey; account_key: string }>()(({ serial_key, account_key }) =>
      ofSerial(serial_key).selectAll().where('live', '=', LIVE).where('account_key', '<>', account_key),
    ),
  }
}

/** An event may come from anybody: it does not overwrite what privacyIDEA reported of the user, with their id. */
function keptName(column: 'login' | 'realm') {
  const [ours, incoming] = [sql.ref(`account.${column}`), sql.ref(`excluded.${column}`)]
  return sql<
    string | null
  >`case when account.user_id is null then coalesce(${incoming}, ${ours}) else coalesce(${ours}, ${incoming}) end`
}

type Noted = Pick<AccountRow, 'key' | 'directory' | 'dn' | 'login' | 'realm' | 'updated_ms' | 'known_ms'>
type Stood = Pick<AccountRow, 'key' | 'standing' | 'standing_code' | 'standing_reason' | 'hold_count' | 'effective'> &
  Pick<AccountRow, 'other_lock' | 'other_lock_is' | 'updated_ms'>

function accountStatements(db: Database) {
  const set = (key: string) => db.updateTable('account').where('key', '=', key)
  return {
    noteAccount: prepare<Noted>()((row) =>
      db
        .insertInto('account')
        .values({
          ...row,
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
    claimedAccount: prepare<{ key: string }>()(({ key }) =>
      db
        .selectFrom('account')
        .leftJoin('review', 'review.account_key', 'account.key')
        .select(['owned_lock', 'open_change', 'standing', 'standing_code', 'standing_reason', 'hold_count'])
        .select(['effective', 'other_lock', 'seen_ms', 'account.login', 'account.realm', 'review.state as review'])
        .select(['late_until_ms', 'adoption'])
        .where('key', '=', key),
    ),
    openChange: prepare<{ change: string; dn: string; key: string; token: string }>()(({ change, dn, key, token }) =>
      set(key).set({ open_change: change, dn }).where(isHeld(key, token)),
    ),
    /** The change that was opened in this transaction is not to be made. */
    dropOpenChange: prepare<{ key: string }>()(({ key }) => set(key).set({ open_change: null })),
    ownLock: prepare<{ owned_lock: string | null; now_ms: number; key: string; change: string; token: string }>()(
      ({ owned_lock, now_ms, key, change, token }) =>
        set(key)
          .set({ open_change: null, owned_lock, seen_ms: now_ms, updated_ms: now_ms })
          .where('open_change', '=', change)
          .where(isHeld(key, token)),
    ),
    /** What is ours changed without a write. */
    relabelLock: prepare<{ owned_lock: string | null; now_ms: number; key: string; token: string }>()(
      ({ owned_lock, now_ms, key, token }) =>
        set(key).set({ owned_lock, updated_ms: now_ms }).where(isHeld(key, token)),
    ),
    seeLock: prepare<{ now_ms: number; key: string }>()(({ now_ms, key }) => set(key).set({ seen_ms: now_ms })),
    standAccount: prepare<Stood>()(({ key, ...stood }) => set(key).set(stood)),
    dropHolds: prepare<{ key: string }>()(({ key }) => db.deleteFrom('hold').where('account_key', '=', key)),
    insertHold: prepare<HoldTable>()((row) => db.insertInto('hold').values(row)),
  }
}

function changeStatements(db: Database) {
  return {
    insertChange: prepare<NewChangeRow>()((row) => db.insertInto('change').values(row)),
    closeChange: prepare<{ state: ChangeState; now_ms: number; id: string }>()(({ state, now_ms, id }) =>
      db.updateTable('change').set({ state, closed_ms: now_ms }).where('id', '=', id).where('state', '=', 'planned'),
    ),
    forgetRemoval: prepare<{ key: string }>()(({ key }) =>
      db.deleteFrom('verification').where('account_key', '=', key).where('wanted', '=', 'removed'),
    ),
    changeById: prepare<{ id: string }>()(({ id }) => db.selectFrom('change').selectAll().where('id', '=', id)),
  }
}

function journalStatements(db: Database) {
  return {
    insertJournal: prepare<JournalRow>()((row) => db.insertInto('journal').values(row)),
    /** The newest record of an account's status. */
    lastStatus: prepare<{ key: string }>()(({ key }) =>
      db
        .selectFrom('journal')
        .select('body')
        .where('subject', '=', key)
        .where('kind', '=', 'standing')
        .orderBy('seq', 'desc')
        .limit(1),
    ),
    readMeta: prepare<{ key: string }>()(({ key }) => db.selectFrom('meta').select('value').where('key', '=', key)),
    writeMeta: prepare<MetaTable>()((row) =>
      db
        .insertInto('meta')
        .values(row)
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet((update) => ({ value: update.ref('excluded.value') })),
        ),
    ),
  }
}

import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { AppError } from '../core/error.ts'
import { resyncTables } from './migrations-resync.ts'
import { guardTables } from './guard-migration.ts'
import { GENESIS_HASH, readHead, recordHash } from './journal.ts'
import { evidenceTable } from './migrate-evidence.ts'
import { hintActors } from './migrate-hint-actors.ts'
import { lateWrites } from './migrate-late.ts'
import { leaseTokens } from './migrate-leases.ts'
import { lossColumns } from './migrate-losses.ts'
import { authorshipTable } from './migrate-authorship.ts'
import { mirrorTable } from './migrate-mirror.ts'
import { otherLocks } from './migrate-other-locks.ts'
import { ownersOfTokens } from './migrate-owners.ts'
import { tokenReadings } from './migrate-readings.ts'
import { seenAgain } from './migrate-seen-again.ts'
import { serialKeys } from './migrate-serial-keys.ts'
import { soleSerials } from './migrate-sole-serials.ts'
import { enrolmentTable } from './enrolment-table.ts'
import { mailRefusals, mailTable } from './mail-table.ts'
import { unplacedTable } from './migrate-unplaced.ts'
import { waitingEvents } from './migrate-waiting-events.ts'
import type { Database, Tables } from './schema.ts'
import { VERIFICATION_TABLES } from './verification-schema.ts'

/** Forward only: a step that was released is never changed; the newest comes last. */
const STEPS: readonly ((db: Kysely<Tables>, nowMs: number) => Promise<void>)[] = [
  firstSchema,
  lockEffect,
  pruningOnRecord,
  sourceTables,
  ownersOfTokens,
  mirrorTable,
  resyncTables,
  verificationTables,
  guardTables,
  mailTable,
  enrolmentTable,
  findingParams,
  waitingEvents,
  leaseTokens,
  otherLocks,
  serialKeys,
  lossColumns,
  soleSerials,
  evidenceTable,
  unplacedTable,
  authorshipTable,
  lateWrites,
  hintActors,
  seenAgain,
  mailRefusals,
  tokenReadings,
]

const VERSION_KEY = 'schema'
/** Of the stores that this version writes. */
export const STORE_SCHEMA = STEPS.length

/** Brings the store to this version. Fails with `store-unavailable` where a newer Lockstep has written it. */
export async function migrate(db: Database, nowMs: number): Promise<void> {
  if ((await versionOf(db)) === STEPS.length) return
  await db.transaction().execute(async (trx) => {
    await sql`create table if not exists meta (key text primary key, value text not null)`.execute(trx)
    const version = await versionOf(trx)
    if (version > STEPS.length) {
      throw new AppError(
        'store-unavailable',
        `the store was written by a newer Lockstep (schema ${version}, known ${STEPS.length})`,
        {
          hint: 'Install that version again, or start with an empty store and run `lockstep rebuild`.',
        },
      )
    }
    for (const step of STEPS.slice(version)) await step(trx, nowMs)
    const value = String(STEPS.length)
    await trx
      .insertInto('meta')
      .values({ key: VERSION_KEY, value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute()
  })
}

async function versionOf(db: Database): Promise<number> {
  try {
    const row = await db.selectFrom('meta').select('value').where('key', '=', VERSION_KEY).executeTakeFirst()
    return row === undefined ? 0 : Number(row.value)
  } catch (thrown) {
    if (!(await hasTables(db))) return 0
    throw thrown
  }
}

async function hasTables(db: Database): Promise<boolean> {
  const { rows } = await sql`select 1 from sqlite_master where type = 'table' and name = 'meta'`.execute(db)
  return rows.length > 0
}

async function firstSchema(db: Kysely<Tables>): Promise<void> {
  for (const statement of FIRST_SCHEMA) await sql.raw(statement).execute(db)
}

async function lockEffect(db: Kysely<Tables>): Promise<void> {
  await sql.raw('alter table account add column effective text').execute(db)
}

/** Findings whose reason is a code with parameters. */
async function findingParams(db: Kysely<Tables>): Promise<void> {
  await sql.raw('alter table finding add column params text').execute(db)
}

/** What privacyIDEA's API said, beside what was done about it. */
async function sourceTables(db: Kysely<Tables>): Promise<void> {
  for (const statement of SOURCE_TABLES) await sql.raw(statement).execute(db)
}

async function verificationTables(db: Kysely<Tables>): Promise<void> {
  for (const statement of VERIFICATION_TABLES) await sql.raw(statement).execute(db)
}

const SOURCE_TABLES = [
  `create table token (
    serial text primary key, account_key text not null, is_locked integer not null, reset_due integer not null,
    run bigint not null)`,
  `create index token_by_account on token (account_key)`,
  `create index token_locked on token (serial) where is_locked = 1`,
  `create table lockout (account_key text primary key, until_us bigint)`,
  `alter table account add column resolver text`,
  `alter table account add column user_id text`,
  `create index account_by_user on account (user_id) where user_id is not null`,
  `alter table queue add column hinted integer not null default 0`,
]

const FIRST_SCHEMA = [
  `create table event (
    id text primary key, kind text not null, serial text, login text, realm text, actor text not null,
    taken_at_us bigint not null, received_ms bigint not null, source text not null, reason text not null,
    until_us bigint, state text not null, live integer not null, account_key text, attribute_serials text not null,
    pinned_hold text, why_code text, why text not null, attempts integer not null, next_try_ms bigint)`,
  `create index event_by_account on event (account_key) where live = 1`,
  `create index event_by_serial on event (serial) where serial is not null`,
  `create index event_waiting on event (next_try_ms) where state = 'waiting'`,
  `create index event_by_time on event (received_ms)`,
  `create table account (
    key text primary key, directory text not null, dn text not null, login text, realm text, owned_lock text,
    open_change text, standing text not null, standing_code text, standing_reason text not null,
    hold_count integer not null, seen_ms bigint not null, updated_ms bigint not null)`,
  `create index account_by_login on account (login)`,
  `create index account_held on account (key) where hold_count > 0 or owned_lock is not null`,
  `create index account_unsettled on account (key) where standing <> 'in-step'`,
  `create index account_open on account (key) where open_change is not null`,
  `create table hold (
    account_key text not null, name text not null, kind text not null, serial text, since_us bigint not null,
    until_us bigint, reason text not null, actor text not null, primary key (account_key, name))`,
  `create index hold_by_serial on hold (serial) where serial is not null`,
  `create table queue (
    account_key text primary key, generation bigint not null, due_ms bigint not null, attempts integer not null,
    lease_owner text, lease_until_ms bigint)`,
  `create index queue_due on queue (due_ms)`,
  `create table change (
    id text primary key, account_key text not null, kind text not null, serial text, dn text not null,
    body text not null, reason text not null, actor text not null, planned_ms bigint not null, state text not null,
    closed_ms bigint)`,
  `create index change_by_account on change (account_key)`,
  `create index change_by_time on change (planned_ms)`,
  `create table journal (
    seq integer primary key, at_ms bigint not null, kind text not null, subject text not null, body text not null,
    prev_hash text not null, hash text not null)`,
  `create index journal_by_subject on journal (subject)`,
]

/**
 * Where the chain begins stood in a row beside it that anybody could edit; from now on the chain says it itself. What
 * the row says is taken over once, marked as such, for `journal --verify` to judge. A journal whose end is damaged is
 * left as it is.
 */
async function pruningOnRecord(db: Kysely<Tables>, nowMs: number): Promise<void> {
  const start = await db.selectFrom('meta').select('value').where('key', '=', 'journal-start').executeTakeFirst()
  await db.deleteFrom('meta').where('key', '=', 'journal-start').execute()
  const head = await readHead(db)
  const last = await db.selectFrom('journal').selectAll().orderBy('seq', 'desc').limit(1).executeTakeFirst()
  if (last === undefined || last.seq !== head.seq || last.hash !== head.hash) return
  const [to = '0', hash = GENESIS_HASH] = start?.value.split(' ') ?? []
  const body = JSON.stringify({ to: Number(to), hash, adopted: true })
  const record = { seq: head.seq + 1, at_ms: nowMs, kind: 'pruned', subject: '', body, prev_hash: head.hash }
  const row = { ...record, hash: recordHash(record) }
  await db.insertInto('journal').values(row).execute()
  await db
    .updateTable('meta')
    .set({ value: `${row.seq} ${row.hash}` })
    .where('key', '=', 'journal-head')
    .execute()
}

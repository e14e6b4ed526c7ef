import { NO_HOLDS, NOTHING } from '../rows/literals.ts'
import { IS_LOST } from '../decisions/loss-breaker.ts'
import { prepare } from '../engine/prepared.ts'
import type { Database, ResyncAccountTable } from '../schema/schema.ts'
import { selectTokens } from './snapshots.ts'

/** So many values at a time are looked up by one statement; fewer are filled up with null, which equals nothing. */
export const CHUNK = 250
/** `value0` to the last of them. */
export type Chunk = Readonly<Record<`value${number}`, string | null>>

export function* chunksOf(values: readonly string[]): Generator<Chunk> {
  for (let at = 0; at < values.length; at += CHUNK) {
    const chunk: Record<`value${number}`, string | null> = {}
    for (let index = 0; index < CHUNK; index++) chunk[`value${index}`] = values[at + index] ?? null
    yield chunk
  }
}

export type ResyncStatements = ReturnType<typeof prepareResync>

export function prepareResync(db: Database) {
  return { ...tokenStatements(db), ...accountStatements(db), ...stagingStatements(db) }
}

/** Which serials of accounts are ours, many at a time. */
export function prepareAuthorship(db: Database) {
  return {
    authoredAt: prepare<Chunk>()((chunk) =>
      db
        .selectFrom('authored_serial')
        .select(['account_key', 'serial'])
        .where('account_key', 'in', Object.values(chunk)),
    ),
  }
}

function tokenStatements(db: Database) {
  const tokens = () => selectTokens(db).select('token.source_id')
  return {
    countTokens: prepare<object>()(() => db.selectFrom('token').select((s) => s.fn.countAll<number>().as('n'))),
    /** Losses that are held back; an index holds them alone. */
    countHeldLosses: prepare<object>()(() =>
      db
        .selectFrom('token')
        .select((s) => s.fn.countAll<number>().as('n'))
        .where(IS_LOST)
        .where('loss', '<>', 'approved'),
    ),
    between: prepare<{ after: number; up_to: number; limit: number }>()(({ after, up_to, limit }) =>
      tokens()
        .where('token.source_id', '>', after)
        .where('token.source_id', '<=', up_to)
        .orderBy('token.source_id')
        .limit(limit),
    ),
    tokensBySerial: prepare<Chunk>()((chunk) => tokens().where('token.serial', 'in', Object.values(chunk))),
    place: prepare<{ id: number; serial: string }>()(({ id, serial }) =>
      db.updateTable('token').set({ source_id: id }).where('serial', '=', serial),
    ),
    miss: prepare<{ run: number; serial: string }>()(({ run, serial }) =>
      db.updateTable('token').set({ run: run }).where('serial', '=', serial),
    ),
  }
}

function accountStatements(db: Database) {
  return {
    serialsOfAccounts: prepare<Chunk>()((chunk) =>
      db.selectFrom('token').select(['account_key', 'serial']).where('account_key', 'in', Object.values(chunk)),
    ),
    /** The few with a hold or a lock: an index holds them alone. */
    heldByKey: prepare<Chunk>()((chunk) =>
      db
        .selectFrom('account')
        .select(['key', 'owned_lock', 'hold_count', 'standing'])
        .where((where) => where.or([where('hold_count', '>', NO_HOLDS), where('owned_lock', 'is not', NOTHING)]))
        .where('key', 'in', Object.values(chunk)),
    ),
    /** Read along the index: a union of both would be made anew for every page. */
    withTokens: prepare<{ after: string; before: string; limit: number }>()(({ after, before, limit }) =>
      db
        .selectFrom('token')
        .select('account_key')
        .distinct()
        .where('account_key', '>', after)
        .where('account_key', '<', before)
        .orderBy('account_key')
        .limit(limit),
    ),
    withLocks: prepare<{ after: string; before: string; limit: number }>()(({ after, before, limit }) =>
      db
        .selectFrom('account')
        .select('key as account_key')
        .where((where) => where.or([where('hold_count', '>', NO_HOLDS), where('owned_lock', 'is not', NOTHING)]))
        .where('key', '>', after)
        .where('key', '<', before)
        .orderBy('key')
        .limit(limit),
    ),
    countWithTokens: prepare<{ after: string; before: string }>()(({ after, before }) =>
      db
        .selectFrom('token')
        .select((s) => s.fn.count<number>('account_key').distinct().as('n'))
        .where('account_key', '>', after)
        .where('account_key', '<', before),
    ),
  }
}

function stagingStatements(db: Database) {
  return {
    stage: prepare<ResyncAccountTable>()((row) =>
      db
        .insertInto('resync_account')
        .values(row)
        .onConflict((conflict) =>
          conflict.columns(['run', 'account_key']).doUpdateSet((update) => ({
            dn: update.fn.coalesce('excluded.dn', 'resync_account.dn'),
            login: update.fn.coalesce('excluded.login', 'resync_account.login'),
            realm: update.fn.coalesce('excluded.realm', 'resync_account.realm'),
            resolver: update.fn.coalesce('excluded.resolver', 'resync_account.resolver'),
            user_id: update.fn.coalesce('excluded.user_id', 'resync_account.user_id'),
          })),
        ),
    ),
    staged: prepare<{ run: number; limit: number }>()(({ run, limit }) =>
      db.selectFrom('resync_account').selectAll().where('run', '=', run).orderBy('account_key').limit(limit),
    ),
    unstage: prepare<{ run: number; key: string }>()(({ run, key }) =>
      db.deleteFrom('resync_account').where('run', '=', run).where('account_key', '<=', key),
    ),
  }
}

import { NO_HOLDS, NOTHING } from '../rows/literals.ts'
import { IS_LOST } from '../guards/loss-breaker.ts'
import { prepare, type Place } from '../engine/prepared.ts'
import type { Database } from '../schema/schema.ts'
import { selectTokens } from './snapshots.ts'

/** So many values at a time are looked up by one statement; fewer are filled up with null, which equals nothing. */
export const CHUNK = 250
/** `value0` to the last of them. */
export type Chunk = Readonly<Record<`value${number}`, string | null>>
const NAMES = Array.from({ length: CHUNK }, (_, index) => `value${index}` as const)

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
    authoredAt: prepare<Chunk>()((place) =>
      db.selectFrom('authored_serial').select(['account_key', 'serial']).where('account_key', 'in', allOf(place)),
    ),
  }
}

function allOf(place: Place<Chunk>): (string | null)[] {
  return NAMES.map((name) => place(name))
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
    between: prepare<{ after: number; up_to: number; limit: number }>()((place) =>
      tokens()
        .where('token.source_id', '>', place('after'))
        .where('token.source_id', '<=', place('up_to'))
        .orderBy('token.source_id')
        .limit(place('limit')),
    ),
    tokensBySerial: prepare<Chunk>()((place) => tokens().where('token.serial', 'in', allOf(place))),
    place: prepare<{ id: number; serial: string }>()((place) =>
      db
        .updateTable('token')
        .set({ source_id: place('id') })
        .where('serial', '=', place('serial')),
    ),
    miss: prepare<{ run: number; serial: string }>()((place) =>
      db
        .updateTable('token')
        .set({ run: place('run') })
        .where('serial', '=', place('serial')),
    ),
  }
}

function accountStatements(db: Database) {
  return {
    serialsOfAccounts: prepare<Chunk>()((place) =>
      db.selectFrom('token').select(['account_key', 'serial']).where('account_key', 'in', allOf(place)),
    ),
    /** The few with a hold or a lock: an index holds them alone. */
    heldByKey: prepare<Chunk>()((place) =>
      db
        .selectFrom('account')
        .select(['key', 'owned_lock', 'hold_count', 'standing'])
        .where((where) => where.or([where('hold_count', '>', NO_HOLDS), where('owned_lock', 'is not', NOTHING)]))
        .where('key', 'in', allOf(place)),
    ),
    /** Read along the index: a union of both would be made anew for every page. */
    withTokens: prepare<{ after: string; before: string; limit: number }>()((place) =>
      db
        .selectFrom('token')
        .select('account_key')
        .distinct()
        .where('account_key', '>', place('after'))
        .where('account_key', '<', place('before'))
        .orderBy('account_key')
        .limit(place('limit')),
    ),
    withLocks: prepare<{ after: string; before: string; limit: number }>()((place) =>
      db
        .selectFrom('account')
        .select('key as account_key')
        .where((where) => where.or([where('hold_count', '>', NO_HOLDS), where('owned_lock', 'is not', NOTHING)]))
        .where('key', '>', place('after'))
        .where('key', '<', place('before'))
        .orderBy('key')
        .limit(place('limit')),
    ),
    countWithTokens: prepare<{ after: string; before: string }>()((place) =>
      db
        .selectFrom('token')
        .select((s) => s.fn.count<number>('account_key').distinct().as('n'))
        .where('account_key', '>', place('after'))
        .where('account_key', '<', place('before')),
    ),
  }
}

function stagingStatements(db: Database) {
  return {
    stage: prepare<{
      run: number
      key: string
      dn: string | null
      login: string | null
      realm: string | null
      resolver: string | null
      user_id: string | null
    }>()((place) =>
      db
        .insertInto('resync_account')
        .values({
          run: place('run'),
          account_key: place('key'),
          dn: place('dn'),
          login: place('login'),
          realm: place('realm'),
          resolver: place('resolver'),
          user_id: place('user_id'),
        })
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
    staged: prepare<{ run: number; limit: number }>()((place) =>
      db
        .selectFrom('resync_account')
        .selectAll()
        .where('run', '=', place('run'))
        .orderBy('account_key')
        .limit(place('limit')),
    ),
    unstage: prepare<{ run: number; key: string }>()((place) =>
      db.deleteFrom('resync_account').where('run', '=', place('run')).where('account_key', '<=', place('key')),
    ),
  }
}

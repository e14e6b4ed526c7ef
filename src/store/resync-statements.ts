import { NO_HOLDS, NOTHING } from './literals.ts'
import { IS_LOST } from './loss-breaker.ts'
import { prepare, type Place, type Values } from './prepared.ts'
import type { Database } from './schema.ts'
import { selectTokens } from './truth.ts'

/** So many values at a time are looked up by one statement; fewer are filled up with null, which equals nothing. */
export const CHUNK = 250
const NAMES = Array.from({ length: CHUNK }, (_, index) => `value${index}`)

export function* chunksOf(values: readonly string[]): Generator<Values> {
  for (let at = 0; at < values.length; at += CHUNK) {
    const chunk: Record<string, string | null> = {}
    for (let index = 0; index < CHUNK; index++) chunk[NAMES[index] ?? ''] = values[at + index] ?? null
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
    authoredAt: prepare((place) =>
      db.selectFrom('authored_serial').select(['account_key', 'serial']).where('account_key', 'in', allOf(place)),
    ),
  }
}

function allOf(place: Place): string[] {
  return NAMES.map((name) => place<string>(name))
}

function tokenStatements(db: Database) {
  const tokens = () => selectTokens(db).select('token.source_id')
  return {
    countTokens: prepare(() => db.selectFrom('token').select((s) => s.fn.countAll<number>().as('n'))),
    /** Losses that are held back; an index holds them alone. */
    countHeldLosses: prepare(() =>
      db
        .selectFrom('token')
        .select((s) => s.fn.countAll<number>().as('n'))
        .where(IS_LOST)
        .where('loss', '<>', 'approved'),
    ),
    between: prepare((place) =>
      tokens()
        .where('token.source_id', '>', place<number>('after'))
        .where('token.source_id', '<=', place<number>('up_to'))
        .orderBy('token.source_id')
        .limit(place<number>('limit')),
    ),
    tokensBySerial: prepare((place) => tokens().where('token.serial', 'in', allOf(place))),
    place: prepare((place) =>
      db
        .updateTable('token')
        .set({ source_id: place('id') })
        .where('serial', '=', place<string>('serial')),
    ),
    miss: prepare((place) =>
      db
        .updateTable('token')
        .set({ run: place('run') })
        .where('serial', '=', place<string>('serial')),
    ),
  }
}

function accountStatements(db: Database) {
  return {
    serialsOfAccounts: prepare((place) =>
      db.selectFrom('token').select(['account_key', 'serial']).where('account_key', 'in', allOf(place)),
    ),
    /** The few with a hold or a lock: an index holds them alone. */
    heldByKey: prepare((place) =>
      db
        .selectFrom('account')
        .select(['key', 'owned_lock', 'hold_count', 'standing'])
        .where((where) => where.or([where('hold_count', '>', NO_HOLDS), where('owned_lock', 'is not', NOTHING)]))
        .where('key', 'in', allOf(place)),
    ),
    /** Read along the index: a union of both would be made anew for every page. */
    withTokens: prepare((place) =>
      db
        .selectFrom('token')
        .select('account_key')
        .distinct()
        .where('account_key', '>', place<string>('after'))
        .where('account_key', '<', place<string>('before'))
        .orderBy('account_key')
        .limit(place<number>('limit')),
    ),
    withLocks: prepare((place) =>
      db
        .selectFrom('account')
        .select('key as account_key')
        .where((where) => where.or([where('hold_count', '>', NO_HOLDS), where('owned_lock', 'is not', NOTHING)]))
        .where('key', '>', place<string>('after'))
        .where('key', '<', place<string>('before'))
        .orderBy('key')
        .limit(place<number>('limit')),
    ),
    countWithTokens: prepare((place) =>
      db
        .selectFrom('token')
        .select((s) => s.fn.count<number>('account_key').distinct().as('n'))
        .where('account_key', '>', place<string>('after'))
        .where('account_key', '<', place<string>('before')),
    ),
  }
}

function stagingStatements(db: Database) {
  return {
    stage: prepare((place) =>
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
    staged: prepare((place) =>
      db
        .selectFrom('resync_account')
        .selectAll()
        .where('run', '=', place<number>('run'))
        .orderBy('account_key')
        .limit(place<number>('limit')),
    ),
    unstage: prepare((place) =>
      db
        .deleteFrom('resync_account')
        .where('run', '=', place<number>('run'))
        .where('account_key', '<=', place<string>('key')),
    ),
  }
}

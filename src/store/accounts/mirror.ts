import { AppError } from '../../core/error.ts'
import type { Mirrored, MirroredLockout, MirrorState } from '../../core/source/mirror.ts'
import type { AccountKey, Serial } from '../../core/names.ts'
import type { GuardSettings } from '../../core/settings/settings.ts'
import type { UserOfSource } from '../../core/source/token.ts'
import type { Clock } from '../../ports/clock.ts'
import type { KnownLocks, MirrorPort } from '../../ports/store/mirror.ts'
import { keyFromRow, ownerFromRow, serialFromRow } from '../rows/rows.ts'
import type { Database, MirrorRow } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { findsAny } from '../rows/queries.ts'

const PART = 500
const STATES: readonly MirrorState[] = ['open', 'set', 'left']
/** What we did, or may have done. */
const OURS = ['open', 'set']

export function openMirror(db: Database, writer: StoreWriter, clock: Clock): MirrorPort {
  return {
    async of(key) {
      const rows = await db.selectFrom('mirror').selectAll().where('account_key', '=', key).execute()
      return rows.map(mirroredFromRow)
    },
    begin: (key, mirrored, breaker) => writer.run((scope) => begin(scope, key, mirrored, breaker, clock.nowMs())),
    end: (key, mirrored, is, why) => writer.runSoon((scope) => end(scope, key, mirrored, is, why, clock.nowMs())),
    disabledOf: (serials) => disabledOf(db, serials),
    lockouts: () => lockouts(db),
    countAccounts: () => countSince(db, -1),
    statusOf: (keys) => statusOf(db, keys),
  }
}

/** `@` is in no serial. */
function nameOf(mirrored: Mirrored): string {
  return mirrored.kind === 'token' ? mirrored.serial : `@${mirrored.user.resolver}/${mirrored.user.userId}`
}

async function begin(
  scope: WriteScope,
  key: AccountKey,
  mirrored: Mirrored,
  breaker: GuardSettings['breaker'],
  nowMs: number,
): Promise<boolean> {
  const { trx } = scope
  if (breaker !== null && !(await findsAny(trx.selectFrom('mirror').where('account_key', '=', key)))) {
    for (const { max, perMs } of breaker.limits.filter(({ of }) => of === 'all')) {
      // A share is one of a directory's own locks.
      if ('locks' in max && (await countSince(trx, nowMs - perMs)) >= max.locks) return false
    }
  }
  const user = mirrored.kind === 'lockout' ? mirrored.user : null
  const values = {
    kind: mirrored.kind,
    state: 'open',
    login: user?.login ?? null,
    realm: user?.realm ?? null,
    resolver: user?.resolver ?? null,
    user_id: user?.userId ?? null,
    duration_s: mirrored.kind === 'lockout' ? mirrored.durationS : null,
    until_us: mirrored.kind === 'lockout' ? mirrored.untilUs : null,
  }
  await trx
    .insertInto('mirror')
    .values({ account_key: key, name: nameOf(mirrored), since_ms: nowMs, ...values })
    .onConflict((conflict) => conflict.columns(['account_key', 'name']).doUpdateSet(values))
    .execute()
  scope.log({ atMs: nowMs, kind: 'mirroring', subject: key, body: mirroredBody(mirrored) })
  return true
}

/** Accounts whose mirroring began since then. */
async function countSince(db: Database, sinceMs: number): Promise<number> {
  const row = await db
    .selectFrom('mirror')
    .select((select) => select.fn.count<number>('account_key').distinct().as('accounts'))
    .where('since_ms', '>', sinceMs)
    .executeTakeFirstOrThrow()
  return Number(row.accounts)
}

async function end(
  scope: WriteScope,
  key: AccountKey,
  mirrored: Mirrored,
  is: Exclude<MirrorState, 'open'> | 'gone',
  why: string,
  nowMs: number,
): Promise<void> {
  const name = nameOf(mirrored)
  if (is === 'gone') {
    await scope.trx.deleteFrom('mirror').where('account_key', '=', key).where('name', '=', name).execute()
  } else {
    await scope.trx
      .updateTable('mirror')
      .set({ state: is })
      .where('account_key', '=', key)
      .where('name', '=', name)
      .execute()
  }
  scope.log({ atMs: nowMs, kind: 'mirrored', subject: key, body: { ...mirroredBody(mirrored), is, why } })
}

function mirroredBody(mirrored: Mirrored): Record<string, unknown> {
  if (mirrored.kind === 'token') return { token: mirrored.serial }
  const { login, realm } = mirrored.user
  return { lockout: `${login}@${realm}`, untilUs: mirrored.untilUs }
}

function mirroredFromRow(row: MirrorRow): Mirrored {
  const state = STATES.find((each) => each === row.state)
  if (state === undefined) throw new AppError('store-corrupt', `unreadable value in mirror ${row.account_key}`)
  if (row.kind === 'token') return { kind: 'token', serial: serialFromRow(row.name), state }
  return { kind: 'lockout', state, ...lockoutFromRow(row) }
}

function lockoutFromRow(row: MirrorRow): Pick<MirroredLockout, 'user' | 'durationS' | 'untilUs'> {
  const { login, realm, resolver, userId } = ownerFromRow(row, keyFromRow(row.account_key))
  if (login === null || realm === null || resolver === null || userId === null) {
    throw new AppError('store-corrupt', `unreadable value in mirror ${row.account_key}`)
  }
  const user: UserOfSource = { login, realm, resolver, userId }
  return { user, durationS: Number(row.duration_s), untilUs: Number(row.until_us) }
}

async function disabledOf(db: Database, serials: readonly Serial[]): Promise<ReadonlySet<Serial>> {
  const found = new Set<Serial>()
  for (let at = 0; at < serials.length; at += PART) {
    const rows = await db
      .selectFrom('mirror')
      .select('name')
      .where('name', 'in', serials.slice(at, at + PART))
      .where('state', 'in', OURS)
      .execute()
    for (const row of rows) found.add(serialFromRow(row.name))
  }
  return found
}

async function lockouts(db: Database): ReturnType<MirrorPort['lockouts']> {
  const rows = await db
    .selectFrom('mirror')
    .selectAll()
    .where('kind', '=', 'lockout')
    .where('state', 'in', OURS)
    .execute()
  return rows.map(lockoutFromRow)
}

async function statusOf(db: Database, keys: readonly AccountKey[]): ReturnType<MirrorPort['statusOf']> {
  const found = new Map<AccountKey, KnownLocks>()
  for (let at = 0; at < keys.length; at += PART) {
    const part = keys.slice(at, at + PART)
    const accounts = await db
      .selectFrom('account')
      .select(['key', 'owned_lock', 'other_lock_is'])
      .where('key', 'in', part)
      .execute()
    const rows = await db.selectFrom('mirror').select('account_key').where('account_key', 'in', part).execute()
    const mirrored = new Set(rows.map((row) => row.account_key))
    for (const { key, owned_lock, other_lock_is } of accounts) {
      const isUnclear = other_lock_is === 'unknown'
      found.set(keyFromRow(key), { isOurs: owned_lock !== null, isMirrored: mirrored.has(key), isUnclear })
    }
  }
  return found
}

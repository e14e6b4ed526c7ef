import type { Kysely, Transaction } from 'kysely'
import { AppError } from '../core/error.ts'
import type { AccountKey } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { Claim, QueuePort } from '../ports/store.ts'
import { changeFromRow, keyFromRow, ownedFromRow } from './rows.ts'
import type { Database, Tables } from './schema.ts'
import type { Writer, WriteScope } from './writer.ts'

/** The queue of dirty accounts: keys, generations and leases, never an event. */

const MARK_ROWS_MAX = 400

export interface QueueOptions {
  /** Names this process and start, so that the leases of a dead one can be told. */
  readonly owner: string
  readonly leaseMs: number
}

export function openQueue(db: Database, writer: Writer, clock: Clock, options: QueueOptions): QueuePort {
  return {
    claim: (limit, nowMs) => writer.run((scope) => claimAccounts(scope, limit, nowMs, options)),
    renew: (claim, nowMs) => writer.run((scope) => renewLease(scope, claim, nowMs, options)),
    mark: (keys, nowMs) => writer.run((scope) => markAccounts(scope.trx, keys, nowMs)),
    nextDueMs: () => nextDueMs(db, clock.nowMs()),
  }
}

/** Marks accounts dirty: a row each, and a new generation, so that a worker in the middle of it looks again. */
export async function markAccounts(
  trx: Transaction<Tables>,
  keys: readonly AccountKey[],
  dueMs: number,
): Promise<void> {
  for (let at = 0; at < keys.length; at += MARK_ROWS_MAX) {
    await trx
      .insertInto('queue')
      .values(
        keys.slice(at, at + MARK_ROWS_MAX).map((key) => ({
          account_key: key,
          generation: 1,
          due_ms: dueMs,
          attempts: 0,
          lease_owner: null,
          lease_until_ms: null,
        })),
      )
      .onConflict((conflict) =>
        conflict.column('account_key').doUpdateSet((update) => ({
          generation: update('queue.generation', '+', 1),
          due_ms: dueMs,
        })),
      )
      .execute()
  }
}

async function claimAccounts(scope: WriteScope, limit: number, nowMs: number, options: QueueOptions): Promise<Claim[]> {
  const claimed = await scope.trx
    .updateTable('queue')
    .set({ lease_owner: options.owner, lease_until_ms: nowMs + options.leaseMs })
    .where('account_key', 'in', (from) =>
      from
        .selectFrom('queue')
        .select('account_key')
        .where('due_ms', '<=', nowMs)
        .where((where) => where.or([where('lease_until_ms', 'is', null), where('lease_until_ms', '<', nowMs)]))
        .orderBy('due_ms')
        .limit(limit),
    )
    .returning(['account_key', 'generation', 'attempts'])
    .execute()
  if (claimed.length === 0) return []
  const accounts = await scope.trx
    .selectFrom('account')
    .select(['key', 'owned_lock', 'open_change'])
    .where(
      'key',
      'in',
      claimed.map((row) => row.account_key),
    )
    .execute()
  const byKey = new Map(accounts.map((row) => [row.key, row]))
  const claims: Claim[] = []
  for (const row of claimed) {
    const account = byKey.get(row.account_key)
    const open = account?.open_change ?? null
    claims.push({
      key: keyFromRow(row.account_key),
      generation: Number(row.generation),
      attempts: row.attempts,
      ours: { lock: account === undefined ? null : ownedFromRow(account) },
      open: open === null ? null : await openChange(scope.trx, open),
    })
  }
  return claims
}

async function openChange(trx: Transaction<Tables>, id: string): Promise<Claim['open']> {
  const row = await trx.selectFrom('change').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : changeFromRow(row)
}

async function renewLease(scope: WriteScope, claim: Claim, nowMs: number, options: QueueOptions): Promise<void> {
  const [result] = await scope.trx
    .updateTable('queue')
    .set({ lease_until_ms: nowMs + options.leaseMs })
    .where('account_key', '=', claim.key)
    .where('lease_owner', '=', options.owner)
    .execute()
  if (Number(result?.numUpdatedRows ?? 0) === 1) return
  throw new AppError('lease-lost', `another process took over ${claim.key}`)
}

/** Leases that others hold are not waited for: the regular look at the queue finds those that ran out. */
async function nextDueMs(db: Kysely<Tables>, nowMs: number): Promise<number | null> {
  const row = await db
    .selectFrom('queue')
    .select('due_ms')
    .where((where) => where.or([where('lease_until_ms', 'is', null), where('lease_until_ms', '<', nowMs)]))
    .orderBy('due_ms')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : Number(row.due_ms)
}

import { AppError } from '../core/error.ts'
import type { AccountKey } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { Claim, QueuePort } from '../ports/store.ts'
import { changeFromRow, effectiveFromRow, keyFromRow, ownedFromRow, realmFromRow } from './rows.ts'
import type { Database } from './schema.ts'
import type { Statements } from './statements.ts'
import type { Writer, WriteScope } from './writer.ts'

/** The queue of dirty accounts: keys, generations and leases, never an event. */

export interface QueueOptions {
  /** Names this process and start, so that the leases of a dead one can be told. */
  readonly owner: string
  readonly leaseMs: number
}

export function openQueue(db: Database, writer: Writer, clock: Clock, options: QueueOptions): QueuePort {
  return {
    claim: (limit, nowMs) => writer.runSoon((scope) => claimAccounts(scope, limit, nowMs, options)),
    renew: (claim, nowMs) => writer.runSoon((scope) => renewLease(scope, claim, nowMs, options)),
    mark: (keys, nowMs) => writer.run((scope) => markAccounts(scope, keys, nowMs)),
    nextDueMs: () => nextDueMs(db, writer.hot, clock.nowMs()),
  }
}

/**
 * Marks accounts dirty: a row each, and a new generation, so that a worker in the middle of it looks again.
 * @param isHint privacyIDEA is to be asked about them first
 */
export async function markAccounts(
  { hot, on }: Pick<WriteScope, 'hot' | 'on'>,
  keys: readonly AccountKey[],
  dueMs: number,
  isHint = false,
): Promise<void> {
  for (const key of keys) await hot.markAccount.run(on, { key, due_ms: dueMs, hinted: isHint ? 1 : 0 })
}

export async function claimAccounts(
  { hot, on }: WriteScope,
  limit: number,
  nowMs: number,
  options: QueueOptions,
): Promise<Claim[]> {
  const claimed = await hot.claimAccounts.run(on, {
    owner: options.owner,
    until_ms: nowMs + options.leaseMs,
    now_ms: nowMs,
    limit,
  })
  const claims: Claim[] = []
  for (const row of claimed.rows) {
    const key = keyFromRow(row.account_key)
    const account = (await hot.claimedAccount.run(on, { key })).rows[0]
    const open = account?.open_change ?? null
    const change = open === null ? undefined : (await hot.changeById.run(on, { id: open })).rows[0]
    claims.push({
      key,
      generation: Number(row.generation),
      attempts: row.attempts,
      isHinted: row.hinted === 1,
      realm: realmFromRow(account?.realm ?? null),
      isInReview: (account?.review ?? null) !== null,
      ours: { lock: account === undefined ? null : ownedFromRow({ ...account, key }) },
      open: change === undefined ? null : changeFromRow(change),
      stood: {
        standing: account?.standing ?? '',
        code: account?.standing_code ?? null,
        reason: account?.standing_reason ?? '',
        holdCount: account?.hold_count ?? 0,
        effective: effectiveFromRow(account?.effective ?? null),
        lockSeenMs: Number(account?.seen_ms ?? 0),
      },
    })
  }
  return claims
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
async function nextDueMs(db: Database, hot: Statements, nowMs: number): Promise<number | null> {
  const [row] = (await hot.nextAccount.run(db, { now_ms: nowMs })).rows
  return row === undefined ? null : Number(row.due_ms)
}

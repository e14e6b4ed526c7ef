import type { ExpressionBuilder } from 'kysely'
import { NO_LEASE, type Lease } from './leases.ts'
import { prepare } from './prepared.ts'
import type { Database, QueueTable, Tables } from '../schema/schema.ts'

/** Marks, claims and their leases; see leases.ts. */

/** The claim of this token is the live one. */
export function isHeld(key: string, token: string) {
  return (where: ExpressionBuilder<Tables, 'account' | 'change' | 'queue'>) =>
    where.exists(
      where
        .selectFrom('queue')
        .select('queue.account_key')
        .where('queue.account_key', '=', key)
        .where('queue.lease_token', '=', token),
    )
}

/** No worker has it, or the lease ran out by this machine's time since boot. */
function isFree(boot: string, uptimeMs: number) {
  return (where: ExpressionBuilder<Tables, 'queue'>) =>
    where.or([
      where('queue.lease_owner', 'is', null),
      where.and([where('queue.lease_boot', '=', boot), where('queue.lease_until_ms', '<', uptimeMs)]),
    ])
}

type Claiming = Lease & { readonly now_ms: number; readonly uptime_ms: number; readonly limit: number }
type Marked = Pick<QueueTable, 'account_key' | 'due_ms' | 'hinted' | 'repair'>
type Postponed = Pick<QueueTable, 'account_key' | 'due_ms' | 'attempts' | 'hinted' | 'generation'> & { token: string }

export function queueStatements(db: Database) {
  const set = (key: string, token: string) =>
    db.updateTable('queue').where('account_key', '=', key).where('lease_token', '=', token)
  return {
    markAccount: prepare<Marked>()((row) =>
      db
        .insertInto('queue')
        .values({ ...row, generation: 1, attempts: 0, ...NO_LEASE })
        .onConflict((conflict) =>
          conflict.column('account_key').doUpdateSet((update) => ({
            generation: update('queue.generation', '+', 1),
            due_ms: update.ref('excluded.due_ms'),
            hinted: update.case().when('excluded.hinted', '=', 1).then(1).else(update.ref('queue.hinted')).end(),
            repair: update.case().when('excluded.repair', '=', 1).then(1).else(update.ref('queue.repair')).end(),
          })),
        ),
    ),
    claimAccounts: prepare<Claiming>()(({ now_ms, uptime_ms, limit, ...lease }) =>
      db
        .updateTable('queue')
        .set((update) => ({
          ...lease,
          // The worker that had it before did not release it.
          repair: update.case().when('lease_token', 'is not', null).then(1).else(update.ref('repair')).end(),
        }))
        .where('account_key', 'in', (from) =>
          from
            .selectFrom('queue')
            .select('account_key')
            .where('due_ms', '<=', now_ms)
            .where(isFree(lease.lease_boot, uptime_ms))
            .orderBy('due_ms')
            .limit(limit),
        )
        .returning(['account_key', 'generation', 'attempts', 'hinted', 'repair']),
    ),
    nextAccount: prepare<{ boot: string; uptime_ms: number }>()(({ boot, uptime_ms }) =>
      db.selectFrom('queue').select('due_ms').where(isFree(boot, uptime_ms)).orderBy('due_ms').limit(1),
    ),
    finishAccount: prepare<{ key: string; token: string; generation: number }>()(({ key, token, generation }) =>
      db
        .deleteFrom('queue')
        .where('account_key', '=', key)
        .where('lease_token', '=', token)
        .where('generation', '=', generation),
    ),
    postponeAccount: prepare<Postponed>()(({ account_key, token, generation, ...next }) =>
      set(account_key, token)
        .set({ ...NO_LEASE, ...next, repair: 0 })
        .where('generation', '=', generation),
    ),
    freeAccount: prepare<{ key: string; token: string }>()(({ key, token }) => set(key, token).set(NO_LEASE)),
    renewLease: prepare<{ until_ms: number; key: string; token: string }>()(({ until_ms, key, token }) =>
      set(key, token).set({ lease_until_ms: until_ms, lease_watch: null }),
    ),
    heldClaim: prepare<{ key: string; token: string }>()(({ key, token }) =>
      db.selectFrom('queue').select('account_key').where('account_key', '=', key).where('lease_token', '=', token),
    ),
  }
}

import type { ExpressionBuilder } from 'kysely'
import { NO_LEASE } from '../engine/leases.ts'
import { prepare } from '../engine/prepared.ts'
import type { Database, Tables } from '../schema/schema.ts'

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

/** Nobody has it, or the lease ran out by this machine's time since boot. */
function isFree(boot: string, uptimeMs: number) {
  return (where: ExpressionBuilder<Tables, 'queue'>) =>
    where.or([
      where('queue.lease_owner', 'is', null),
      where.and([where('queue.lease_boot', '=', boot), where('queue.lease_until_ms', '<', uptimeMs)]),
    ])
}

export function queueStatements(db: Database) {
  return {
    markAccount: prepare<{ key: string; due_ms: number; hinted: number; repair: number }>()((place) =>
      db
        .insertInto('queue')
        .values({
          account_key: place('key'),
          generation: 1,
          due_ms: place('due_ms'),
          attempts: 0,
          ...NO_LEASE,
          hinted: place('hinted'),
          repair: place('repair'),
        })
        .onConflict((conflict) =>
          conflict.column('account_key').doUpdateSet((update) => ({
            generation: update('queue.generation', '+', 1),
            due_ms: update.ref('excluded.due_ms'),
            hinted: update.case().when('excluded.hinted', '=', 1).then(1).else(update.ref('queue.hinted')).end(),
            repair: update.case().when('excluded.repair', '=', 1).then(1).else(update.ref('queue.repair')).end(),
          })),
        ),
    ),
    claimAccounts: prepare<{
      owner: string
      token: string
      boot: string
      until_ms: number
      now_ms: number
      uptime_ms: number
      limit: number
    }>()((place) =>
      db
        .updateTable('queue')
        .set((update) => ({
          lease_owner: place('owner'),
          lease_token: place('token'),
          lease_boot: place('boot'),
          lease_until_ms: place('until_ms'),
          lease_watch: null,
          // Who had it before did not give it back.
          repair: update.case().when('lease_token', 'is not', null).then(1).else(update.ref('repair')).end(),
        }))
        .where('account_key', 'in', (from) =>
          from
            .selectFrom('queue')
            .select('account_key')
            .where('due_ms', '<=', place('now_ms'))
            .where(isFree(place('boot'), place('uptime_ms')))
            .orderBy('due_ms')
            .limit(place('limit')),
        )
        .returning(['account_key', 'generation', 'attempts', 'hinted', 'repair']),
    ),
    nextAccount: prepare<{ boot: string; uptime_ms: number }>()((place) =>
      db
        .selectFrom('queue')
        .select('due_ms')
        .where(isFree(place('boot'), place('uptime_ms')))
        .orderBy('due_ms')
        .limit(1),
    ),
    finishAccount: prepare<{ key: string; token: string; generation: number }>()((place) =>
      db
        .deleteFrom('queue')
        .where('account_key', '=', place('key'))
        .where('lease_token', '=', place('token'))
        .where('generation', '=', place('generation')),
    ),
    postponeAccount: prepare<{
      due_ms: number
      attempts: number
      hinted: number
      key: string
      token: string
      generation: number
    }>()((place) =>
      db
        .updateTable('queue')
        .set({
          ...NO_LEASE,
          due_ms: place('due_ms'),
          attempts: place('attempts'),
          hinted: place('hinted'),
          repair: 0,
        })
        .where('account_key', '=', place('key'))
        .where('lease_token', '=', place('token'))
        .where('generation', '=', place('generation')),
    ),
    freeAccount: prepare<{ key: string; token: string }>()((place) =>
      db
        .updateTable('queue')
        .set(NO_LEASE)
        .where('account_key', '=', place('key'))
        .where('lease_token', '=', place('token')),
    ),
    renewLease: prepare<{ until_ms: number; key: string; token: string }>()((place) =>
      db
        .updateTable('queue')
        .set({ lease_until_ms: place('until_ms'), lease_watch: null })
        .where('account_key', '=', place('key'))
        .where('lease_token', '=', place('token')),
    ),
    heldClaim: prepare<{ key: string; token: string }>()((place) =>
      db
        .selectFrom('queue')
        .select('account_key')
        .where('account_key', '=', place('key'))
        .where('lease_token', '=', place('token')),
    ),
  }
}

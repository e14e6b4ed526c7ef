import type { Change } from '../core/change.ts'
import type { ResolvedEvent } from '../core/event.ts'
import type { AccountKey } from '../core/names.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Hold, OwnedLock } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { Claim, RecordPort } from '../ports/store.ts'
import { markAccounts } from './queue.ts'
import { changeToRow, resolvedToRow, toJson } from './rows.ts'
import type { Writer, WriteScope } from './writer.ts'

/** The ledger's rows: what was planned, what became of it, what is ours, and where each account stands. */

export function openRecords(writer: Writer, clock: Clock, owner: string): RecordPort {
  return {
    plan: (change) => writer.run((scope) => planChange(scope, change)),
    close: (change, result, owned) => writer.run((scope) => closeChange(scope, change, result, owned, clock.nowMs())),
    own: (key, owned, why) => writer.run((scope) => ownLock(scope, key, owned, why, clock.nowMs())),
    settle: (claim, outcome, holds) =>
      writer.run((scope) => settleAccount(scope, claim, outcome, holds, { nowMs: clock.nowMs(), owner })),
    note: (event) => writer.run((scope) => noteEvent(scope, event, clock.nowMs())),
  }
}

async function planChange(scope: WriteScope, change: Change): Promise<void> {
  await scope.trx.insertInto('change').values(changeToRow(change)).execute()
  await scope.trx
    .updateTable('account')
    .set({ open_change: change.id, dn: change.dn })
    .where('key', '=', change.key)
    .execute()
  const { id, kind, dn, serial, holds, reason, actor } = change
  const body = { change: id, kind, dn, ...(serial === null ? { holds } : { serial }), reason, actor }
  scope.log({ atMs: change.plannedAtMs, kind: 'planned', subject: change.key, body })
}

async function closeChange(
  scope: WriteScope,
  change: Change,
  result: 'applied' | 'not-applied',
  owned: OwnedLock | null,
  nowMs: number,
): Promise<void> {
  await scope.trx
    .updateTable('change')
    .set({ state: result, closed_ms: nowMs })
    .where('id', '=', change.id)
    .where('state', '=', 'planned')
    .execute()
  await scope.trx
    .updateTable('account')
    .set({ open_change: null, owned_lock: owned === null ? null : toJson(owned), updated_ms: nowMs })
    .where('key', '=', change.key)
    .execute()
  scope.log({ atMs: nowMs, kind: result, subject: change.key, body: { change: change.id, kind: change.kind } })
}

async function ownLock(
  scope: WriteScope,
  key: AccountKey,
  owned: OwnedLock | null,
  why: string,
  nowMs: number,
): Promise<void> {
  await scope.trx
    .updateTable('account')
    .set({ owned_lock: owned === null ? null : toJson(owned), updated_ms: nowMs })
    .where('key', '=', key)
    .execute()
  scope.log({ atMs: nowMs, kind: 'relabelled', subject: key, body: { holds: owned?.holds ?? [], why } })
}

async function settleAccount(
  scope: WriteScope,
  claim: Claim,
  outcome: Outcome,
  holds: readonly Hold[],
  at: { nowMs: number; owner: string },
): Promise<void> {
  await writeStanding(scope, claim.key, outcome, holds, at.nowMs)
  const finished = outcome.againAtMs === null
  const mine = scope.trx
  if (finished) {
    await mine
      .deleteFrom('queue')
      .where('account_key', '=', claim.key)
      .where('lease_owner', '=', at.owner)
      .where('generation', '=', claim.generation)
      .execute()
  } else {
    await mine
      .updateTable('queue')
      .set({ due_ms: outcome.againAtMs, attempts: outcome.standing === 'failed' ? claim.attempts + 1 : 0 })
      .where('account_key', '=', claim.key)
      .where('lease_owner', '=', at.owner)
      .where('generation', '=', claim.generation)
      .execute()
  }
  await mine
    .updateTable('queue')
    .set({ lease_owner: null, lease_until_ms: null })
    .where('account_key', '=', claim.key)
    .where('lease_owner', '=', at.owner)
    .execute()
}

async function writeStanding(
  scope: WriteScope,
  key: AccountKey,
  outcome: Outcome,
  holds: readonly Hold[],
  nowMs: number,
): Promise<void> {
  const before = await scope.trx
    .selectFrom('account')
    .select(['standing', 'standing_reason', 'hold_count'])
    .where('key', '=', key)
    .executeTakeFirst()
  const isNew = before?.standing !== outcome.standing || before.standing_reason !== outcome.reason
  if (isNew)
    scope.log({ atMs: nowMs, kind: 'standing', subject: key, body: { is: outcome.standing, reason: outcome.reason } })
  if (isNew || before.hold_count !== holds.length) {
    await scope.trx
      .updateTable('account')
      .set({
        standing: outcome.standing,
        standing_code: outcome.errorCode,
        standing_reason: outcome.reason,
        hold_count: holds.length,
        updated_ms: nowMs,
      })
      .where('key', '=', key)
      .execute()
  }
  if (holds.length === 0 && (before?.hold_count ?? 0) === 0) return
  if ((before?.hold_count ?? 0) > 0) await scope.trx.deleteFrom('hold').where('account_key', '=', key).execute()
  if (holds.length === 0) return
  await scope.trx
    .insertInto('hold')
    .values(
      holds.map((hold) => ({
        account_key: key,
        name: hold.name,
        kind: hold.kind,
        serial: hold.serial,
        since_us: hold.sinceUs,
        until_us: hold.untilUs,
        reason: hold.reason,
        actor: hold.actor,
      })),
    )
    .execute()
}

async function noteEvent(scope: WriteScope, event: ResolvedEvent, nowMs: number): Promise<void> {
  const row = resolvedToRow(event, nowMs)
  await scope.trx
    .insertInto('event')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  const { kind, serial, actor, takenAtUs, source, reason } = event
  scope.log({
    atMs: nowMs,
    kind: 'event',
    subject: event.accountKey,
    body: { id: event.id, kind, serial, actor, takenAtUs, source, reason },
  })
  await markAccounts(scope.trx, [event.accountKey], nowMs)
}

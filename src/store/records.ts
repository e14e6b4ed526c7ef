import type { Change, ChangeDraft } from '../core/change.ts'
import { headerOf, writeChangeLdif } from '../core/ldif.ts'
import type { ResolvedEvent } from '../core/event.ts'
import type { AccountKey } from '../core/names.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Hold, OwnedLock } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { BreakerRefusal, Claim, RecordPort } from '../ports/store.ts'
import { markAccounts } from './queue.ts'
import { changeToRow, resolvedToRow, toJson } from './rows.ts'
import { noteVerification } from './verifications.ts'
import { uncountLock, type Breaker } from './breaker.ts'
import { settleGuards } from './settle-guards.ts'
import type { Writer, WriteScope } from './writer.ts'

/** The ledger's rows: what was planned, what became of it, what is ours, and where each account stands. */

export function openRecords(writer: Writer, clock: Clock, owner: string, breaker: Breaker): RecordPort {
  return {
    isLimited: breaker.isOn,
    plan: (change) => writer.run((scope) => planChange(scope, change, breaker)),
    close: (change, result, owned) =>
      writer.runSoon((scope) => closeChange(scope, change, result, owned, clock.nowMs())),
    own: (key, owned, why) => writer.runSoon((scope) => ownLock(scope, key, owned, why, clock.nowMs())),
    settle: (claim, outcome, holds) =>
      writer.runSoon((scope) => settleAccount(scope, claim, outcome, holds, { nowMs: clock.nowMs(), owner, breaker })),
    note: (event) => writer.run((scope) => noteEvent(scope, event, clock.nowMs())),
  }
}

async function planChange(scope: WriteScope, change: Change, breaker: Breaker): Promise<BreakerRefusal | null> {
  const refusal = change.kind === 'lock' ? await breaker.pass(scope, change) : null
  if (refusal !== null) return refusal
  await scope.hot.insertChange.run(scope.on, { ...changeToRow(change) })
  await scope.hot.openChange.run(scope.on, { key: change.key, change: change.id, dn: change.dn })
  const { id, kind, dn, serial, holds, reason, actor } = change
  const body = { change: id, kind, dn, ...(serial === null ? { holds } : { serial }), reason, actor }
  scope.log({ atMs: change.plannedAtMs, kind: 'planned', subject: change.key, body })
  return null
}

async function closeChange(
  scope: WriteScope,
  change: Change,
  result: 'applied' | 'not-applied',
  owned: OwnedLock | null,
  nowMs: number,
): Promise<void> {
  await scope.hot.closeChange.run(scope.on, { id: change.id, state: result, now_ms: nowMs })
  if (result === 'not-applied' && change.kind === 'lock') await uncountLock(scope, change.id)
  const lock = owned === null ? null : toJson(owned)
  await scope.hot.ownLock.run(scope.on, { key: change.key, owned_lock: lock, now_ms: nowMs })
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
  at: { nowMs: number; owner: string; breaker: Breaker },
): Promise<void> {
  const { hot, on } = scope
  await writeStanding(scope, claim, outcome, holds, at.nowMs)
  await noteVerification(scope, claim.key, outcome, at.nowMs)
  await settleGuards(scope, claim, outcome, at)
  const mine = { key: claim.key, owner: at.owner }
  const { generation } = claim
  if (outcome.againAtMs === null) {
    const { numAffectedRows } = await hot.finishAccount.run(on, { ...mine, generation })
    if (numAffectedRows === 1n) return
  } else {
    const attempts = outcome.standing === 'failed' ? claim.attempts + 1 : 0
    const hinted = outcome.isUnread === true ? 1 : 0
    await hot.postponeAccount.run(on, { ...mine, generation, due_ms: outcome.againAtMs, attempts, hinted })
  }
  await hot.freeAccount.run(on, mine)
}

async function writeStanding(
  { hot, on, log }: WriteScope,
  { key, stood }: Claim,
  outcome: Outcome,
  holds: readonly Hold[],
  nowMs: number,
): Promise<void> {
  const { standing, reason } = outcome
  if (outcome.isLockSeen) await hot.seeLock.run(on, { key, now_ms: nowMs })
  const isNew = stood.standing !== standing || stood.reason !== reason
  const would = outcome.would?.map((change) => wouldBody(change, nowMs))
  const body = { is: standing, reason, ...(would === undefined ? {} : { would }) }
  if (isNew) log({ atMs: nowMs, kind: 'standing', subject: key, body })
  if (isNew || stood.holdCount !== holds.length || stood.effective !== outcome.effective) {
    await hot.standAccount.run(on, {
      key,
      standing,
      standing_code: outcome.errorCode,
      standing_reason: reason,
      hold_count: holds.length,
      effective: outcome.effective,
      now_ms: nowMs,
    })
  }
  if (stood.holdCount > 0) await hot.dropHolds.run(on, { key })
  for (const { name, kind, serial, sinceUs, untilUs, reason: why, actor } of holds) {
    await hot.insertHold.run(on, { key, name, kind, serial, since_us: sinceUs, until_us: untilUs, reason: why, actor })
  }
}

/** What a dry run did not write. */
function wouldBody(change: ChangeDraft, atMs: number): object {
  const { kind, dn, serial, holds, reason, actor, key } = change
  const header = headerOf({ atMs, event: kind, actor, account: key, change: '', reason })
  return {
    kind,
    dn,
    ...(serial === null ? { holds } : { serial }),
    reason,
    ldif: writeChangeLdif(change.forward, header),
  }
}

async function noteEvent(scope: WriteScope, event: ResolvedEvent, nowMs: number): Promise<void> {
  await insertResolved(scope, event, nowMs)
  await markAccounts(scope, [event.accountKey], nowMs)
}

/** An event of our own making, with its journal record. */
export async function insertResolved(scope: WriteScope, event: ResolvedEvent, nowMs: number): Promise<void> {
  const row = resolvedToRow(event, nowMs)
  await scope.hot.insertEvent.run(scope.on, row)
  const { kind, serial, actor, takenAtUs, source, reason } = event
  scope.log({
    atMs: nowMs,
    kind: 'event',
    subject: event.accountKey,
    body: { id: event.id, kind, serial, actor, takenAtUs, source, reason },
  })
}

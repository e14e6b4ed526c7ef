import type { AccountOwner, Change, ChangeDraft } from '../../core/account/change.ts'
import { headerOf, writeChangeLdif } from '../../core/ldif.ts'
import type { ResolvedEvent } from '../../core/events/event.ts'
import { changeName, changesNamed } from '../../core/account/dry-run.ts'
import { guardOf, type Outcome } from '../../core/account/outcome.ts'
import { isSameReason, type Reason } from '../../core/reasons/reason.ts'
import type { Hold, OwnedLock } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import type { BreakerRefusal, Claim, Held, RecordPort } from '../../ports/store/store.ts'
import { authorSerial } from './author-serial.ts'
import {
  adoptLock,
  lateArrived,
  lateCountsAsOthers,
  noteLate,
  own,
  orderAdoption,
  recordLateLook,
} from './late-changes.ts'
import { leaseLost } from '../engine/leases.ts'
import { checkHeld, markAccounts, releaseClaim } from './queue.ts'
import { reasonToRow } from '../rows/reasons.ts'
import { changeToRow, holdToRow, resolvedToRow, toJson } from '../rows/rows.ts'
import { forgetRemoval, noteVerification } from './verifications.ts'
import { uncountLock, type Breaker } from '../guards/breaker.ts'
import { recordFindings } from './outcome-findings.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

/** The ledger's rows: what was planned, its outcome, what is ours, and the status of each account. */

export function openRecords(writer: StoreWriter, clock: Clock, breaker: Breaker): RecordPort {
  return {
    get isLimited() {
      return breaker.isOn
    },
    plan: (claim, change) => writer.run((scope) => planChange(scope, claim, change, breaker)),
    close: (claim, change, result, owned) =>
      writer.runSoon((scope) => closeChange(scope, claim, { change, result, owned }, clock.nowMs())),
    closeUnseen: (claim, change, result, owned, mayArriveUntilMs) =>
      writer.runSoon(async (scope) => {
        await closeChange(scope, claim, { change, result, owned }, clock.nowMs())
        if (mayArriveUntilMs !== null) await noteLate(scope, change, mayArriveUntilMs)
      }),
    arrived: (claim, late, owned) => writer.runSoon((scope) => lateArrived(scope, claim, late, owned, clock.nowMs())),
    countAsOthers: (claim, late) => writer.runSoon((scope) => lateCountsAsOthers(scope, claim, late, clock.nowMs())),
    adopt: (claim, owned, change, order) =>
      writer.runSoon((scope) => adoptLock(scope, claim, owned, change, order, clock.nowMs())),
    orderAdoption: (key, order) =>
      writer.run(async (scope) => {
        await orderAdoption(scope, key, order)
        await markAccounts(scope, [key], clock.nowMs())
      }),
    own: (claim, owned, why) => writer.runSoon((scope) => ownLock(scope, claim, owned, why, clock.nowMs())),
    recordOutcome: (claim, outcome, holds) =>
      writer.runSoon((scope) => recordOutcome(scope, claim, outcome, holds, { nowMs: clock.nowMs(), breaker })),
    note: (event, claim) => writer.run((scope) => noteEvent(scope, event, claim, clock.nowMs())),
  }
}

/** model: plan */
async function planChange(
  scope: WriteScope,
  { token }: Held,
  change: Change,
  breaker: Breaker,
): Promise<BreakerRefusal | null> {
  const { key } = change
  const opened = await scope.hot.openChange.run(scope.on, { key, token, change: change.id, dn: change.dn })
  if (opened.numAffectedRows !== 1n) throw leaseLost(key)
  const refusal = change.kind === 'lock' ? await breaker.pass(scope, change) : null
  if (refusal !== null) {
    await scope.hot.dropOpenChange.run(scope.on, { key })
    return refusal
  }
  await scope.hot.insertChange.run(scope.on, changeToRow(change))
  const { id, kind, dn, serial, holds, reason, actor } = change
  const body = { change: id, kind, dn, ...(serial === null ? { holds } : { serial }), reason, actor }
  scope.log({ atMs: change.plannedAtMs, kind: 'planned', subject: change.key, body })
  return null
}

interface Closing {
  readonly change: Change
  readonly result: 'applied' | 'not-applied'
  readonly owned: OwnedLock | null
}

/** model: close */
async function closeChange(
  scope: WriteScope,
  { token }: Held,
  { change, result, owned }: Closing,
  nowMs: number,
): Promise<void> {
  const { key, id } = change
  const lock = owned === null ? null : toJson(owned)
  const values = { key, token, change: id, owned_lock: lock, now_ms: nowMs }
  const { numAffectedRows } = await scope.hot.ownLock.run(scope.on, values)
  if (numAffectedRows !== 1n) throw leaseLost(key)
  await scope.hot.closeChange.run(scope.on, { id, state: result, now_ms: nowMs })
  if (result === 'not-applied' && change.kind === 'lock') await uncountLock(scope, id)
  if (result === 'applied' && change.serial === null) await forgetRemoval(scope, key)
  if (result === 'applied' && change.kind === 'register' && change.serial !== null) {
    await authorSerial(scope, key, change.serial, 'written', nowMs)
  }
  scope.log({ atMs: nowMs, kind: result, subject: change.key, body: { change: change.id, kind: change.kind } })
}

async function ownLock(
  scope: WriteScope,
  claim: Held,
  owned: OwnedLock | null,
  why: Reason,
  nowMs: number,
): Promise<void> {
  await own(scope, claim, owned, nowMs)
  scope.log({ atMs: nowMs, kind: 'relabelled', subject: claim.key, body: { holds: owned?.holds ?? [], why } })
}

async function recordOutcome(
  scope: WriteScope,
  claim: Claim,
  outcome: Outcome,
  holds: readonly Hold[],
  at: { nowMs: number; breaker: Breaker },
): Promise<void> {
  await releaseClaim(scope, claim, outcome)
  await writeStatus(scope, claim, outcome, holds, at.nowMs)
  await noteVerification(scope, claim.key, outcome, at.nowMs)
  await recordFindings(scope, claim, outcome, at)
  if (outcome.lateLook !== undefined || outcome.isAdoptionOver === true) {
    await recordLateLook(scope, claim, outcome, at.nowMs)
  }
}

async function writeStatus(
  scope: WriteScope,
  claim: Claim,
  outcome: Outcome,
  holds: readonly Hold[],
  nowMs: number,
): Promise<void> {
  const { hot, on, log } = scope
  const { key, stood } = claim
  const { standing: status, reason } = outcome
  if (outcome.isLockObserved) await hot.seeLock.run(on, { key, now_ms: nowMs })
  const isNew = stood.standing !== status || !isSameReason(stood.reason, reason)
  const held = await heldBackBody(scope, claim, outcome, nowMs)
  const body = { is: status, reason, ...held?.body }
  if (isNew || held?.isNew === true) log({ atMs: nowMs, kind: 'standing', subject: key, body })
  const stoodLock = stood.otherLock === null ? null : toJson(stood.otherLock)
  const { otherLock = stood.otherLock } = outcome
  const lock = otherLock === null ? null : toJson(otherLock)
  const reasonRow = reasonToRow(reason)
  const isReworded = reasonToRow(stood.reason) !== reasonRow
  const hasChanged =
    isReworded || stood.holdCount !== holds.length || stood.effective !== outcome.effective || stoodLock !== lock
  if (isNew || hasChanged) {
    await hot.standAccount.run(on, {
      key,
      standing: status,
      standing_code: outcome.errorCode,
      standing_reason: reasonRow,
      hold_count: holds.length,
      effective: outcome.effective,
      other_lock: lock,
      other_lock_is: otherLock?.is ?? null,
      updated_ms: nowMs,
    })
  }
  if (stood.holdCount > 0) await hot.dropHolds.run(on, { key })
  for (const hold of holds) await hot.insertHold.run(on, holdToRow(key, hold))
}

interface HeldBack {
  /** `added`: those of `would` that the guard did not hold back before; the log has a line for each. */
  readonly body: { readonly would: readonly object[]; readonly added: readonly string[] }
  /** The pending changes differ from those on record. */
  readonly isNew: boolean
}

/** What a guard held back; null where none does. */
async function heldBackBody(
  { hot, on }: WriteScope,
  { key, stood, login, realm }: Claim,
  { standing: status, reason, would }: Outcome,
  nowMs: number,
): Promise<HeldBack | null> {
  const guard = guardOf(status, reason)
  if (guard === null || would === undefined) return null
  const names = changesNamed(would)
  const isSameGuard = guardOf(stood.standing, stood.reason) === guard
  const [last] = isSameGuard ? (await hot.lastStatus.run(on, { key })).rows : []
  const before = last === undefined ? [] : namesIn(last.body)
  const added = names.filter((name) => !before.includes(name))
  const isNew = added.length > 0 || before.length !== names.length
  const withLdif = status === 'dry-run'
  return {
    body: { would: would.map((change) => wouldBody(change, withLdif ? { login, realm } : null, nowMs)), added },
    isNew,
  }
}

/** As `changesNamed` has them, of a record of a status. */
function namesIn(body: string): string[] {
  const { would = [] } = JSON.parse(body) as { would?: readonly { kind: string; serial?: string }[] }
  return would.map(({ kind, serial = null }) => changeName({ kind, serial }))
}

/**
 * What was not written.
 * @param owner null: without its LDIF
 */
function wouldBody(change: ChangeDraft, owner: AccountOwner | null, atMs: number): object {
  const { kind, dn, serial, holds, reason, actor, key } = change
  const of = { kind, dn, ...(serial === null ? { holds } : { serial }), reason, actor }
  if (owner === null) return of
  const header = headerOf({ atMs, event: kind, actor, owner, account: key, change: '', reason })
  return { ...of, ldif: writeChangeLdif(change.forward, header) }
}

/** model: note */
async function noteEvent(scope: WriteScope, event: ResolvedEvent, claim: Held | null, nowMs: number): Promise<void> {
  if (claim !== null) await checkHeld(scope, claim)
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

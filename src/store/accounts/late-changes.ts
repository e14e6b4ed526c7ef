import type { Change } from '../../core/account/change.ts'
import { MAY_ARRIVE_MS } from '../../core/account/late.ts'
import { directoryOf, type AccountKey, type DirectoryName } from '../../core/names.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import type { ReasonCode } from '../../core/reasons/reason.ts'
import type { OwnedLock } from '../../core/account/state.ts'
import type { AdoptionOrder, Claim, Held } from '../../ports/store/store.ts'
import { endFinding, raiseReason } from '../guards/findings.ts'
import { leaseLost } from '../engine/leases.ts'
import { checkHeld } from './queue.ts'
import { toJson } from '../rows/rows.ts'
import type { WriteScope } from '../engine/store-writer.ts'

/**
 * Writes that were written off as not applied and may still arrive (core/account/late.ts). A change has `may_arrive_until_ms` while
 * something may be found of it; the account has the latest of them in `late_until_ms`, so that all other accounts cost
 * no query more. One that arrived has `arrived_ms`, and keeps its time for as long as its finding lasts.
 */

/** Names in a finding at most. */
const NAMES_MAX = 5

/** With the closing of the change, in its transaction. */
export async function noteLate(scope: WriteScope, { id, key }: Change, untilMs: number): Promise<void> {
  await scope.trx.updateTable('change').set({ may_arrive_until_ms: untilMs }).where('id', '=', id).execute()
  await noteLatest(scope, key)
}

async function noteLatest({ trx }: WriteScope, key: AccountKey): Promise<void> {
  await trx
    .updateTable('account')
    .set({
      late_until_ms: (from) =>
        from
          .selectFrom('change')
          .select((select) => select.fn.max('may_arrive_until_ms').as('latest'))
          .where('account_key', '=', key)
          .where('may_arrive_until_ms', 'is not', null),
    })
    .where('key', '=', key)
    .execute()
}

export async function lateArrived(
  scope: WriteScope,
  claim: Held,
  { id, key, kind }: Change,
  owned: OwnedLock | null,
  nowMs: number,
): Promise<void> {
  await own(scope, claim, owned, nowMs)
  // An unlock let the user in for a moment, which stays visible for a while.
  const untilMs = kind === 'unlock' ? nowMs + MAY_ARRIVE_MS : null
  await noteArrived(scope, key, id, untilMs, nowMs)
  scope.log({ atMs: nowMs, kind: 'arrived', subject: key, body: { change: id, kind, holds: owned?.holds ?? [] } })
}

/** model: own */
export async function lateCountsAsOthers(
  scope: WriteScope,
  claim: Held,
  { id, key, kind }: Change,
  nowMs: number,
): Promise<void> {
  await checkHeld(scope, claim)
  await scope.trx.updateTable('change').set({ is_others: 1 }).where('id', '=', id).execute()
  scope.log({ atMs: nowMs, kind: 'counts-as-others', subject: key, body: { change: id, kind } })
}

export async function adoptLock(
  scope: WriteScope,
  claim: Held,
  owned: OwnedLock,
  change: string | null,
  { actor, reason }: AdoptionOrder,
  nowMs: number,
): Promise<void> {
  const { key } = claim
  await own(scope, claim, owned, nowMs)
  if (change !== null) await noteArrived(scope, key, change, null, nowMs)
  const { holds, dn } = owned
  const places = owned.slots.map((slot) => `${slot.attribute} at ${slot.dn}`)
  const body = { ...(change === null ? {} : { change }), dn, holds, places, actor, reason }
  scope.log({ atMs: nowMs, kind: 'adopted', subject: key, body })
}

/** @param untilMs so long it is still to be seen that it arrived; null: not at all */
async function noteArrived(
  scope: WriteScope,
  key: AccountKey,
  id: string,
  untilMs: number | null,
  nowMs: number,
): Promise<void> {
  const arrived = { state: 'applied', closed_ms: nowMs, arrived_ms: nowMs, is_others: 0 } as const
  const change = { ...arrived, may_arrive_until_ms: untilMs }
  await scope.trx.updateTable('change').set(change).where('id', '=', id).execute()
  await noteLatest(scope, key)
}

/** model: own */
export async function own(
  { hot, on }: WriteScope,
  { key, token }: Held,
  owned: OwnedLock | null,
  nowMs: number,
): Promise<void> {
  const lock = owned === null ? null : toJson(owned)
  const { numAffectedRows } = await hot.relabelLock.run(on, { key, token, owned_lock: lock, now_ms: nowMs })
  if (numAffectedRows !== 1n) throw leaseLost(key)
}

/** The caller marks the account besides. */
export async function orderAdoption({ trx }: WriteScope, key: AccountKey, order: AdoptionOrder): Promise<void> {
  await trx
    .updateTable('account')
    .set({ adoption: JSON.stringify(order) })
    .where('key', '=', key)
    .execute()
}

/** With the settling of the account: the findings about its late changes, for the record and for people. */
export async function recordLateLook(
  scope: WriteScope,
  { key }: Claim,
  { lateLook, isAdoptionOver }: Pick<Outcome, 'lateLook' | 'isAdoptionOver'>,
  nowMs: number,
): Promise<void> {
  const { trx } = scope
  if (isAdoptionOver === true) await trx.updateTable('account').set({ adoption: null }).where('key', '=', key).execute()
  if (lateLook === undefined) return
  const ofAccount = trx
    .updateTable('change')
    .where('account_key', '=', key)
    .where('may_arrive_until_ms', 'is not', null)
  const isOver = { may_arrive_until_ms: null, is_others: 0 } as const
  if (lateLook.over.length > 0) await ofAccount.set(isOver).where('id', 'in', lateLook.over).execute()
  if (lateLook.cleared.length > 0) {
    await ofAccount.set({ is_others: 0 }).where('id', 'in', lateLook.cleared).execute()
  }
  await ofAccount.set(isOver).where('arrived_ms', 'is not', null).where('may_arrive_until_ms', '<=', nowMs).execute()
  await noteLatest(scope, key)
  await syncFindings(scope, directoryOf(key), nowMs)
}

/** One finding a directory, for any number of accounts. */
async function syncFindings(scope: WriteScope, directory: DirectoryName, nowMs: number): Promise<void> {
  const late = (): ReturnType<typeof lateOf> => lateOf(scope, directory)
  const others = await late().where('change.is_others', '=', 1).execute()
  await raiseFor(scope, 'late-lock-unclear', directory, others, nowMs)
  // Where nothing holds the account it was to be open.
  const unlocked = late().where('change.arrived_ms', 'is not', null).where('change.kind', '=', 'unlock')
  await raiseFor(scope, 'late-unlock', directory, await unlocked.where('account.hold_count', '>', 0).execute(), nowMs)
}

function lateOf({ trx }: WriteScope, directory: DirectoryName) {
  return trx
    .selectFrom('account')
    .innerJoin('change', 'change.account_key', 'account.key')
    .select(['account.dn', 'account.login'])
    .distinct()
    .where('account.late_until_ms', 'is not', null)
    .where('account.directory', '=', directory)
    .where('change.may_arrive_until_ms', 'is not', null)
    .orderBy('account.dn')
}

async function raiseFor(
  scope: WriteScope,
  code: Extract<ReasonCode, 'late-lock-unclear' | 'late-unlock'>,
  directory: DirectoryName,
  accounts: readonly { dn: string; login: string | null }[],
  nowMs: number,
): Promise<void> {
  if (accounts.length === 0) return endFinding(scope, code, directory, nowMs)
  const names = accounts.slice(0, NAMES_MAX).map(({ login, dn }) => login ?? dn)
  const params = { directory, accounts: accounts.length, names }
  await raiseReason(scope, { subject: directory, reason: { code, params } }, nowMs)
}

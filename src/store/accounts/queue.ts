import type { AccountKey } from '../../core/names.ts'
import { LATE_CHANGES_MAX, type LateChange } from '../../core/account/late.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import type { AdoptionOrder, Claim, Held, QueuePort } from '../../ports/store/store.ts'
import type { BootClock } from '../engine/boot-clock.ts'
import { leaseLost, newLease, type LeaseOptions } from '../engine/leases.ts'
import {
  whoseFromRow,
  changeFromRow,
  effectiveFromRow,
  keyFromRow,
  otherLockFromRow,
  ownedFromRow,
} from '../rows/rows.ts'
import { reasonFromRow } from '../rows/reasons.ts'
import type { Database } from '../schema/schema.ts'
import type { Statements } from '../engine/statements.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

/**
 * The queue of dirty accounts: keys, generations, leases and times of the next look, never an event. An account whose
 * directory does not answer waits here; an event whose account could not be found waits in `store/events/inbox.ts`.
 */

/** A lease is renewed once this part of it is over: a slow directory must not cost it. */
const RENEW_PART = 4

export function openQueue(db: Database, writer: StoreWriter, options: LeaseOptions): QueuePort {
  /** Until when each claim of ours is held, in milliseconds since boot; as it was written last. */
  const untilMs = new WeakMap<Claim, number>()
  const { boot, leaseMs } = options
  return {
    renewEveryMs: Math.ceil(leaseMs / RENEW_PART),
    claim: (limit, nowMs) => writer.runSoon((scope) => claimAccounts(scope, limit, nowMs, options)),
    async renew(claim) {
      const nowMs = boot.uptimeMs()
      const until = untilMs.get(claim) ?? claim.leaseUntilMs
      if (nowMs < until - leaseMs + leaseMs / RENEW_PART) return
      await writer.runSoon((scope) => renewLease(scope, claim, nowMs + leaseMs))
      untilMs.set(claim, nowMs + leaseMs)
    },
    mark: (keys, nowMs) => writer.run((scope) => markAccounts(scope, keys, nowMs)),
    markForRepair: (key, nowMs) => writer.run((scope) => markAccount(scope, key, { dueMs: nowMs, isForRepair: true })),
    nextDueMs: () => nextDueMs(db, writer.hot, boot),
  }
}

/**
 * Marks accounts dirty: a row each, and a new generation, so that a worker in the middle of it looks again.
 * @param isRefresh privacyIDEA is to be asked about them first
 */
export async function markAccounts(
  { hot, on }: Pick<WriteScope, 'hot' | 'on'>,
  keys: readonly AccountKey[],
  dueMs: number,
  isRefresh = false,
): Promise<void> {
  for (const key of keys) await markAccount({ hot, on }, key, { dueMs, isRefresh })
}

async function markAccount(
  { hot, on }: Pick<WriteScope, 'hot' | 'on'>,
  key: AccountKey,
  { dueMs, isRefresh = false, isForRepair = false }: { dueMs: number; isRefresh?: boolean; isForRepair?: boolean },
): Promise<void> {
  const [hinted, repair] = [isRefresh ? 1 : 0, isForRepair ? 1 : 0]
  await hot.markAccount.run(on, { account_key: key, due_ms: dueMs, hinted, repair })
}

export async function claimAccounts(
  scope: WriteScope,
  limit: number,
  nowMs: number,
  options: LeaseOptions,
): Promise<Claim[]> {
  const { hot, on } = scope
  const lease = newLease(options)
  const { lease_token: token, lease_until_ms: leaseUntilMs } = lease
  // model: claim
  const now = { now_ms: nowMs, uptime_ms: options.boot.uptimeMs() }
  const claimed = await hot.claimAccounts.run(on, { ...lease, ...now, limit })
  const claims: Claim[] = []
  for (const row of claimed.rows) {
    const key = keyFromRow(row.account_key)
    const account = (await hot.claimedAccount.run(on, { key })).rows[0]
    const open = account?.open_change ?? null
    const change = open === null ? undefined : (await hot.changeById.run(on, { id: open })).rows[0]
    const lateUntil = account?.late_until_ms ?? null
    claims.push({
      key,
      token,
      leaseUntilMs,
      isForRepair: row.repair === 1,
      generation: Number(row.generation),
      attempts: row.attempts,
      isHinted: row.hinted === 1,
      ...whoseFromRow(account),
      isInReview: (account?.review ?? null) !== null,
      ours: { lock: account === undefined ? null : ownedFromRow({ ...account, key }) },
      open: change === undefined ? null : changeFromRow(change),
      late: lateUntil === null ? [] : await lateChangesOf(scope, key),
      lateUntilMs: lateUntil === null ? null : Number(lateUntil),
      adopts: adoptionFromRow(account?.adoption ?? null),
      stood: {
        standing: account?.standing ?? '',
        code: account?.standing_code ?? null,
        reason: reasonFromRow(account?.standing_reason ?? ''),
        holdCount: account?.hold_count ?? 0,
        effective: effectiveFromRow(account?.effective ?? null),
        otherLock: otherLockFromRow(account?.other_lock ?? null),
        lockObservedMs: Number(account?.seen_ms ?? 0),
      },
    })
  }
  return claims
}

/** Those of one account that may still arrive, the oldest first. */
async function lateChangesOf({ trx }: Pick<WriteScope, 'trx'>, key: AccountKey): Promise<LateChange[]> {
  const rows = await trx
    .selectFrom('change')
    .selectAll()
    .where('account_key', '=', key)
    .where('may_arrive_until_ms', 'is not', null)
    .where('arrived_ms', 'is', null)
    .orderBy('planned_ms', 'desc')
    .orderBy('id', 'desc')
    .limit(LATE_CHANGES_MAX)
    .execute()
  return rows.toReversed().map((row) => {
    return { change: changeFromRow(row), untilMs: Number(row.may_arrive_until_ms), isOthers: row.is_others === 1 }
  })
}

function adoptionFromRow(text: string | null): AdoptionOrder | null {
  return text === null ? null : (JSON.parse(text) as AdoptionOrder)
}

/** model: renew */
async function renewLease({ hot, on }: WriteScope, { key, token }: Held, untilMs: number): Promise<void> {
  const { numAffectedRows } = await hot.renewLease.run(on, { key, token, until_ms: untilMs })
  if (numAffectedRows !== 1n) throw leaseLost(key)
}

/**
 * Ends a claim. The account's row in the queue goes, or has the time of the next look: a retry after a failure, by the
 * outcome. Where something came since, it stays as it is. model: settle
 */
export async function releaseClaim({ hot, on }: WriteScope, claim: Claim, outcome: Outcome): Promise<void> {
  const { key, token, generation } = claim
  const { againAtMs } = outcome
  const attempts = outcome.standing === 'failed' ? claim.attempts + 1 : 0
  const hinted = outcome.isUnread === true ? 1 : 0
  const { numAffectedRows } =
    againAtMs === null
      ? await hot.finishAccount.run(on, { key, token, generation })
      : await hot.postponeAccount.run(on, { account_key: key, token, generation, due_ms: againAtMs, attempts, hinted })
  if (numAffectedRows === 1n) return
  // model: free
  const freed = await hot.freeAccount.run(on, { key, token })
  if (freed.numAffectedRows !== 1n) throw leaseLost(key)
}

/** Fails with `lease-lost`, and with it all that is written in the same job, where another claim is the live one. */
export async function checkHeld({ hot, on }: Pick<WriteScope, 'hot' | 'on'>, { key, token }: Held): Promise<void> {
  const { rows } = await hot.heldClaim.run(on, { key, token })
  if (rows.length === 0) throw leaseLost(key)
}

/** Leases of other workers are not waited for: the regular look at the queue finds those that ran out. */
async function nextDueMs(db: Database, hot: Statements, boot: BootClock): Promise<number | null> {
  const [row] = (await hot.nextAccount.run(db, { boot: boot.bootId, uptime_ms: boot.uptimeMs() })).rows
  return row === undefined ? null : Number(row.due_ms)
}

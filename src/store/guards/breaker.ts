import {
  appliedLimits,
  isLimitSet,
  limitReached,
  locksAllowed,
  untilOf,
  type AppliedLimit,
  type BreakerSettings,
} from '../../core/guards/breaker.ts'
import type { Change } from '../../core/account/change.ts'
import { directoryOf, type AccountKey, type DirectoryName } from '../../core/names.ts'
import { reasonText, type Reason } from '../../core/reasons/reason.ts'
import type { BreakerRefusal } from '../../ports/store/store.ts'
import { endFinding, isFindingOpen, raiseFinding, setOpen } from './findings.ts'
import { reasonToRow } from '../rows/reasons.ts'
import { changeToRow, realmFromRow } from '../rows/rows.ts'
import type { WriteScope } from '../engine/store-writer.ts'
import type { LimitReached } from '../../core/reasons/limits.ts'
import { countOf } from '../rows/queries.ts'

/**
 * Counts locks and holds back what is past a limit, in the transaction that writes the row of the change. A limit that
 * was reached is a finding while locks are pending because of it, or, where a person has to decide, until then.
 */

/** How many accounts a directory has changes slowly. */
const KNOWN_AGE_MAX_MS = 30_000
const BREAKER_FINDING = 'breaker'

export class Breaker {
  #settings: BreakerSettings | null
  readonly #known = new Map<string, { readonly atMs: number; readonly accounts: number }>()

  constructor(settings: BreakerSettings | null) {
    this.#settings = settings
  }

  /**
   * From now on these limits count; what was counted before counts for them too. Ends the findings of limits that are
   * no longer set, or that no pending lock has any more.
   */
  async use(scope: WriteScope, settings: BreakerSettings | null, nowMs: number): Promise<void> {
    this.#settings = settings
    const open = await scope.trx
      .selectFrom('finding')
      .select(['subject', 'params'])
      .where('kind', '=', BREAKER_FINDING)
      .where('ended_ms', 'is', null)
      .execute()
    for (const { subject, params } of open) {
      if (settings === null || !isLimitSet(settings, subject)) await endFinding(scope, BREAKER_FINDING, subject, nowMs)
      else {
        await this.#endWhereLast(scope, subject, nowMs)
        await sayUntil(scope, subject, params, untilOf(settings.reset))
      }
    }
  }

  get isOn(): boolean {
    return this.#settings !== null
  }

  /** How many different people must approve a lock. */
  get approvals(): number {
    return this.#settings?.approvals ?? 1
  }

  /** @returns why the lock is pending; null: it is counted and may be written */
  async pass(scope: WriteScope, change: Change): Promise<BreakerRefusal | null> {
    if (this.#settings === null) return null
    const [account] = (await scope.hot.guardedAccount.run(scope.on, { key: change.key })).rows
    if (Number(account?.approvals ?? 0) >= this.approvals) return null
    const directory = directoryOf(change.key)
    const subject = { directory, realm: realmFromRow(account?.realm ?? null), dn: change.dn }
    const applied = appliedLimits(this.#settings, subject)
    for (const each of applied) {
      const refusal = await this.#refusalOf(scope, each, directory, change.plannedAtMs)
      if (refusal === null) continue
      await this.#holdBack(scope, change, each, { reason: refusal.reason, before: account?.limit_id ?? null })
      return refusal
    }
    for (const counted of new Set(applied.map((each) => each.counted))) {
      await scope.hot.countLock.run(scope.on, { counted, at_ms: change.plannedAtMs, change_id: change.id })
    }
    return null
  }

  async #refusalOf(
    scope: WriteScope,
    applied: AppliedLimit,
    directory: DirectoryName,
    nowMs: number,
  ): Promise<BreakerRefusal | null> {
    const { limit, counted, id } = applied
    const sinceMs = nowMs - limit.perMs
    const known = 'share' in limit.max ? await this.#knownOf(scope, directory, sinceMs, nowMs) : 0
    const allowed = locksAllowed(limit, known)
    const reset = this.#settings?.reset ?? 'auto'
    const reason: Reason = { code: 'breaker-limit', params: limitReached(applied, allowed, reset) }
    const values = { counted, since_ms: sinceMs, before: allowed - 1 }
    const [last] = (await scope.hot.countedLock.run(scope.on, values)).rows
    if (reset === 'manual') {
      const isClosed = last !== undefined || (await isFindingOpen(scope, BREAKER_FINDING, id))
      return isClosed ? { reason, againAtMs: null } : null
    }
    if (last === undefined) return null
    return { reason, againAtMs: Number(last.at_ms) + limit.perMs + 1 }
  }

  /** Those that came on record before: an attack that names new users must not raise its own limit. */
  async #knownOf({ trx }: WriteScope, directory: DirectoryName, beforeMs: number, nowMs: number): Promise<number> {
    const id = `${directory} ${nowMs - beforeMs}`
    const kept = this.#known.get(id)
    if (kept !== undefined && Math.abs(nowMs - kept.atMs) < KNOWN_AGE_MAX_MS) return kept.accounts
    const known = trx.selectFrom('account').where('directory', '=', directory).where('known_ms', '<=', beforeMs)
    const accounts = await countOf(known)
    this.#known.set(id, { atMs: nowMs, accounts })
    return accounts
  }

  /** @param why `before` is the limit that held it back the last time */
  async #holdBack(
    scope: WriteScope,
    change: Change,
    { id }: AppliedLimit,
    why: { readonly reason: Reason; readonly before: string | null },
  ): Promise<void> {
    const { reason, before } = why
    await scope.hot.insertReview.run(scope.on, {
      account_key: change.key,
      directory: directoryOf(change.key),
      since_ms: change.plannedAtMs,
      limit_id: id,
      reason: reasonToRow(reason),
      change: JSON.stringify(changeToRow(change)),
    })
    const params = JSON.stringify(reason.params)
    const finding = { kind: BREAKER_FINDING, subject: id, reason: reasonText(reason), params } as const
    await raiseFinding(scope, finding, change.plannedAtMs)
    if (before !== null && before !== id) await this.#endWhereLast(scope, before, change.plannedAtMs)
  }

  /** The account's lock is no longer pending. The last one that leaves ends the finding, unless a person has to. */
  async leave(scope: WriteScope, key: AccountKey, nowMs: number): Promise<void> {
    const [row] = (await scope.hot.guardedAccount.run(scope.on, { key })).rows
    const id = row?.limit_id ?? null
    if (id === null) return
    await scope.hot.dropReview.run(scope.on, { key })
    await scope.hot.dropApprovals.run(scope.on, { key })
    await this.#endWhereLast(scope, id, nowMs)
  }

  async #endWhereLast(scope: WriteScope, limitId: string, nowMs: number): Promise<void> {
    if (this.#settings?.reset === 'manual') return
    const others = await scope.hot.anyReview.run(scope.on, { limit_id: limitId })
    if (others.rows.length === 0) await endFinding(scope, BREAKER_FINDING, limitId, nowMs)
  }

  /** Starts the count from zero, and ends what is closed. */
  async reset({ trx, log }: WriteScope, by: string, reason: string, nowMs: number): Promise<void> {
    await trx.deleteFrom('lock_count').execute()
    await setOpen({ trx }, BREAKER_FINDING, { ended_ms: nowMs })
    log({ atMs: nowMs, kind: 'breaker-resumed', subject: '', body: { by, reason } })
  }
}

/** The settings may have changed what a pending lock needs. */
async function sayUntil(
  scope: WriteScope,
  subject: string,
  json: string | null,
  until: LimitReached['until'],
): Promise<void> {
  const params = json === null ? null : (JSON.parse(json) as LimitReached)
  if (params === null || params.until === until) return
  const reason: Reason = { code: 'breaker-limit', params: { ...params, until } }
  const columns = { params: JSON.stringify(reason.params), reason: reasonText(reason) }
  await setOpen(scope, BREAKER_FINDING, columns, subject)
}

/** The lock was not written after all. */
export async function uncountLock({ trx }: WriteScope, changeId: string): Promise<void> {
  await trx.deleteFrom('lock_count').where('change_id', '=', changeId).execute()
}

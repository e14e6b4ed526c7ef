import { sql } from 'kysely'
import { lossesAllowed, type LossBreakerSettings } from '../../core/guards/loss-breaker.ts'
import { type AccountKey, type Serial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import type { Held, Loss, LossVerdict } from '../../ports/store/store.ts'
import { endFinding, isFindingOpen, raiseReason } from '../guards/findings.ts'
import type { Database, TokenTable } from '../schema/schema.ts'
import { checkHeld, markAccounts } from '../accounts/queue.ts'
import { keyFromRow, serialFromRow } from '../rows/rows.ts'
import { LIVE } from '../rows/literals.ts'
import { keyColumn, keysOfRows } from '../rows/serial-column.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import type { LossLimit } from '../../core/reasons/limits.ts'
import { countOf, findsAny } from '../rows/queries.ts'

/**
 * Counts losses and holds back what is past the limit, each decision in one transaction. A pending loss is the token's
 * own row: it keeps the serial at its account, and the reading that lists the token again clears it. So a crash at any
 * point leaves a loss that the next reading finds again, counted or not, and never counted twice.
 */

/** How many tokens there are changes slowly. */
const KNOWN_AGE_MAX_MS = 30_000
/** So long after it was allowed, a loss that no reading has found is asked about again. */
const ALLOWED_MS = 7 * 86_400_000
const DECIDE_PAGE = 1_000

export const LOSS_FINDING = 'losses-held-back'
/** The run of a token that came on record without being listed; see store/source/snapshots.ts. */
const NEW = -1
const NOTHING_HELD: LossVerdict = { waiting: [], dismissed: [], isLockoutNewer: false, againAtMs: null }

/** The partial index is used only where the statement itself has this condition. */
export const IS_LOST = sql<boolean>`loss is not null`

export class LossBreaker {
  #settings: LossBreakerSettings | null
  #approvals: number
  #known: { readonly atMs: number; readonly tokens: number } | null = null

  constructor(settings: LossBreakerSettings | null, approvals: number) {
    this.#settings = settings
    this.#approvals = approvals
  }

  /**
   * From now on this limit counts. Pending losses are read anew; those that more people have to approve than did are
   * pending again. Ends the findings of another limit. Switched off, the next full resync finds what was pending.
   */
  async use(
    writer: StoreWriter,
    settings: LossBreakerSettings | null,
    approvals: number,
    nowMs: number,
  ): Promise<void> {
    this.#settings = settings
    this.#approvals = approvals
    this.#known = null
    if (settings === null) return writer.run(({ trx }) => forgetLosses(trx))
    await writer.run((scope) => endOtherLimit(scope, settings, nowMs))
    for (let after: string | null = ''; after !== null;) {
      const from: string = after
      after = await writer.run((scope) => this.#decidePage(scope, settings, from, nowMs))
    }
    await writer.run((scope) => endLossFinding(scope, nowMs))
  }

  /** By the people who approved, and how many must now. @returns the last serial of the page; null: no more */
  async #decidePage(
    scope: WriteScope,
    settings: LossBreakerSettings,
    after: string,
    nowMs: number,
  ): Promise<string | null> {
    const rows = await scope.trx
      .selectFrom('token')
      .select(['serial', 'account_key', 'loss', 'loss_by'])
      .where(IS_LOST)
      .where('loss', '<>', 'dismissed')
      .where('serial', '>', after)
      .orderBy('serial')
      .limit(DECIDE_PAGE)
      .execute()
    let again: Serial | null = null
    for (const row of rows) {
      const loss = lossStateOf(row, this.#approvals)
      if (loss === row.loss) continue
      if (loss === 'waiting') again ??= serialFromRow(row.serial)
      await scope.trx.updateTable('token').set({ loss, loss_ms: nowMs }).where('serial', '=', row.serial).execute()
    }
    if (again !== null) await raiseWhereClosed(scope, again, await this.#limitNow(scope, settings, nowMs), nowMs)
    await markAccounts(scope, [...new Set(rows.map((row) => keyFromRow(row.account_key)))], nowMs, true)
    return rows.length < DECIDE_PAGE ? null : (rows.at(-1)?.serial ?? null)
  }

  async #limitNow(scope: WriteScope, settings: LossBreakerSettings, nowMs: number): Promise<LossLimit> {
    const known = await this.#knownTokens(scope, nowMs - settings.perMs, nowMs)
    return { allowed: lossesAllowed(settings, known), known, share: settings.share, perMs: settings.perMs }
  }

  /** How many different people must approve a loss. */
  get approvals(): number {
    return this.#approvals
  }

  /** model: read. @returns those that stay; all others are counted, or explained, and may be recorded */
  async pass(
    scope: WriteScope,
    key: AccountKey,
    losses: readonly Loss[],
    claim: Held | null,
    nowMs: number,
  ): Promise<LossVerdict> {
    const settings = this.#settings
    if (settings === null) return NOTHING_HELD
    if (claim !== null) await checkHeld(scope, claim)
    const sinceMs = nowMs - settings.perMs
    const waiting: Serial[] = []
    const dismissed: Serial[] = []
    let newestMs = 0
    let againAtMs: number | null = null
    for (const loss of losses) {
      const token = await tokenOf(scope, loss.serial)
      const own = token?.account_key === key ? token : undefined
      if (isAllowed(own, this.#approvals, nowMs) || (await isExplained(scope, key, loss.serial))) continue
      if (await isCounted(scope, key, loss.serial, sinceMs)) continue
      if (own?.loss === 'dismissed') {
        dismissed.push(loss.serial)
        continue
      }
      const full = await this.#fullBy(scope, settings, sinceMs, nowMs)
      if (full === null) {
        await count(scope, key, loss.serial, nowMs)
        continue
      }
      waiting.push(loss.serial)
      againAtMs = full.againAtMs
      const isHeld = own !== undefined && lossStateOf(own, this.#approvals) === 'waiting'
      newestMs = Math.max(newestMs, isHeld ? Number(own.loss_ms ?? nowMs) : nowMs)
      if (isHeld) await raiseWhereClosed(scope, loss.serial, full.limit, nowMs)
      else await holdBack(scope, key, loss, full.limit, nowMs)
    }
    const isLockoutNewer = waiting.length > 0 && (await isLockoutSince(scope, key, newestMs))
    return { waiting, dismissed, isLockoutNewer, againAtMs }
  }

  /** @returns the limit that is reached, and when there is room by itself; null: there is room */
  async #fullBy(
    scope: WriteScope,
    settings: LossBreakerSettings,
    sinceMs: number,
    nowMs: number,
  ): Promise<{ readonly limit: LossLimit; readonly againAtMs: number | null } | null> {
    const limit = await this.#limitNow(scope, settings, nowMs)
    const isManual = settings.reset === 'manual'
    if (isManual && (await isFindingOpen(scope, LOSS_FINDING, ''))) return { limit, againAtMs: null }
    if ((await oldestInTheWay(scope, sinceMs, limit.allowed)) === null) return null
    // An event may come after the reading that it explains.
    await uncountExplained(scope, sinceMs)
    const oldestMs = await oldestInTheWay(scope, sinceMs, limit.allowed)
    if (oldestMs === null) return null
    return { limit, againAtMs: isManual ? null : oldestMs + settings.perMs + 1 }
  }

  /** Those that were lost within the window were known as well: the limit does not shrink while tokens vanish. */
  async #knownTokens({ trx }: WriteScope, sinceMs: number, nowMs: number): Promise<number> {
    const kept = this.#known
    if (kept !== null && Math.abs(nowMs - kept.atMs) < KNOWN_AGE_MAX_MS) return kept.tokens
    const there = await countOf(trx.selectFrom('token'))
    const tokens = there + (await countOf(trx.selectFrom('loss_count').where('at_ms', '>', sinceMs)))
    this.#known = { atMs: nowMs, tokens }
    return tokens
  }
}

type LostToken = Pick<TokenTable, 'account_key' | 'loss' | 'loss_ms' | 'loss_by'>

async function tokenOf({ trx }: WriteScope, serial: Serial): Promise<LostToken | undefined> {
  return trx
    .selectFrom('token')
    .select(['account_key', 'loss', 'loss_ms', 'loss_by'])
    .where('serial', '=', serial)
    .executeTakeFirst()
}

function isAllowed(token: LostToken | undefined, needed: number, nowMs: number): boolean {
  if (token === undefined || lossStateOf(token, needed) !== 'approved') return false
  // Approved by fewer than had to be then: it is pending from now on.
  return token.loss === 'waiting' || nowMs - Number(token.loss_ms ?? 0) < ALLOWED_MS
}

/** By the people who approved it and how many must now; what an accepted resync allowed needs nobody. */
export function lossStateOf(
  { loss, loss_by }: Pick<TokenTable, 'loss' | 'loss_by'>,
  needed: number,
): TokenTable['loss'] {
  const persons = personsOf(loss_by).length
  if (loss === null || loss === 'dismissed' || persons === 0) return loss
  return persons >= needed ? 'approved' : 'waiting'
}

export function personsOf(json: string | null): string[] {
  return json === null ? [] : (JSON.parse(json) as string[])
}

/**
 * An unregistration that names the serial is on record, and no registration came after it: an event of privacyIDEA's, a
 * person's, or one of an earlier reading of this account.
 */
function isExplained({ trx }: WriteScope, key: AccountKey, serial: Serial): Promise<boolean> {
  const events = trx
    .selectFrom('event')
    .where('serial', 'is not', null)
    .where(keyColumn('event.serial'), '=', serialKey(serial))
    .where('kind', '=', 'unregister')
    .where((w) => w.or([w('source', '<>', 'privacyidea'), w('account_key', '=', key)]))
    .where('received_ms', '>=', (from) =>
      from
        .selectFrom('event as register')
        .select((select) => select.fn.coalesce(select.fn.max('register.received_ms'), sql.lit(0)).as('newest'))
        .where('register.serial', 'is not', null)
        .where(keyColumn('register.serial'), '=', serialKey(serial))
        .where('register.kind', '=', 'register'),
    )
  return findsAny(events)
}

function isCounted({ trx }: WriteScope, key: AccountKey, serial: Serial, sinceMs: number): Promise<boolean> {
  const counted = trx.selectFrom('loss_count').where('serial', '=', serial).where('account_key', '=', key)
  return findsAny(counted.where('at_ms', '>', sinceMs))
}

async function count({ trx }: WriteScope, key: AccountKey, serial: Serial, nowMs: number): Promise<void> {
  await trx
    .insertInto('loss_count')
    .values({ serial, account_key: key, at_ms: nowMs })
    .onConflict((conflict) => conflict.columns(['serial', 'account_key']).doUpdateSet({ at_ms: nowMs }))
    .execute()
}

/** Whether the lockout of the account came on record then or later. */
function isLockoutSince({ trx }: WriteScope, key: AccountKey, sinceMs: number): Promise<boolean> {
  const lockouts = trx
    .selectFrom('event')
    .where('account_key', '=', key)
    .where('live', '=', LIVE)
    .where('kind', '=', 'lockout')
    .where('source', '=', 'privacyidea')
  return findsAny(lockouts.where('received_ms', '>=', sinceMs))
}

/** The loss that has to leave the window before there is room; null: there is room. */
async function oldestInTheWay({ trx }: WriteScope, sinceMs: number, allowed: number): Promise<number | null> {
  const row = await trx
    .selectFrom('loss_count')
    .select('at_ms')
    .where('at_ms', '>', sinceMs)
    .orderBy('at_ms', 'desc')
    .limit(1)
    .offset(allowed - 1)
    .executeTakeFirst()
  return row === undefined ? null : Number(row.at_ms)
}

async function uncountExplained({ trx }: WriteScope, sinceMs: number): Promise<void> {
  await trx
    .deleteFrom('loss_count')
    .where('at_ms', '>', sinceMs)
    .where((w) =>
      w.exists(
        w
          .selectFrom('event')
          .select('event.id')
          .where('event.serial', 'is not', null)
          .where(keyColumn('event.serial'), '=', keyColumn('loss_count.serial'))
          .where('event.kind', '=', 'unregister')
          .where('event.source', '<>', 'privacyidea')
          .whereRef('event.received_ms', '>=', 'loss_count.at_ms'),
      ),
    )
    .execute()
}

async function holdBack(
  scope: WriteScope,
  key: AccountKey,
  { serial, cause }: Loss,
  limit: LossLimit,
  nowMs: number,
): Promise<void> {
  const { trx, log } = scope
  const lost = { loss: 'waiting' as const, loss_ms: nowMs, loss_why: cause, loss_by: '[]' }
  const holds = await trx.selectFrom('hold').select('serial').where('account_key', '=', key).execute()
  const isHold = keysOfRows(holds).includes(serialKey(serial))
  const unseen = { is_locked: isHold ? 1 : 0, reset_due: 0, run: NEW }
  await trx
    .insertInto('token')
    .values({ serial, account_key: key, ...unseen, resolver: null, user_id: null, ...lost })
    .onConflict((conflict) => conflict.column('serial').doUpdateSet(lost).where('token.account_key', '=', key))
    .execute()
  log({
    atMs: nowMs,
    kind: 'loss-held',
    subject: key,
    body: { serial, cause, isLastHold: isHold && holds.length === 1, ...limit },
  })
  await raiseWhereClosed(scope, serial, limit, nowMs)
}

async function raiseWhereClosed(scope: WriteScope, serial: Serial, limit: LossLimit, nowMs: number): Promise<void> {
  if (await isFindingOpen(scope, LOSS_FINDING, '')) return
  await raiseReason(scope, { subject: '', reason: { code: LOSS_FINDING, params: { ...limit, serial } } }, nowMs)
}

async function endOtherLimit(scope: WriteScope, settings: LossBreakerSettings, nowMs: number): Promise<void> {
  const row = await scope.trx
    .selectFrom('finding')
    .select('params')
    .where('kind', '=', LOSS_FINDING)
    .where('ended_ms', 'is', null)
    .executeTakeFirst()
  const limit = JSON.parse(row?.params ?? 'null') as LossLimit | null
  if (limit === null) return
  const isSame = limit.perMs === settings.perMs && limit.allowed === lossesAllowed(settings, limit.known)
  if (!isSame) await endFinding(scope, LOSS_FINDING, '', nowMs)
}

/** Nothing is pending any more: the finding ends. */
export async function endLossFinding(scope: WriteScope, nowMs: number): Promise<void> {
  const waiting = scope.trx.selectFrom('token').where(IS_LOST).where('loss', '=', 'waiting')
  if (!(await findsAny(waiting))) await endFinding(scope, LOSS_FINDING, '', nowMs)
}

/** Pending and dismissed losses are removed from the record. */
async function forgetLosses(db: Database): Promise<void> {
  await db.updateTable('token').set(NOT_LOST).where(IS_LOST).execute()
  await db
    .updateTable('finding')
    .set({ ended_ms: sql.ref('first_ms') })
    .where('kind', '=', LOSS_FINDING)
    .where('ended_ms', 'is', null)
    .execute()
}

/** Nobody has noticed that it is lost. */
export const NOT_LOST = { loss: null, loss_ms: null, loss_why: null, loss_by: null } as const

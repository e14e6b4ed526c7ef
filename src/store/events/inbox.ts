import { sql } from 'kysely'
import type { ErrorCode } from '../../core/error.ts'
import type { Event } from '../../core/events/event.ts'
import { asDn, directoryOf, parseLogin, type AccountKey, type Serial } from '../../core/names.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import { serialKey, type SerialKey } from '../../core/serials/serial-key.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Refused } from '../../ports/intake.ts'
import type { InboxPort, NotedAccount, Resolution, WaitingEvent } from '../../ports/store/store.ts'
import { authorSerial } from '../accounts/author-serial.ts'
import { noteUser } from '../accounts/account-users.ts'
import { EventOrder } from './event-order.ts'
import type { LeaseOptions } from '../engine/leases.ts'
import { claimAccounts, markAccounts } from '../accounts/queue.ts'
import { RefusalLimit } from './refusal-limit.ts'
import { reasonToRow } from '../rows/reasons.ts'
import { eventFromRow, eventToRow, keyFromRow, toJson } from '../rows/rows.ts'
import type { Database, NewEventRow } from '../schema/schema.ts'
import { keyColumn } from '../rows/serial-column.ts'
import type { Statements } from '../engine/statements.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { WAITING } from '../rows/literals.ts'

/** Events on their way to an account. */

/** Why an event ends in mode `api`. */
const REFRESH: Reason = { code: 'event-is-hint', params: {} }

/** Errors that an event of a serial no longer has once the serial is known. */
const KNOWN_BY_SERIAL: readonly ErrorCode[] = ['unknown-serial', 'unknown-user', 'realm-unmapped']

export function openInbox(db: Database, writer: StoreWriter, clock: Clock, leases: LeaseOptions): InboxPort {
  const [order, refusals] = [new EventOrder(), new RefusalLimit()]
  return {
    take: (taken, refused) =>
      writer.run(async (scope) => {
        const nowMs = clock.nowMs()
        const events = await order.ordered(scope, taken, nowMs)
        await takeEvents(scope, events, await refusals.sift(scope, refused, nowMs), nowMs)
      }),
    due: (nowMs, limit) => dueEvents(db, writer.hot, nowMs, limit),
    recordResolutions: (resolutions, claimMax) =>
      writer.runSoon(async (scope) => {
        const nowMs = clock.nowMs()
        await recordResolutions(scope, resolutions, nowMs)
        return claimMax > 0 ? claimAccounts(scope, claimMax, nowMs, leases) : []
      }),
    accountOfSerial: (serial) => accountOfSerial(db, serial),
    accountsOfSerials: (serials) => accountsOfSerials(db, writer.hot, serials),
    nextDueMs: () => nextDueMs(db, writer.hot),
  }
}

async function takeEvents(
  scope: WriteScope,
  events: readonly Event[],
  refused: readonly Refused[],
  nowMs: number,
): Promise<void> {
  const isNew = new Set<string>()
  for (const row of [
    ...events.map((each) => eventToRow(each, nowMs)),
    ...refused.map((each) => refusedRow(each, nowMs)),
  ]) {
    const { numAffectedRows } = await scope.hot.insertEvent.run(scope.on, row)
    if (numAffectedRows === 1n) isNew.add(row.id)
  }
  for (const event of events) {
    if (!isNew.has(event.id)) continue
    const { id, kind, serial, login, realm, actor, takenAtUs, source, reason } = event
    const body = { kind, serial, login, realm, actor, takenAtUs, source, ...(reason === null ? {} : { reason }) }
    scope.log({ atMs: nowMs, kind: 'event', subject: id, body })
  }
  for (const each of refused) {
    if (!isNew.has(each.id)) continue
    const reason: Reason = { code: 'event-unreadable', params: { said: each.reason } }
    const body = { source: each.source, takenAtUs: each.takenAtUs, reason }
    scope.log({ atMs: nowMs, kind: 'refused', subject: each.id, body })
  }
}

function refusedRow(refused: Refused, nowMs: number): NewEventRow {
  return {
    id: refused.id,
    kind: 'refused',
    serial: null,
    login: null,
    realm: null,
    actor: '',
    taken_at_us: refused.takenAtUs,
    received_ms: nowMs,
    source: refused.source,
    reason: '',
    until_us: null,
    state: 'refused',
    live: 0,
    account_key: null,
    attribute_serials: '[]',
    pinned_hold: null,
    why_code: 'event-invalid',
    why: refused.reason,
    attempts: 0,
    next_try_ms: null,
    sole_serial: 0,
  }
}

async function dueEvents(db: Database, hot: Statements, nowMs: number, limit: number): Promise<WaitingEvent[]> {
  const { rows } = await hot.dueEvents.run(db, { now_ms: nowMs, limit })
  return rows.map((row) => ({
    ...eventFromRow(row),
    attempts: row.attempts,
    counted: {
      ms: Number(row.counted_ms),
      whyCode: row.why_code,
      triedAtMs: row.tried_ms === null ? null : Number(row.tried_ms),
    },
  }))
}

async function nextDueMs(db: Database, hot: Statements): Promise<number | null> {
  const [row] = (await hot.nextEvent.run(db, {})).rows
  return row === undefined ? null : Number(row.next_try_ms)
}

/**
 * The newest event of the serial in any spelling; first those of exactly this one where it was registered: two tokens
 * may differ by case only.
 */
async function accountOfSerial(db: Database, serial: Serial): ReturnType<InboxPort['accountOfSerial']> {
  const row = await db
    .selectFrom('event')
    .innerJoin('account', 'account.key', 'event.account_key')
    .select(['account.key', 'account.dn', 'account.login'])
    .where(keyColumn('event.serial'), '=', serialKey(serial))
    .where('event.serial', 'is not', null)
    .where('event.live', '=', 1)
    .orderBy(sql`case when event.serial = ${serial} and event.kind = 'register' then 0 else 1 end`)
    .orderBy('event.taken_at_us', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return null
  return { key: keyFromRow(row.key), dn: asDn(row.dn), login: row.login === null ? null : parseLogin(row.login) }
}

async function accountsOfSerials(
  db: Database,
  hot: Statements,
  serials: readonly Serial[],
): Promise<Map<Serial, AccountKey[]>> {
  const found = new Map<Serial, AccountKey[]>()
  for (const serial of serials) {
    const { rows } = await hot.ofSerial.run(db, { serial_key: serialKey(serial) })
    const keys = rows.flatMap((row) => (row.account_key === null ? [] : [keyFromRow(row.account_key)]))
    found.set(serial, [...new Set(keys)])
  }
  return found
}

type Resolved = Extract<Resolution, { kind: 'resolved' }>

async function recordResolutions(scope: WriteScope, resolutions: readonly Resolution[], nowMs: number): Promise<void> {
  const resolved: Resolved[] = []
  for (const each of resolutions) {
    switch (each.kind) {
      case 'ended':
        await endEvent(scope, each.event.id, each.reason, nowMs)
        break
      case 'waiting':
        await postpone(scope, each, nowMs)
        break
      case 'hinted':
        await endEvent(scope, each.event.id, REFRESH, nowMs)
        for (const account of each.accounts) {
          await noteAccount(scope, account, nowMs)
          if (account.user !== undefined) await noteUser(scope, account.key, account.user)
        }
        for (const { key, serial } of each.named) {
          await scope.hot.nameSerial.run(scope.on, { account_key: key, serial, at_ms: nowMs })
        }
        await markAccounts(
          scope,
          each.accounts.map((account) => account.key),
          nowMs,
          true,
        )
        break
      case 'resolved':
        if (!(await assign(scope, each))) break
        resolved.push(each)
        if (each.event.kind === 'register' && each.event.serial !== null) {
          await authorSerial(scope, each.key, each.event.serial, 'recorded', nowMs)
        }
        break
    }
  }
  if (resolved.length > 0) await markResolved(scope, resolved, nowMs)
}

async function endEvent(scope: WriteScope, id: string, why: Reason, nowMs: number): Promise<void> {
  const { numAffectedRows } = await scope.hot.endEvent.run(scope.on, { id, why: reasonToRow(why) })
  if (numAffectedRows !== 1n) return
  scope.log({ atMs: nowMs, kind: 'ended', subject: id, body: { reason: why } })
}

async function postpone(
  scope: WriteScope,
  resolution: Extract<Resolution, { kind: 'waiting' }>,
  nowMs: number,
): Promise<void> {
  const { event, code, reason, againAtMs, countedMs } = resolution
  await scope.hot.postponeEvent.run(scope.on, {
    id: event.id,
    why_code: code,
    why: reason,
    attempts: event.attempts + 1,
    next_try_ms: (await becameKnown(scope, event, code)) ? 0 : againAtMs,
    counted_ms: countedMs,
    tried_ms: nowMs,
  })
}

/** True when the serial found its account while this event was being resolved: the wake came before the wait. */
async function becameKnown({ hot, on }: WriteScope, event: WaitingEvent, code: ErrorCode): Promise<boolean> {
  if (event.serial === null || event.kind === 'register' || !KNOWN_BY_SERIAL.includes(code)) return false
  const { rows } = await hot.ofSerial.run(on, { serial_key: serialKey(event.serial) })
  return rows.some((row) => row.state === 'resolved')
}

/** @returns false where the event no longer waits (another process was faster) or was never taken */
async function assign({ hot, on }: WriteScope, resolved: Resolved): Promise<boolean> {
  const { numAffectedRows } = await hot.assignEvent.run(on, {
    id: resolved.event.id,
    account_key: resolved.key,
    attribute_serials: toJson(resolved.attributeSerials),
  })
  return numAffectedRows === 1n
}

/** Notes the accounts, and marks them and every other account that one of the serials ever belonged to. */
async function markResolved(scope: WriteScope, resolved: readonly Resolved[], nowMs: number): Promise<void> {
  const keys = new Set<AccountKey>()
  const serials = new Set<SerialKey>()
  for (const each of resolved) {
    if (!keys.has(each.key)) await noteAccount(scope, each, nowMs)
    keys.add(each.key)
    if (each.event.serial !== null) serials.add(serialKey(each.event.serial))
  }
  for (const serial of serials) {
    const { rows } = await scope.hot.ofSerial.run(scope.on, { serial_key: serial })
    for (const row of rows) if (row.account_key !== null) keys.add(keyFromRow(row.account_key))
    if (rows.some((row) => row.state === 'waiting')) await wakeWaiting(scope, serial, nowMs)
  }
  await markAccounts(scope, [...keys], nowMs)
}

async function wakeWaiting(scope: WriteScope, serial: SerialKey, nowMs: number): Promise<void> {
  await scope.trx
    .updateTable('event')
    .set({ next_try_ms: nowMs })
    .where(keyColumn('serial'), '=', serial)
    .where('serial', 'is not', null)
    .where('state', '=', WAITING)
    .execute()
}

export async function noteAccount({ hot, on }: WriteScope, account: NotedAccount, nowMs: number): Promise<void> {
  const { key, dn, login, realm } = account
  const row = { key, directory: directoryOf(key), dn, login, realm, updated_ms: nowMs, known_ms: nowMs }
  await hot.noteAccount.run(on, row)
}

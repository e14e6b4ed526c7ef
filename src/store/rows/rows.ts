import type { AccountOwner, Change, EntryModification } from '../../core/account/change.ts'
import { isEventKind, type Event, type ResolvedEvent } from '../../core/events/event.ts'
import { AppError } from '../../core/error.ts'
import {
  asDn,
  parseHoldName,
  parseLogin,
  parseRealm,
  parseResolverName,
  parseSerial,
  parseUserId,
  splitAccountKey,
  type AccountKey,
  type Realm,
  type Serial,
} from '../../core/names.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import { isOtherLockCause } from '../../core/reasons/other-lock-cause.ts'
import type { EntryVersion, Hold, HoldEnds, OtherLock, OwnedLock, OwnedSlot } from '../../core/account/state.ts'
import type { OwnerQuery } from '../../ports/privacyidea.ts'
import { reasonFromRow, reasonOfChange, reasonToRow } from './reasons.ts'
import type { AccountRow, ChangeRow, EventRow, HoldTable, NewChangeRow, NewEventRow } from '../schema/schema.ts'

/**
 * Rows to the core's types and back. What the store holds was parsed before it was written, and is parsed again here:
 * a row that was changed by hand fails with `store-corrupt` and not somewhere in the middle.
 */

/** JSON that keeps bytes: a Uint8Array becomes `{"b64": …}`. */
export function toJson(value: unknown): string {
  // A replacer makes it several times slower, and bytes are rare.
  return holdsBytes(value) ? JSON.stringify(value, bytesToJson) : JSON.stringify(value)
}

function bytesToJson(_name: string, each: unknown): unknown {
  return each instanceof Uint8Array ? { b64: Buffer.from(each).toString('base64') } : each
}

function holdsBytes(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (value instanceof Uint8Array) return true
  if (Array.isArray(value)) return value.some(holdsBytes)
  for (const name in value) if (holdsBytes((value as Readonly<Record<string, unknown>>)[name])) return true
  return false
}

export function fromJson<Shape>(text: string, where: string): Shape {
  try {
    return JSON.parse(text, text.includes('"b64"') ? bytesFromJson : undefined) as Shape
  } catch (thrown) {
    throw new AppError('store-corrupt', `unreadable JSON in ${where}`, { cause: thrown })
  }
}

function bytesFromJson(_name: string, each: unknown): unknown {
  const bytes = (each as { b64?: unknown } | null)?.b64
  return typeof bytes === 'string' ? new Uint8Array(Buffer.from(bytes, 'base64')) : each
}

/** Null also for what another version wrote. */
export function effectiveFromRow(text: string | null): Outcome['effective'] {
  return text === 'yes' || text === 'no' || text === 'unknown' ? text : null
}

/** Null also for what another version wrote. */
export function otherLockFromRow(text: string | null): OtherLock | null {
  if (text === null) return null
  const lock = fromJson<OtherLock>(text, 'another lock')
  return isOtherLockCause(lock.cause) ? lock : null
}

export function keyFromRow(text: string): AccountKey {
  return must(splitAccountKey(text)?.key ?? null, 'an account key')
}

export function serialFromRow(text: string): Serial {
  return must(parseSerial(text), 'a serial')
}

/** The owner of the account; of nobody where there is no row. */
export function whoseFromRow(row: Pick<AccountRow, 'login' | 'realm'> | undefined): AccountOwner {
  const login = row?.login ?? null
  return {
    login: login === null ? null : must(parseLogin(login), 'a login'),
    realm: realmFromRow(row?.realm ?? null),
  }
}

export function realmFromRow(text: string | null): Realm | null {
  return text === null ? null : must(parseRealm(text), 'a realm')
}

export function ownerFromRow(
  row: Pick<AccountRow, 'login' | 'realm' | 'resolver' | 'user_id'>,
  key: AccountKey,
): OwnerQuery {
  const where = `account ${key}`
  return {
    login: row.login === null ? null : must(parseLogin(row.login), where),
    realm: row.realm === null ? null : must(parseRealm(row.realm), where),
    resolver: row.resolver === null ? null : must(parseResolverName(row.resolver), where),
    userId: row.user_id === null ? null : must(parseUserId(row.user_id), where),
  }
}

export function eventFromRow(row: EventRow): Event {
  return {
    id: row.id,
    kind: must(isEventKind(row.kind) ? row.kind : null, `event ${row.id}`),
    serial: row.serial === null ? null : must(parseSerial(row.serial), `event ${row.id}`),
    login: row.login === null ? null : must(parseLogin(row.login), `event ${row.id}`),
    realm: row.realm === null ? null : must(parseRealm(row.realm), `event ${row.id}`),
    actor: row.actor,
    takenAtUs: Number(row.taken_at_us),
    source: row.source as Event['source'],
    reason: reasonFromRow(row.reason),
    untilUs: row.until_us === null ? null : Number(row.until_us),
    ...(row.sole_serial === 1 ? { isSoleSerial: true } : {}),
  }
}

export function resolvedFromRow(row: EventRow): ResolvedEvent {
  const serials = row.attribute_serials === '[]' ? [] : fromJson<string[]>(row.attribute_serials, `event ${row.id}`)
  return {
    ...eventFromRow(row),
    accountKey: keyFromRow(row.account_key ?? ''),
    attributeSerials: serials.map((text) => must(parseSerial(text), `event ${row.id}`)),
    pinnedHold: row.pinned_hold === null ? null : must(parseHoldName(row.pinned_hold), `event ${row.id}`),
    receivedUs: Number(row.received_ms) * 1000,
  }
}

export function eventToRow(event: Event, nowMs: number): NewEventRow {
  return {
    id: event.id,
    kind: event.kind,
    serial: event.serial,
    login: event.login,
    realm: event.realm,
    actor: event.actor,
    taken_at_us: event.takenAtUs,
    received_ms: nowMs,
    source: event.source,
    reason: reasonToRow(event.reason),
    until_us: event.untilUs,
    state: 'waiting',
    live: 0,
    account_key: null,
    attribute_serials: '[]',
    pinned_hold: null,
    why_code: null,
    why: '',
    attempts: 0,
    next_try_ms: nowMs,
    sole_serial: event.isSoleSerial === true ? 1 : 0,
  }
}

export function resolvedToRow(event: ResolvedEvent, nowMs: number): NewEventRow {
  return {
    ...eventToRow(event, nowMs),
    state: 'resolved',
    live: 1,
    account_key: event.accountKey,
    attribute_serials: toJson(event.attributeSerials),
    pinned_hold: event.pinnedHold,
    next_try_ms: null,
  }
}

export function ownedFromRow(row: Pick<AccountRow, 'owned_lock' | 'key'>): OwnedLock | null {
  return row.owned_lock === null ? null : fromJson<OwnedLock>(row.owned_lock, `account ${row.key}`)
}

export function holdToRow(key: AccountKey, hold: Hold): HoldTable {
  const { name, kind, serial, sinceUs, untilUs, reason, actor } = hold
  return {
    account_key: key,
    name,
    kind,
    serial,
    since_us: sinceUs,
    until_us: untilUs,
    reason: reasonToRow(reason),
    actor,
  }
}

interface ChangeBody {
  readonly holds: Change['holds']
  readonly ends?: HoldEnds
  readonly forward: readonly EntryModification[]
  readonly inverse: readonly EntryModification[]
  readonly slots: readonly OwnedSlot[]
  readonly asRead?: EntryVersion
  readonly owner?: AccountOwner
}

export function changeToRow(change: Change): NewChangeRow {
  const { holds, ends, forward, inverse, slots, asRead, owner } = change
  return {
    id: change.id,
    account_key: change.key,
    kind: change.kind,
    serial: change.serial,
    dn: change.dn,
    body: toJson({
      ...{ holds, ...(ends === undefined ? {} : { ends }), forward, inverse, slots },
      ...(asRead === undefined ? {} : { asRead }),
      ...(owner === undefined ? {} : { owner }),
    } satisfies ChangeBody),
    reason: reasonToRow(change.reason),
    actor: change.actor,
    planned_ms: change.plannedAtMs,
    state: 'planned',
    closed_ms: null,
  }
}

export function changeFromRow(row: ChangeRow): Change {
  return {
    id: row.id,
    kind: row.kind as Change['kind'],
    key: keyFromRow(row.account_key),
    dn: asDn(row.dn),
    serial: row.serial === null ? null : must(parseSerial(row.serial), `change ${row.id}`),
    ...fromJson<ChangeBody>(row.body, `change ${row.id}`),
    reason: reasonOfChange(row.reason),
    actor: row.actor,
    plannedAtMs: Number(row.planned_ms),
  }
}

function must<Value>(value: Value | null, where: string): Value {
  if (value === null) throw new AppError('store-corrupt', `unreadable value in ${where}`)
  return value
}

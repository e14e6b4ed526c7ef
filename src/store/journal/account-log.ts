import { changeName } from '../../core/account/dry-run.ts'
import { logReason, type LogEntry, type OrderEntry } from '../../core/events/log-entry.ts'
import type { ChangeKind } from '../../core/account/change.ts'
import type { HoldName } from '../../core/names.ts'
import { guardOf } from '../../core/account/outcome.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { isOrder, orderOf, type Order } from './orders.ts'
import { reasonFromBody, reasonOfChange } from '../rows/reasons.ts'
import { fromJson, keyFromRow } from '../rows/rows.ts'
import type { ChangeRow, JournalRow } from '../schema/schema.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

const POSITION_KEY = 'log-position'
const DONE: Readonly<Record<ChangeKind, LogEntry['event']>> = {
  lock: 'locked',
  unlock: 'unlocked',
  register: 'registered',
  unregister: 'unregistered',
}
/** The guard against losses: it counts tokens, and no account has it as its status. */
const LOSS_GUARD = 'loss-breaker'

/**
 * The log's entries about accounts and guards: one for each change that was applied, each one that a guard held back
 * and each order of a person, by any process, read from the journal. Reported entries are on record, so that nothing is
 * reported twice or left out where the daemon starts again.
 */
export function openAccountLog(db: Database, writer: StoreWriter) {
  let position: number | null = null
  let isKept = false
  return {
    /**
     * What came since the last call that was `reported`, the oldest first; at most so many. The first one of a store begins at
     * its end.
     */
    async unreported(max: number) {
      position ??= await positionIn(db)
      const rows = await db
        .selectFrom('journal')
        .select(['seq', 'at_ms', 'kind', 'subject', 'body'])
        .where('seq', '>', position)
        .orderBy('seq')
        .limit(max)
        .execute()
      const entries = await entriesOf(db, rows)
      return { entries, upTo: Number(rows.at(-1)?.seq ?? position), isMore: rows.length === max }
    },
    async reported(upTo: number) {
      if (upTo === position && isKept) return
      ;[position, isKept] = [upTo, true]
      await writer.runSoon((scope) => writeMeta(scope, POSITION_KEY, upTo))
    },
  }
}

interface Would {
  readonly kind: string
  readonly serial?: string
  readonly holds?: readonly string[]
  readonly actor?: string
}

interface Body {
  /** Of a change. */
  readonly change?: string
  /** Of a status. */
  readonly is?: string
  readonly reason?: unknown
  /** What a guard holds back; older versions wrote it of a dry run alone. */
  readonly would?: readonly Would[]
  /** Which of it the guard did not hold back before; left out: all of it. */
  readonly added?: readonly string[]
  /** Of a loss, or of a loss that a person decided about. */
  readonly serial?: string
  /** Of a loss that is held back: the lock that the token made is its account's last. */
  readonly isLastHold?: boolean
}

/** A record that makes entries: of a change, of an account or a loss that a guard held back, or of a person's order. */
type Line =
  | { readonly change: string; readonly atMs: number }
  | { readonly key: string; readonly body: Body; readonly guard: string; readonly atMs: number }
  | { readonly order: Order; readonly key: string | null; readonly atMs: number }
type JournalLine = Pick<JournalRow, 'kind' | 'subject' | 'body' | 'at_ms'>
type ChangeLine = Pick<ChangeRow, 'id' | 'account_key' | 'kind' | 'serial' | 'body' | 'reason' | 'actor' | 'planned_ms'>
type Owners = ReadonlyMap<string, Pick<LogEntry, 'login' | 'realm'>>
const NOBODY = { login: '', realm: '' } as const

async function positionIn(db: Database): Promise<number> {
  const position = await readMeta<number>(db, POSITION_KEY)
  if (position !== null) return position
  const newest = await db
    .selectFrom('journal')
    .select((select) => select.fn.max('seq').as('seq'))
    .executeTakeFirst()
  return Number(newest?.seq ?? 0)
}

/** Three queries for all of them: it is work for each change. */
async function entriesOf(db: Database, rows: readonly JournalLine[]): Promise<(LogEntry | OrderEntry)[]> {
  const lines = rows.flatMap(lineOf)
  const ids = lines.flatMap((line) => ('change' in line ? [line.change] : []))
  const changes = await changesOf(db, ids)
  const keys = lines.flatMap((line) =>
    'change' in line ? (changes.get(line.change)?.account_key ?? []) : (line.key ?? []),
  )
  const owners = await ownersOf(db, keys)
  const entries: (LogEntry | OrderEntry)[] = []
  for (const line of lines) {
    if ('change' in line) {
      const change = changes.get(line.change)
      if (change !== undefined) entries.push(changed(change, line.atMs, owners))
    } else if ('order' in line) entries.push(ordered(line, owners))
    else entries.push(...(await refused(db, line, owners)))
  }
  return entries
}

function lineOf({ kind, subject, body: text, at_ms }: JournalLine): Line[] {
  const atMs = Number(at_ms)
  const order = isOrder(kind) ? orderOf(kind, subject, text) : null
  if (order !== null) return [{ order, key: order.isOfAccount ? subject : null, atMs }]
  if (kind !== 'applied' && kind !== 'standing' && kind !== 'loss-held') return []
  const body = JSON.parse(text) as Body
  if (kind === 'applied') return [{ change: body.change ?? '', atMs }]
  const guard = kind === 'loss-held' ? LOSS_GUARD : guardOf(body.is ?? '', reasonFromBody(body.reason))
  return guard === null ? [] : [{ key: subject, body: guard === LOSS_GUARD ? ofLoss(body) : body, guard, atMs }]
}

/** The serial stays, and the lock that the token made. */
function ofLoss({ serial = '', isLastHold = false }: Body): Body {
  const unregister = { kind: 'unregister', serial }
  return { would: isLastHold ? [unregister, { kind: 'unlock', holds: [serial] }] : [unregister] }
}

async function changesOf(db: Database, ids: readonly string[]): Promise<ReadonlyMap<string, ChangeLine>> {
  if (ids.length === 0) return new Map()
  const columns = ['id', 'account_key', 'kind', 'serial', 'body', 'reason', 'actor', 'planned_ms'] as const
  const rows = await db.selectFrom('change').select(columns).where('id', 'in', ids).execute()
  return new Map(rows.map((row) => [row.id, row]))
}

async function ownersOf(db: Database, keys: readonly string[]): Promise<Owners> {
  if (keys.length === 0) return new Map()
  const distinct = [...new Set(keys)]
  const rows = await db.selectFrom('account').select(['key', 'login', 'realm']).where('key', 'in', distinct).execute()
  return new Map(rows.map(({ key, login, realm }) => [key, { login: login ?? '', realm: realm ?? '' }]))
}

function changed(row: ChangeLine, atMs: number, owners: Owners): LogEntry {
  const kind = row.kind as ChangeKind
  const { holds } = fromJson<{ holds: readonly HoldName[] }>(row.body, `change ${row.id}`)
  return {
    event: DONE[kind],
    atMs,
    account: keyFromRow(row.account_key),
    ...(owners.get(row.account_key) ?? NOBODY),
    tokens: row.serial === null ? tokensOf(holds) : [row.serial],
    reason: logReason({ kind, holds, reason: reasonOfChange(row.reason) }),
    by: row.actor,
    tookMs: Math.max(0, atMs - Number(row.planned_ms)),
    change: kind,
  }
}

async function refused(
  db: Database,
  { key, body, guard, atMs }: Extract<Line, { guard: string }>,
  owners: Owners,
): Promise<LogEntry[]> {
  const { would = await heldOf(db, key), added } = body
  const fresh = would.filter(({ kind, serial = null }) => added?.includes(changeName({ kind, serial })) ?? true)
  return fresh.map((each): LogEntry => ({
    event: 'refused',
    atMs,
    account: keyFromRow(key),
    ...(owners.get(key) ?? NOBODY),
    tokens: tokensOf(each.serial === undefined ? (each.holds ?? []) : [each.serial]),
    reason: guard,
    by: each.actor ?? '',
    tookMs: null,
    change: each.kind,
  }))
}

/** Of a record that an older version wrote: the holds of the account are to lock it. */
async function heldOf(db: Database, key: string): Promise<Would[]> {
  const holds = await db.selectFrom('hold').select(['name', 'actor']).where('account_key', '=', key).execute()
  const [first] = holds
  if (first === undefined) return []
  return [{ kind: 'lock', holds: holds.map(({ name }) => name), actor: first.actor }]
}

function ordered({ order, key, atMs }: Extract<Line, { order: Order }>, owners: Owners): OrderEntry {
  const { event, directory, serial, kind, isEnough, by, comment } = order
  const tokens = serial === null ? [] : [serial]
  const account = key === null ? null : { account: keyFromRow(key), ...(owners.get(key) ?? NOBODY), tokens }
  return { event, atMs, directory, account, kind, isEnough, by, comment }
}

/** A hold without a token has a name with a dot in it. */
function tokensOf(holds: readonly string[]): string[] {
  return holds.filter((name) => !name.includes('.'))
}

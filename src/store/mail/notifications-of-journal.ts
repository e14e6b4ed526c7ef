import type { AccountKey } from '../../core/names.ts'
import type { Change } from '../../core/account/change.ts'
import { usualBecause } from '../../core/account/fold-reasons.ts'
import type { DriftFound } from '../../core/reasons/history-reasons.ts'
import { splitAccountKey, type HoldName } from '../../core/names.ts'
import type { Cause, Notice, NoticeKind } from '../../core/mail/notice.ts'
import type { Reason, ReasonCode } from '../../core/reasons/reason.ts'
import type { HoldKind } from '../../core/account/state.ts'
import { reasonFromBody, reasonFromRow } from '../rows/reasons.ts'
import { changeFromRow } from '../rows/rows.ts'
import type { Database, JournalRow } from '../schema/schema.ts'
import { LOSS_CAUSES } from '../../core/reasons/limits.ts'

/**
 * Which records of the journal are reported by mail; what is reported without a record: `notifications-of-state.ts`. Whom it goes to,
 * is in `notifications.ts`, when in `core/mail/mail-times.ts`.
 */

export type NotificationRow = Pick<JournalRow, 'seq' | 'at_ms' | 'kind' | 'subject' | 'body'>

/** Statuses that are notified; the others are in sync, or of a dry run, in which nothing happened. */
const OF_STANDING: Readonly<Record<string, NoticeKind>> = {
  'not-effective': 'not-effective',
  protected: 'refused',
  paused: 'refused',
  breaker: 'breaker',
  conflict: 'failed',
  'foreign-lock': 'failed',
  failed: 'failed',
}

/** Why an account is open after a `relabelled` record, though not by a change of ours. */
const GONE: readonly ReasonCode[] = ['lock-removed', 'lock-gone']

export async function noticesOf(db: Database, rows: readonly NotificationRow[]): Promise<Notice[]> {
  const drafts = rows.flatMap((row) => draftOf(row))
  if (drafts.length === 0) return []
  const accounts = await accountsOf(db, drafts)
  const causes = await causesOf(db, drafts)
  return drafts.map(({ kind, row, reason, count, about }) => {
    const account = splitAccountKey(row.subject)?.key ?? null
    const known = account === null ? undefined : accounts.get(account)
    return {
      kind,
      atMs: Number(row.at_ms),
      account,
      login: known?.login ?? null,
      realm: known?.realm ?? null,
      subject: known?.dn ?? '',
      ...(about === undefined ? {} : { about }),
      causes: kind === 'locked' ? (causes.get(row.seq)?.causes ?? []) : [],
      reason: reason ?? (kind === 'unlocked' ? (causes.get(row.seq)?.reason ?? null) : null),
      count,
    }
  })
}

interface Draft {
  readonly kind: NoticeKind
  readonly row: NotificationRow
  /** `locked`, `unlocked`: the change that did it. */
  readonly change: string | null
  readonly reason: Reason | null
  readonly about?: Notice['about']
  readonly count: number
}

function draftOf(row: NotificationRow): Draft[] {
  const body = bodyOf(row)
  const text = (name: string): string => (typeof body[name] === 'string' ? body[name] : '')
  const reasonOf = (name: string): Reason | null => reasonFromBody(body[name])
  const draft = { row, change: null, reason: null, count: 1 }
  switch (row.kind) {
    case 'applied':
      if (text('kind') === 'lock') return [{ ...draft, kind: 'locked', change: text('change') }]
      return text('kind') === 'unlock' ? [{ ...draft, kind: 'unlocked', change: text('change') }] : []
    case 'relabelled': {
      const why = reasonOf('why')
      const isOpen = Array.isArray(body['holds']) && body['holds'].length === 0
      return isOpen && why !== null && GONE.includes(why.code) ? [{ ...draft, kind: 'unlocked', reason: why }] : []
    }
    case 'standing': {
      const kind = OF_STANDING[text('is')]
      return kind === undefined ? [] : [{ ...draft, kind, reason: reasonOf('reason') }]
    }
    case 'loss-held':
      return [{ ...draft, kind: 'breaker', reason: lossReason(body) }]
    case 'refused':
      return [{ ...draft, kind: 'unresolved', reason: reasonOf('reason'), about: { what: 'event', name: row.subject } }]
    case 'drift': {
      const count = typeof body['differences'] === 'number' ? body['differences'] : 1
      return [{ ...draft, kind: 'drift', reason: driftReason(body['first']), count }]
    }
    default:
      return []
  }
}

function lossReason({ serial, cause }: Record<string, unknown>): Reason {
  const why = LOSS_CAUSES.find((each) => each === cause) ?? null
  return { code: 'loss-held-back', params: { serial: String(serial), cause: why } }
}

/** Older versions wrote the first differences as one sentence. */
function driftReason(first: unknown): Reason | null {
  if (!Array.isArray(first)) return reasonFromBody(first)
  return { code: 'drift-found', params: { first: first as readonly DriftFound[] } }
}

function bodyOf(row: NotificationRow): Record<string, unknown> {
  const body: unknown = JSON.parse(row.body)
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
}

interface KnownAccount {
  readonly dn: string
  readonly login: string | null
  readonly realm: string | null
}

async function accountsOf(db: Database, drafts: readonly Draft[]): Promise<Map<AccountKey | string, KnownAccount>> {
  const keys = [...new Set(drafts.map(({ row }) => row.subject))]
  const rows = await db.selectFrom('account').select(['key', 'dn', 'login', 'realm']).where('key', 'in', keys).execute()
  return new Map(rows.map(({ key, ...known }) => [key, known]))
}

interface Written {
  readonly causes: readonly Cause[]
  readonly reason: Reason
}

/** Why accounts were locked and unlocked, by the record: the reason of the change, and what is known of those holds. */
async function causesOf(db: Database, drafts: readonly Draft[]): Promise<Map<number, Written>> {
  const locks = drafts.flatMap(({ row, change }) => (change === null ? [] : [{ row, change }]))
  const causes = new Map<number, Written>()
  if (locks.length === 0) return causes
  const ids = locks.map(({ change }) => change)
  const changes = await db.selectFrom('change').selectAll().where('id', 'in', ids).execute()
  const keys = [...new Set(locks.map(({ row }) => row.subject))]
  const holds = await db.selectFrom('hold').selectAll().where('account_key', 'in', keys).execute()
  for (const { row, change: id } of locks) {
    const written = changes.find((each) => each.id === id)
    if (written === undefined) continue
    const change = changeFromRow(written)
    causes.set(row.seq, {
      reason: change.reason,
      causes: change.holds.map((name, index): Cause => {
        const hold = holds.find((each) => each.account_key === row.subject && each.name === name)
        const kind = kindOf(name)
        const untilUs = hold?.until_us ?? change.ends?.[name] ?? null
        return {
          kind,
          serial: kind === 'token' ? name : null,
          sinceMs: hold === undefined ? null : Math.floor(Number(hold.since_us) / 1000),
          untilMs: untilUs === null ? null : Math.floor(Number(untilUs) / 1000),
          because: (hold === undefined ? null : reasonFromRow(hold.reason)) ?? becauseOf(change, index, kind, name),
          actor: hold?.actor ?? (index === 0 ? change.actor : ''),
        }
      }),
    })
  }
  return causes
}

/** A hold that is over by now: the change has the reason of the first one. */
function becauseOf({ reason }: Change, index: number, kind: HoldKind, name: HoldName): Reason {
  return index === 0 ? reason : usualBecause(kind, name)
}

/** A hold's name shows its kind: a serial, or the kind and a dot before it. */
function kindOf(name: string): HoldKind {
  for (const kind of ['account', 'manual', 'lockout'] as const) if (name.startsWith(`${kind}.`)) return kind
  return 'token'
}

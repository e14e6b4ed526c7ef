import type { AccountKey } from '../core/names.ts'
import { splitAccountKey } from '../core/names.ts'
import type { Cause, Notice, NoticeKind } from '../core/notice.ts'
import type { HoldKind } from '../core/state.ts'
import { changeFromRow } from './rows.ts'
import type { Database, JournalRow } from './schema.ts'

/** What records of the journal are worth telling. */

export type NewsRow = Pick<JournalRow, 'seq' | 'at_ms' | 'kind' | 'subject' | 'body'>

/** Standings that are told; the others are in step, or tell of a dry run, in which nothing happened. */
const OF_STANDING: Readonly<Record<string, NoticeKind>> = {
  'not-effective': 'not-effective',
  protected: 'refused',
  paused: 'refused',
  breaker: 'breaker',
  conflict: 'failed',
  'foreign-lock': 'failed',
  failed: 'failed',
}

/** Whys of `relabelled` records after which the account is open, though not by a change of ours. */
const GONE = /^(?:lock taken away|our lock no longer stands in the directory)/

export async function noticesOf(db: Database, rows: readonly NewsRow[]): Promise<Notice[]> {
  const told = rows.flatMap((row) => draftOf(row))
  if (told.length === 0) return []
  const accounts = await accountsOf(db, told)
  const causes = await causesOf(db, told)
  return told.map(({ kind, row, reason, count, subject }) => {
    const account = splitAccountKey(row.subject)?.key ?? null
    const known = account === null ? undefined : accounts.get(account)
    return {
      kind,
      atMs: Number(row.at_ms),
      account,
      login: known?.login ?? null,
      realm: known?.realm ?? null,
      subject: known?.dn ?? subject,
      causes: causes.get(row.seq) ?? [],
      reason,
      count,
    }
  })
}

interface Draft {
  readonly kind: NoticeKind
  readonly row: NewsRow
  /** `locked`: the change that did it. */
  readonly change: string | null
  readonly reason: string
  readonly subject: string
  readonly count: number
}

function draftOf(row: NewsRow): Draft[] {
  const body = bodyOf(row)
  const text = (name: string): string => (typeof body[name] === 'string' ? body[name] : '')
  const draft = { row, change: null, reason: '', subject: '', count: 1 }
  switch (row.kind) {
    case 'applied':
      if (text('kind') === 'lock') return [{ ...draft, kind: 'locked', change: text('change') }]
      return text('kind') === 'unlock' ? [{ ...draft, kind: 'unlocked' }] : []
    case 'relabelled': {
      const isOpen = Array.isArray(body['holds']) && body['holds'].length === 0 && GONE.test(text('why'))
      return isOpen ? [{ ...draft, kind: 'unlocked', reason: 'somebody took the lock away in the directory' }] : []
    }
    case 'standing': {
      const kind = OF_STANDING[text('is')]
      return kind === undefined ? [] : [{ ...draft, kind, reason: text('reason') }]
    }
    case 'refused':
      return [{ ...draft, kind: 'unresolved', reason: text('reason'), subject: `event ${row.subject}` }]
    case 'drift': {
      const count = typeof body['differences'] === 'number' ? body['differences'] : 1
      return [{ ...draft, kind: 'drift', reason: text('first'), count }]
    }
    default:
      return []
  }
}

function bodyOf(row: NewsRow): Record<string, unknown> {
  const body: unknown = JSON.parse(row.body)
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
}

interface KnownAccount {
  readonly dn: string
  readonly login: string | null
  readonly realm: string | null
}

async function accountsOf(db: Database, told: readonly Draft[]): Promise<Map<AccountKey | string, KnownAccount>> {
  const keys = [...new Set(told.map(({ row }) => row.subject))]
  const rows = await db.selectFrom('account').select(['key', 'dn', 'login', 'realm']).where('key', 'in', keys).execute()
  return new Map(rows.map(({ key, ...known }) => [key, known]))
}

/** Why accounts were locked, by the record: what the change was for, and what is known of those holds. */
async function causesOf(db: Database, told: readonly Draft[]): Promise<Map<number, readonly Cause[]>> {
  const locks = told.flatMap(({ row, change }) => (change === null ? [] : [{ row, change }]))
  const causes = new Map<number, readonly Cause[]>()
  if (locks.length === 0) return causes
  const ids = locks.map(({ change }) => change)
  const changes = await db.selectFrom('change').selectAll().where('id', 'in', ids).execute()
  const keys = [...new Set(locks.map(({ row }) => row.subject))]
  const holds = await db.selectFrom('hold').selectAll().where('account_key', 'in', keys).execute()
  for (const { row, change: id } of locks) {
    const written = changes.find((each) => each.id === id)
    if (written === undefined) continue
    const change = changeFromRow(written)
    causes.set(
      row.seq,
      change.holds.map((name, index): Cause => {
        const hold = holds.find((each) => each.account_key === row.subject && each.name === name)
        const kind = kindOf(name)
        const untilUs = hold?.until_us ?? change.ends?.[name] ?? null
        return {
          kind,
          serial: kind === 'token' ? name : null,
          sinceMs: hold === undefined ? null : Math.floor(Number(hold.since_us) / 1000),
          untilMs: untilUs === null ? null : Math.floor(Number(untilUs) / 1000),
          reason: kind === 'manual' ? (hold?.reason ?? (index === 0 ? change.reason : '')) : '',
          actor: hold?.actor ?? (index === 0 ? change.actor : ''),
        }
      }),
    )
  }
  return causes
}

/** A hold's name tells its kind: a serial, or the kind and a dot before it. */
function kindOf(name: string): HoldKind {
  for (const kind of ['account', 'manual', 'lockout'] as const) if (name.startsWith(`${kind}.`)) return kind
  return 'token'
}

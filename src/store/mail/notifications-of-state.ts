import type { ErrorCode } from '../../core/error.ts'
import { isEventKind } from '../../core/events/event.ts'
import type { Notice } from '../../core/mail/notice.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import { WAITING } from '../rows/literals.ts'
import type { Database } from '../schema/schema.ts'
import type { SweepName, SweepState } from '../source/source-state.ts'
import { metaText, readMeta } from '../engine/meta.ts'

/**
 * Notifications without a record in the journal, since they are about something that did not happen: an event that is
 * still pending, a privacyIDEA that still cannot be read. Each is made once; a row of `meta` records up to where.
 */
export interface OtherNotifications {
  readonly notices: readonly Notice[]
  /** The row, its value at this reading (null: none), and its value once the notification is made. */
  readonly key: string
  readonly before: string | null
  readonly after: string
}

const EVENTS_KEY = 'mail-told-events'
const EVENTS_MAX = 200
const SOURCE_KEY = 'mail-told-source'
/** A privacyIDEA that is back sooner is not notified. */
const SOURCE_AFTER_MS = 300_000
const SWEEPS: readonly SweepName[] = ['scan', 'resync']

const ABOUT_NOBODY = { account: null, login: null, realm: null, causes: [], count: 1 }

/** Events that found no account for so long. Read once each, when they become that old. */
export async function unresolvedNotifications(
  db: Database,
  nowMs: number,
  afterMs: number,
): Promise<OtherNotifications | null> {
  const before = await metaText(db, EVENTS_KEY)
  const toMs = nowMs - afterMs
  const rows = await db
    .selectFrom('event')
    .select(['kind', 'serial', 'login', 'realm', 'why_code', 'why', 'received_ms'])
    .where('state', '=', WAITING)
    .where('received_ms', '>', Number(before ?? 0))
    .where('received_ms', '<=', toMs)
    .orderBy('received_ms')
    .limit(EVENTS_MAX)
    .execute()
  if (rows.length === 0) return null
  const last = Number(rows.at(-1)?.received_ms ?? toMs)
  // Where there were more, those of the last millisecond are notified with the next ones, unless they fill it all.
  const isCut = rows.length === EVENTS_MAX && Number(rows[0]?.received_ms) < last
  const found = isCut ? rows.filter((row) => Number(row.received_ms) < last) : rows
  return {
    key: EVENTS_KEY,
    before,
    after: String(isCut ? last - 1 : last),
    notices: found.map(({ kind, serial, login, realm, why, why_code }) => ({
      ...ABOUT_NOBODY,
      kind: 'unresolved',
      atMs: nowMs,
      login,
      realm,
      subject: '',
      about: { what: isEventKind(kind) ? kind : 'event', name: serial ?? '' },
      reason: whyUnresolved(why_code, why),
    })),
  }
}

export async function sourceNotifications(db: Database, nowMs: number): Promise<OtherNotifications | null> {
  const before = await metaText(db, SOURCE_KEY)
  for (const sweep of SWEEPS) {
    const failing = (await readMeta<SweepState>(db, `source-${sweep}`))?.failing ?? null
    if (failing === null || nowMs - failing.sinceMs < SOURCE_AFTER_MS) continue
    const reportedMs = Number(before ?? 0)
    // Both sweeps meet the same trouble: the notification of the one that began first was for both.
    if (failing.sinceMs <= reportedMs + SOURCE_AFTER_MS) continue
    const about = { what: sweep, name: '' }
    const reason: Reason = {
      code: 'operation-failed',
      params: { error: failing.code ?? 'source-unreachable', said: failing.reason },
    }
    const notice: Notice = { ...ABOUT_NOBODY, kind: 'source', atMs: nowMs, subject: '', about, reason }
    return { key: SOURCE_KEY, before, after: String(failing.sinceMs), notices: [notice] }
  }
  return null
}

function whyUnresolved(code: string | null, said: string): Reason | null {
  if (code === null) return null
  return { code: 'operation-failed', params: { error: code as ErrorCode, said } }
}

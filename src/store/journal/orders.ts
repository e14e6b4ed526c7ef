import type { OrderEntry } from '../../core/events/log-entry.ts'
import { splitAccountKey } from '../../core/names.ts'
import type { JournalKind } from '../engine/journal.ts'

/** What people ordered by commands, as it is in the journal. */
export interface Order extends Pick<OrderEntry, 'event' | 'directory' | 'kind' | 'isEnough' | 'by' | 'comment'> {
  readonly isOfAccount: boolean
  readonly serial: string | null
}

const EVENTS = {
  paused: 'paused',
  resumed: 'resumed',
  approved: 'approved',
  rejected: 'rejected',
  'breaker-resumed': 'breaker-resumed',
  'loss-breaker-resumed': 'breaker-resumed',
  retired: 'retired',
  'retirement-ended': 'retirement-cancelled',
  'directory-identity': 'directory-accepted',
  'source-identity': 'source-accepted',
} as const satisfies Partial<Record<JournalKind, OrderEntry['event']>>

interface Body {
  readonly by?: string
  readonly reason?: unknown
  readonly serial?: string
  readonly isEnough?: boolean
}

/** Of a record of the journal. @param reason '': none was given */
export function orderBody(by: string, reason: string): Pick<Body, 'by' | 'reason'> {
  return reason === '' ? { by } : { by, reason }
}

export function isOrder(kind: string): kind is keyof typeof EVENTS {
  return Object.hasOwn(EVENTS, kind)
}

/** Its subject is an account, a directory, or '' for the whole. Null: nobody ordered it. */
export function orderOf(kind: keyof typeof EVENTS, subject: string, text: string): Order | null {
  const { by, reason, serial = null, isEnough = true } = JSON.parse(text) as Body
  // The identity of a directory at its first use.
  if (by === undefined) return null
  const account = splitAccountKey(subject)
  return {
    event: EVENTS[kind],
    directory: account?.directory ?? subject,
    isOfAccount: account !== null,
    serial,
    kind: reviewOf(kind, serial),
    isEnough,
    by,
    comment: typeof reason === 'string' ? reason : '',
  }
}

function reviewOf(kind: keyof typeof EVENTS, serial: string | null): string {
  if (kind === 'breaker-resumed') return 'lock'
  if (kind === 'loss-breaker-resumed') return 'loss'
  if (kind !== 'approved' && kind !== 'rejected') return ''
  return serial === null ? 'lock' : 'loss'
}

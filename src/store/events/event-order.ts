import type { Event } from '../../core/events/event.ts'
import type { WriteScope } from '../engine/store-writer.ts'

/**
 * The newest event decides, by the times at which they were taken. Where the clock was set back behind the newest
 * record, new events would all be the older ones and change nothing: they get times after everything on record, in the
 * order in which they came. Times from a person or from privacyIDEA are later than the events that they refer to
 * anyway.
 */

/** A smaller step cannot be distinguished from the clock's own corrections, in milliseconds. */
export const STEP_BACK_MS = 2_000

export class EventOrder {
  /** The last time that was given out while the clock was behind, in microseconds since 1970. */
  #lastUs: number | null = null

  /** @returns the events with the times by which they count */
  async ordered(scope: WriteScope, events: readonly Event[], nowMs: number): Promise<readonly Event[]> {
    if (!events.some(isTaken)) return events
    const newestMs = await newestReceivedMs(scope.trx)
    if (newestMs === null || newestMs <= nowMs + STEP_BACK_MS) {
      this.#lastUs = null
      return events
    }
    let lastUs = Math.max(newestMs * 1000, this.#lastUs ?? (await newestTakenUs(scope.trx)))
    const ordered = events.map((event) => (isTaken(event) ? { ...event, takenAtUs: ++lastUs } : event))
    this.#lastUs = lastUs
    return ordered
  }
}

/** By the clock of the moment. */
function isTaken({ source }: Event): boolean {
  return source === 'shim' || source === 'webhook'
}

/** When the newest event came in; null: none did. */
export async function newestReceivedMs(db: Pick<WriteScope['trx'], 'selectFrom'>): Promise<number | null> {
  const row = await db
    .selectFrom('event')
    .select((select) => select.fn.max('received_ms').as('newest'))
    .executeTakeFirst()
  const newest = row?.newest ?? null
  return newest === null ? null : Number(newest)
}

async function newestTakenUs(db: WriteScope['trx']): Promise<number> {
  const row = await db
    .selectFrom('event')
    .select((select) => select.fn.max('taken_at_us').as('newest'))
    .executeTakeFirst()
  return Number(row?.newest ?? 0)
}

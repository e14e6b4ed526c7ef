import { randomUUID } from 'node:crypto'
import type { Refused } from '../../ports/intake.ts'
import type { WriteScope } from '../engine/store-writer.ts'
import { countOf } from '../rows/queries.ts'

/**
 * Everybody who may write into the spool, or has the webhook's secret, can hand over any number of inputs that are no
 * events, and each record is kept for long. So an hour has room for some; for the others there is one record of the
 * limit, and one with their number.
 */

const PER_HOUR_MAX = 200
const HOUR_MS = 3_600_000
/** Its records are those of this limit itself. */
const OWN_ID = 'refusals-'

export class RefusalLimit {
  /** Of the hour that began then; null: not counted yet. */
  #count: number | null = null
  #sinceMs = 0
  #leftOut = 0

  /** @returns what goes on record, with the records of this limit itself */
  async sift({ trx }: WriteScope, refused: readonly Refused[], nowMs: number): Promise<readonly Refused[]> {
    const [first] = refused
    if (first === undefined) return []
    if (this.#count === null || Math.abs(nowMs - this.#sinceMs) >= HOUR_MS) {
      this.#count = this.#count === null ? await countOfHour(trx, nowMs) : 0
      this.#sinceMs = nowMs
    }
    const before = this.#leftOut
    const room = Math.max(0, PER_HOUR_MAX - this.#count)
    const kept = refused.slice(0, room)
    const left = refused.length - kept.length
    this.#count += kept.length
    const said: Refused[] = []
    const says = (reason: string): void =>
      void said.push({ ...first, id: `${OWN_ID}${randomUUID()}`, takenAtUs: nowMs * 1000, reason })
    if (before > 0 && kept.length > 0) {
      says(`${before} more that are no events were left out`)
      this.#leftOut = 0
    }
    if (left > 0 && this.#leftOut === 0) {
      says(
        `over ${PER_HOUR_MAX} within an hour that are no events: further ones are not on record one by one; see who can write into the spool, or knows the webhook's secret`,
      )
    }
    this.#leftOut += left
    return [...kept, ...said]
  }
}

/** Those of other processes and earlier ones as well: a drain every minute has no new room. */
function countOfHour(trx: WriteScope['trx'], nowMs: number): Promise<number> {
  const events = trx
    .selectFrom('event')
    .where('received_ms', '>', nowMs - HOUR_MS)
    .where('received_ms', '<=', nowMs)
  return countOf(events.where('state', '=', 'refused'))
}

import type { Clock } from '../../ports/clock.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'

/** When `lockstep drain` ran last, so that a site without a daemon can be told from one where nothing works. */

const DRAIN_KEY = 'drain'
/** So many ends are kept, to know how far apart drains usually are. */
const ENDS_MAX = 5
/** A drain counts as recent for so many of the longest of those distances, within the two bounds. */
const DISTANCES = 3
const RECENT_MS_MIN = 15 * 60_000
const RECENT_MS_MAX = 3 * 86_400_000

export interface DrainEnd {
  /** `done`: nothing waited any more. `waiting`: something could not be done yet. `failed`: it broke off. */
  readonly outcome: 'done' | 'waiting' | 'failed'
  /** What could not be done, or what made it fail; '' when done. */
  readonly reason: string
}

export interface LastDrain extends DrainEnd {
  readonly endedMs: number
  /** So long after its end it counts as recent: by the distances of the last drains. */
  readonly recentForMs: number
  readonly isRecent: boolean
  /** When the last few ended, in milliseconds since 1970, the newest last. */
  readonly endsMs: readonly number[]
}

export interface DrainPort {
  ended(end: DrainEnd): Promise<void>
  last(): Promise<LastDrain | null>
}

interface Row extends DrainEnd {
  /** The newest last. */
  readonly endsMs: readonly number[]
}

export function openDrains(db: Database, writer: StoreWriter, clock: Clock): DrainPort {
  return {
    async ended({ outcome, reason }) {
      await writer.run(async ({ trx }) => {
        const before = await read(trx)
        const endsMs = [...(before?.endsMs ?? []), clock.nowMs()].slice(-ENDS_MAX)
        const value = JSON.stringify({ outcome, reason, endsMs } satisfies Row)
        await trx
          .insertInto('meta')
          .values({ key: DRAIN_KEY, value })
          .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
          .execute()
      })
    },
    async last() {
      const row = await read(db)
      const endedMs = row?.endsMs.at(-1)
      if (row === null || endedMs === undefined) return null
      const recentForMs = recentFor(row.endsMs)
      const { outcome, reason } = row
      const isRecent = clock.nowMs() - endedMs <= recentForMs
      return { outcome, reason, endedMs, recentForMs, isRecent, endsMs: row.endsMs }
    },
  }
}

async function read(db: Pick<Database, 'selectFrom'>): Promise<Row | null> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', DRAIN_KEY).executeTakeFirst()
  return row === undefined ? null : (JSON.parse(row.value) as Row)
}

function recentFor(endsMs: readonly number[]): number {
  const distances = endsMs.slice(1).map((ms, index) => ms - (endsMs[index] ?? ms))
  return Math.min(RECENT_MS_MAX, Math.max(RECENT_MS_MIN, DISTANCES * Math.max(0, ...distances)))
}

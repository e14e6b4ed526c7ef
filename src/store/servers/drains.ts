import type { Clock } from '../../ports/clock.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

/** When `lockstep drain` ran last, to distinguish a site without a daemon from one where nothing works. */

const DRAIN_KEY = 'drain'
/** So many ends are kept, to know how far apart drains usually are. */
const ENDS_MAX = 5
/** A drain counts as recent for so many of the longest of those distances, within the two bounds. */
const DISTANCES = 3
const RECENT_MS_MIN = 15 * 60_000
const RECENT_MS_MAX = 3 * 86_400_000

export interface DrainEnd {
  /** `done`: nothing was pending any more. `waiting`: something could not be done yet. `failed`: it was aborted. */
  readonly outcome: 'done' | 'waiting' | 'failed'
  /** What could not be done, or why it failed; '' when done. */
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

interface Row extends DrainEnd {
  /** The newest last. */
  readonly endsMs: readonly number[]
}

export function openDrains(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    async ended({ outcome, reason }: DrainEnd) {
      await writer.run(async (scope) => {
        const before = await readMeta<Row>(scope.trx, DRAIN_KEY)
        const endsMs = [...(before?.endsMs ?? []), clock.nowMs()].slice(-ENDS_MAX)
        await writeMeta<Row>(scope, DRAIN_KEY, { outcome, reason, endsMs })
      })
    },
    async last() {
      const row = await readMeta<Row>(db, DRAIN_KEY)
      const endedMs = row?.endsMs.at(-1)
      if (row === null || endedMs === undefined) return null
      const recentForMs = recentFor(row.endsMs)
      const { outcome, reason } = row
      const isRecent = clock.nowMs() - endedMs <= recentForMs
      return { outcome, reason, endedMs, recentForMs, isRecent, endsMs: row.endsMs }
    },
  }
}

function recentFor(endsMs: readonly number[]): number {
  const distances = endsMs.slice(1).map((ms, index) => ms - (endsMs[index] ?? ms))
  return Math.min(RECENT_MS_MAX, Math.max(RECENT_MS_MIN, DISTANCES * Math.max(0, ...distances)))
}

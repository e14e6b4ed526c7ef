import type { Clock } from '../ports/clock.ts'
import type { GuardPort } from '../ports/store.ts'
import { markAccounts } from './queue.ts'
import { keyFromRow } from './rows.ts'
import type { Database } from './schema.ts'
import type { Writer } from './writer.ts'

/** What a person switched, and the count that the breaker needs. */

const PAUSE_KEY = 'paused'
/** A pause is seen by the next change after so long at most. */
const LOOK_MS = 20

export interface Pause {
  readonly sinceMs: number
  readonly by: string
  readonly reason: string
}

export interface SwitchPort {
  /** @returns the pause that was in force already, which stays as it is; null: this one is */
  pause(by: string, reason: string): Promise<Pause | null>
  /** Marks what waited for it. @returns how many accounts; null: nothing was paused */
  resume(by: string): Promise<number | null>
  paused(): Promise<Pause | null>
}

export function openSwitches(db: Database, writer: Writer, clock: Clock): SwitchPort {
  return {
    pause: (by, reason) =>
      writer.run(async (scope) => {
        const before = await readPause(scope.trx)
        if (before !== null) return before
        const value = JSON.stringify({ sinceMs: clock.nowMs(), by, reason } satisfies Pause)
        await scope.hot.writeMeta.run(scope.trx, { key: PAUSE_KEY, value })
        scope.log({ atMs: clock.nowMs(), kind: 'paused', subject: '', body: { by, reason } })
        return null
      }),
    resume: (by) =>
      writer.run(async (scope) => {
        if ((await readPause(scope.trx)) === null) return null
        await scope.trx.deleteFrom('meta').where('key', '=', PAUSE_KEY).execute()
        scope.log({ atMs: clock.nowMs(), kind: 'resumed', subject: '', body: { by } })
        const rows = await scope.trx.selectFrom('account').select('key').where('standing', '=', 'paused').execute()
        const keys = rows.map((row) => keyFromRow(row.key))
        await markAccounts(scope, keys, clock.nowMs())
        return keys.length
      }),
    paused: () => readPause(db),
  }
}

async function readPause(db: Pick<Database, 'selectFrom'>): Promise<Pause | null> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', PAUSE_KEY).executeTakeFirst()
  return row === undefined ? null : (JSON.parse(row.value) as Pause)
}

/** @param breakerPerMs the breaker's window; null: no breaker, nothing is counted */
export function openGuards(db: Database, breakerPerMs: number | null): GuardPort {
  let lastLookMs = 0
  let paused = false
  return {
    async read(nowMs) {
      if (nowMs - lastLookMs >= LOOK_MS || nowMs < lastLookMs) {
        paused = (await readPause(db)) !== null
        lastLookMs = nowMs
      }
      if (breakerPerMs === null) return { paused, recentLocks: 0, windowEndsAtMs: nowMs }
      const { locks, oldestMs } = await countRecentLocks(db, nowMs - breakerPerMs)
      return { paused, recentLocks: locks, windowEndsAtMs: oldestMs === null ? nowMs : oldestMs + breakerPerMs }
    },
  }
}

/** Locks that were planned since then, and when the oldest of them was. */
export async function countRecentLocks(
  db: Pick<Database, 'selectFrom'>,
  sinceMs: number,
): Promise<{ locks: number; oldestMs: number | null }> {
  const row = await db
    .selectFrom('change')
    .select((select) => [select.fn.countAll<number>().as('locks'), select.fn.min('planned_ms').as('oldest')])
    .where('planned_ms', '>', sinceMs)
    .where('kind', '=', 'lock')
    .where('state', '<>', 'not-applied')
    .executeTakeFirstOrThrow()
  return { locks: Number(row.locks), oldestMs: row.oldest === null ? null : Number(row.oldest) }
}

import type { AppError, ErrorCode } from '../../core/error.ts'
import type { DriftFound } from '../../core/reasons/history-reasons.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'

/** How the sweeps over privacyIDEA went last, so that `status` can tell what is seen of it (mode `api`). */

export type SweepName = 'scan' | 'resync'

export interface SweepState {
  /** The last one that came to its end, in milliseconds since 1970; null: none ever did. */
  readonly doneMs: number | null
  /** Since then it has failed, and why; null: it works. Older versions wrote no code. */
  readonly failing: { readonly sinceMs: number; readonly reason: string; readonly code?: ErrorCode } | null
  /** What somebody should know of the last one, though it worked; left out: nothing. */
  readonly note?: string
}

export interface SourceStatePort {
  done(sweep: SweepName, note?: string): Promise<void>
  failed(sweep: SweepName, error: AppError): Promise<void>
  read(sweep: SweepName): Promise<SweepState>
  /** A full resync is due now, whenever the next one would be. */
  isResyncOrdered(): Promise<boolean>
  /** One begins, and does what was ordered until now. */
  takeResyncOrder(): Promise<void>
  /** Puts on record that a full resync found differences. */
  differed(found: Differences): Promise<void>
}

export interface Differences {
  readonly tokens: number
  readonly accounts: number
  /** One or more. */
  readonly differences: number
  /** The first few; older versions wrote them as one sentence. */
  readonly first: readonly DriftFound[]
}

/** The key of `meta` that stands while a full resync is ordered. */
export const RESYNC_ORDERED = 'resync-ordered'

const NEVER: SweepState = { doneMs: null, failing: null }

export function openSourceState(db: Database, writer: StoreWriter, clock: Clock): SourceStatePort {
  const read = async (on: Pick<Database, 'selectFrom'>, sweep: SweepName): Promise<SweepState> => {
    const row = await on.selectFrom('meta').select('value').where('key', '=', `source-${sweep}`).executeTakeFirst()
    return row === undefined ? NEVER : (JSON.parse(row.value) as SweepState)
  }
  const write = (sweep: SweepName, change: (before: SweepState, nowMs: number) => SweepState): Promise<void> =>
    writer.runSoon(async (scope) => {
      const value = JSON.stringify(change(await read(scope.trx, sweep), clock.nowMs()))
      await scope.hot.writeMeta.run(scope.on, { key: `source-${sweep}`, value })
    })
  return {
    done: (sweep, note) =>
      write(sweep, (_before, nowMs) => ({ doneMs: nowMs, failing: null, ...(note === undefined ? {} : { note }) })),
    failed: (sweep, { code, message: reason }) =>
      write(sweep, ({ doneMs, failing }, nowMs) => ({
        doneMs,
        failing: { sinceMs: failing?.sinceMs ?? nowMs, reason, code },
      })),
    read: (sweep) => read(db, sweep),
    isResyncOrdered: async () =>
      (await db.selectFrom('meta').select('key').where('key', '=', RESYNC_ORDERED).executeTakeFirst()) !== undefined,
    takeResyncOrder: () =>
      writer.run(async ({ trx }) => {
        await trx.deleteFrom('meta').where('key', '=', RESYNC_ORDERED).execute()
      }),
    differed: (found) =>
      writer.runSoon(({ log }) => {
        log({ atMs: clock.nowMs(), kind: 'drift', subject: '', body: found })
        return Promise.resolve()
      }),
  }
}

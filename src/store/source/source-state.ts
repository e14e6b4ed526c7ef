import type { AppError, ErrorCode } from '../../core/error.ts'
import type { DriftFound } from '../../core/reasons/history-reasons.ts'
import type { Clock } from '../../ports/clock.ts'
import { RESYNC_ORDERED } from '../decisions/retirements.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { dropMeta, metaText, readMeta, writeMeta } from '../engine/meta.ts'

/** The last results of the sweeps over privacyIDEA, so that `status` can show what is known of it (mode `api`). */

export type SweepName = 'scan' | 'resync'

export interface SweepState {
  /** The last complete one, in milliseconds since 1970; null: none ever was. */
  readonly doneMs: number | null
  /** Since then it has failed, and why; null: it works. Older versions wrote no code. */
  readonly failing: { readonly sinceMs: number; readonly reason: string; readonly code?: ErrorCode } | null
  /** A note on the last one, though it worked; left out: none. */
  readonly note?: string
}

export interface Differences {
  readonly tokens: number
  readonly accounts: number
  /** One or more. */
  readonly differences: number
  /** The first few; older versions wrote them as one sentence. */
  readonly first: readonly DriftFound[]
}

const NEVER: SweepState = { doneMs: null, failing: null }

export function openSourceState(db: Database, writer: StoreWriter, clock: Clock) {
  const read = async (on: Pick<Database, 'selectFrom'>, sweep: SweepName): Promise<SweepState> =>
    (await readMeta<SweepState>(on, `source-${sweep}`)) ?? NEVER
  const write = (sweep: SweepName, change: (before: SweepState, nowMs: number) => SweepState): Promise<void> =>
    writer.runSoon(async (scope) => {
      await writeMeta(scope, `source-${sweep}`, change(await read(scope.trx, sweep), clock.nowMs()))
    })
  return {
    done: (sweep: SweepName, note?: string) =>
      write(sweep, (_before, nowMs) => ({ doneMs: nowMs, failing: null, ...(note === undefined ? {} : { note }) })),
    failed: (sweep: SweepName, { code, message: reason }: AppError) =>
      write(sweep, ({ doneMs, failing }, nowMs) => ({
        doneMs,
        failing: { sinceMs: failing?.sinceMs ?? nowMs, reason, code },
      })),
    read: (sweep: SweepName) => read(db, sweep),
    /** A full resync is due now, whenever the next one would be. */
    isResyncOrdered: async () => (await metaText(db, RESYNC_ORDERED)) !== null,
    /** One begins, and does what was ordered until now. */
    takeResyncOrder: () => writer.run((scope) => dropMeta(scope, RESYNC_ORDERED)),
    /** Puts on record that a full resync found differences. */
    differed: (found: Differences) =>
      writer.runSoon(({ log }) => {
        log({ atMs: clock.nowMs(), kind: 'drift', subject: '', body: found })
        return Promise.resolve()
      }),
  }
}

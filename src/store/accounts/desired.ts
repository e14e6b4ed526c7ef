import { foldEvents, type FoldResult, type BackoffHistory } from '../../core/account/fold.ts'
import type { LockBackoff } from '../../core/settings/settings.ts'
import { directoryOf, type AccountKey, type Serial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import { compactStream, redundantLocks, STREAM_EVENTS_MAX } from '../../core/account/stream.ts'
import { retired } from '../../core/settings/retirement.ts'
import type { DesiredPort, GuardPort } from '../../ports/store/store.ts'
import type { ResolvedEvent } from '../../core/events/event.ts'
import { resolvedFromRow, serialFromRow } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import { keysOfRows } from '../rows/serial-column.ts'
import { noteTwins } from './serial-twins.ts'
import type { Statements } from '../engine/statements.ts'
import type { StoreWriter } from '../engine/store-writer.ts'

/** Mode `events`: the desired state of an account follows from its events alone. */

/** Past this age no event is still on its way, so a long stream is compacted up to here. */
const STREAM_HORIZON_US = 24 * 3_600_000_000

export interface DesiredOptions {
  readonly lockTtlMs: number | null
  readonly lockBackoff: LockBackoff | null
}

/** Ended locks that the length of the next one depends on; more would not make it longer than its maximum. */
const ENDED_MAX = 64

export function openDesired(
  db: Database,
  writer: StoreWriter,
  options: DesiredOptions,
  retirementOf: GuardPort['retirementOf'] = () => Promise.resolve(null),
): DesiredPort {
  return {
    async of(key, nowMs) {
      const events = await readStream(db, writer.hot, key)
      const redundant = redundantLocks(events)
      if (redundant.length > 0) await retire(writer, redundant)
      if (events.length > STREAM_EVENTS_MAX) await compact(writer, key, events, nowMs * 1000 - STREAM_HORIZON_US)
      const lockTtlUs = options.lockTtlMs === null ? null : options.lockTtlMs * 1000
      const backoff = lockTtlUs === null ? null : await historyOf(db, key, events, options.lockBackoff)
      const state = foldEvents(key, events, { nowUs: nowMs * 1000, lockTtlUs, backoff })
      if (state.isMixed) await noteTwins(db, writer, keysOfRows(events), state.twins, nowMs)
      const seeded = state.derivedGone.length === 0 ? state : await onlyOurs(db, writer.hot, key, state)
      const order = await retirementOf(directoryOf(key), nowMs)
      if (order === null) return seeded
      const { rows } = await writer.hot.authoredSerials.run(db, { account_key: key })
      return retired(
        seeded,
        rows.map(({ serial }): Serial => serialFromRow(serial)),
        order,
      )
    },
  }
}

/**
 * A serial that a reading of privacyIDEA found to have left is removed only where it is ours; an event that names the
 * serial is proof enough.
 */
async function onlyOurs(db: Database, hot: Statements, key: AccountKey, folded: FoldResult): Promise<FoldResult> {
  const { rows } = await hot.authoredSerials.run(db, { account_key: key })
  const ours = new Set(keysOfRows(rows))
  const others = new Set(folded.derivedGone.filter((serial) => !ours.has(serialKey(serial))))
  return others.size === 0 ? folded : { ...folded, gone: folded.gone.filter((serial) => !others.has(serial)) }
}

/** The locks that we released; those before a person's unlock do not count. Null where each lock lasts as long. */
async function historyOf(
  db: Database,
  key: AccountKey,
  events: readonly ResolvedEvent[],
  settings: LockBackoff | null,
): Promise<BackoffHistory | null> {
  if (settings === null || !events.some(({ kind }) => kind === 'lock')) return null
  const releases = events.filter(({ kind, accountKey }) => kind === 'release' && accountKey === key)
  const sinceUs = Math.max(0, ...releases.map(({ takenAtUs }) => takenAtUs))
  const rows = await db
    .selectFrom('change')
    .select('planned_ms')
    .where('account_key', '=', key)
    .where('kind', '=', 'unlock')
    .where('state', '=', 'applied')
    .orderBy('planned_ms', 'desc')
    .limit(ENDED_MAX)
    .execute()
  const endedUs = rows.map((row) => Number(row.planned_ms) * 1000).filter((us) => us > sinceUs)
  const { factor, maxMs, resetAfterMs } = settings
  return { factor, maxUs: maxMs * 1000, resetAfterUs: resetAfterMs * 1000, endedUs }
}

/** The account's own events and all those of the serials that were ever its own, in any spelling. */
export async function readStream(db: Database, hot: Statements, key: AccountKey): Promise<ResolvedEvent[]> {
  const own = (await hot.streamOfAccount.run(db, { account_key: key })).rows
  const events = own.map(resolvedFromRow)
  for (const serial of keysOfRows(own)) {
    const { rows } = await hot.streamOfSerial.run(db, { serial_key: serial, account_key: key })
    for (const row of rows) events.push(resolvedFromRow(row))
  }
  return events
}

async function retire(writer: StoreWriter, ids: readonly string[]): Promise<void> {
  await writer.runSoon(({ trx }) => trx.updateTable('event').set({ live: 0 }).where('id', 'in', ids).execute())
}

/** Drops what an account's state no longer rests on; used for long streams and by the retention. */
export async function compact(
  writer: StoreWriter,
  key: AccountKey,
  events: readonly ResolvedEvent[],
  horizonUs: number,
): Promise<number> {
  const { drop, pin } = compactStream(key, events, horizonUs)
  if (drop.length === 0) return 0
  await writer.runSoon(async ({ trx }) => {
    for (const { id, hold } of pin) {
      await trx.updateTable('event').set({ pinned_hold: hold }).where('id', '=', id).execute()
    }
    await trx.updateTable('event').set({ live: 0 }).where('id', 'in', drop).execute()
  })
  return drop.length
}

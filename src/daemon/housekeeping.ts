import type { Settings } from '../core/settings/settings.ts'
import { pruneHistory } from '../ldif/history.ts'
import type { Clock } from '../ports/clock.ts'
import type { ArchiveRules } from '../store/journal/journal-archive.ts'
import type { Store } from '../store/store.ts'

/**
 * Periodic maintenance so that nothing grows without limit: the retention of events, journal and history files. Each
 * step is bounded, and goes on at the next turn.
 */

const STEPS_MAX = 50
const FILES_PER_STEP_MAX = 1_000
/** How long an external unlock is shown. */
const REMOVED_SHOWN_MS = 7 * 86_400_000
const GATHER_MS_MIN = 86_400_000
const GATHER_MS_MAX = 30 * 86_400_000

export async function keepBounded(settings: Settings, store: Store, clock: Clock): Promise<void> {
  const { retention } = settings
  const nowMs = clock.nowMs()
  await store.maintenance.compactStreams(nowMs - retention.eventsMs)
  await store.maintenance.checkTwins()
  await repeat(() => store.maintenance.forgetEvents(nowMs - retention.eventsMs))
  await store.maintenance.forgetCounts(nowMs - longestWindowMs(settings))
  await store.verification.forget(nowMs - REMOVED_SHOWN_MS)
  await repeat(() => store.archive.archive(archiveRules(retention, nowMs)))
  await repeat(() => store.outbox.forget(nowMs - retention.eventsMs))
  await store.archive.prune(nowMs - retention.historyMs)
  await repeat(() => pruneHistory(settings.ldif.dir, nowMs - retention.historyMs, FILES_PER_STEP_MAX))
}

/** The breakers count over the whole time of their limits, also with a shorter retention of events. */
function longestWindowMs({ guards: { breaker, lossBreaker } }: Settings): number {
  return Math.max(0, lossBreaker?.perMs ?? 0, ...(breaker?.limits ?? []).map(({ perMs }) => perMs))
}

/** At a site with few events a file of the archive holds a month; with a short retention a third of that. */
function archiveRules({ journalMs, journalRecordsMax }: Settings['retention'], nowMs: number): ArchiveRules {
  const gatherMs = Math.min(GATHER_MS_MAX, Math.max(GATHER_MS_MIN, journalMs / 3))
  return { beforeMs: nowMs - journalMs, gatherMs, recordsMax: journalRecordsMax }
}

/** Until a step finds nothing more, or the limit of one turn is reached. */
async function repeat(step: () => Promise<number>): Promise<void> {
  for (let count = 0; count < STEPS_MAX; count++) if ((await step()) === 0) return
}

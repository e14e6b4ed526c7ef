import { toAppError } from '../core/error.ts'
import { entryFields, orderFields, type LogEntry, type OrderEntry } from '../core/events/log-entry.ts'
import type { LogSettings } from '../core/settings/settings.ts'
import type { System } from '../app/system.ts'
import { errorFields, type AccountLine, type ServiceLog } from '../app/log.ts'
import { until } from '../app/until.ts'

/**
 * One line for each lock, unlock, registration and unregistration, each that a guard held back, and each order of a person
 * to the guards, by whichever process.
 */

/** Records at a time. */
const BATCH_MAX = 500
const LOOK_MS = 500

type Logged = Pick<System, 'store' | 'settings'>

/** @param stop ends it, after what is on record by then */
export async function keepAccountLines(system: Logged, log: ServiceLog, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await writeAccountLines(system, log)
    await until(LOOK_MS, stop)
  }
}

function fieldsOf(entry: LogEntry | OrderEntry, persons: LogSettings['persons']): AccountLine['fields'] {
  return 'comment' in entry ? orderFields(entry, persons) : entryFields(entry, persons)
}

/** Those that are due now. Never fails. */
export async function writeAccountLines({ store, settings }: Logged, log: ServiceLog): Promise<void> {
  try {
    for (;;) {
      const { entries, upTo, isMore } = await store.accountLog.unreported(BATCH_MAX)
      log.accounts(
        entries.map((entry) => ({
          level: entry.event === 'refused' ? 'warn' : 'info',
          event: entry.event,
          fields: fieldsOf(entry, settings.log.persons),
        })),
      )
      await store.accountLog.reported(upTo)
      if (!isMore) return
    }
  } catch (thrown) {
    log.error('what happened to accounts could not be logged', errorFields(toAppError(thrown)))
  }
}

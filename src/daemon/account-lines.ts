import { toAppError } from '../core/error.ts'
import { entryFields, orderFields } from '../core/events/log-entry.ts'
import type { System } from '../app/system.ts'
import { errorFields, type ServiceLog } from '../app/log.ts'
import { delay } from '../ports/delay.ts'

/**
 * One line for each lock, unlock, registration and unregistration, each that a guard held back, and each manual action
 * on the guards, by any process.
 */

/** Records at a time. */
const BATCH_MAX = 500
const LOOK_MS = 500

type Logged = Pick<System, 'store' | 'settings'>

/** @param stop ends it, after the lines on record by then */
export async function keepAccountLines(system: Logged, log: ServiceLog, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await writeAccountLines(system, log)
    await delay(LOOK_MS, stop)
  }
}

/** Writes the lines that are due now. Never fails. */
export async function writeAccountLines({ store, settings }: Logged, log: ServiceLog): Promise<void> {
  try {
    for (;;) {
      const { entries, upTo, isMore } = await store.accountLog.unreported(BATCH_MAX)
      const { persons } = settings.log
      log.accounts(
        entries.map((entry) => ({
          level: entry.event === 'refused' ? 'warn' : 'info',
          event: entry.event,
          fields: 'comment' in entry ? orderFields(entry, persons) : entryFields(entry, persons),
        })),
      )
      await store.accountLog.reported(upTo)
      if (!isMore) return
    }
  } catch (thrown) {
    log.error('what happened to accounts could not be logged', errorFields(toAppError(thrown)))
  }
}

import { toAppError } from '../../core/error.ts'
import { secretReader } from '../../config/secret.ts'
import { alsoOurs, isOurs } from '../../privacyidea/setup/bindings.ts'
import { Client } from '../../privacyidea/http/client.ts'
import { readHandlers } from '../../privacyidea/setup/event-handlers.ts'
import { errorFields, type Log } from '../../app/log.ts'
import type { System } from '../../app/system.ts'
import { delay } from '../../ports/delay.ts'

/**
 * Mode `api`: locks that the scan alone found, while event handlers are bound in privacyIDEA. Each of them came late,
 * and shows that the handlers' calls do not arrive.
 */

const LOOK_MS = 5_000
/** Interval of reading privacyIDEA's handlers. */
const ASK_MS = 3_600_000
/** Fewer locks prove nothing. */
const LOCKS_MIN = 3

type Watched = Pick<System, 'store' | 'settings' | 'clock'>

/** @param stop ends it */
export async function watchAnnouncements(system: Watched, log: Log, stop: AbortSignal): Promise<void> {
  if (system.settings.privacyidea === null) return
  let isBound: boolean | null = null
  let askedMs = -Infinity
  while (!stop.aborted) {
    try {
      if (performance.now() - askedMs >= ASK_MS) {
        askedMs = performance.now()
        isBound = await areHandlersBound(system)
      }
      await compare(system, isBound)
    } catch (thrown) {
      log.warn('locks could not be compared with the events of privacyIDEA', errorFields(toAppError(thrown)))
    }
    await delay(LOOK_MS, stop)
  }
}

/** @param isBound null: the service may not see it */
async function compare({ store, settings, clock }: Watched, isBound: boolean | null): Promise<void> {
  const { locks, unannounced, hasEvents } = await store.announcedLocks(clock.nowMs())
  const isExpected = isBound ?? (hasEvents || settings.intake.http !== null)
  if (!isExpected || locks < LOCKS_MIN || 2 * unannounced <= locks) return store.findings.end('locks-without-event', '')
  await store.findings.raise({ subject: '', reason: { code: 'locks-without-event', params: { unannounced, locks } } })
}

async function areHandlersBound({ settings, clock }: Watched): Promise<boolean | null> {
  if (settings.privacyidea === null) return null
  await using client = new Client(settings.privacyidea, secretReader(process.env), clock)
  try {
    const existing = await readHandlers(client)
    return existing.some(({ name }) => isOurs(name)) || alsoOurs(existing).length > 0
  } catch {
    // Usually the right for it is missing, which the service does not need.
    return null
  }
}

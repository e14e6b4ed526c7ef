import { isFit, type HealthReason } from '../../core/health/health.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { DaemonRow } from '../../store/engine/process-lock.ts'
import { readHealth } from '../../app/health/health-signs.ts'
import { openStoreIfAny } from '../../app/state-store.ts'
import { delay } from '../../ports/delay.ts'

const LOOK_MS = 50

export interface Checked {
  /** The daemon that serves this store and is ready; null: none. */
  readonly daemon: DaemonRow | null
  /** Why it cannot do its work on this machine; empty: it can. */
  readonly unfit: readonly HealthReason[]
}

/**
 * Waits for a daemon that is ready and fit, with a limit. Fails with `file-not-permitted` where the store may not be
 * read.
 */
export async function healthcheck(settings: Settings, waitMs: number): Promise<Checked> {
  const deadlineMs = Date.now() + waitMs
  for (;;) {
    const checked = await look(settings)
    if (checked.daemon !== null && checked.unfit.length === 0) return checked
    const leftMs = deadlineMs - Date.now()
    if (leftMs <= 0) return checked
    await delay(Math.min(LOOK_MS, leftMs))
  }
}

async function look(settings: Settings): Promise<Checked> {
  await using store = await openStoreIfAny(settings)
  if (store === null) return { daemon: null, unfit: [] }
  const daemon = await store.processLock.daemon()
  if (daemon === null || daemon.readyMs === null) return { daemon: null, unfit: [] }
  const { reasons } = await readHealth(settings, store, null)
  return { daemon, unfit: reasons.filter((reason) => !isFit([reason])) }
}

import type { Settings } from '../core/settings.ts'
import { existsSync } from 'node:fs'
import type { DaemonRow } from '../store/process-lock.ts'
import { openStoreOf } from './state-store.ts'

const LOOK_MS = 50

/** The daemon that serves this store and is ready, waited for at most so long; null: none. */
export async function healthcheck(settings: Settings, waitMs: number): Promise<DaemonRow | null> {
  const deadlineMs = Date.now() + waitMs
  for (;;) {
    const daemon = existsSync(settings.store.file) ? await look(settings) : null
    if (daemon !== null && daemon.readyMs !== null) return daemon
    const leftMs = deadlineMs - Date.now()
    if (leftMs <= 0) return null
    const { promise, resolve } = Promise.withResolvers<void>()
    setTimeout(resolve, Math.min(LOOK_MS, leftMs))
    await promise
  }
}

async function look(settings: Settings): Promise<DaemonRow | null> {
  await using store = await openStoreOf(settings, false)
  return await store.processLock.daemon()
}

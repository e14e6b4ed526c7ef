import { DatabaseSync } from 'node:sqlite'
import { DAEMON_KEY, isDaemonAlive, type DaemonRow } from '../engine/process-lock.ts'
import { CONFIG_KEY, type RunningConfig } from './running-config.ts'

/** SQLite's own wait for another process. */
const BUSY_MS = 200

/**
 * The configuration that the daemon of this store works with, without opening the store: nothing is created, migrated
 * or checked. Null: no daemon serves it, or one that does not record it, or the file cannot be read.
 */
export function peekRunning(file: string, nowMs: number): RunningConfig | null {
  try {
    const db = new DatabaseSync(file, { readOnly: true, timeout: BUSY_MS })
    try {
      const row = db.prepare('select value from meta where key = ?')
      const parsed = <Row>(key: string): Row | null => {
        const value = row.get(key)?.['value']
        return typeof value === 'string' ? (JSON.parse(value) as Row) : null
      }
      const daemon = parsed<DaemonRow>(DAEMON_KEY)
      const running = parsed<RunningConfig>(CONFIG_KEY)
      const isOfDaemon = daemon !== null && isDaemonAlive(daemon, nowMs) && running?.owner === daemon.owner
      return isOfDaemon ? running : null
    } finally {
      db.close()
    }
  } catch {
    // The next opening of the store reports what is wrong with it.
    return null
  }
}

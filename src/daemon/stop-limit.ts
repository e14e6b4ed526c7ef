import type { Log } from '../app/log.ts'

/** Shorter than TimeoutStopSec of the unit (30 s), so that the log has the reason before systemd kills the process. */
const STOP_LIMIT_MS = 25_000
/** As for every failure where a retry may succeed. */
const EXIT_NOT_IN_TIME = 75

/**
 * Ends the process where stopping takes longer than its limit: a directory or a disk that never answers does not block
 * a stop. Everything is on record before it is done, so the next start finishes unfinished work.
 */
export function limitStop(stop: AbortSignal, log: Log): void {
  const end = (): void => {
    log.error('stopping took longer than its limit; the process ends now', { limit_ms: STOP_LIMIT_MS })
    process.exit(EXIT_NOT_IN_TIME)
  }
  // The timer keeps no ended process alive.
  stop.addEventListener('abort', () => void setTimeout(end, STOP_LIMIT_MS).unref(), { once: true })
}

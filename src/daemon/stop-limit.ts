import type { Log } from '../app/log.ts'

/** Shorter than TimeoutStopSec of the unit (30 s), so that the log says what happened before systemd kills it. */
const STOP_LIMIT_MS = 25_000
/** As for everything that may succeed when it is tried again. */
const EXIT_NOT_IN_TIME = 75

/**
 * Ends the process where stopping takes longer than its limit: a directory or a disk that never answers holds up no stop.
 * Everything is on record before it is done, so that the next start finishes what was cut off.
 */
export function limitStop(stop: AbortSignal, log: Log): void {
  const end = (): void => {
    log.error('stopping took longer than its limit; the process ends now', { limit_ms: STOP_LIMIT_MS })
    process.exit(EXIT_NOT_IN_TIME)
  }
  // It keeps nothing alive that has ended.
  stop.addEventListener('abort', () => void setTimeout(end, STOP_LIMIT_MS).unref(), { once: true })
}

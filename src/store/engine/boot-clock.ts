import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

/** Time since this machine was started: no setting of the clock moves it. */
export interface BootClock {
  /** Another one after each start of the machine. */
  readonly bootId: string
  /** Milliseconds since that start. */
  uptimeMs(): number
}

/** A read of /proc/uptime costs more than all else that a claim needs of its clock. */
const READ_EVERY_MS = 100

/** proc(5): /proc/sys/kernel/random/boot_id and /proc/uptime. Where the id cannot be read, no other process shares this one. */
export const systemBootClock: BootClock = { bootId: readBootId(), uptimeMs: openUptime() }

/**
 * Between two reads the monotonic clock counts on. It stands still while the machine sleeps, so that for the first moment
 * after that too little time has passed: then no lease of another process counts as run out.
 */
function openUptime(): () => number {
  let readAtMs = -Infinity
  let bootedMs = 0
  return () => {
    const nowMs = performance.now()
    if (nowMs - readAtMs >= READ_EVERY_MS) {
      bootedMs = uptime() * 1000
      readAtMs = nowMs
    }
    return Math.round(bootedMs + nowMs - readAtMs)
  }
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return randomUUID()
  }
}

import { toAppError } from '../core/error.ts'
import { errorFields, type Log } from '../app/log.ts'

/** Repeats the work, one run at a time; a failure is logged. Stopped with clearInterval. */
export function every(intervalMs: number, log: Log, work: () => Promise<unknown>): NodeJS.Timeout {
  let isRunning = false
  return setInterval(() => {
    if (isRunning) return
    isRunning = true
    inBackground(log, async () => {
      try {
        await work()
      } finally {
        isRunning = false
      }
    })
  }, intervalMs)
}

export function inBackground(log: Log, work: () => Promise<unknown>): void {
  work().catch((thrown: unknown) => log.error('maintenance failed', errorFields(toAppError(thrown))))
}

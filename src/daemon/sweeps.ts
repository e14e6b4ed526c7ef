import { backoffMs, toAppError, type AppError } from '../core/error.ts'
import { resync } from '../reconcile/resync.ts'
import { Scanner } from '../reconcile/scan.ts'
import type { SweepName } from '../store/source-state.ts'
import { recordDrift } from './drift-record.ts'
import { errorFields, type Log } from './log.ts'
import type { System, SystemScan } from './system.ts'

/** The two sweeps over privacyIDEA (mode `api`), each one at a time, for as long as the daemon serves. */

/** A scan takes at most this part of the time: a slow privacyIDEA is asked less often. */
const SCAN_SHARE = 4
const SCAN_WAIT_MAX_MS = 300_000
const RESYNC_RETRY_MAX_MS = 300_000

/**
 * @param wake called after accounts were marked
 * @param stop ends both, after what is in work
 * @returns resolves once both have ended
 */
export async function sweep(
  system: System,
  source: SystemScan,
  wake: () => void,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  const scanner = new Scanner(source)
  const { scanMs, fullMs } = system.settings.resync
  await Promise.all([
    repeat('scan', system, log, stop, async () => {
      const startedMs = performance.now()
      const { marked } = await scanner.scan()
      if (marked > 0) wake()
      return Math.min(SCAN_WAIT_MAX_MS, Math.max(scanMs, SCAN_SHARE * (performance.now() - startedMs)))
    }),
    repeat('resync', system, log, stop, async () => {
      scanner.forgetStrangers()
      const report = await resync(source, { isDryRun: false })
      const { tokens, accounts, differences } = report
      await recordDrift(system.store, report)
      log.info('full resync is done', { tokens, accounts, differences })
      wake()
      return fullMs
    }),
  ])
}

/** @param work returns after how many milliseconds it is to be done again; a failure is told once and tried again */
async function repeat(
  name: SweepName,
  { store }: System,
  log: Log,
  stop: AbortSignal,
  work: () => Promise<number>,
): Promise<void> {
  let failures = 0
  let told: AppError['code'] | null = null
  while (!stop.aborted) {
    let waitMs: number
    try {
      waitMs = await work()
      await store.sourceState.done(name)
      if (told !== null) log.info(`the ${name} works again`, {})
      told = null
      failures = 0
    } catch (thrown) {
      const error = toAppError(thrown)
      if (told !== error.code) log.warn(`the ${name} could not be done; nothing was changed`, errorFields(error))
      told = error.code
      await store.sourceState.failed(name, error.message).catch(() => undefined)
      waitMs = Math.min(RESYNC_RETRY_MAX_MS, backoffMs(failures++, Math.random()))
    }
    await until(waitMs, stop)
  }
}

async function until(waitMs: number, stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, waitMs)
  const end = (): void => resolve()
  stop.addEventListener('abort', end, { once: true })
  await promise
  stop.removeEventListener('abort', end)
  clearTimeout(timer)
}

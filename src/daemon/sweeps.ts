import { backoffMs, retryDelayMs, toAppError, type AppError } from '../core/error.ts'
import { markForeignLocks } from '../reconcile/mirror/foreign-locks.ts'
import { resync } from '../reconcile/source/resync.ts'
import { Scanner, type ScanReport } from '../reconcile/source/scan.ts'
import type { SweepName } from '../store/source/source-state.ts'
import { recordDrift, recordLeftOut } from '../app/drift-record.ts'
import { errorFields, type Log } from '../app/log.ts'
import type { System } from '../app/system.ts'
import { delay } from '../ports/delay.ts'
import type { SystemScan } from '../app/wiring.ts'

/** The two sweeps over privacyIDEA (mode `api`), each one at a time, for as long as the daemon serves. */

/** A scan takes at most this part of the time: a slow privacyIDEA gets fewer scans. */
const SCAN_SHARE = 4
const SCAN_WAIT_MAX_MS = 300_000
/** How soon an ordered full resync is noticed. */
const ORDER_LOOK_MS = 1_000

/**
 * @param wake called after accounts were marked
 * @param stop ends both, after the work in progress
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
      const report = await scanner.scan()
      if (report.marked > 0) wake()
      const waitMs = Math.min(SCAN_WAIT_MAX_MS, Math.max(scanMs, SCAN_SHARE * (performance.now() - startedMs)))
      return { waitMs, note: scanNote(report) }
    }),
    repeat('resync', system, log, stop, async () => {
      scanner.forgetUnknownOwners()
      await system.store.sourceState.takeResyncOrder()
      const report = await resync(source, { isDryRun: false })
      const { tokens, accounts, differences, left } = report
      await recordDrift(system.store, report)
      const foreign = await markForeignLocks(source)
      const allLeft = [...left, ...foreign.left]
      await recordLeftOut(system.store, allLeft)
      const foreignLocks = foreign.marked
      log.info('full resync is done', { tokens, accounts, differences, ...(foreignLocks > 0 ? { foreignLocks } : {}) })
      for (const { directory, reason } of allLeft)
        log.warn('a directory was left out of the resync', { directory, reason })
      wake()
      return { waitMs: fullMs }
    }),
  ])
}

/** A note for the administrator about a scan that worked; undefined: none. */
export function scanNote({ tokens, isComplete }: ScanReport): string | undefined {
  if (isComplete) return undefined
  return `so many tokens have failed that a scan ends after ${tokens} of them: a full one below these is found by its event or by the full resync`
}

/** @param work returns when the next run is due, and a note about it; a failure is reported once and tried again */
async function repeat(
  name: SweepName,
  { store }: System,
  log: Log,
  stop: AbortSignal,
  work: () => Promise<{ readonly waitMs: number; readonly note?: string | undefined }>,
): Promise<void> {
  let failures = 0
  let reported: AppError['code'] | null = null
  let reportedNote: string | undefined
  while (!stop.aborted) {
    let waitMs: number
    try {
      const done = await work()
      waitMs = done.waitMs
      await store.sourceState.done(name, done.note)
      if (done.note !== undefined && reportedNote === undefined) log.warn(done.note, {})
      reportedNote = done.note
      if (reported !== null) log.info(`the ${name} works again`, {})
      reported = null
      failures = 0
    } catch (thrown) {
      // Its connections were closed because it is to end.
      if (stop.aborted) return
      const error = toAppError(thrown)
      if (reported !== error.code) log.warn(`the ${name} could not be done; nothing was changed`, errorFields(error))
      reported = error.code
      await store.sourceState.failed(name, error).catch(() => undefined)
      const jitter = Math.random()
      // A scan costs little, and shows that privacyIDEA is back.
      waitMs = name === 'scan' ? retryDelayMs(error.code, failures, jitter) : backoffMs(failures, jitter)
      failures++
    }
    await (name === 'resync' ? untilOrdered(waitMs, store, stop) : delay(waitMs, stop))
  }
}

/** Waits as `delay`, and no longer than until another process orders a full resync. */
async function untilOrdered(waitMs: number, { sourceState }: System['store'], stop: AbortSignal): Promise<void> {
  const endMs = performance.now() + waitMs
  for (let leftMs = waitMs; leftMs > 0 && !stop.aborted; leftMs = endMs - performance.now()) {
    if (await sourceState.isResyncOrdered().catch(() => false)) return
    await delay(Math.min(leftMs, ORDER_LOOK_MS), stop)
  }
}

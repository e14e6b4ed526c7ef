import { toAppError } from '../core/error.ts'
import { directoryOf, type DirectoryName } from '../core/names.ts'
import { verifyDue, type VerificationReport } from '../reconcile/verify.ts'
import type { DirectoryPort } from '../ports/directory.ts'
import { errorFields, type Log } from '../app/log.ts'
import type { System } from '../app/system.ts'
import { delay, unlessStopped } from '../ports/delay.ts'

/** Checks locks on every server of their directories, while the daemon serves, and reports failed checks. */

const LOOK_MS = 500
const ERROR_PAUSE_MS = 5_000
/** An unreachable replica is one line at intervals, not one for each account. */
const REPORT_EVERY_MS = 60_000

interface Verified extends Pick<System, 'store' | 'ports' | 'clock'> {
  readonly directory: Pick<DirectoryPort, 'names' | 'servers'>
}

/**
 * Directories with one server need no check: the answer to the write, and each reading of the account, shows the
 * result.
 */
function directoriesOfSeveral({ directory }: Pick<Verified, 'directory'>): readonly DirectoryName[] {
  return directory.names().filter((name) => directory.servers(name).length > 1)
}

/** Checks every lock of ours, and removes results of servers that the configuration no longer names. */
export async function lookAtAll(system: Pick<Verified, 'directory' | 'store' | 'clock'>): Promise<void> {
  const { verification } = system.store
  const several = directoriesOfSeveral(system)
  await verification.keepOnly(several)
  await verification.markAll(several, system.clock.nowMs())
}

/**
 * @param wake called after accounts were marked
 * @param stop ends it, after the round in work
 */
export async function keepVerified(system: Verified, log: Log, wake: () => void, stop: AbortSignal): Promise<void> {
  if (directoriesOfSeveral(system).length === 0) return
  const notifier = newNotifier(system, log)
  while (!stop.aborted) {
    try {
      const report = await unlessStopped(verifyDue(system.ports), stop)
      notifier(report?.reports ?? [])
      if (report !== null && report.looked > 0) wake()
      else await delay(LOOK_MS, stop)
    } catch (thrown) {
      log.error('locks could not be looked at', errorFields(toAppError(thrown)))
      await delay(ERROR_PAUSE_MS, stop)
    }
  }
}

/** For use without a daemon: checks that are due or almost due, for a bounded time. */
export async function verifyFor(system: Verified, log: Log, timeoutMs: number): Promise<void> {
  const several = directoriesOfSeveral(system)
  await system.store.verification.keepOnly(several)
  if (several.length === 0) return
  const notifier = newNotifier(system, log)
  const deadlineMs = performance.now() + timeoutMs
  while (performance.now() < deadlineMs) {
    const { looked, reports } = await verifyDue(system.ports)
    notifier(reports)
    if (looked > 0) continue
    const nextMs = await system.store.verification.nextDueMs()
    const waitMs = nextMs === null ? Infinity : nextMs - system.clock.nowMs()
    if (performance.now() + waitMs > deadlineMs) return
    await delay(Math.max(1, waitMs), AbortSignal.timeout(timeoutMs))
  }
}

/** One line for all accounts with the same problem, and at most one per interval. */
function newNotifier({ clock }: Verified, log: Log): (reports: readonly VerificationReport[]) => void {
  const reportedMs = new Map<string, number>()
  return (reports) => {
    const groups = Map.groupBy(reports, ({ key, problem }) => `${directoryOf(key)} ${problem?.kind ?? 'mended'}`)
    for (const [name, some] of groups) {
      const [first] = some
      const nowMs = clock.nowMs()
      if (first === undefined || nowMs - (reportedMs.get(name) ?? -Infinity) < REPORT_EVERY_MS) continue
      reportedMs.set(name, nowMs)
      const fields = { directory: directoryOf(first.key), account: first.key, accounts: some.length }
      if (first.problem === null) log.info('a lock is now as it should be on every server', fields)
      else {
        const { kind, reason, fix } = first.problem
        log.warn(`a lock is ${kind}`, { ...fields, reason, fix })
      }
    }
  }
}

import { AppError } from '../../core/error.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { markForeignLocks } from '../../reconcile/mirror/foreign-locks.ts'
import type { ResyncOptions, ResyncReport } from '../../reconcile/source/resync-ports.ts'
import { resync } from '../../reconcile/source/resync.ts'
import { takeAuthorshipOfFiles } from '../../app/evidence/authorship-of-files.ts'
import { recordDrift, recordLeftOut } from '../../app/drift-record.ts'
import { startEngine } from '../../app/engine.ts'
import type { Log } from '../../app/log.ts'
import { recoverOnce } from '../../app/evidence/evidence.ts'
import { openSystem, type System } from '../../app/system.ts'
import type { SystemScan } from '../../app/wiring.ts'

/**
 * One full resync for the CLI, and the repair of what it found. May run beside a daemon.
 * Fails with `config-invalid` in mode `events`, and as `resync` does.
 */
export async function resyncOnce(settings: Settings, options: ResyncOptions & { log: Log }): Promise<ResyncReport> {
  await using system = await openForResync(settings)
  return options.isDryRun ? await resync(sourceOf(system), options) : await resyncIn(system, options)
}

/** Fails with `config-invalid` in mode `events`. */
export async function openForResync(settings: Settings): Promise<System> {
  if (settings.privacyidea === null) {
    throw withoutApi('there is nothing to compare with')
  }
  return openSystem(settings)
}

/** @param what the action that needs privacyIDEA's API */
export function withoutApi(what: string): AppError {
  return new AppError('config-invalid', `${what}: the section privacyidea is missing`, {
    hint: 'Without privacyIDEA’s API the events are all that is known. `lockstep retry` looks at the accounts again.',
  })
}

export function sourceOf({ source }: System): SystemScan {
  if (source === null) throw new AppError('internal', 'privacyIDEA is configured and was not opened')
  return source
}

/** @param before done first, after the recovery from crashes of other processes */
export async function resyncIn(
  system: System,
  options: ResyncOptions & { log: Log },
  before: () => Promise<void> = () => Promise.resolve(),
): Promise<ResyncReport> {
  await using opened = new AsyncDisposableStack()
  const source = sourceOf(system)
  const { processLock } = system.store
  await processLock.freeDeadLeases()
  opened.defer(() => processLock.leave())
  if (await processLock.enter()) await recoverOnce(system, options.log)
  await processLock.prepared()
  await takeAuthorshipOfFiles(system)
  await before()
  const report = await resync(source, options)
  const foreign = await markForeignLocks(source)
  const left = [...report.left, ...foreign.left]
  await recordLeftOut(system.store, left)
  await system.store.sourceState.done('resync')
  await recordDrift(system.store, report)
  const engine = startEngine(system, options.log)
  opened.defer(() => engine.stop())
  await engine.worker.whenIdle()
  return { ...report, left }
}

import { AppError } from '../core/error.ts'
import type { Settings } from '../core/settings.ts'
import { markForeignLocks } from '../reconcile/foreign-locks.ts'
import type { ResyncOptions, ResyncReport } from '../reconcile/resync-ports.ts'
import { resync } from '../reconcile/resync.ts'
import { recordDrift } from './drift-record.ts'
import { startEngine } from './engine.ts'
import type { Log } from './log.ts'
import { recoverUnlocks } from './recover-folders.ts'
import { openSystem } from './system.ts'

/**
 * One full resync for the CLI, and the repair of what it found. May run beside a daemon.
 * Fails with `config-invalid` in mode `events`, and as `resync` does.
 */
export async function resyncOnce(settings: Settings, options: ResyncOptions & { log: Log }): Promise<ResyncReport> {
  if (settings.privacyidea === null) {
    throw new AppError('config-invalid', 'there is nothing to compare with: the section privacyidea is missing', {
      hint: 'Without privacyIDEA’s API what the events said is all that is known. `lockstep retry` looks at the accounts again.',
    })
  }
  await using opened = new AsyncDisposableStack()
  const system = opened.use(await openSystem(settings))
  if (system.source === null) throw new AppError('internal', 'privacyIDEA is configured and was not opened')
  if (options.isDryRun) return await resync(system.source, options)
  const { processLock } = system.store
  await processLock.freeDeadLeases()
  opened.defer(() => processLock.leave())
  if (await processLock.enter()) await recoverUnlocks(system)
  await processLock.prepared()
  const report = await resync(system.source, options)
  await markForeignLocks(system.source)
  await system.store.sourceState.done('resync')
  await recordDrift(system.store, report)
  const engine = startEngine(system, options.log)
  opened.defer(() => engine.stop())
  await engine.worker.whenIdle()
  return report
}

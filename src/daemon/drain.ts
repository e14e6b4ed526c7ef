import { toAppError } from '../core/error.ts'
import type { Settings } from '../core/settings.ts'
import { openSpool } from '../intake/spool.ts'
import { startEngine, type Engine } from './engine.ts'
import { errorFields, type Log } from './log.ts'
import { recoverUnlocks } from './recover-folders.ts'
import { openSystem, type System } from './system.ts'

/** Does what waits and ends; may run beside a daemon. */

export interface DrainReport {
  /** Files taken from the spool. */
  readonly taken: number
  /** What could not be done now. */
  readonly eventsWaiting: number
  readonly accountsWaiting: number
  /** The first few reasons. */
  readonly reasons: readonly string[]
  readonly isTimedOut: boolean
}

const REASONS_MAX = 10
const DEADLINE_LOOK_MS = 100

export async function drain(settings: Settings, options: { timeoutMs: number; log: Log }): Promise<DrainReport> {
  const { log } = options
  await using opened = new AsyncDisposableStack()
  const system = opened.use(await openSystem(settings))
  const { processLock, upkeep } = system.store
  await processLock.freeDeadLeases()
  if ((await processLock.daemon()) === null) {
    if (!(await processLock.othersAtWork())) await recoverUnlocks(system)
    await upkeep.markUnsettled(system.clock.nowMs())
  }
  const engine = startEngine(system, log)
  opened.defer(() => engine.worker.stop())
  const onError = (thrown: unknown): void =>
    log.error('cannot take events from the spool', errorFields(toAppError(thrown)))
  const spool = opened.use(await openSpool({ dir: settings.intake.spool, intake: engine.intake, onError }))
  await upkeep.retryWaiting(system.clock.nowMs())
  const taken = await spool.drainOnce()
  const isTimedOut = !(await idleWithin(engine, options.timeoutMs))
  return { taken, isTimedOut, ...(await whatWaits(system)) }
}

async function idleWithin(engine: Engine, timeoutMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>()
  const timer = setTimeout(() => resolve(false), Math.max(timeoutMs, DEADLINE_LOOK_MS))
  const idle = engine.worker.whenIdle().then(() => true as const)
  const inTime = await Promise.race([idle, promise])
  clearTimeout(timer)
  return inTime
}

async function whatWaits(system: System): Promise<Omit<DrainReport, 'taken' | 'isTimedOut'>> {
  const { reports } = system.store
  const { events, accounts } = await reports.waits(system.clock.nowMs())
  const waiting = await reports.events({ state: 'waiting', limit: REASONS_MAX })
  const unsettled = await reports.accounts({ unsettled: true, limit: REASONS_MAX })
  const reasons = [
    ...waiting.map((event) => `${event.kind} ${event.serial ?? event.login ?? ''}: ${event.why}`),
    ...unsettled.map((account) => `${account.login ?? account.key}: ${account.standingReason}`),
  ]
  return { eventsWaiting: events, accountsWaiting: accounts, reasons: reasons.slice(0, REASONS_MAX) }
}

import { toAppError, type AppError } from '../core/error.ts'
import type { Settings } from '../core/settings/settings.ts'
import { openSpool } from '../intake/spool.ts'
import { Scanner } from '../reconcile/source/scan.ts'
import { takeAuthorshipOfFiles } from '../app/evidence/authorship-of-files.ts'
import { writeAccountLines } from './account-lines.ts'
import { startEngine, type Engine } from '../app/engine.ts'
import { lookAtEvidence, recoverOnce } from '../app/evidence/evidence.ts'
import { reportDrain } from './watch/health-monitor.ts'
import { keepBounded } from './housekeeping.ts'
import { noteClock } from './watch/keep-clock.ts'
import { errorFields, type Log, type ServiceLog } from '../app/log.ts'
import { beginMail, sendMailOnce } from './mail.ts'
import { storeRulesOf } from '../app/state-store.ts'
import { scanNote } from './sweeps.ts'
import { noteStore } from '../app/store-mark.ts'
import { openSystem, type System } from '../app/system.ts'
import { verifyFor } from './verifications.ts'
import { noteServers } from './watch/watch-servers.ts'
import { delay, within } from '../ports/delay.ts'

/** Does the waiting work and ends; may run beside a daemon. */

export interface DrainReport {
  /** Files taken from the spool. */
  readonly taken: number
  /** Files that cannot be read now. */
  readonly filesWaiting: number
  /** Events that could not be processed now. */
  readonly eventsWaiting: number
  readonly accountsWaiting: number
  /** The first few reasons. */
  readonly reasons: readonly { readonly code: string | null; readonly text: string }[]
  readonly isTimedOut: boolean
  /** Mode `api`: why privacyIDEA could not be read; null: it was read, or none is configured. */
  readonly sourceUnread: string | null
}

export interface DrainOptions {
  readonly timeoutMs: number
  readonly log: ServiceLog
  /** A line for each change; cron would send it as mail. */
  readonly logsAccounts: boolean
}

const REASONS_MAX = 10
const DEADLINE_LOOK_MS = 50
const HOUR_MS = 3_600_000
/** A change that has not arrived by then is checked by the next drain. */
const VERIFY_MS = 3_000

export async function drain(settings: Settings, options: DrainOptions): Promise<DrainReport> {
  await using system = await openSystem(settings)
  const { drains } = system.store
  try {
    await beginMail(system)
    const isAlone = async (): Promise<boolean> => (await system.store.processLock.daemon()) === null
    // While a daemon runs, the lines are in its log.
    const lines = async (): Promise<void> => {
      if (options.logsAccounts && (await isAlone())) await writeAccountLines(system, options.log)
    }
    await lines()
    const report = await drainIn(system, options)
    await lines()
    if (await isAlone()) await lookAround(system, options.log)
    await sendMailOnce(system, options.log)
    const reason = report.reasons[0]?.text ?? 'it did not end in time'
    await keepHouse(system)
    await drains.ended(isAllDone(report) ? { outcome: 'done', reason: '' } : { outcome: 'waiting', reason })
    await reportDrain(settings, system.store, options.log)
    return report
  } catch (thrown) {
    // The failure itself is the one to report.
    await drains.ended({ outcome: 'failed', reason: toAppError(thrown).message }).catch(() => undefined)
    throw thrown
  }
}

/** Checks the servers of the directories, and whether changes have arrived at each of them. */
async function lookAround(system: System, log: Log): Promise<void> {
  try {
    await noteServers(system)
    await verifyFor(system, log, VERIFY_MS)
  } catch (thrown) {
    log.warn('the servers of the directories could not be looked at', errorFields(toAppError(thrown)))
  }
}

/** Where no daemon does it, the first drain of each hour limits what is stored. */
async function keepHouse({ settings, store, clock }: System): Promise<void> {
  const last = await store.drains.last()
  const hour = Math.floor(clock.nowMs() / HOUR_MS)
  if (last !== null && Math.floor(last.endedMs / HOUR_MS) === hour) return
  if ((await store.processLock.daemon()) === null) await keepBounded(settings, store, clock)
}

/** Without privacyIDEA, changes there without an event are not known, so the work is never certainly complete. */
export function isAllDone(report: DrainReport): boolean {
  const { eventsWaiting, accountsWaiting, filesWaiting, isTimedOut, sourceUnread } = report
  return eventsWaiting + accountsWaiting + filesWaiting === 0 && !isTimedOut && sourceUnread === null
}

async function drainIn(system: System, options: DrainOptions): Promise<DrainReport> {
  const { log } = options
  await using opened = new AsyncDisposableStack()
  const { settings } = system
  const { processLock, maintenance } = system.store
  await processLock.freeDeadLeases()
  opened.defer(() => processLock.leave())
  if (await processLock.enter()) await recoverOnce(system, log)
  await takeAuthorshipOfFiles(system)
  await processLock.prepared()
  if ((await processLock.daemon()) === null) {
    await system.store.use(storeRulesOf(settings))
    await maintenance.markUnsettled(system.clock.nowMs())
  }
  const engine = startEngine(system, log)
  opened.defer(() => engine.stop())
  const onError = (thrown: unknown): void =>
    log.error('cannot take events from the spool', errorFields(toAppError(thrown)))
  const onWarning = (warning: AppError): void => log.warn('spool', errorFields(warning))
  const dir = settings.intake.spool
  const spool = opened.use(await openSpool({ dir, intake: engine.intake, onError, onWarning }))
  noteStore(settings, log)
  await maintenance.retryWaiting(system.clock.nowMs())
  await noteClock(system)
  const { taken, unread } = await spool.drainOnce()
  const sourceUnread = await scanOnce(system, engine, log)
  let isTimedOut = !(await idleWithin(system, engine, options.timeoutMs))
  // Files of accounts that had work in progress before: their consequences are done in this run too.
  if (!isTimedOut && (await lookAtEvidence(system, log)).accounts > 0) {
    engine.worker.wake()
    isTimedOut = !(await idleWithin(system, engine, options.timeoutMs))
  }
  // Work that is still in flight ends within the directory's timeouts, and then reports its reason.
  await engine.stop()
  const waits = await whatWaits(system, isTimedOut)
  const unreadSource =
    sourceUnread === null ? [] : [{ code: 'source-unread', text: `privacyIDEA could not be read: ${sourceUnread}` }]
  const reasons = [...unreadSource, ...unread.map((text) => ({ code: 'file-unread', text })), ...waits.reasons].slice(
    0,
    REASONS_MAX,
  )
  return { ...waits, taken, filesWaiting: unread.length, reasons, isTimedOut, sourceUnread }
}

/**
 * Mode `api`: also searches for changes without an event. Without an answer the waiting work is done all the same.
 * @returns why it could not be read; null: it was
 */
async function scanOnce({ source, store }: System, engine: Engine, log: Log): Promise<string | null> {
  if (source === null) return null
  try {
    const report = await new Scanner(source).scan()
    await store.sourceState.done('scan', scanNote(report))
    engine.worker.wake()
    return null
  } catch (thrown) {
    const error = toAppError(thrown)
    log.warn('the scan could not be done; nothing was changed', errorFields(error))
    await store.sourceState.failed('scan', error).catch(() => undefined)
    return error.message
  }
}

/**
 * The work is done only when the processes beside us are done too: they may still process events that came before ours.
 */
async function idleWithin({ clock, store }: System, engine: Engine, timeoutMs: number): Promise<boolean> {
  const deadlineMs = clock.nowMs() + Math.max(timeoutMs, DEADLINE_LOOK_MS)
  for (;;) {
    const leftMs = deadlineMs - clock.nowMs()
    if (leftMs <= 0) return false
    if (!(await within(Promise.race([engine.worker.whenIdle(), store.failed]), leftMs))) return false
    if (!(await store.maintenance.isInWork(clock.nowMs()))) return true
    await delay(Math.min(leftMs, DEADLINE_LOOK_MS))
    engine.worker.wake()
  }
}

/** Work that became due after everything was done once is left to the processes beside us. */
async function whatWaits(
  system: System,
  isTimedOut: boolean,
): Promise<Pick<DrainReport, 'eventsWaiting' | 'accountsWaiting' | 'reasons'>> {
  const { reports } = system.store
  const dueMs = isTimedOut ? system.clock.nowMs() : 0
  const { events, accounts } = await reports.waits(dueMs)
  const waiting = await reports.events({ state: 'waiting', limit: REASONS_MAX })
  const accountsWaiting = await reports.accounts({ waitingDueMs: dueMs, limit: REASONS_MAX })
  const reasons = [
    ...waiting.map(({ kind, serial, login, why, whyCode }) => {
      return { code: whyCode, text: `${kind} ${serial ?? login ?? ''}: ${why || 'not looked at in time'}` }
    }),
    ...accountsWaiting.map(({ login, key, standingCode, standing, standingReason }) => {
      const why = standingReason || (isTimedOut ? 'not looked at in time' : 'waits for a decision: lockstep review')
      return { code: standingCode ?? standing, text: `${login ?? key}: ${why}` }
    }),
  ]
  return { eventsWaiting: events, accountsWaiting: accounts, reasons }
}

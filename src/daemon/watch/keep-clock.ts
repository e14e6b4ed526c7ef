import { toAppError } from '../../core/error.ts'
import { STEP_BACK_MS } from '../../store/events/event-order.ts'
import { errorFields, type Log } from '../../app/log.ts'
import type { System } from '../../app/system.ts'
import { delay } from '../../ports/delay.ts'

/**
 * After a clock is set back, everything that waits for a time would wait too long. The order of events is handled in
 * the store (store/events/event-order.ts).
 */

const LOOK_MS = 5_000

type Clocked = Pick<System, 'store' | 'clock'>

export interface ClockListener {
  /** Something was made due. */
  readonly wake: () => void
  /** Something was found. */
  readonly notify: () => Promise<void>
}

/** @param stop ends it */
export async function keepClock(
  system: Clocked,
  log: Log,
  { wake, notify }: ClockListener,
  stop: AbortSignal,
): Promise<void> {
  const { clock } = system
  let isBehind: boolean | null = null
  let [wallMs, steadyMs] = [clock.nowMs(), performance.now()]
  while (!stop.aborted) {
    const [nextWallMs, nextSteadyMs] = [clock.nowMs(), performance.now()]
    const steppedMs = nextWallMs - wallMs - (nextSteadyMs - steadyMs)
    ;[wallMs, steadyMs] = [nextWallMs, nextSteadyMs]
    const isSetBack = steppedMs < -STEP_BACK_MS
    if (isSetBack) log.warn('the clock was set back', { seconds: Math.round(-steppedMs / 1000) })
    try {
      const was = isBehind
      isBehind = await noteClock(system, was)
      if (isBehind && was !== true) await notify()
      if (isSetBack) await makeDue(system)
      if (isSetBack || (isBehind && was === null)) wake()
    } catch (thrown) {
      log.error('the clock could not be compared with the record', errorFields(toAppError(thrown)))
    }
    await delay(LOOK_MS, stop)
  }
}

/**
 * Compares the clock with the record, and makes a finding of a deviation.
 * @param wasBehind the result of the last time; null: not known
 * @returns whether the clock is behind
 */
export async function noteClock(system: Clocked, wasBehind: boolean | null = null): Promise<boolean> {
  const { store, clock } = system
  const newestMs = await store.maintenance.newestEventMs()
  const isBehind = newestMs !== null && newestMs > clock.nowMs() + STEP_BACK_MS
  if (isBehind === wasBehind) return isBehind
  if (isBehind && wasBehind === null) await makeDue(system)
  if (isBehind) await store.findings.raise({ subject: '', reason: { code: 'clock-behind', params: { newestMs } } })
  else await store.findings.end('clock-behind', '')
  return isBehind
}

/** Work that was almost due would wait for as long as the clock was set back. */
async function makeDue({ store, clock }: Clocked): Promise<void> {
  await store.maintenance.bringBackTimes(clock.nowMs())
  await store.maintenance.markUnsettled(clock.nowMs())
}

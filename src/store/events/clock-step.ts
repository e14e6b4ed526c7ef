import { STEP_BACK_MS } from './event-order.ts'
import { WAITING } from '../rows/literals.ts'
import type { StoreWriter } from '../engine/store-writer.ts'

/**
 * Records with a time that is still to come, since the clock was set back: events would wait until then, and the
 * windows of the breakers would stay full until then. All of them get the present time.
 */
export function bringBackTimes(writer: StoreWriter, nowMs: number): Promise<void> {
  return writer.run(async ({ trx }) => {
    const fromMs = nowMs + STEP_BACK_MS
    await trx.updateTable('event').set({ next_try_ms: nowMs }).where('state', '=', WAITING).execute()
    for (const table of ['lock_count', 'loss_count'] as const) {
      await trx.updateTable(table).set({ at_ms: nowMs }).where('at_ms', '>', fromMs).execute()
    }
  })
}

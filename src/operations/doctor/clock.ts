import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Settings } from '../../core/settings/settings.ts'
import { STEP_BACK_MS } from '../../store/events/event-order.ts'
import { Findings, troubleOf, type Finding } from './findings.ts'
import { whyNoStore, openStoreOf } from '../../app/state-store.ts'

/** Whether the clock agrees with the times that were recorded and spooled. */

const WHY =
  'The newest event of a token decides. Events with a time that is still to come count as of now; behind the record, new ones count as newer than all of it.'
const FIX = 'Set the clocks of this machine and of privacyIDEA, and keep them right: timedatectl set-ntp true'

export async function clockFindings(settings: Settings, nowMs: number): Promise<readonly Finding[]> {
  const found = new Findings('this machine')
  checkSpool(found, settings.intake.spool, nowMs)
  if (whyNoStore(settings) === null) await checkRecord(found, settings, nowMs)
  return found.all
}

/** Each file that is made, renamed or removed sets the folder's own time. */
function checkSpool(found: Findings, spool: string, nowMs: number): void {
  for (const folder of ['tmp', 'new'].map((name) => join(spool, name))) {
    const atMs = timeOf(folder)
    if (atMs === null || atMs <= nowMs + STEP_BACK_MS) continue
    const what = `the clock shows ${iso(nowMs)}, and ${folder} was changed at ${iso(atMs)}`
    found.fail('clock-spool', { what, why: WHY, fix: FIX })
    return
  }
}

async function checkRecord(found: Findings, settings: Settings, nowMs: number): Promise<void> {
  try {
    await using store = await openStoreOf(settings, false)
    const newestMs = await store.maintenance.newestEventMs()
    if (newestMs === null || newestMs <= nowMs + STEP_BACK_MS) return
    const what = `the clock shows ${iso(nowMs)}, and the newest event on record came in at ${iso(newestMs)}`
    found.fail('clock-record', { what, why: WHY, fix: FIX })
  } catch (thrown) {
    found.warn('clock-record', troubleOf(thrown, 'Whether the clock fits to the record is not known.'))
  }
}

function timeOf(path: string): number | null {
  try {
    return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null
  } catch {
    return null
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

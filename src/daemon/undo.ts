import type { Event, ResolvedEvent } from '../core/event.ts'
import { parseSerial, splitAccountKey, type AccountKey, type Serial } from '../core/names.ts'
import type { ChangeReport } from '../store/reports.ts'
import { carryOut } from './act.ts'
import type { Log } from './log.ts'
import { newId, type System } from './system.ts'

/**
 * Takes back what Lockstep did within a time: each account goes back to what it was before the first of those changes,
 * newest account first, and only where what we wrote is still ours. The taking back is done by events, so that the same
 * plan, guards and ledger carry it out, and nothing does the undone again.
 */

export interface UndoStep {
  readonly account: string
  readonly dn: string
  /** What was done first within the time. */
  readonly change: ChangeReport
  readonly action: 'unlock' | 'lock' | 'remove serial' | 'add serial'
  /** Why it is left as it is; null: it will be taken back. */
  readonly skipped: string | null
}

const CHANGES_MAX = 100_000

export async function planUndo(system: System, sinceMs: number, untilMs: number): Promise<UndoStep[]> {
  const changes = await system.store.reports.changes({ sinceMs, untilMs, state: 'applied', limit: CHANGES_MAX })
  const firsts = new Map<string, ChangeReport>()
  for (const change of changes) firsts.set(`${change.account} ${change.serial ?? ''}`, change)
  const newestFirst = [...firsts.values()].toSorted((a, b) => b.plannedMs - a.plannedMs)
  const steps: UndoStep[] = []
  for (const change of newestFirst) steps.push(await stepFor(system, change))
  return steps
}

async function stepFor(system: System, change: ChangeReport): Promise<UndoStep> {
  const base = { account: change.account, dn: change.dn, change }
  const key = splitAccountKey(change.account)?.key
  const [account] = key === undefined ? [] : await system.store.reports.find(key, 1)
  if (key === undefined || account === undefined) return { ...base, action: 'unlock', skipped: 'account not on record' }
  if (change.serial === null) {
    if (change.kind === 'lock') {
      return { ...base, action: 'unlock', skipped: account.lockedByUs ? null : 'not locked by us any more' }
    }
    return { ...base, action: 'lock', skipped: account.lockedByUs ? 'locked by us again' : null }
  }
  const carries = (await system.store.reports.serialsOf(key)).includes(change.serial)
  if (change.kind === 'register') {
    return { ...base, action: 'remove serial', skipped: carries ? null : 'the serial is gone already' }
  }
  return { ...base, action: 'add serial', skipped: carries ? 'the serial is there again' : null }
}

/** @returns how many accounts were told */
export async function applyUndo(system: System, steps: readonly UndoStep[], actor: string, log: Log): Promise<number> {
  const keys: AccountKey[] = []
  for (const step of steps) {
    const key = splitAccountKey(step.account)?.key
    if (step.skipped !== null || key === undefined) continue
    await system.store.records.note(compensation(system, step, key, actor))
    keys.push(key)
  }
  if (keys.length > 0) await carryOut(system, keys, log)
  return keys.length
}

function compensation(system: System, step: UndoStep, accountKey: AccountKey, actor: string): ResolvedEvent {
  const serial = step.change.serial === null ? null : parseSerial(step.change.serial)
  return {
    id: `undo:${newId(system.clock)}`,
    kind: kindOf(step, serial),
    serial,
    login: null,
    realm: null,
    actor,
    takenAtUs: system.clock.nowMs() * 1000,
    source: 'cli',
    reason: `undo of ${step.change.kind} ${step.change.id}`,
    untilUs: null,
    accountKey,
    attributeSerials: [],
    pinnedHold: null,
  }
}

function kindOf(step: UndoStep, serial: Serial | null): Event['kind'] {
  if (serial === null) return step.action === 'unlock' ? 'release' : 'hold'
  return step.action === 'remove serial' ? 'unregister' : 'register'
}

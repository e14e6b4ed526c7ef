import type { ResolvedEvent } from '../core/event.ts'
import { parseLogin, parseSerial, splitAccountKey, type AccountKey, type Serial } from '../core/names.ts'
import { undoing, undoOrder, wordsFor, type Undoing, type UndoView } from '../core/undo.ts'
import type { AccountReport, ChangeReport } from '../store/reports.ts'
import { carryOut, resultFor } from './act.ts'
import type { Log } from './log.ts'
import { newId, type System } from './system.ts'
import { wordTimeUs } from './word.ts'

/**
 * Takes back what Lockstep did within a time: each account goes back to what it was before the first of those changes,
 * and only where what we wrote is still ours. The taking back is done by events, so that the same plan, guards and
 * ledger carry it out, and nothing does the undone again.
 */

export interface UndoStep extends Undoing {
  readonly account: string
  readonly dn: string
  /** What was done first within the time. */
  readonly change: ChangeReport
}

/** What is to be said, account by account; the steps, newest change first. */
export interface UndoPlan {
  readonly steps: readonly UndoStep[]
  readonly words: ReadonlyMap<AccountKey, readonly ResolvedEvent[]>
}

const CHANGES_MAX = 100_000

/** @param actor who undoes it, for the record */
export async function planUndo(system: System, sinceMs: number, untilMs: number, actor: string): Promise<UndoPlan> {
  const changes = await system.store.reports.changes({ sinceMs, untilMs, state: 'applied', limit: CHANGES_MAX })
  const firsts = new Map<string, ChangeReport>()
  for (const change of changes) firsts.set(idOf(change.account, change.serial), change)
  const planner = new UndoPlanner(system, firsts, actor)
  const ordered = [...firsts.values()].map((change) => ({ change, ...rough(change) })).toSorted(undoOrder)
  const steps: UndoStep[] = []
  for (const { change } of ordered) steps.push(await planner.step(change))
  return { steps: steps.toSorted((a, b) => b.change.plannedMs - a.change.plannedMs), words: planner.words }
}

/** The kind of step, before it is looked at. */
function rough({ kind, serial }: ChangeReport): Pick<Undoing, 'action'> {
  if (serial === null) return { action: kind === 'lock' ? 'unlock' : 'lock' }
  return { action: kind === 'register' ? 'remove serial' : 'add serial' }
}

function idOf(account: string, serial: string | null): string {
  return `${account} ${serial ?? ''}`
}

/** Looks at one change after the other, each with the words of those before it already said. */
class UndoPlanner {
  readonly words = new Map<AccountKey, readonly ResolvedEvent[]>()
  readonly #system: System
  readonly #firsts: ReadonlyMap<string, ChangeReport>
  readonly #actor: string
  /** The last word on an account and on a serial: what follows is later. */
  readonly #saidUs = new Map<string, number>()

  constructor(system: System, firsts: ReadonlyMap<string, ChangeReport>, actor: string) {
    this.#system = system
    this.#firsts = firsts
    this.#actor = actor
  }

  async step(change: ChangeReport): Promise<UndoStep> {
    const base = { account: change.account, dn: change.dn, change }
    const key = splitAccountKey(change.account)?.key
    const [account] = key === undefined ? [] : await this.#system.store.reports.find(key, 1)
    if (key === undefined || account === undefined) {
      return { ...base, ...rough(change), holds: [], skipped: 'account not on record' }
    }
    const view = await this.#viewOf(key, account, change)
    const step = undoing(change, view)
    if (step.skipped === null) await this.#say(step, change, view)
    return { ...base, dn: account.dn, ...step }
  }

  async #viewOf(key: AccountKey, account: AccountReport, change: ChangeReport): Promise<UndoView> {
    const { clock, settings, store } = this.#system
    const { lockTtlMs } = settings.policy
    const elsewhere = new Map<Serial, AccountKey>()
    for (const text of [change.serial, ...change.holds]) {
      const serial = parseSerial(text ?? '')
      const owner = serial === null ? null : await this.#ownerOf(serial)
      if (serial !== null && owner !== null && owner !== key) elsewhere.set(serial, owner)
    }
    return {
      key,
      lockedByUs: account.lockedByUs,
      login: account.login === null ? null : parseLogin(account.login),
      events: [...(await store.upkeep.streamOf(key)), ...(this.words.get(key) ?? [])],
      nowUs: clock.nowMs() * 1000,
      lockTtlUs: lockTtlMs === null ? null : lockTtlMs * 1000,
      ownerElsewhere: (serial) => elsewhere.get(serial) ?? null,
    }
  }

  /** Whose a serial is by the record, unless this undo takes it from there. */
  async #ownerOf(serial: Serial): Promise<AccountKey | null> {
    const { inbox, reports } = this.#system.store
    const owner = (await inbox.accountOfSerial(serial))?.key
    if (owner === undefined || !(await reports.serialsOf(owner)).includes(serial)) return null
    return this.#firsts.get(idOf(owner, serial))?.kind === 'register' ? null : owner
  }

  async #say(step: Undoing, change: ChangeReport, view: UndoView): Promise<void> {
    const { clock } = this.#system
    const subjects = [view.key, ...(change.serial === null ? step.holds : [change.serial])]
    const saidUs = subjects.map((subject) => (this.#saidUs.get(subject) ?? 0) + 1)
    const takenAtUs = Math.max(await wordTimeUs(this.#system, view.key, view.login), ...saidUs)
    for (const subject of subjects) this.#saidUs.set(subject, takenAtUs)
    const words = wordsFor(step, change, view, { actor: this.#actor, takenAtUs, newId: () => newId(clock) })
    this.words.set(view.key, [...(this.words.get(view.key) ?? []), ...words])
  }
}

/** @returns the accounts that were told and are not where they should be yet */
export async function applyUndo(system: System, words: UndoPlan['words'], log: Log): Promise<AccountReport[]> {
  for (const word of [...words.values()].flat()) await system.store.records.note(word)
  const keys = [...words.keys()]
  if (keys.length > 0) await carryOut(system, keys, log)
  const waiting: AccountReport[] = []
  for (const key of keys) {
    const { account, isDone } = await resultFor(system, key)
    if (!isDone) waiting.push(account)
  }
  return waiting
}

import type { ResolvedEvent } from '../../core/events/event.ts'
import {
  directoryOf,
  parseHoldName,
  parseLogin,
  parseRealm,
  parseSerial,
  splitAccountKey,
  type AccountKey,
  type Serial,
} from '../../core/names.ts'
import { holdKey, serialKey, spelledAmong, type SerialKey } from '../../core/serials/serial-key.ts'
import { roughUndoing, undoing, undoOrder, ordersFor, type Undoing, type UndoView } from '../../core/account/undo.ts'
import type { AccountReport, ChangeReport } from '../../store/reports/reports.ts'
import { carryOut, lockAt, resultFor } from './manual-action.ts'
import { refuseWhereFileForbids } from './file-forbids.ts'
import type { Log } from '../../app/log.ts'
import { newId, type System } from '../../app/system.ts'
import { manualActionTimeUs } from './manual-action-time.ts'

/**
 * Reverts the changes of Lockstep within a time: each account returns to its status before the first of those changes,
 * and only where our values are still ours. Events revert them, so the same plan, guards and ledger apply, and nothing
 * repeats the reverted change.
 */

export interface UndoStep extends Undoing {
  readonly account: string
  readonly dn: string
  /** The first change within the time. */
  readonly change: ChangeReport
}

/** The events to record, by account; the steps, newest change first. */
export interface UndoPlan {
  readonly steps: readonly UndoStep[]
  readonly words: ReadonlyMap<AccountKey, readonly ResolvedEvent[]>
}

const CHANGES_MAX = 100_000
/** Changes of one account, after the time; at this number the one in question counts as changed too. */
const LATER_CHANGES_MAX = 1_000
/** Accounts at most that are read in the directory to explain why a change is not reverted. */
const LOOKS_MAX = 100

/** Who undoes it, and the reason ('': not given), for the record. */
export interface UndoOrder {
  readonly actor: string
  readonly reason: string
}

export async function planUndo(system: System, sinceMs: number, untilMs: number, order: UndoOrder): Promise<UndoPlan> {
  const changes = await system.store.reports.changes({ sinceMs, untilMs, state: 'applied', limit: CHANGES_MAX })
  const firsts = new Map<string, ChangeReport>()
  for (const change of changes) firsts.set(idOf(change.account, change.serial), change)
  const planner = new UndoPlanner(system, firsts, { untilMs, ...order })
  const ordered = [...firsts.values()].map((change) => ({ change, ...roughUndoing(change) })).toSorted(undoOrder)
  const steps: UndoStep[] = []
  for (const { change } of ordered) steps.push(await planner.step(change))
  return { steps: steps.toSorted((a, b) => b.change.plannedMs - a.change.plannedMs), words: planner.words }
}

function idOf(account: string, serial: string | null): string {
  const parsed = parseSerial(serial ?? '')
  return `${account} ${parsed === null ? '' : serialKey(parsed)}`
}

/** Plans one change after the other; the events of the earlier ones count as recorded. */
class UndoPlanner {
  readonly words = new Map<AccountKey, readonly ResolvedEvent[]>()
  readonly #system: System
  readonly #firsts: ReadonlyMap<string, ChangeReport>
  readonly #order: UndoOrder
  readonly #untilMs: number
  #looks = 0
  /** The time of the last event on an account and on a serial: the next one must be later. */
  readonly #saidUs = new Map<string, number>()

  constructor(
    system: System,
    firsts: ReadonlyMap<string, ChangeReport>,
    { untilMs, actor, reason }: UndoOrder & { readonly untilMs: number },
  ) {
    this.#system = system
    this.#firsts = firsts
    this.#untilMs = untilMs
    this.#order = { actor, reason }
  }

  async step(change: ChangeReport): Promise<UndoStep> {
    const base = { account: change.account, dn: change.dn, change }
    const key = splitAccountKey(change.account)?.key
    const [account] = key === undefined ? [] : await this.#system.store.reports.find(key, 1)
    if (key === undefined || account === undefined) {
      return { ...base, ...roughUndoing(change), holds: [], skipped: { code: 'account-unknown', params: {} } }
    }
    const view = await this.#viewOf(key, account, change)
    const found = undoing(change, view)
    const isOver = found.skipped === null && (await this.#isChangedSince(key, change))
    const step: Undoing = isOver
      ? { ...found, skipped: { code: 'changed-again', params: {} } }
      : await this.#explained(found, view)
    if (step.skipped === null) await this.#say(step, change, view)
    return { ...base, dn: account.dn, ...step }
  }

  /** The present values are then not those of the time: an undo that is given again must not touch them. */
  async #isChangedSince(key: AccountKey, { account, serial }: ChangeReport): Promise<boolean> {
    const filter = { key, sinceMs: this.#untilMs + 1, state: 'applied', limit: LATER_CHANGES_MAX } as const
    const later = await this.#system.store.reports.changes(filter)
    const isFull = later.length === LATER_CHANGES_MAX
    const own = idOf(account, serial)
    return isFull || later.map((change) => idOf(change.account, change.serial)).includes(own)
  }

  /** A lock that is not on record may be ours all the same: then another command is the remedy. */
  async #explained(step: Undoing, { key, lockedByUs, login }: UndoView): Promise<Undoing> {
    if (step.action !== 'unlock' || step.skipped === null || lockedByUs || ++this.#looks > LOOKS_MAX) return step
    if ((await lockAt(this.#system, key)) !== 'as-ours') return step
    return { ...step, skipped: { code: 'lock-unrecorded', params: login === null ? {} : { login } } }
  }

  async #viewOf(key: AccountKey, account: AccountReport, change: ChangeReport): Promise<UndoView> {
    const { clock, settings, store } = this.#system
    const { lockTtlMs } = settings.policy
    const directory = directoryOf(key)
    const isRetired = (await store.guards.retirementOf(directory, clock.nowMs())) !== null
    const elsewhere = new Map<SerialKey, AccountKey>()
    for (const text of [change.serial, ...change.holds]) {
      const serial = parseSerial(text ?? '')
      const owner = serial === null ? null : await this.#ownerOf(serial)
      if (serial !== null && owner !== null && owner !== key) elsewhere.set(serialKey(serial), owner)
    }
    return {
      key,
      lockedByUs: account.lockedByUs,
      retired: isRetired ? directory : null,
      login: account.login === null ? null : parseLogin(account.login),
      events: [...(await store.maintenance.streamOf(key)), ...(this.words.get(key) ?? [])],
      nowUs: clock.nowMs() * 1000,
      lockTtlUs: lockTtlMs === null ? null : lockTtlMs * 1000,
      ownerElsewhere: (serial) => elsewhere.get(serialKey(serial)) ?? null,
    }
  }

  /** The account of a serial by the record, unless this undo removes the serial from it. */
  async #ownerOf(serial: Serial): Promise<AccountKey | null> {
    const { inbox, reports } = this.#system.store
    const owner = (await inbox.accountOfSerial(serial))?.key
    if (owner === undefined) return null
    const carried = (await reports.serialsOf(owner)).flatMap((text) => parseSerial(text) ?? [])
    if (spelledAmong(carried, serial) === null) return null
    return this.#firsts.get(idOf(owner, serial))?.kind === 'register' ? null : owner
  }

  async #say(step: Undoing, change: ChangeReport, view: UndoView): Promise<void> {
    const { clock } = this.#system
    const named = change.serial === null ? step.holds : [change.serial]
    const subjects = [view.key, ...named.flatMap((name) => parseHoldName(name) ?? []).map(holdKey)]
    const saidUs = subjects.map((subject) => (this.#saidUs.get(subject) ?? 0) + 1)
    const takenAtUs = Math.max(await manualActionTimeUs(this.#system, view.key, view.login), ...saidUs)
    for (const subject of subjects) this.#saidUs.set(subject, takenAtUs)
    const words = ordersFor(step, change, view, { ...this.#order, takenAtUs, newId: () => newId(clock) })
    this.words.set(view.key, [...(this.words.get(view.key) ?? []), ...words])
  }
}

/** @returns the accounts where an order is not carried out yet; other pending work does not count */
export async function applyUndo(system: System, { steps, words }: UndoPlan, log: Log): Promise<AccountReport[]> {
  const startedMs = system.clock.nowMs()
  for (const [key, said] of words) {
    const kinds = said.map(({ kind }) => kind).filter((kind) => kind !== 'release')
    if (kinds.length === 0) continue
    const [account] = await system.store.reports.find(key, 1)
    const isLocked = kinds.some((kind) => kind === 'lock' || kind === 'hold')
    await refuseWhereFileForbids(system, [{ key, realm: parseRealm(account?.realm ?? ''), isLocked }])
  }
  for (const word of [...words.values()].flat()) await system.store.records.note(word, null)
  const keys = [...words.keys()]
  if (keys.length > 0) await carryOut(system, keys, log)
  const waiting: AccountReport[] = []
  for (const key of keys) {
    const { account, isDone, isSettled } = await resultFor(system, key)
    if (isDone) continue
    const ordered = steps.filter((step) => step.skipped === null && step.account === account.key)
    const changes = await system.store.reports.changes({
      key,
      sinceMs: startedMs,
      state: 'applied',
      limit: CHANGES_MAX,
    })
    if (!ordered.every((step) => isCarriedOut(step, account, { isSettled, changes }))) waiting.push(account)
  }
  return waiting
}

/**
 * An account may wait for something else: a hold that is left while the account is protected, or a serial that came
 * since.
 * @param isSettled the account was processed since
 * @param changes those that were applied to it since the undo began
 */
export function isCarriedOut(
  { action, change }: Pick<UndoStep, 'action' | 'change'>,
  { lockedByUs, standing }: Pick<AccountReport, 'lockedByUs' | 'standing'>,
  { isSettled, changes }: { isSettled: boolean; changes: readonly Pick<ChangeReport, 'account' | 'kind' | 'serial'>[] },
): boolean {
  if (action === 'lock') return lockedByUs
  if (action === 'unlock') return !lockedByUs
  const kind = action === 'add serial' ? 'register' : 'unregister'
  const applied = new Set(changes.filter((each) => each.kind === kind).map((each) => idOf(each.account, each.serial)))
  // Where an account is protected everything but locks is done, also a removal that found nothing.
  const isAllButLocks = isSettled && standing === 'protected'
  const isDone = isAllButLocks || applied.has(idOf(change.account, change.serial))
  return isDone && (action !== 'remove serial, and unlock' || !lockedByUs)
}

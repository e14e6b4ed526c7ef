import { AppError, toAppError } from '../../core/error.ts'
import { restoredHold, restoredSerial } from '../../core/events/evidence.ts'
import type { ResolvedEvent } from '../../core/events/event.ts'
import { holdNameOfSerial, type AccountKey, type HoldName, type Serial } from '../../core/names.ts'
import { holdKey } from '../../core/serials/serial-key.ts'
import { serialsIn } from '../../core/account/serial-values.ts'
import { isOpen, type ObservedState } from '../../core/account/state.ts'
import { reclaim } from '../../app/evidence/reclaim.ts'
import { placeOfOwner } from '../../store/engine/process-owner.ts'
import type { System } from '../../app/system.ts'
import { fitFile, ownedLock, readWaitingFile, type WaitingFile } from '../../app/evidence/waiting-file.ts'

/**
 * Restores holds and the serial map after the store was lost, only as far as the LDIF folders prove them, each as old
 * as its file. A file of `unlock/` proves that a lock is ours, and has the values before it. The parts of a file that
 * are still in the directory are ours. Where none is there and the account is not locked, the file was applied by hand
 * and goes to history. Where the account is locked in another way, or this cannot be decided, the file is kept and
 * named. A file of `unregister/` proves that a serial is ours where its account has it. A lock or a serial without a
 * file counts as set by others.
 */

export interface RebuildReport {
  readonly accounts: number
  readonly serials: number
  readonly holds: number
  /** Files whose lock is no longer there; they are history now. */
  readonly appliedByHand: number
  /** Serials at an account without a file: set by others, not touched. */
  readonly serialsOfOthers: number
  /** DNs of accounts whose lock has no file: locked by others, not touched. */
  readonly lockedByOthers: readonly string[]
  /** Names of files that were kept although nothing was restored from them; `problems` has the reason. */
  readonly leftAlone: readonly HoldName[]
  /** What could not be restored, and why. */
  readonly problems: readonly string[]
}

/** The report while it is made. */
type Tally = {
  -readonly [Name in keyof RebuildReport]: RebuildReport[Name] extends readonly (infer Each)[] ? Each[] : number
}

const PROBLEMS_MAX = 1_000

/** After it no daemon serves the store until `resign`. Fails with `already-running`. */
export async function keepDaemonsOut({ store: { processLock } }: System): Promise<void> {
  const daemon = await processLock.daemon()
  if (daemon !== null && placeOfOwner(daemon.owner) === 'here') {
    throw new AppError('already-running', `the daemon (process ${daemon.pid}) serves this store`, {
      hint: 'Stop it first: systemctl stop lockstep',
    })
  }
  await processLock.becomeDaemon()
}

export async function rebuild(system: System, onProgress: (accounts: number) => void): Promise<RebuildReport> {
  const counted = { accounts: 0, serials: 0, holds: 0, appliedByHand: 0, serialsOfOthers: 0 }
  const tally: Tally = { ...counted, lockedByOthers: [], leftAlone: [], problems: [] }
  const unlocks = await readAll(system, 'unlock', tally)
  const marks = await readAll(system, 'unregister', tally)
  const work: Rebuilding = { system, owners: new Map(), tally }
  for (const directory of system.directory.names()) {
    for await (const observed of system.directory.walkMarked(directory)) {
      const files = { unlocks: unlocks.get(observed.key) ?? [], marks: marks.get(observed.key) ?? [] }
      await restoreAccount(work, observed, files)
      unlocks.delete(observed.key)
      onProgress(tally.accounts)
    }
  }
  for (const [key, waiting] of unlocks) await restoreUnmarked(work, key, waiting)
  const { problems, lockedByOthers, leftAlone, ...counts } = tally
  const lengths = { lockedByOthers: lockedByOthers.length, leftAlone: leftAlone.length, problems: problems.length }
  await system.store.restore.note({ ...counts, ...lengths }, leftAlone)
  return tally
}

async function readAll(
  { ldif }: System,
  folder: 'unlock' | 'unregister',
  tally: Tally,
): Promise<Map<AccountKey, WaitingFile[]>> {
  const found = new Map<AccountKey, WaitingFile[]>()
  for (const text of await ldif.listPending(folder)) {
    try {
      const waiting = await readWaitingFile(ldif, folder, text)
      if (waiting !== null) found.set(waiting.key, [...(found.get(waiting.key) ?? []), waiting])
    } catch (thrown) {
      problem(tally, `${folder}/${text}.ldif was left alone: ${toAppError(thrown).message}`)
    }
  }
  return found
}

interface Rebuilding {
  readonly system: System
  /** Whose each serial is, as far as it was restored. */
  readonly owners: Map<Serial, AccountKey>
  readonly tally: Tally
}

/** An account that has a waiting file and no mark in the directory any more. */
async function restoreUnmarked(work: Rebuilding, key: AccountKey, waiting: readonly WaitingFile[]): Promise<void> {
  const { system, tally } = work
  try {
    const observed = await system.directory.observe(key, [], 0)
    await restoreAccount(work, observed, { unlocks: waiting, marks: [] })
  } catch (thrown) {
    problem(tally, `${filesOf(waiting)} left alone: ${toAppError(thrown).message}`)
    tally.leftAlone.push(...waiting.map(({ name }) => name))
  }
}

interface FilesOfAccount {
  readonly unlocks: readonly WaitingFile[]
  readonly marks: readonly WaitingFile[]
}

async function restoreAccount(work: Rebuilding, observed: ObservedState, files: FilesOfAccount): Promise<void> {
  const { system, tally } = work
  const { unlocks: waiting, marks } = files
  const events = restoredSerials(work, observed, marks)
  const found = waiting.map(({ entries }) => reclaim(entries, observed))
  const best = found.toSorted((a, b) => b.slots.length - a.slots.length)[0]
  const { key, dn } = observed
  const isLocked = !isOpen(observed.lock)
  const hasSource = system.source !== null
  if (best === undefined || best.slots.length === 0) {
    if (isLocked && tally.lockedByOthers.length < PROBLEMS_MAX) tally.lockedByOthers.push(dn)
    await closeOrKeep(work, observed, waiting, best?.unclear ?? null)
    if (events.length === 0) return
    await system.store.restore.restore({ key, dn, login: null, events, owned: null, hasSource })
    tally.accounts++
    return
  }
  for (const { name, takenAtUs, untilUs } of waiting) events.push(restoredHold(key, name, takenAtUs, untilUs))
  tally.holds += waiting.length
  if (best.unclear !== null) {
    problem(tally, `${filesOf(waiting)}: ${best.unclear}; the rest of the lock of ${dn} is restored`)
  }
  const owned = ownedLock(best.slots, dn, waiting)
  await system.store.restore.restore({ key, dn, login: null, events, owned, hasSource })
  tally.accounts++
  for (const each of waiting) await fitFile(system.ldif, owned, each, best.unclear !== null)
}

function restoredSerials(work: Rebuilding, observed: ObservedState, marks: FilesOfAccount['marks']): ResolvedEvent[] {
  const { owners, tally } = work
  const events: ResolvedEvent[] = []
  const existing = serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues)
  for (const serial of existing) {
    const mark = marks.find(({ name }) => holdKey(name) === holdKey(holdNameOfSerial(serial)))
    if (mark === undefined) {
      tally.serialsOfOthers++
      continue
    }
    const other = owners.get(serial)
    if (other !== undefined) {
      problem(tally, `serial ${serial} is at two accounts, ${other} and ${observed.key}: the first was taken`)
      continue
    }
    owners.set(serial, observed.key)
    events.push(restoredSerial(observed.key, serial, mark.takenAtUs))
    tally.serials++
  }
  return events
}

/** Files without anything in the directory: history where the account is not locked, else kept for an administrator. */
async function closeOrKeep(
  { system, tally }: Rebuilding,
  observed: ObservedState,
  waiting: readonly WaitingFile[],
  unclear: string | null,
): Promise<void> {
  if (waiting.length === 0) return
  if (!isOpen(observed.lock) || unclear !== null) {
    const why = unclear ?? `${observed.dn} is locked, but not by what the file takes away`
    problem(tally, `${filesOf(waiting)} left alone: ${why}`)
    tally.leftAlone.push(...waiting.map(({ name }) => name))
    return
  }
  for (const { name } of waiting) {
    await system.ldif.dropPending('unlock', name, 'applied', observed.key)
    tally.appliedByHand++
  }
}

function filesOf(waiting: readonly WaitingFile[]): string {
  return waiting.map(({ name }) => `unlock/${name}.ldif`).join(', ')
}

function problem(tally: Tally, text: string): void {
  if (tally.problems.length < PROBLEMS_MAX) tally.problems.push(text)
}

import type { Change } from '../core/change.ts'
import { headerOf, writeChangeLdif } from '../core/ldif.ts'
import type { AccountKey } from '../core/names.ts'
import { sameEnds } from '../core/plan.ts'
import { releaseOf, sameRelease, sameSlots } from '../core/slot.ts'
import type { OwnedLock } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import type { LdifPort, PendingLdif } from '../ports/ldif.ts'
import type { LedgerPort } from '../ports/ledger.ts'
import type { RecordPort } from '../ports/store.ts'

/**
 * Keeps the ledger's rows and the LDIF folders in step. The order is what survives a crash: before a write, row and
 * files; after it, first the files and then the row, since a row that is still open is looked at again.
 */
export function openLedger(records: RecordPort, ldif: LdifPort, clock: Clock): LedgerPort {
  return {
    async writeAhead(change) {
      const mayBeRefused = change.kind === 'lock' && records.isLimited
      const refusal = mayBeRefused ? await records.plan(change) : null
      if (refusal !== null) return refusal
      await Promise.all([mayBeRefused ? null : records.plan(change), ldif.prepare(change)])
      return null
    },
    close: (change, result, owned) => close(records, ldif, clock, change, result, owned),
    wasApplied: (change) => ldif.wasApplied(change),
    async recover(change, result, owned) {
      if (result === 'applied' && !(await ldif.wasApplied(change))) await ldif.prepare(change)
      await close(records, ldif, clock, change, result, owned)
    },
    relabel: (key, before, after, how, why) => relabel(records, ldif, clock, { key, before, after, how, why }),
    note: (event) => records.note(event),
    settle: (claim, outcome, holds) => records.settle(claim, outcome, holds),
  }
}

async function close(
  records: RecordPort,
  ldif: LdifPort,
  clock: Clock,
  change: Change,
  result: 'applied' | 'not-applied',
  owned: OwnedLock | null,
): Promise<void> {
  if (result === 'applied') await ldif.applied(change)
  else await ldif.abandoned(change, stillWaiting(change, owned))
  if (owned !== null && !isFileOf(change, result, owned)) {
    for (const file of pendingOf(change.key, owned, clock.nowMs())) await ldif.renewPending(file)
  }
  await records.close(change, result, owned)
}

/**
 * Whether the change's own files take back what is ours. Those of a lock that was put back in part, or was to be, know its
 * own places alone; those of a release are history, although a part of the lock may be left. A release that did not
 * happen leaves a file of what it found standing, which is no more than the record has.
 */
function isFileOf(change: Change, result: 'applied' | 'not-applied', owned: OwnedLock): boolean {
  if (change.kind === 'lock') return sameSlots(owned.slots, change.slots)
  return change.kind !== 'unlock' || result === 'not-applied'
}

/** Files that must stay although the change did not happen: those of a lock that is ours already. */
function stillWaiting(change: Change, owned: OwnedLock | null): readonly OwnedLock['holds'][number][] {
  return change.kind === 'lock' || change.kind === 'unlock' ? (owned?.holds ?? []) : []
}

interface Relabelling {
  readonly key: AccountKey
  readonly before: OwnedLock
  readonly after: OwnedLock | null
  readonly how: 'applied' | 'superseded'
  readonly why: string
}

async function relabel(records: RecordPort, ldif: LdifPort, clock: Clock, change: Relabelling): Promise<void> {
  const { key, before, after, how, why } = change
  if (after !== null) {
    const isSame = before.dn === after.dn && sameRelease(before.slots, after.slots) && sameEnds(before.ends, after.ends)
    await writePending(ldif, key, after, clock.nowMs(), !isSame)
  }
  const gone = before.holds.filter((name) => after?.holds.includes(name) !== true)
  await Promise.all(gone.map((name) => ldif.dropPending('unlock', name, how, key)))
  await records.own(key, after, why)
}

/** The waiting files of a lock; written anew where the account's name or the end of a hold changed. */
export async function writePending(
  ldif: LdifPort,
  key: AccountKey,
  lock: OwnedLock,
  nowMs: number,
  anew: boolean,
): Promise<void> {
  for (const file of pendingOf(key, lock, nowMs)) {
    if (anew) await ldif.dropPending('unlock', file.name, 'superseded', key)
    await ldif.ensurePending(file)
  }
}

function pendingOf(account: AccountKey, lock: OwnedLock, nowMs: number): PendingLdif[] {
  const facts = { atMs: nowMs, event: 'unlock', actor: '', account, change: '' } as const
  return lock.holds.map((name) => {
    const header = headerOf({ ...facts, untilUs: lock.ends?.[name], reason: 'takes our lock away' })
    return { folder: 'unlock', name, account, text: writeChangeLdif(releaseOf(lock.slots), header) }
  })
}

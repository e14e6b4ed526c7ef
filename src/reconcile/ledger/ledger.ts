import type { AccountOwner, Change } from '../../core/account/change.ts'
import { toAppError } from '../../core/error.ts'
import { headerOf, writeChangeLdif } from '../../core/ldif.ts'
import type { AccountKey } from '../../core/names.ts'
import { sameEnds } from '../../core/account/plan.ts'
import { releaseOf, sameRelease, sameSlots } from '../../core/account/slot.ts'
import type { OwnedLock } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LdifPort, PendingLdif } from '../../ports/ldif.ts'
import type { FilingClaim, LedgerPort, MayHaveFiles } from '../../ports/store/ledger.ts'
import type { RecordPort } from '../../ports/store/store.ts'

/**
 * Keeps the ledger's rows and the LDIF folders in sync. The order is what survives a crash: before a write, row and
 * files; after it, first the files and then the row, since a row that is still open is read again. The model of it is
 * in docs/model/.
 */
export function openLedger(records: RecordPort, ldif: LdifPort, clock: Clock): LedgerPort {
  const parts = { records, ldif, clock }
  return {
    async writeAhead(claim, change) {
      const mayBeRefused = change.kind === 'lock' && records.isLimited
      if (mayBeRefused) {
        const refusal = await records.plan(claim, change)
        if (refusal === null) await ldif.prepare(change)
        return refusal
      }
      const both = [records.plan(claim, change), ldif.prepare(change)] as const
      const [planned] = await Promise.allSettled(both)
      if (planned.status === 'rejected') await ldif.abandoned(change, keptWithoutRow(change, planned.reason))
      await Promise.all(both)
      return null
    },
    close: (claim, change, result, owned) => close(parts, claim, { change, result, owned }),
    wasApplied: (change) => ldif.wasApplied(change),
    async recover(claim, change, result, owned, mayArriveUntilMs) {
      if (result === 'applied' && !(await ldif.wasApplied(change))) await ldif.prepare(change)
      await close(parts, claim, { change, result, owned, mayArriveUntilMs })
    },
    async arrived(claim, late, before, after) {
      if (late.kind === 'lock') await ldif.arrived(late)
      await records.arrived(claim, late, after)
      await fitFiles(parts, claim, { before, after, how: 'applied' })
    },
    countAsOthers: (claim, late) => records.countAsOthers(claim, late),
    async adopt(claim, owned, change, order) {
      await records.adopt(claim, owned, change, order)
      await fitFiles(parts, claim, { before: null, after: owned, how: 'superseded' })
    },
    async relabel(claim, before, after, how, why) {
      await records.own(claim, after, why)
      await fitFiles(parts, claim, { before, after, how })
    },
    note: (claim, event) => records.note(event, claim),
    recordOutcome: (claim, outcome, holds) => records.recordOutcome(claim, outcome, holds),
    repair: (claim, owned, files) => repair(parts, claim, owned, files),
  }
}

interface LedgerParts {
  readonly records: RecordPort
  readonly ldif: LdifPort
  readonly clock: Clock
}

interface Closing {
  readonly change: Change
  readonly result: 'applied' | 'not-applied'
  readonly owned: OwnedLock | null
  /** Left out: its outcome was reported. */
  readonly mayArriveUntilMs?: number | null
}

/**
 * No other process has a change whose row was refused: its files are removed. Where another worker took over, the
 * waiting ones may have replaced its own: they stay, and the next claim of the account compares them with the record.
 */
function keptWithoutRow(change: Change, reason: unknown): Change['holds'] {
  return toAppError(reason).code === 'lease-lost' ? change.holds : []
}

/**
 * What happened is in the files before it is in the row; none of these steps touches a file that another change wrote
 * since. What did not happen is removed from the files after the row: another worker may have found meanwhile that it
 * did.
 */
async function close({ records, ldif, clock }: LedgerParts, claim: FilingClaim, closing: Closing): Promise<void> {
  const { change, result, owned, mayArriveUntilMs } = closing
  if (result === 'applied') await ldif.applied(change)
  if (mayArriveUntilMs === undefined) await records.close(claim, change, result, owned)
  else await records.closeUnseen(claim, change, result, owned, mayArriveUntilMs)
  if (result === 'not-applied') await ldif.abandoned(change, stillWaiting(change, owned))
  if (owned === null || isFileOf(change, result, owned)) return
  for (const file of pendingOf(claim, owned, clock.nowMs())) await ldif.renewPending(file)
}

/**
 * Whether the change's own files revert what is ours. Those of a lock that was restored in part, or was to be, have its
 * own places alone; those of a release are history, although a part of the lock may be left. A release that did not
 * happen leaves a file of what it found there, which is no more than the record has.
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
  readonly before: OwnedLock | null
  readonly after: OwnedLock | null
  readonly how: 'applied' | 'superseded'
}

/**
 * The waiting files follow what is ours; after the row: a worker that lost the account must not touch its files. The
 * next turn (`repair`), or the next start, completes a turn that was aborted in between.
 */
async function fitFiles({ ldif, clock }: LedgerParts, claim: FilingClaim, change: Relabelling): Promise<void> {
  const { key } = claim
  const { before, after, how } = change
  const nowMs = clock.nowMs()
  if (after !== null && before === null) {
    // Under no change's name: a change that was written off may be about to remove its own files.
    for (const file of pendingOf(claim, after, nowMs)) {
      await ldif.dropPending('unlock', file.name, 'superseded', key, nowMs)
      await ldif.renewPending(file)
    }
  } else if (after !== null && before !== null) {
    const isSame = before.dn === after.dn && sameRelease(before.slots, after.slots) && sameEnds(before.ends, after.ends)
    await writePending(ldif, claim, after, nowMs, !isSame)
  }
  const gone = (before?.holds ?? []).filter((name) => after?.holds.includes(name) !== true)
  await Promise.all(gone.map((name) => ldif.dropPending('unlock', name, how, key, nowMs)))
}

async function repair(
  { ldif, clock }: LedgerParts,
  claim: FilingClaim,
  owned: OwnedLock | null,
  { holds, serials }: MayHaveFiles,
): Promise<void> {
  const { key } = claim
  const nowMs = clock.nowMs()
  if (owned !== null) {
    // Another account's file of that name stays: the serial moved, and that file is newer.
    for (const file of pendingOf(claim, owned, nowMs)) await ldif.renewPending(file)
  }
  const gone = new Set(holds.filter((name) => owned?.holds.includes(name) !== true))
  for (const name of gone) await ldif.dropPending('unlock', name, 'applied', key, nowMs)
  for (const serial of serials) await ldif.dropPending('unregister', serial, 'applied', key, nowMs)
}

/** The account that a file is about. */
export interface FiledAccount extends Partial<AccountOwner> {
  readonly key: AccountKey
}

/** The waiting files of a lock; written anew where the account's name or the end of a hold changed. */
export async function writePending(
  ldif: LdifPort,
  whose: FiledAccount,
  lock: OwnedLock,
  nowMs: number,
  anew: boolean,
): Promise<void> {
  for (const file of pendingOf(whose, lock, nowMs)) await (anew ? ldif.replacePending(file) : ldif.ensurePending(file))
}

function pendingOf(whose: FiledAccount, lock: OwnedLock, nowMs: number): PendingLdif[] {
  const { key: account, login = null, realm = null } = whose
  const facts = { atMs: nowMs, event: 'unlock', actor: '', owner: { login, realm }, account, change: '' } as const
  return lock.holds.map((name) => {
    const header = headerOf({ ...facts, untilUs: lock.ends?.[name], reason: { code: 'lock-release', params: {} } })
    return { folder: 'unlock', name, account, text: writeChangeLdif(releaseOf(lock.slots), header) }
  })
}

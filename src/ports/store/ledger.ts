import type { AccountOwner, Change } from '../../core/account/change.ts'
import type { ResolvedEvent } from '../../core/events/event.ts'
import type { HoldName, Serial } from '../../core/names.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { Hold, OwnedLock } from '../../core/account/state.ts'
import type { AdoptionOrder, BreakerRefusal, Claim, Held } from './store.ts'

/** A claim, and the owner of its account, as the files that are written under it name them. */
export type FilingClaim = Held & Partial<AccountOwner>

/** Waiting files of an account that an aborted turn may have left. */
export interface MayHaveFiles {
  /** In `unlock/`; those of the record stay. */
  readonly holds: readonly HoldName[]
  /** In `unregister/`: serials that the account neither has nor should have. */
  readonly serials: readonly Serial[]
}

/**
 * The record of what was planned and done: rows in the store and files in the LDIF folders, as one. Each method that
 * takes a claim fails with `lease-lost` where another one is the live one; then no row and no file of others was
 * changed.
 */
export interface LedgerPort {
  /**
   * The row and the LDIF files, durable, before the directory is touched.
   * @returns as RecordPort.plan; then no file is left
   */
  writeAhead(claim: Held, change: Change): Promise<BreakerRefusal | null>
  /** @param owned what is ours of the account's lock from now on */
  close(claim: FilingClaim, change: Change, result: 'applied' | 'not-applied', owned: OwnedLock | null): Promise<void>
  /** True when the change was certainly in the directory, whatever the directory shows now; see LdifPort. */
  wasApplied(change: Change): Promise<boolean>
  /**
   * As `close`, for a change that a crash left open: files that the crash may have lost are written again first.
   * @param mayArriveUntilMs see RecordPort.closeUnseen
   */
  recover(
    claim: FilingClaim,
    change: Change,
    result: 'applied' | 'not-applied',
    owned: OwnedLock | null,
    mayArriveUntilMs: number | null,
  ): Promise<void>
  /** See RecordPort; the waiting files follow. @param before what was ours until now */
  arrived(claim: FilingClaim, late: Change, before: OwnedLock | null, after: OwnedLock | null): Promise<void>
  countAsOthers(claim: Held, late: Change): Promise<void>
  adopt(claim: FilingClaim, owned: OwnedLock, change: string | null, order: AdoptionOrder): Promise<void>
  /**
   * What is ours changed without a write to the directory; the waiting files follow.
   * @param how for a file whose hold has ended: `applied` by hand, or `superseded`
   * @param why for the journal
   */
  relabel(
    claim: FilingClaim,
    before: OwnedLock,
    after: OwnedLock | null,
    how: 'applied' | 'superseded',
    why: Reason,
  ): Promise<void>
  note(claim: Held, event: ResolvedEvent): Promise<void>
  /** Brings the waiting files of an account in line with the record, after an aborted turn. */
  repair(claim: FilingClaim, owned: OwnedLock | null, files: MayHaveFiles): Promise<void>
  recordOutcome(claim: Claim, outcome: Outcome, holds: readonly Hold[]): Promise<void>
}

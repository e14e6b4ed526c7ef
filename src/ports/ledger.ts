import type { Change } from '../core/change.ts'
import type { ResolvedEvent } from '../core/event.ts'
import type { AccountKey } from '../core/names.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Hold, OwnedLock } from '../core/state.ts'
import type { BreakerRefusal, Claim } from './store.ts'

/** The record of what was planned and done: rows in the store and files in the LDIF folders, as one. */
export interface LedgerPort {
  /**
   * The row and the LDIF files, durable, before the directory is touched.
   * @returns as RecordPort.plan; no file stays behind then
   */
  writeAhead(change: Change): Promise<BreakerRefusal | null>
  /** @param owned what is ours of the account's lock from now on */
  close(change: Change, result: 'applied' | 'not-applied', owned: OwnedLock | null): Promise<void>
  /** True when it is known that the change was in the directory, whatever stands there now; see LdifPort. */
  wasApplied(change: Change): Promise<boolean>
  /** As `close`, for a change that a crash left open: files that the crash may have lost are written again first. */
  recover(change: Change, result: 'applied' | 'not-applied', owned: OwnedLock | null): Promise<void>
  /**
   * What is ours changed without a write to the directory; the waiting files follow.
   * @param how for a file whose hold is gone: `applied` by somebody's hand, or `superseded`
   * @param why for the journal
   */
  relabel(
    key: AccountKey,
    before: OwnedLock,
    after: OwnedLock | null,
    how: 'applied' | 'superseded',
    why: string,
  ): Promise<void>
  note(event: ResolvedEvent): Promise<void>
  settle(claim: Claim, outcome: Outcome, holds: readonly Hold[]): Promise<void>
}

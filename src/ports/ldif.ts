import type { Change } from '../core/change.ts'
import type { AccountKey, HoldName, Serial } from '../core/names.ts'

/** A file that waits in `unlock/` or `unregister/`: what it undoes, as it is written into the folder. */
export interface PendingLdif {
  readonly folder: 'unlock' | 'unregister'
  readonly name: HoldName | Serial
  /** Whose file it is; its header says so too. */
  readonly account: AccountKey
  /** The whole file. */
  readonly text: string
}

/**
 * The LDIF folders. A method returns when what it wrote is on disk (file and folder fsynced). All of them may be
 * repeated after a crash at any point. Fails with `disk-full`, `file-not-permitted`, `file-io`.
 */
export interface LdifPort {
  /**
   * Before the directory is touched. lock: `lock/<hold>.ldif` and `unlock/<hold>.ldif` for each hold of the change;
   * register: `register/history/<serial>--<utc>.ldif` and `unregister/<serial>.ldif`; unlock and unregister: makes
   * sure that the waiting file is there.
   */
  prepare(change: Change): Promise<void>
  /** The change is in the directory: its forward file goes to history (lock, unlock, unregister). */
  applied(change: Change): Promise<void>
  /**
   * True when `applied` got as far as to move the forward file of a lock or an unlock to history: the change is known
   * to have been in the directory, whatever stands there now. False tells nothing.
   */
  wasApplied(change: Change): Promise<boolean>
  /** The change did not happen: takes back what `prepare` wrote, unless `keep` names it as still waiting. */
  abandoned(change: Change, keep: readonly (HoldName | Serial)[]): Promise<void>
  /**
   * Puts a waiting file in place (a further hold on a locked account). Nothing is written where the account has one
   * already; another account's of the same name goes to history: a serial that moved is a name for both, for a moment.
   */
  ensurePending(file: PendingLdif): Promise<void>
  /**
   * Makes the account's own waiting file say this; writes it where there is none. Another account's file of that name
   * is left alone: what it stands for is newer.
   */
  renewPending(file: PendingLdif): Promise<void>
  /**
   * A waiting file whose reason is gone without a write: `applied` by somebody's hand goes to history, else it is
   * removed. Another account's file of that name is left alone.
   */
  dropPending(
    folder: PendingLdif['folder'],
    name: HoldName | Serial,
    how: 'applied' | 'superseded',
    account: AccountKey,
  ): Promise<void>
  /** Names of the waiting files. A stranger's file is left alone and not listed. */
  listPending(folder: PendingLdif['folder']): Promise<readonly string[]>
  /** The text of a waiting file, or null when there is none. */
  readPending(folder: PendingLdif['folder'], name: string): Promise<string | null>
  /** Removes forward files of `lock/` that no longer belong to a change in work, and unfinished temporary files. */
  sweep(inWork: readonly HoldName[]): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

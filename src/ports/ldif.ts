import type { Change } from '../core/account/change.ts'
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

/** A file of `unlock/history/`. */
export interface Release {
  /** When it went there, in milliseconds since 1970. */
  readonly atMs: number
  /** The key of the account that its header names; '' where it names none. */
  readonly account: string
}

/**
 * The LDIF folders. A method returns when what it wrote is on disk (file and folder fsynced). All of them may be
 * repeated after a crash at any point. A file belongs to the change that its header names: one that is newer than what a method
 * is called for is left alone, whatever the method does, and `abandoned` removes the change's own files only. So who was
 * overtaken by another worker takes nothing from it. Fails with `disk-full`, `file-not-permitted`, `file-io`.
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
  /** A lock that was written off is in the directory after all: its forward file goes to history. */
  arrived(change: Change): Promise<void>
  /** The change did not happen: takes back what `prepare` wrote, unless `keep` names it as still waiting. */
  abandoned(change: Change, keep: readonly (HoldName | Serial)[]): Promise<void>
  /**
   * Puts a waiting file in place (a further hold on a locked account). Nothing is written where the account has one
   * already; another account's of the same name goes to history: a serial that moved is a name for both, for a moment.
   */
  ensurePending(file: PendingLdif): Promise<void>
  /** Puts a waiting file in place whatever it said before; another account's of the same name goes to history. */
  replacePending(file: PendingLdif): Promise<void>
  /**
   * Makes the account's own waiting file say this; writes it where there is none. Another account's file of that name
   * is left alone: what it stands for is newer.
   */
  renewPending(file: PendingLdif): Promise<void>
  /**
   * A waiting file whose reason is gone without a write: `applied` by somebody's hand goes to history, else it is
   * removed. Another account's file of that name is left alone.
   * @param untilMs a file that was written later is left alone as well; now, where it is left out
   */
  dropPending(
    folder: PendingLdif['folder'],
    name: HoldName | Serial,
    how: 'applied' | 'superseded',
    account: AccountKey,
    untilMs?: number,
  ): Promise<void>
  /** Names of the waiting files. A stranger's file is left alone and not listed. */
  listPending(folder: PendingLdif['folder']): Promise<readonly string[]>
  /** The text of a waiting file, or of a forward file of `lock/`; null when there is none. */
  readPending(folder: 'lock' | PendingLdif['folder'], name: string): Promise<string | null>
  /** For each of the names the newest file of `unlock/history/`. Reads the names of the whole folder. */
  releases(names: ReadonlySet<string>): Promise<ReadonlyMap<string, Release>>
  /**
   * Makes folders that are missing. @returns the paths of those that were missing, or that are others than before, since
   * the last call: their files are gone
   */
  changedFolders(): Promise<readonly string[]>
  /** Removes forward files of `lock/` that no longer belong to a change in work, and unfinished temporary files. */
  sweep(inWork: readonly HoldName[]): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

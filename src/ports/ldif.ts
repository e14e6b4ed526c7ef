import type { Change } from '../core/account/change.ts'
import type { AccountKey, HoldName, Serial } from '../core/names.ts'

/** A waiting file in `unlock/` or `unregister/`: what it undoes, as it is written into the folder. */
export interface PendingLdif {
  readonly folder: 'unlock' | 'unregister'
  readonly name: HoldName | Serial
  /** The account of the file; its header names it too. */
  readonly account: AccountKey
  /** The whole file. */
  readonly text: string
}

/** A file of `unlock/history/`. */
export interface Release {
  /** When it was moved there, in milliseconds since 1970. */
  readonly atMs: number
  /** The key of the account that its header names; '' where it names none. */
  readonly account: string
}

/**
 * The LDIF folders. A method returns when what it wrote is on disk (file and folder fsynced). All of them may be
 * repeated after a crash at any point. A file belongs to the change that its header names. Each method leaves a file
 * alone that is newer than what it is called for, and `abandoned` removes the change's own files only. So a worker that
 * was overtaken by another one removes none of its files. Fails with `disk-full`, `file-not-permitted`, `file-io`.
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
   * True when `applied` has moved the forward file of a lock or an unlock to history: then the change was in the
   * directory, whatever the directory shows now. False proves nothing.
   */
  wasApplied(change: Change): Promise<boolean>
  /** A lock that was written off is in the directory after all: its forward file goes to history. */
  arrived(change: Change): Promise<void>
  /** The change did not happen: removes what `prepare` wrote, unless `keep` names it as still waiting. */
  abandoned(change: Change, keep: readonly (HoldName | Serial)[]): Promise<void>
  /**
   * Puts a waiting file in place (a further hold on a locked account). Nothing is written where the account has one
   * already; another account's of the same name goes to history: for a moment both have the name of a serial that
   * moved.
   */
  ensurePending(file: PendingLdif): Promise<void>
  /** Puts a waiting file in place, whatever its contents were; another account's of the same name goes to history. */
  replacePending(file: PendingLdif): Promise<void>
  /**
   * Gives the account's own waiting file this text; writes it where there is none. Another account's file of that name
   * is left alone: it is newer.
   */
  renewPending(file: PendingLdif): Promise<void>
  /**
   * A waiting file whose reason has ended without a write: one that somebody `applied` by hand goes to history, else it
   * is removed. Another account's file of that name is left alone.
   * @param untilMs a file that was written later is left alone as well; now, where it is left out
   */
  dropPending(
    folder: PendingLdif['folder'],
    name: HoldName | Serial,
    how: 'applied' | 'superseded',
    account: AccountKey,
    untilMs?: number,
  ): Promise<void>
  /** Names of the waiting files. An unknown file is left alone and not listed. */
  listPending(folder: PendingLdif['folder']): Promise<readonly string[]>
  /** The text of a waiting file, or of a forward file of `lock/`; null when there is none. */
  readPending(folder: 'lock' | PendingLdif['folder'], name: string): Promise<string | null>
  /** For each of the names the newest file of `unlock/history/`. Reads the names of the whole folder. */
  releases(names: ReadonlySet<string>): Promise<ReadonlyMap<string, Release>>
  /**
   * Makes folders that are missing. @returns the paths of those that were missing, or that are others than before,
   * since the last call: their files are gone
   */
  changedFolders(): Promise<readonly string[]>
  /** Removes forward files of `lock/` that no longer belong to a change in work, and unfinished temporary files. */
  sweep(inWork: readonly HoldName[]): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

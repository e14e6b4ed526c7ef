import type { HistoryFolder, WaitingFolder } from './layout.ts'

/**
 * One step on the disk, as plain data for the thread that does it. Each can be repeated after a crash. `account` is the
 * account's key: a file whose header names another one belongs to that account (a serial that moves between accounts is
 * briefly a name for both). A file belongs to the change that its header names. No step touches a file that is newer
 * than the step's change, since that change was overtaken.
 */
export type DiskStep =
  /** Puts the forward file of a lock in place, and replaces an existing file. */
  | { readonly kind: 'put-forward'; readonly name: string; readonly text: string }
  /** Puts a waiting file in place; one of another account moves to history first. */
  | WaitingStep<'put-waiting'>
  /** Makes sure that a waiting file with these records is there; one of another account is not touched. */
  | WaitingStep<'keep-waiting'>
  /** The waiting file was applied: moves it to history. Where there is one of another account, only writes history. */
  | WaitingStep<'finish-waiting'>
  /** Writes a waiting file unless the account has one; one of another account moves to history first. */
  | WaitingStep<'ensure-waiting'>
  | ({ readonly kind: 'put-history' } & HistoryFile)
  /** Removes what `put-history` wrote. */
  | ({ readonly kind: 'drop-history' } & HistoryFile)
  /** Moves a waiting file to history, if it is there and `owner` has it. */
  | ({ readonly kind: 'to-history'; readonly stamp: string } & OwnedFile)
  /** Removes a waiting file, if it is there and `owner` has it. */
  | ({ readonly kind: 'drop-waiting' } & OwnedFile)

/**
 * The required owner of a waiting file. `any`: no check. `change`: the account and the change. `account`: the account,
 * unless the file is newer than `at` (ISO 8601 in UTC).
 */
export type FileOwner =
  | { readonly kind: 'any' }
  | { readonly kind: 'change'; readonly account: string; readonly change: string }
  | { readonly kind: 'account'; readonly account: string; readonly at: string }

export interface HistoryFile {
  readonly folder: HistoryFolder
  readonly name: string
  readonly stamp: string
  readonly text: string
}

interface OwnedFile {
  readonly folder: WaitingFolder
  readonly name: string
  readonly owner: FileOwner
}

interface WaitingStep<Kind extends string> {
  readonly kind: Kind
  readonly folder: WaitingFolder
  readonly name: string
  readonly account: string
  readonly stamp: string
  readonly text: string
}

/** The work of one call of the port; done when all of its steps are on disk. */
export interface DiskJob {
  readonly steps: readonly DiskStep[]
}

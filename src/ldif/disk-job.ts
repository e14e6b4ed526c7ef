import type { HistoryFolder, WaitingFolder } from './layout.ts'

/**
 * One step on the disk, as plain data for whichever thread does it. Each can be repeated after a crash. `account` is
 * the account's key: a file whose header names another one is that account's (a serial that moves from one account to
 * another is a name for both, for a moment). A file belongs to the change that its header names: one that is newer than what
 * asks is left alone by every step, since who asks was overtaken.
 */
export type DiskStep =
  /** Puts the forward file of a lock in place, over whatever stands there. */
  | { readonly kind: 'put-forward'; readonly name: string; readonly text: string }
  /** Puts a waiting file in place; one of another account moves to history first. */
  | WaitingStep<'put-waiting'>
  /** Makes sure that a waiting file with these records is there; one of another account is left alone. */
  | WaitingStep<'keep-waiting'>
  /** The waiting file was applied: moves it to history. Where another account's stands there, only writes history. */
  | WaitingStep<'finish-waiting'>
  /** Writes a waiting file unless the account has one; one of another account moves to history first. */
  | WaitingStep<'ensure-waiting'>
  | ({ readonly kind: 'put-history' } & HistoryFile)
  /** Takes back what `put-history` wrote. */
  | ({ readonly kind: 'drop-history' } & HistoryFile)
  /** Moves a waiting file to history, if it is there and `owner` has it. */
  | ({ readonly kind: 'to-history'; readonly stamp: string } & OwnedFile)
  /** Removes a waiting file, if it is there and `owner` has it. */
  | ({ readonly kind: 'drop-waiting' } & OwnedFile)

/**
 * Whose a waiting file has to be. `any`: whoever's. `change`: that of the account and the change. `account`: the account's,
 * unless it is newer than `at` (ISO 8601 in UTC).
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

/** What one call of the port asks for; done when all of its steps are on disk. */
export interface DiskJob {
  readonly steps: readonly DiskStep[]
}

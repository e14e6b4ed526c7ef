import type { LockVerdict } from '../../core/health/verification.ts'
import type { AccountKey, DirectoryName } from '../../core/names.ts'
import type { OwnedLock } from '../../core/account/state.ts'
import type { Wanted } from '../../core/account/outcome.ts'

/** A lock or an unlock that is to be checked on every server of its directory. */
export interface DueVerification {
  readonly key: AccountKey
  readonly wanted: Wanted
  readonly owned: OwnedLock | null
  /** The server that took the write; null: not known. */
  readonly writer: string | null
  /** When it was written, in milliseconds since 1970; a later write makes a check of this one void. */
  readonly writtenMs: number
  readonly tries: number
  /** Servers that were observed with it. */
  readonly holders: readonly string[]
  /** A problem was reported already. */
  readonly isReported: boolean
}

/** The result of a check. */
export interface Verification {
  readonly verdict: LockVerdict
  /** When the next check is due, in milliseconds since 1970; null: not before the next full one. */
  readonly dueMs: number | null
  /** The problem of the verdict is shown to people; else it may still be the delay of replication. */
  readonly isReported: boolean
}

/**
 * What is on record of locks on the servers of directories that have several. A write is noted with the outcome of its
 * account (RecordPort.recordOutcome). Fails with `store-*`.
 */
export interface VerificationPort {
  /** The servers that took our lock of an account or were observed with it since; empty: nothing is known. */
  holdersOf(key: AccountKey): Promise<readonly string[]>
  due(nowMs: number, limit: number): Promise<readonly DueVerification[]>
  /** In milliseconds since 1970; null: none is due without an event. */
  nextDueMs(): Promise<number | null>
  record(looks: readonly { due: DueVerification; found: Verification }[]): Promise<void>
  /** Makes every lock of ours in the directories due, whether it was checked before or not. @returns how many */
  markAll(directories: readonly DirectoryName[], nowMs: number): Promise<number>
  /** Removes the records of servers of other directories: they have one by now, or none that is configured. */
  keepOnly(directories: readonly DirectoryName[]): Promise<void>
  /** Removes the records of old locks that were removed, by us or by others. */
  forget(beforeMs: number): Promise<void>
}

import type { Serial } from '../../core/names.ts'
import type { UnplacedCause, UnplacedGroup, UnplacedToken } from '../../core/reasons/unplaced.ts'

/**
 * Tokens whose owners have no account, as they were last observed. A token that must be observed twice
 * (`mustBeSeenAgain`) is on record from the first reading, and is neither a finding nor listed before the second one.
 * Fails with `store-busy`, `store-unavailable`, `disk-full`.
 */
export interface UnplacedPort {
  /** Puts them on record, with the cause. */
  note(tokens: readonly UnplacedToken[]): Promise<void>
  /** They have an account now, or no owner. */
  forget(serials: readonly Serial[]): Promise<void>
  /** As `note`, for a full resync; the findings are kept until its end. */
  stage(run: number, tokens: readonly UnplacedToken[]): Promise<void>
  /** A run could not check these: they stay unchanged. */
  keep(run: number, serials: readonly Serial[]): Promise<void>
  /** The run saw all tokens: those that it did not stage or keep are removed. */
  finish(run: number): Promise<void>
  /** Those to check now, in pages: full ones, and those that have to be observed a second time (`isDue`). */
  toLookAt(): AsyncIterable<readonly { readonly serial: Serial; readonly isDue: boolean }[]>
  /** Those that are certain; full ones first. @param cause null: of every cause */
  list(limit: number, cause: UnplacedCause | null): Promise<readonly (UnplacedToken & { readonly sinceMs: number })[]>
  groups(): Promise<readonly UnplacedGroup[]>
}

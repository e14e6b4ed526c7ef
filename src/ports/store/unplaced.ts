import type { Serial } from '../../core/names.ts'
import type { UnplacedCause, UnplacedGroup, UnplacedToken } from '../../core/reasons/unplaced.ts'

/**
 * Tokens whose owners have no account, as they were last seen. What must be seen again (`mustBeSeenAgain`) is on record from
 * the first reading, and is neither a finding nor listed before the second one. Fails with `store-busy`,
 * `store-unavailable`, `disk-full`.
 */
export interface UnplacedPort {
  /** Puts them on record, and what is found of it. */
  note(tokens: readonly UnplacedToken[]): Promise<void>
  /** They have an account now, or no owner. */
  forget(serials: readonly Serial[]): Promise<void>
  /** As `note`, for a full resync; what is found waits for its end. */
  stage(run: number, tokens: readonly UnplacedToken[]): Promise<void>
  /** A run could not find out about these: they stay as they are. */
  keep(run: number, serials: readonly Serial[]): Promise<void>
  /** The run saw all tokens: those that it did not stage or keep go. */
  finish(run: number): Promise<void>
  /** Those to look at now, in pages: full ones, and those that have to be seen again (`isDue`). */
  toLookAt(): AsyncIterable<readonly { readonly serial: Serial; readonly isDue: boolean }[]>
  /** Those that are sure; full ones first. @param cause null: of every cause */
  list(limit: number, cause: UnplacedCause | null): Promise<readonly (UnplacedToken & { readonly sinceMs: number })[]>
  groups(): Promise<readonly UnplacedGroup[]>
}

import { sql } from 'kysely'

/**
 * The conditions of the partial indexes, written into the SQL: an index that holds only some rows is used only where
 * the statement itself has the condition, not where a parameter may give it.
 */
export const LIVE = sql.lit(1)
export const WAITING = sql.lit('waiting' as const)
export const ENDED = sql.lit('ended' as const)
export const NOBODY = sql.lit('')
export const IN_STEP = sql.lit('in-step')
export const NO_HOLDS = sql.lit(0)
/** No run of a full resync has missed the token. */
export const SEEN = sql.lit(0)
export const NOTHING = sql.lit(null)
export const LOCKED = sql.lit(1)
/** It cannot be judged whether there is somebody else's lock. */
export const UNCLEAR = sql.lit('unknown')

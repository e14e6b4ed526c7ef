import { SHARE_LOSSES_LEAST } from '../reasons/limits.ts'

/**
 * The breaker of losses (mode `api`): how many tokens may vanish within a time without a reason. A loss is a token of
 * an account that privacyIDEA no longer lists, or no longer lists with that owner. Past the limit a loss is pending in
 * the review queue: the serial stays at the account, and so does a lock that the token made. Pure: the store counts.
 */
export interface LossBreakerSettings {
  /** Losses at most within `perMs`. */
  readonly maxLosses: number
  /** Part (0 to 1) of the tokens on record; the smaller of the two counts. */
  readonly share: number
  readonly perMs: number
  /**
   * `manual`: once the limit is reached, nothing more passes until people have decided about all pending losses.
   * `auto`: pending ones pass as soon as the limit leaves room.
   */
  readonly reset: 'auto' | 'manual'
}

/** @param known tokens that were on record before */
export function lossesAllowed({ maxLosses, share }: LossBreakerSettings, known: number): number {
  return Math.min(maxLosses, Math.max(SHARE_LOSSES_LEAST, Math.floor(known * share)))
}

import { percentOf } from './breaker.ts'
import { span } from '../format/duration.ts'

/**
 * The breaker of losses (mode `api`): how many tokens may vanish within a time without a reason. A loss is a token of an
 * account that privacyIDEA no longer lists, or no longer lists with that owner. Past the limit a loss waits in the review
 * queue: the serial stays at the account, and a lock that the token made stays too. Pure: the store counts.
 */
export interface LossBreakerSettings {
  /** Losses at most within `perMs`. */
  readonly maxLosses: number
  /** Part (0 to 1) of the tokens on record; the smaller of the two counts. */
  readonly share: number
  readonly perMs: number
  /**
   * `manual`: once the limit is reached, nothing more passes until persons have decided about all that waits. `auto`: what
   * waits passes as soon as the limit leaves room.
   */
  readonly reset: 'auto' | 'manual'
}

/** A share of a few tokens would be less than one: it is never less than these. */
export const SHARE_LOSSES_LEAST = 5

/** Why a token counts as lost; `no-account`: its owner has no account in a configured directory. */
export const LOSS_CAUSES = ['not-listed', 'no-owner', 'no-account'] as const
export type LossCause = (typeof LOSS_CAUSES)[number]

/** @param known tokens that were on record before */
export function lossesAllowed({ maxLosses, share }: LossBreakerSettings, known: number): number {
  return Math.min(maxLosses, Math.max(SHARE_LOSSES_LEAST, Math.floor(known * share)))
}

/** For people: the limit that was reached. */
export function lossLimitText({ allowed, known, share, perMs }: LossLimit): string {
  const losses = allowed === 1 ? 'loss' : 'losses'
  return `at most ${allowed} ${losses} within ${span(perMs)} without a reason (${percentOf(share)} of ${known} tokens, ${SHARE_LOSSES_LEAST} at least)`
}

/** The limit as it was when it was reached. */
export interface LossLimit {
  readonly allowed: number
  readonly known: number
  readonly share: number
  readonly perMs: number
}

const CAUSE_TEXTS: Readonly<Record<LossCause, string>> = {
  'not-listed': 'privacyIDEA no longer lists the token',
  'no-owner': 'privacyIDEA lists the token without an owner',
  'no-account': 'the owner whom privacyIDEA names has no account in a configured directory',
}

export function lossCauseText(cause: LossCause): string {
  return CAUSE_TEXTS[cause]
}

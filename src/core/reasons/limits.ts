import { percentOf } from '../format/counted.ts'
import { span } from '../format/duration.ts'

/** The limits of both breakers, as reasons name them. */

/** Why a lock waits; the parameters of the reason `breaker-limit`. */
export interface LimitReached {
  readonly counted: string
  readonly allowed: number
  readonly perMs: number
  /** Where the limit is a part of the accounts: 0 to 1. */
  readonly share: number | null
  /** `review`: a person decides. `review-or-room`: it is written as soon as the limit leaves room as well. */
  readonly until: 'review' | 'review-or-room'
}

/** The limit as it was when it was reached. */
export interface LossLimit {
  readonly allowed: number
  readonly known: number
  readonly share: number
  readonly perMs: number
}

/** A share of a few tokens would be less than one: it is never less than these. */
export const SHARE_LOSSES_LEAST = 5

/** For people: the limit that was reached. */
export function lossLimitText({ allowed, known, share, perMs }: LossLimit): string {
  const losses = allowed === 1 ? 'loss' : 'losses'
  return `at most ${allowed} ${losses} within ${span(perMs)} without a reason (${percentOf(share)} of ${known} tokens, ${SHARE_LOSSES_LEAST} at least)`
}

/** Why a token counts as lost; `no-account`: its owner has no account in a configured directory. */
export const LOSS_CAUSES = ['not-listed', 'no-owner', 'no-account'] as const
export type LossCause = (typeof LOSS_CAUSES)[number]

const CAUSE_TEXTS: Readonly<Record<LossCause, string>> = {
  'not-listed': 'privacyIDEA no longer lists the token',
  'no-owner': 'privacyIDEA lists the token without an owner',
  'no-account': 'the owner whom privacyIDEA names has no account in a configured directory',
}

export function lossCauseText(cause: LossCause): string {
  return CAUSE_TEXTS[cause]
}

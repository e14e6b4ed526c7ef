import type { LossReview } from '../../ports/store/review.ts'
import { lossCauseText } from '../../core/reasons/limits.ts'

/** What happened to a token that the breaker of losses holds back, for people. */
export function lossText({ cause }: Pick<LossReview, 'cause'>): string {
  return cause === null ? 'its loss was allowed beforehand' : lossCauseText(cause)
}

export const LOSS_STATES: Readonly<Record<LossReview['state'], string>> = {
  waiting: 'serial and lock stay until it is decided (lockstep review)',
  approved: 'approved, and carried out at the next reading of privacyIDEA',
  dismissed: 'dismissed: serial and lock stay until the token is listed again',
}

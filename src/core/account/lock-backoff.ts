/** Each further lock of an account lasts longer. Pure: the ledger knows which locks have ended. */
export interface BackoffHistory {
  readonly factor: number
  readonly maxUs: number
  readonly resetAfterUs: number
  /** When locks of ours ended, in microseconds since 1970, the newest first. */
  readonly endedUs: readonly number[]
}

/**
 * How long the lock lasts that a word of this time is about: `ttlUs` times factor^n, where n locks of the account have
 * ended before it, each at most `resetAfterUs` before the next. A lock that ended later does not count, so that the
 * answer stays the same while the lock stands and after it has gone.
 */
export function lockTtlAt(ttlUs: number, backoff: BackoffHistory | null, takenAtUs: number): number {
  if (backoff === null) return ttlUs
  let count = 0
  let nextUs = takenAtUs
  for (const endedUs of backoff.endedUs) {
    if (endedUs >= takenAtUs) continue
    if (nextUs - endedUs > backoff.resetAfterUs) break
    count++
    nextUs = endedUs
  }
  return Math.max(ttlUs, Math.min(backoff.maxUs, ttlUs * backoff.factor ** count))
}

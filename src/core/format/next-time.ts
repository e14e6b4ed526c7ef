/**
 * A time may be ahead of the clock by so much, in microseconds, to keep the order of successive events. After a larger
 * step back of the clock the times follow it: else events would outlive a person's later actions.
 */
export const TIME_AHEAD_MAX_US = 1_000_000

/** The time after `lastUs`: now, or just later than the last one where the clock has not moved on. Microseconds since 1970. */
export function nextTimeUs(lastUs: number, nowUs: number): number {
  const nextUs = lastUs + 1
  return nextUs > nowUs + TIME_AHEAD_MAX_US ? nowUs : Math.max(nowUs, nextUs)
}

/** Time and randomness, as arguments of the core. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number
  /** In [0, 1). */
  random(): number
}

export const systemClock: Clock = { nowMs: () => Date.now(), random: () => Math.random() }

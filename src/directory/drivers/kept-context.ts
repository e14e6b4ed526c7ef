import type { Clock } from '../../ports/clock.ts'
import type { ServerFacts } from '../pool/server-facts.ts'

const KEPT_MAX_AGE_MS = 60_000
/** How long a lock lasts is as the server judges it now: a policy that was changed a moment ago counts. */
const FRESH_MAX_AGE_MS = 1_000
/** Times of locks are of whole seconds. */
const SECOND_MS = 1_000

/** What a driver knows besides entries: read once for all that wait, and kept for a while. */
export class KeptContext<Context> {
  readonly #clock: Clock
  readonly #load: (facts: ServerFacts) => Promise<Context>
  #kept: { readonly context: Context; readonly atMs: number } | null = null
  #reading: Promise<Context> | null = null

  constructor(clock: Clock, load: (facts: ServerFacts) => Promise<Context>) {
    this.#clock = clock
    this.#load = load
  }

  /** @param lockedSinceMs see LockPlaces.restsOnPoliciesSince */
  async of(facts: ServerFacts, lockedSinceMs: number | null): Promise<Context> {
    const [maxAgeMs, notBeforeMs] =
      lockedSinceMs === null ? [KEPT_MAX_AGE_MS, 0] : [FRESH_MAX_AGE_MS, lockedSinceMs + SECOND_MS]
    const kept = this.#kept
    const ageMs = kept === null ? Infinity : this.#clock.nowMs() - kept.atMs
    if (kept !== null && ageMs >= 0 && ageMs < maxAgeMs && kept.atMs >= notBeforeMs) return kept.context
    this.#reading ??= this.#read(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  async #read(facts: ServerFacts): Promise<Context> {
    const atMs = this.#clock.nowMs()
    const context = await this.#load(facts)
    this.#kept = { context, atMs }
    return context
  }
}

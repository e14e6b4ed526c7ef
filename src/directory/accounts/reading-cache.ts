import type { AccountKey } from '../../core/names.ts'

interface Kept<Value> {
  readonly value: Value
  readonly atMs: number
}

/** The newest readings of accounts, the least recently used ones dropped. */
export class ReadingCache<Value> {
  readonly #max: number
  readonly #kept = new Map<AccountKey, Kept<Value>>()

  constructor(max: number) {
    this.#max = max
  }

  /** @param atMs when the reading was asked for */
  put(key: AccountKey, value: Value, atMs: number): void {
    this.#kept.delete(key)
    this.#kept.set(key, { value, atMs })
    if (this.#kept.size <= this.#max) return
    const oldest = this.#kept.keys().next().value
    if (oldest !== undefined) this.#kept.delete(oldest)
  }

  /** A reading at most so old, or undefined. */
  get(key: AccountKey, nowMs: number, maxAgeMs: number): Value | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    const ageMs = nowMs - kept.atMs
    return ageMs >= 0 && ageMs <= maxAgeMs ? kept.value : undefined
  }

  /** Of any age. */
  last(key: AccountKey): Value | undefined {
    return this.#kept.get(key)?.value
  }

  drop(key: AccountKey): void {
    this.#kept.delete(key)
  }
}

import type { AccountKey } from '../core/names.ts'

interface OwnWrite {
  readonly url: string
  readonly atMs: number
}

/** Controllers of one site have a write within seconds, others within the interval of their link, 15 minutes at best. */
const REPLICATION_MAX_MS = 900_000
/** More than are locked in that time by far; the oldest are forgotten. */
const WRITES_MAX = 10_000

/** Which of several servers took our last write to an account: the others may not have it yet. */
export class OwnWrites {
  readonly #writes = new Map<AccountKey, OwnWrite>()

  note(key: AccountKey, url: string, nowMs: number): void {
    this.#writes.delete(key)
    this.#writes.set(key, { url, atMs: nowMs })
    if (this.#writes.size <= WRITES_MAX) return
    const oldest = this.#writes.keys().next().value
    if (oldest !== undefined) this.#writes.delete(oldest)
  }

  /** Whether what the server at `url` says now may be older than our last write. */
  isBehind(key: AccountKey, url: string, nowMs: number): boolean {
    const last = this.#writes.get(key)
    if (last === undefined || last.url === url) return false
    const ageMs = nowMs - last.atMs
    return ageMs >= 0 && ageMs < REPLICATION_MAX_MS
  }
}

import type { AccountKey } from '../../core/names.ts'

/** So long an account is read from the server that took its last write: replication between sites may take minutes. */
const WRITER_KEPT_MS = 900_000
const WRITERS_MAX = 50_000

/**
 * Which server took the last write to an account, for a bounded time and number: whoever reads elsewhere may see what
 * stood there before. Times are those of `performance.now()`.
 */
export class RecentWriters<Server> {
  readonly #writers = new Map<AccountKey, { readonly server: Server; readonly untilMs: number }>()

  note(key: AccountKey, server: Server): void {
    this.#writers.delete(key)
    this.#writers.set(key, { server, untilMs: performance.now() + WRITER_KEPT_MS })
    if (this.#writers.size <= WRITERS_MAX) return
    const oldest = this.#writers.keys().next().value
    if (oldest !== undefined) this.#writers.delete(oldest)
  }

  of(key: AccountKey): Server | undefined {
    const kept = this.#writers.get(key)
    if (kept === undefined) return undefined
    if (kept.untilMs > performance.now()) return kept.server
    this.#writers.delete(key)
    return undefined
  }
}

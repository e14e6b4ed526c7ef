import type { Transaction } from 'kysely'
import { AppError } from '../../core/error.ts'
import { appendJournal, type JournalEntry } from './journal.ts'
import type { Executing } from './prepared.ts'
import type { Database, Tables } from '../schema/schema.ts'
import type { Statements } from './statements.ts'

/**
 * Group commit: every write goes through here, and those that are pending are written in one transaction, in the order
 * in which they came. A job that fails is tried alone, so that it fails no other.
 *
 * A commit survives the death of the process; a sync to disk makes it survive a power cut. Syncs run beside all other
 * work, one at a time, and each covers every commit before it. A caller that needs that waits for it. A write that is
 * found again by itself does not wait, and is on disk with the next one that does.
 */

/** What one job may do: statements in the transaction, and journal records that are appended at its end. */
export interface WriteScope {
  readonly trx: Transaction<Tables>
  /** The connection of the transaction itself, for prepared statements: the way through the builder costs more than they do. */
  readonly on: Executing
  readonly hot: Statements
  readonly log: (entry: JournalEntry) => void
}

interface Job {
  readonly work: (scope: WriteScope) => Promise<unknown>
  readonly isDurable: boolean
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: unknown) => void
}

/** A commit that waits for a sync, and the callers that wait for it. */
interface Unsynced {
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/** Commits so close to each other share one look at the file. */
const LOOK_EVERY_MS = 20
const JOBS_PER_COMMIT_MAX = 256
const JOBS_WAITING_MAX = 20_000

/** So many recent jobs are load: a commit then waits until it is worth its while, or for so long. */
const LOAD_JOBS = 20
const LOAD_HALF_LIFE_MS = 10
const FULL_JOBS = 64
const GATHER_MAX_MS = 3

/** The recent number of jobs: each counts half as much after the half-life. */
class RecentCount {
  #count = 0
  #atMs = 0

  now(): number {
    const nowMs = performance.now()
    this.#count *= 0.5 ** ((nowMs - this.#atMs) / LOAD_HALF_LIFE_MS)
    this.#atMs = nowMs
    return this.#count
  }

  add(count: number): void {
    this.#count = this.now() + count
  }
}

/** Notified of each commit, and of each job that failed. */
export interface WriteListener {
  committed(): void
  failed(thrown: unknown): void
}

const NOBODY: WriteListener = { committed: () => undefined, failed: () => undefined }

export class StoreWriter {
  #listener = NOBODY
  readonly #db: Database
  /** The prepared statements, for reads outside a transaction as well. */
  readonly hot: Statements
  readonly #sync: () => Promise<void>
  readonly #lost: () => AppError | null
  #jobs: Job[] = []
  #unsynced: Unsynced[] = []
  #running: Promise<void> | null = null
  #syncing: Promise<void> | null = null
  /** Something was committed since the last sync began. */
  #hasUnsynced = false
  #lookedMs = -Infinity
  /** After a sync that failed it is not known what is on disk; what goes to a file that is gone is lost. */
  #broken: unknown = null
  readonly #failed = Promise.withResolvers<never>()
  #closed = false
  readonly #load = new RecentCount()

  /**
   * @param sync puts every commit so far on disk
   * @param lost why what is written would be lost; asked before each commit
   */
  constructor(db: Database, hot: Statements, sync: () => Promise<void>, lost: () => AppError | null = () => null) {
    this.#db = db
    this.hot = hot
    this.#sync = sync
    this.#lost = lost
    this.#failed.promise.catch(() => undefined)
  }

  /** Fails when a sync did, or the file is gone: nothing more can be written, and waiting is in vain. */
  get failed(): Promise<never> {
    return this.#failed.promise
  }

  /** Whether the file is still there; see `failed`. */
  look(): void {
    this.#lookedMs = performance.now()
    const lost = this.#broken === null ? this.#lost() : null
    if (lost !== null) this.#break(lost)
  }

  #break(thrown: unknown): void {
    this.#broken = thrown
    this.#listener.failed(thrown)
    this.#failed.reject(thrown)
  }

  /** One listener; the last one counts. */
  listen(listener: WriteListener): void {
    this.#listener = listener
  }

  /** Resolves when the job's writes are on disk. Fails with `limit-exceeded` when too many are pending. */
  run<Result>(work: (scope: WriteScope) => Promise<Result>): Promise<Result> {
    return this.#enqueue(work, true)
  }

  /**
   * Resolves when the job's writes are committed: the death of the process does not undo them, a power cut may. For
   * what is found and done again after one.
   */
  runSoon<Result>(work: (scope: WriteScope) => Promise<Result>): Promise<Result> {
    return this.#enqueue(work, false)
  }

  #enqueue<Result>(work: (scope: WriteScope) => Promise<Result>, isDurable: boolean): Promise<Result> {
    if (this.#broken !== null) return Promise.reject(this.#broken)
    if (this.#closed) return Promise.reject(new AppError('store-unavailable', 'the store is closed'))
    if (this.#jobs.length >= JOBS_WAITING_MAX) {
      return Promise.reject(new AppError('limit-exceeded', `more than ${JOBS_WAITING_MAX} writes wait for the store`))
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#jobs.push({ work, isDurable, resolve, reject })
    this.#running ??= this.#drain()
    return promise as Promise<Result>
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
    await this.#syncing
    if (this.#hasUnsynced && this.#broken === null) await this.#sync()
  }

  async #drain(): Promise<void> {
    // Lets everything join that is ready in this turn of the event loop, and sends what is to be sent.
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
    while (this.#jobs.length > 0) {
      if (this.#load.now() >= LOAD_JOBS) await this.#gather()
      const jobs = this.#jobs.splice(0, JOBS_PER_COMMIT_MAX)
      if (performance.now() - this.#lookedMs >= LOOK_EVERY_MS) this.look()
      if (this.#broken !== null) {
        for (const job of jobs) job.reject(this.#broken)
        continue
      }
      this.#load.add(jobs.length)
      await this.#commit(jobs)
    }
    this.#running = null
  }

  /** Under load a commit waits a little for others: a transaction costs more than the delay. */
  async #gather(): Promise<void> {
    const deadlineMs = performance.now() + GATHER_MAX_MS
    do await new Promise((resolve) => setImmediate(resolve))
    while (this.#jobs.length < FULL_JOBS && performance.now() < deadlineMs)
  }

  async #commit(jobs: readonly Job[]): Promise<void> {
    try {
      const results = await this.#db.transaction().execute((trx) => runAll(trx, this.hot, jobs))
      this.#hasUnsynced = true
      this.#listener.committed()
      jobs.forEach((job, index) => this.#settle(job, results[index]))
    } catch (thrown) {
      const [only] = jobs
      if (jobs.length === 1 && only !== undefined) {
        this.#listener.failed(thrown)
        only.reject(thrown)
      } else for (const job of jobs) await this.#commit([job])
    }
  }

  #settle(job: Job, result: unknown): void {
    if (!job.isDurable) return job.resolve(result)
    // A later sync may well succeed: it does not show what the failed one has lost.
    if (this.#broken !== null) return job.reject(this.#broken)
    this.#unsynced.push({ resolve: () => job.resolve(result), reject: job.reject })
    this.#syncing ??= this.#syncAll()
  }

  async #syncAll(): Promise<void> {
    while (this.#unsynced.length > 0) {
      const waiting = this.#unsynced
      this.#unsynced = []
      this.#hasUnsynced = false
      try {
        await this.#sync()
        for (const each of waiting) each.resolve()
      } catch (thrown) {
        this.#break(thrown)
        for (const each of [...waiting, ...this.#unsynced.splice(0)]) each.reject(thrown)
      }
    }
    this.#syncing = null
  }
}

async function runAll(trx: Transaction<Tables>, hot: Statements, jobs: readonly Job[]): Promise<unknown[]> {
  const entries: JournalEntry[] = []
  // The transaction has this connection to itself until it ends.
  const on = await trx.getExecutor().provideConnection((connection) => Promise.resolve(connection))
  const scope: WriteScope = { trx, on, hot, log: (entry) => void entries.push(entry) }
  const results: unknown[] = []
  for (const job of jobs) results.push(await job.work(scope))
  await appendJournal(on, hot, entries)
  return results
}

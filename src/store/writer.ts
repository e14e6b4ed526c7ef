import type { Transaction } from 'kysely'
import { AppError } from '../core/error.ts'
import { appendJournal, type JournalEntry } from './journal.ts'
import type { Database, Tables } from './schema.ts'
import type { Statements } from './statements.ts'

/**
 * Group commit: every write goes through here, and those that wait are written in one transaction, in the order in
 * which they came, with one sync to disk for all. A job that fails is tried alone, so that it fails nobody else.
 */

/** What one job may do: statements in the transaction, and journal records that are appended at its end. */
export interface WriteScope {
  readonly trx: Transaction<Tables>
  readonly hot: Statements
  readonly log: (entry: JournalEntry) => void
}

interface Job {
  readonly work: (scope: WriteScope) => Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: unknown) => void
}

const JOBS_PER_COMMIT_MAX = 256
const JOBS_WAITING_MAX = 20_000
/** So many jobs of late are load: a commit then waits until it is worth a sync to disk, or for so long. */
const LOAD_JOBS = 20
const LOAD_HALF_LIFE_MS = 10
const FULL_JOBS = 64
const GATHER_MAX_MS = 3

/** How many there were of late: each counts half as much after the half-life. */
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

export class Writer {
  readonly #db: Database
  /** The prepared statements, for reads outside a transaction as well. */
  readonly hot: Statements
  #jobs: Job[] = []
  #running: Promise<void> | null = null
  #closed = false
  readonly #load = new RecentCount()

  constructor(db: Database, hot: Statements) {
    this.#db = db
    this.hot = hot
  }

  /** Resolves when the job's writes are on disk. Fails with `limit-exceeded` when too many wait. */
  run<Result>(work: (scope: WriteScope) => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new AppError('store-unavailable', 'the store is closed'))
    if (this.#jobs.length >= JOBS_WAITING_MAX) {
      return Promise.reject(new AppError('limit-exceeded', `more than ${JOBS_WAITING_MAX} writes wait for the store`))
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#jobs.push({ work, resolve, reject })
    this.#running ??= this.#drain()
    return promise as Promise<Result>
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #drain(): Promise<void> {
    // Lets everything that is ready in this turn of the event loop come along, and what is to be sent be sent: the
    // commit blocks this thread.
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
    while (this.#jobs.length > 0) {
      if (this.#load.now() >= LOAD_JOBS) await this.#gather()
      const jobs = this.#jobs.splice(0, JOBS_PER_COMMIT_MAX)
      this.#load.add(jobs.length)
      await this.#commit(jobs)
    }
    this.#running = null
  }

  /** Under load a commit waits a little for company: a sync to disk costs more than the wait. */
  async #gather(): Promise<void> {
    const deadlineMs = performance.now() + GATHER_MAX_MS
    do await new Promise((resolve) => setImmediate(resolve))
    while (this.#jobs.length < FULL_JOBS && performance.now() < deadlineMs)
  }

  async #commit(jobs: readonly Job[]): Promise<void> {
    try {
      const results = await this.#db.transaction().execute((trx) => runAll(trx, this.hot, jobs))
      jobs.forEach((job, index) => job.resolve(results[index]))
    } catch (thrown) {
      const [only] = jobs
      if (jobs.length === 1 && only !== undefined) only.reject(thrown)
      else for (const job of jobs) await this.#commit([job])
    }
  }
}

async function runAll(trx: Transaction<Tables>, hot: Statements, jobs: readonly Job[]): Promise<unknown[]> {
  const entries: JournalEntry[] = []
  const scope: WriteScope = { trx, hot, log: (entry) => void entries.push(entry) }
  const results: unknown[] = []
  for (const job of jobs) results.push(await job.work(scope))
  await appendJournal(trx, hot, entries)
  return results
}

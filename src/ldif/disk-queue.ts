import { Worker } from 'node:worker_threads'
import { AppError, toAppError } from '../core/error.ts'
import { openBatchRunner, type BatchRunner, type RunBatch } from './disk-batch.ts'
import type { DiskJob } from './disk-job.ts'
import { errorOfFailure, failureOf, type FileFailure } from './file-error.ts'

/**
 * Gathers parallel jobs into batches, one batch at a time. A few jobs are done on this thread, the fastest way for one
 * event. Under load a worker thread takes over, which leaves about 10 µs of this thread's time per job instead of 200;
 * it ends after an idle time, since it takes some 20 MB.
 */

const JOBS_PER_BATCH_MAX = 64
const JOBS_WAITING_MAX = 20_000
/** So many parallel jobs are load. */
const WORKER_FROM_JOBS = 8
const WORKER_IDLE_MS = 10_000
/** All its objects are short-lived; a small nursery makes the memory of the process some 5 MB smaller. */
const WORKER_RESOURCES = { maxYoungGenerationSizeMb: 2 }

/** Beside this file in the sources, and beside the bundle that holds this file. */
const WORKER_FILE = import.meta.url.endsWith('.ts') ? './folder-worker.ts' : './ldif-worker.js'

/** `auto` as described above; the others are for measuring and for tests. */
export type WorkerUse = 'auto' | 'always' | 'never'

interface Waiting {
  readonly job: DiskJob
  readonly resolve: () => void
  readonly reject: (error: AppError) => void
}

/** Distinguishes the queues of one process in the names of temporary files. */
let queuesOpened = 0

export class DiskQueue {
  readonly #root: string
  /** `<pid>-<start of the process>`, see layout.ts. */
  readonly owner: string
  readonly #number = queuesOpened++
  readonly #here: BatchRunner
  #waiting: Waiting[] = []
  #running: Promise<void> | null = null
  #use: WorkerUse
  #worker: WorkerRunner | null = null
  #closed = false

  readonly #restoreFolders: () => boolean

  /** @param restoreFolders makes the missing folders; true where that changed something */
  constructor(root: string, use: WorkerUse, restoreFolders: () => boolean) {
    this.#root = root
    this.#use = use
    this.#restoreFolders = restoreFolders
    this.owner = `${process.pid}-${Math.trunc(performance.timeOrigin).toString(36)}`
    this.#here = openBatchRunner({ root, tag: `${this.owner}-m${this.#number}` })
  }

  /** Resolves when the job is on disk. */
  run(job: DiskJob): Promise<void> {
    if (job.steps.length === 0) return Promise.resolve()
    if (this.#closed) return Promise.reject(new AppError('file-io', 'the LDIF folders are closed already'))
    if (this.#waiting.length >= JOBS_WAITING_MAX) {
      const message = `more than ${JOBS_WAITING_MAX} writes wait for the LDIF folders`
      const hint = 'The disk is too slow for what comes in; it is tried again by itself.'
      return Promise.reject(new AppError('limit-exceeded', message, { hint }))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject })
      this.#running ??= this.#drain()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#running
    await this.#worker?.stop()
    this.#here[Symbol.dispose]()
  }

  async #drain(): Promise<void> {
    // Includes all jobs that become ready in this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      const batch = this.#take()
      const failures = await this.#runWithFolders(batch.map(({ job }) => job))
      batch.forEach(({ resolve, reject }, index) => {
        const failure = failures[index] ?? null
        if (failure === null) resolve()
        else reject(errorOfFailure(failure))
      })
      // Callers whose job was just settled ask for their next write in this turn, and are included.
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#running = null
  }

  /** Jobs for the same name keep their order: they never share a batch. */
  #take(): Waiting[] {
    const names = new Set<string>()
    let count = 0
    for (; count < Math.min(this.#waiting.length, JOBS_PER_BATCH_MAX); count++) {
      const steps = this.#waiting[count]?.job.steps ?? []
      if (steps.some(({ name }) => names.has(name))) break
      for (const { name } of steps) names.add(name)
    }
    return this.#waiting.splice(0, count)
  }

  /**
   * A job that failed because the folders were gone or replaced is done again in the present or restored folders: each
   * step can be repeated.
   */
  async #runWithFolders(jobs: readonly DiskJob[]): Promise<readonly (FileFailure | null)[]> {
    const failures = await this.#run(jobs)
    const isDisplaced = failures.some((failure) => failure?.isDisplaced === true)
    if (!isDisplaced && !failures.some((failure) => failure?.code === 'file-io')) return failures
    if (!this.#madeFolders() && !isDisplaced) return failures
    const again = jobs.filter((_, index) => failures[index] !== null)
    const results = [...(await this.#run(again))]
    return failures.map((failure) => (failure === null ? null : (results.shift() ?? null)))
  }

  #madeFolders(): boolean {
    try {
      return this.#restoreFolders()
    } catch {
      // The failure of the job is the one to report.
      return false
    }
  }

  async #run(jobs: readonly DiskJob[]): Promise<readonly (FileFailure | null)[]> {
    const isLoad = jobs.length >= WORKER_FROM_JOBS || this.#use === 'always'
    if (this.#worker === null && isLoad && this.#use !== 'never') this.#worker = this.#startWorker()
    if (this.#use === 'always') await this.#worker?.started
    const run = this.#worker?.isReady === true ? this.#worker.run : this.#here.run
    try {
      return await run(jobs)
    } catch (thrown) {
      const failure = failureOf(toAppError(thrown, 'file-io'))
      return jobs.map(() => failure)
    }
  }

  #startWorker(): WorkerRunner {
    const tag = `${this.owner}-w${this.#number}`
    return new WorkerRunner({ root: this.#root, tag }, (wasFailure) => {
      this.#worker = null
      // Without a worker everything is done on this thread: slower under load, and otherwise the same.
      if (wasFailure) this.#use = 'never'
    })
  }
}

type Answer = (FileFailure | null)[]

class WorkerRunner {
  readonly #worker: Worker
  readonly #idle: NodeJS.Timeout
  #waiting: { resolve(answer: Answer): void; reject(error: AppError): void } | null = null
  isReady = false
  /** When it is ready, or has ended. */
  readonly started: Promise<void>

  constructor(workerData: { root: string; tag: string }, ended: (wasFailure: boolean) => void) {
    const { promise, resolve: start } = Promise.withResolvers<void>()
    this.started = promise
    this.#worker = new Worker(new URL(WORKER_FILE, import.meta.url), {
      workerData,
      name: 'ldif',
      resourceLimits: WORKER_RESOURCES,
    })
    this.#idle = setTimeout(() => void this.stop(), WORKER_IDLE_MS).unref()
    let failed = false
    this.#worker.on('message', (answer: Answer) => {
      this.isReady = true
      start()
      // An idle worker keeps no process alive.
      this.#worker.unref()
      this.#idle.refresh()
      this.#waiting?.resolve(answer)
      this.#waiting = null
    })
    this.#worker.on('error', () => (failed = true))
    this.#worker.on('exit', () => {
      this.isReady = false
      clearTimeout(this.#idle)
      ended(failed)
      start()
      this.#waiting?.reject(
        new AppError('file-io', 'the thread that writes the LDIF folders ended in the middle of it'),
      )
      this.#waiting = null
    })
  }

  readonly run: RunBatch = (jobs) => {
    this.#worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#worker.postMessage(jobs)
    })
  }

  async stop(): Promise<void> {
    if (this.#waiting !== null) {
      this.#idle.refresh()
      return
    }
    this.isReady = false
    await this.#worker.terminate()
  }
}

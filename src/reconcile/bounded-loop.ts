import { delay } from '../ports/delay.ts'

/** One piece of work; resolves to false when it failed and will be retried later. */
export type Task = () => Promise<boolean>

export interface BoundedLoopOptions {
  readonly inFlightMax: number
  /** At most so many tasks that are due now. */
  take(room: number): Promise<readonly Task[]>
  /** When the next one is due, in milliseconds since 1970; null: none is known. */
  nextDueMs(): Promise<number | null>
  nowMs(): number
  onError(thrown: unknown): void
}

/** Other processes make work too: an idle loop looks at least so often. */
const IDLE_LOOK_MS = 500
/** While every task fails (a directory is down), no faster than this. */
const ALL_FAILED_PAUSE_MS = 250
const ERROR_PAUSE_MS = 1_000
/** While at work, tasks are taken once at least this share of the places is free. */
const ROOM_SHARE = 4

/** Takes tasks as places become free, keeps a bounded number in flight, and sleeps while none is due. */
export class BoundedLoop {
  readonly #options: BoundedLoopOptions
  readonly #signal = new Signal()
  #inFlight = 0
  #stopping = false
  #succeeded = 0
  #failed = 0
  #idleWaiters: (() => void)[] = []

  constructor(options: BoundedLoopOptions) {
    this.#options = options
  }

  /** Places that are free now. */
  get room(): number {
    return Math.max(0, this.#options.inFlightMax - this.#inFlight)
  }

  /** Starts tasks that somebody else took for this loop; no more than there was room for. */
  perform(tasks: readonly Task[]): void {
    for (const task of tasks) void this.#perform(task)
  }

  /** Something may be due. */
  wake(): void {
    this.#signal.notify()
  }

  stop(): void {
    this.#stopping = true
    this.#signal.notify()
  }

  /** Resolves once nothing is in flight and nothing was due at the last look. */
  whenIdle(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#idleWaiters.push(resolve)
    this.#signal.notify()
    return promise
  }

  async run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#turn()
      } catch (thrown) {
        this.#options.onError(thrown)
        await this.#signal.wait(ERROR_PAUSE_MS)
      }
    }
    while (this.#inFlight > 0) await this.#signal.wait(IDLE_LOOK_MS)
    this.#tellIdle()
  }

  async #turn(): Promise<void> {
    const { room } = this
    if (this.#failed > 0 && this.#succeeded === 0 && this.#inFlight === 0) {
      this.#failed = 0
      await delay(ALL_FAILED_PAUSE_MS)
    }
    // Under load a few places are not worth a look: more become free in a moment.
    const isWorthIt = this.#inFlight === 0 || room >= this.#options.inFlightMax / ROOM_SHARE
    const tasks = isWorthIt ? await this.#options.take(room) : []
    this.perform(tasks)
    if (tasks.length > 0 && this.#inFlight < this.#options.inFlightMax) return
    if (this.#inFlight > 0) return this.#signal.wait(IDLE_LOOK_MS)
    this.#succeeded = this.#failed = 0
    this.#tellIdle()
    const dueMs = await this.#options.nextDueMs()
    const untilDueMs = dueMs === null ? IDLE_LOOK_MS : Math.max(1, dueMs - this.#options.nowMs())
    await this.#signal.wait(Math.min(untilDueMs, IDLE_LOOK_MS))
  }

  async #perform(task: Task): Promise<void> {
    this.#inFlight++
    try {
      if (await task()) this.#succeeded++
      else this.#failed++
    } catch (thrown) {
      this.#failed++
      this.#options.onError(thrown)
    } finally {
      this.#inFlight--
      this.#signal.notify()
    }
  }

  #tellIdle(): void {
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const resolve of waiters) resolve()
  }
} /** Wakes a loop that waits: a call while nothing waits is remembered once. */
class Signal {
  #wake: (() => void) | null = null
  #isSet = false

  notify(): void {
    this.#isSet = true
    this.#wake?.()
  }

  /** Resolves at the next `notify`, at once if there was one since the last wait, or after so long. */
  async wait(timeoutMs: number): Promise<void> {
    if (!this.#isSet && timeoutMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, timeoutMs)
      this.#wake = resolve
      await promise
      this.#wake = null
      clearTimeout(timer)
    }
    this.#isSet = false
  }
}

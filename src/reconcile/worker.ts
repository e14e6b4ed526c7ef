import { toAppError } from '../core/error.ts'
import type { Outcome } from '../core/account/outcome.ts'
import type { Event } from '../core/events/event.ts'
import type { Claim, Resolution, WaitingEvent } from '../ports/store/store.ts'
import { reconcileAccount } from './account/reconcile-account.ts'
import { BoundedLoop, type Task } from './bounded-loop.ts'
import type { Ports } from './ports.ts'
import { NOT_COUNTED, resolveEvent } from './resolve.ts'

/**
 * The two loops that move everything: events find their accounts, dirty accounts are reconciled. Each holds a bounded
 * number in flight and takes more as places become free.
 */

const RESOLVING_MAX = 64
const RECONCILING_MAX = 64

export interface WorkerOptions {
  /** An event that waits so long for a person to change something is given up, in milliseconds. */
  readonly giveUpAfterMs: number
  /** Called once for each account that had a turn. */
  onOutcome?(claim: Claim, outcome: Outcome): void
  /** Another worker took the account over during its turn. */
  onLeaseLost?(claim: Claim): void
  onError(thrown: unknown): void
}

export class Worker {
  readonly #ports: Ports
  readonly #options: WorkerOptions
  readonly #events: BoundedLoop
  readonly #accounts: BoundedLoop
  readonly #resolving = new Set<string>()
  readonly #resolutions: ResolutionBatches
  /** Accounts in work. */
  readonly #held = new Set<Claim>()
  #renewing: NodeJS.Timeout | null = null
  #loops: Promise<unknown> | null = null
  #isStopping = false

  constructor(ports: Ports, options: WorkerOptions) {
    this.#ports = ports
    this.#options = options
    const nowMs = () => ports.clock.nowMs()
    this.#resolutions = new ResolutionBatches(async (resolutions) => {
      const room = this.#isStopping ? 0 : this.#accounts.room
      const claims = await ports.inbox.recordResolutions(resolutions, room)
      this.#accounts.perform(claims.map((claim) => this.#accountTask(claim)))
      if (claims.length >= room) this.#accounts.wake()
    })
    this.#events = new BoundedLoop({
      inFlightMax: RESOLVING_MAX,
      take: (room) => this.#takeEvents(room),
      nextDueMs: () => ports.inbox.nextDueMs(),
      nowMs,
      onError: (thrown) => options.onError(thrown),
    })
    this.#accounts = new BoundedLoop({
      inFlightMax: RECONCILING_MAX,
      take: (room) => this.#takeAccounts(room),
      nextDueMs: () => ports.queue.nextDueMs(),
      nowMs,
      onError: (thrown) => options.onError(thrown),
    })
  }

  start(): void {
    this.#loops ??= Promise.all([this.#events.run(), this.#accounts.run()])
    this.#renewing ??= setInterval(() => this.#renewAll(), this.#ports.queue.renewEveryMs)
  }

  /**
   * A turn may wait for slow servers longer than its lease lasts, between two steps that renew it: this process keeps
   * its claims as long as it works. The turn itself finds a lost one at its next write.
   */
  #renewAll(): void {
    for (const claim of this.#held) {
      this.#ports.queue.renew(claim).catch((thrown: unknown) => {
        if (toAppError(thrown).code !== 'lease-lost') this.#options.onError(thrown)
      })
    }
  }

  /** Something came in, or accounts were marked. */
  wake(): void {
    this.#events.wake()
    this.#accounts.wake()
  }

  /** Resolves once everything that is due now was tried. */
  async whenIdle(): Promise<void> {
    await this.#events.whenIdle()
    await this.#accounts.whenIdle()
  }

  /** Lets what is in work finish; nothing new is taken. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#events.stop()
    this.#accounts.stop()
    await this.#loops
    if (this.#renewing !== null) clearInterval(this.#renewing)
    this.#renewing = null
  }

  /**
   * Events that the inbox is taking in this moment: they need not be on disk before their accounts are found, nor
   * before the result is written, since that is written after them. Without room they wait for their turn like all
   * others.
   * @returns how many had room
   */
  offer(events: readonly Event[]): number {
    const some = events.slice(0, this.#events.room)
    this.#events.perform(some.map((event) => this.#eventTask({ ...event, attempts: 0, counted: NOT_COUNTED })))
    return some.length
  }

  async #takeEvents(room: number): Promise<Task[]> {
    const limit = room + this.#resolving.size
    const due = await this.#ports.inbox.due(this.#ports.clock.nowMs(), limit)
    const fresh = due.filter((event) => !this.#resolving.has(event.id)).slice(0, room)
    return fresh.map((event) => this.#eventTask(event))
  }

  #eventTask(event: WaitingEvent): Task {
    this.#resolving.add(event.id)
    return async () => {
      try {
        const resolution = await resolveEvent(event, this.#ports, this.#options.giveUpAfterMs)
        await this.#resolutions.write(resolution)
        return resolution.kind !== 'waiting'
      } finally {
        this.#resolving.delete(event.id)
      }
    }
  }

  async #takeAccounts(room: number): Promise<Task[]> {
    const claims = await this.#ports.queue.claim(room, this.#ports.clock.nowMs())
    return claims.map((claim) => this.#accountTask(claim))
  }

  #accountTask(claim: Claim): Task {
    this.#held.add(claim)
    return async () => {
      const outcome = await reconcileAccount(claim, this.#ports).finally(() => this.#held.delete(claim))
      if (outcome === null) {
        this.#options.onLeaseLost?.(claim)
        return true
      }
      this.#options.onOutcome?.(claim, outcome)
      return outcome.standing !== 'failed'
    }
  }
}

/** Gathers the resolutions that become ready in one turn of the event loop into one write. */
class ResolutionBatches {
  readonly #record: (resolutions: readonly Resolution[]) => Promise<void>
  #ready: Resolution[] = []
  #next: Promise<void> | null = null

  constructor(record: (resolutions: readonly Resolution[]) => Promise<void>) {
    this.#record = record
  }

  write(resolution: Resolution): Promise<void> {
    this.#ready.push(resolution)
    this.#next ??= this.#flushSoon()
    return this.#next
  }

  async #flushSoon(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    const ready = this.#ready
    this.#ready = []
    this.#next = null
    await this.#record(ready)
  }
}

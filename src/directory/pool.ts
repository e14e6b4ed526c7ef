import { AppError, toAppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { Clock } from '../ports/clock.ts'
import { Connection } from './connection.ts'
import type { ConnectionCheck } from './identity.ts'
import { serverOf, type Server } from './socket.ts'

/** Times that nobody configures; tests shorten them. */
export interface PoolTimes {
  /** Connecting again waits at first and at most so long; in between it doubles. */
  readonly backoffFirstMs: number
  readonly backoffMaxMs: number
  /** After a refused bind it waits longer, so that the account is not locked out by trying. */
  readonly bindRefusedFirstMs: number
  readonly bindRefusedMaxMs: number
  /** On another server than the first, the ones before it are tried again after so long. */
  readonly failbackMs: number
}

export const POOL_TIMES: PoolTimes = {
  backoffFirstMs: 100,
  backoffMaxMs: 5000,
  bindRefusedFirstMs: 5000,
  bindRefusedMaxMs: 60_000,
  failbackMs: 60_000,
}

/** Operations that wait for a free connection at most. */
const WAITERS_MAX = 4096
const DOUBLINGS_MAX = 16

interface Waiter {
  readonly resolve: (connection: Connection) => void
  readonly reject: (error: AppError) => void
  readonly sinceMs: number
}

/**
 * The connections to one directory: opened one at a time when needed, `connectionsMax` at most, `inFlightMax`
 * operations on each. While the directory cannot be reached, calls fail at once with the reason until the next try is
 * due (back-off with jitter).
 */
export class Pool {
  readonly #settings: DirectorySettings
  readonly #clock: Clock
  readonly #times: PoolTimes
  readonly #check: ConnectionCheck
  readonly #servers: readonly Server[]
  readonly #connections: Connection[] = []
  readonly #waiters: Waiter[] = []
  readonly #closing = new Set<Promise<void>>()
  #connecting: Promise<void> | null = null
  #failure: AppError | null = null
  #failures = 0
  #retryAtMs = 0
  #failbackAtMs = 0
  #queueTimer: NodeJS.Timeout | null = null
  #isDisposed = false

  /** @param check a server that does not pass it is passed over, like one that cannot be reached */
  constructor(
    settings: DirectorySettings,
    clock: Clock,
    times: PoolTimes = POOL_TIMES,
    check: ConnectionCheck = async () => {},
  ) {
    this.#settings = settings
    this.#clock = clock
    this.#times = times
    this.#check = check
    this.#servers = settings.urls.map((url) => serverOf(url, settings))
  }

  /** A read is safe to repeat: once, on another connection, when the first one broke. */
  async read<Result>(call: (connection: Connection) => Promise<Result>): Promise<Result> {
    const connection = await this.#acquire()
    try {
      return await call(connection)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'directory-unreachable') throw error
    } finally {
      this.#release(connection)
    }
    return this.write(call)
  }

  /** Once only. */
  async write<Result>(call: (connection: Connection) => Promise<Result>): Promise<Result> {
    const connection = await this.#acquire()
    try {
      return await call(connection)
    } finally {
      this.#release(connection)
    }
  }

  /** A connection for a walk of many pages. It stays open for it, and others may use it between the pages. */
  async *hold<Item>(call: (connection: Connection) => AsyncIterable<Item>): AsyncGenerator<Item> {
    const connection = await this.#acquire()
    connection.holders += 1
    this.#release(connection)
    try {
      yield* call(connection)
    } finally {
      connection.holders -= 1
      this.#closeIfLeft(connection)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    this.#rejectWaiters(this.#disposedError())
    if (this.#queueTimer !== null) clearTimeout(this.#queueTimer)
    await this.#connecting
    const open = this.#connections.splice(0)
    await Promise.all([...open.map((connection) => connection.close()), ...this.#closing])
  }

  #acquire(): Promise<Connection> | Connection {
    if (this.#isDisposed) throw this.#disposedError()
    const connection = this.#leastBusy()
    if (connection !== undefined && connection.inFlight < this.#settings.inFlightMax) {
      connection.inFlight += 1
      if (connection.inFlight === this.#settings.inFlightMax) this.#growIfAllowed()
      if (connection.server !== this.#servers[0]) this.#failBackIfDue(connection)
      return connection
    }
    if (connection === undefined && this.#connecting === null) this.#connectOrFail()
    else this.#growIfAllowed()
    return this.#enqueue()
  }

  #leastBusy(): Connection | undefined {
    let best: Connection | undefined
    for (const connection of this.#connections) {
      if (connection.isOpen && (best === undefined || connection.inFlight < best.inFlight)) best = connection
    }
    return best
  }

  #release(connection: Connection): void {
    connection.inFlight -= 1
    if (this.#waiters.length > 0) this.#dispatch()
    this.#closeIfLeft(connection)
  }

  #enqueue(): Promise<Connection> {
    if (this.#waiters.length >= WAITERS_MAX) throw this.#busy(`${WAITERS_MAX} operations wait already`)
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject, sinceMs: performance.now() })
      if (this.#queueTimer === null) this.#watchQueue(this.#waitMaxMs())
    })
  }

  /** Hands the connections to those who wait, in their order. */
  #dispatch(): void {
    while (this.#waiters.length > 0) {
      const connection = this.#leastBusy()
      if (connection === undefined || connection.inFlight >= this.#settings.inFlightMax) return
      connection.inFlight += 1
      this.#waiters.shift()?.resolve(connection)
    }
  }

  /** Nobody waits longer than for every server to be tried and one operation. */
  #waitMaxMs(): number {
    return this.#servers.length * this.#settings.connectTimeoutMs * 3 + this.#settings.operationTimeoutMs
  }

  #watchQueue(afterMs: number): void {
    this.#queueTimer = setTimeout(() => {
      this.#queueTimer = null
      const limitMs = performance.now() - this.#waitMaxMs()
      while (this.#waiters[0] !== undefined && this.#waiters[0].sinceMs <= limitMs) {
        this.#waiters.shift()?.reject(this.#busy('no connection became free in time'))
      }
      const first = this.#waiters[0]
      if (first !== undefined) this.#watchQueue(first.sinceMs - limitMs)
    }, afterMs)
    this.#queueTimer.unref()
  }

  #rejectWaiters(error: AppError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }

  /** Connects, unless the last try failed only just now: then everybody is told why. */
  #connectOrFail(): void {
    const waitMs = this.#retryAtMs - this.#clock.nowMs()
    const isClockSane = waitMs <= this.#times.bindRefusedMaxMs
    if (this.#failure !== null && waitMs > 0 && isClockSane) throw again(this.#failure)
    this.#connect(this.#servers)
  }

  #growIfAllowed(): void {
    if (this.#connecting !== null || this.#connections.length >= this.#settings.connectionsMax) return
    if (this.#failure !== null && this.#retryAtMs > this.#clock.nowMs()) return
    this.#connect(this.#servers)
  }

  /** Leaves a later server for one before it, once that answers again; what is in flight is finished first. */
  #failBackIfDue(connection: Connection): void {
    const nowMs = performance.now()
    const dueMs = Math.max(this.#failbackAtMs, connection.openedMs + this.#times.failbackMs)
    if (this.#connecting !== null || nowMs < dueMs) return
    this.#failbackAtMs = nowMs + this.#times.failbackMs
    this.#connecting = this.#tryServers(this.#servers.slice(0, this.#servers.indexOf(connection.server)))
      .then((fresh) => {
        for (const old of this.#connections.splice(0)) this.#closeIfLeft(old)
        this.#add(fresh)
      })
      .catch(() => undefined)
      .finally(() => (this.#connecting = null))
  }

  #connect(servers: readonly Server[]): void {
    this.#connecting = this.#tryServers(servers)
      .then((connection) => {
        this.#failure = null
        this.#failures = 0
        this.#add(connection)
      })
      .catch((thrown: unknown) => this.#failed(toAppError(thrown, 'directory-unreachable')))
      .finally(() => {
        this.#connecting = null
        if (this.#waiters.length > 0 && this.#connections.length > 0) this.#growIfAllowed()
      })
  }

  async #tryServers(servers: readonly Server[]): Promise<Connection> {
    const errors: AppError[] = []
    for (const server of servers) {
      try {
        return await this.#open(server)
      } catch (thrown) {
        const error = toAppError(thrown, 'directory-unreachable')
        if (error.code === 'directory-bind-refused') throw error
        errors.push(error)
      }
    }
    throw together(errors, this.#settings.name)
  }

  async #open(server: Server): Promise<Connection> {
    const connection = await Connection.open(server, this.#settings)
    try {
      await this.#check(connection)
      return connection
    } catch (thrown) {
      await connection.close()
      throw thrown
    }
  }

  #add(connection: Connection): void {
    if (this.#isDisposed) return this.#close(connection)
    this.#connections.push(connection)
    void connection.closed.then(() => this.#remove(connection))
    this.#dispatch()
  }

  #remove(connection: Connection): void {
    const at = this.#connections.indexOf(connection)
    if (at >= 0) this.#connections.splice(at, 1)
    if (this.#isDisposed || this.#waiters.length === 0 || this.#connecting !== null) return
    if (this.#connections.length === 0) this.#connect(this.#servers)
  }

  #failed(error: AppError): void {
    this.#failure = error
    this.#failures += 1
    const isRefused = error.code === 'directory-bind-refused'
    const firstMs = isRefused ? this.#times.bindRefusedFirstMs : this.#times.backoffFirstMs
    const maxMs = isRefused ? this.#times.bindRefusedMaxMs : this.#times.backoffMaxMs
    const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(this.#failures - 1, DOUBLINGS_MAX))
    this.#retryAtMs = this.#clock.nowMs() + fullMs * (0.5 + 0.5 * this.#clock.random())
    if (this.#connections.length === 0) this.#rejectWaiters(error)
  }

  /** A connection that was taken out of use is closed once nobody needs it. */
  #closeIfLeft(connection: Connection): void {
    const isNeeded = connection.inFlight > 0 || connection.holders > 0
    if (!isNeeded && !this.#connections.includes(connection)) this.#close(connection)
  }

  #close(connection: Connection): void {
    const closing = connection.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  #busy(why: string): AppError {
    return new AppError('directory-busy', `directory ${this.#settings.name}: ${why}`, {
      hint: 'The directory answers more slowly than work comes in; it is tried again by itself.',
    })
  }

  #disposedError(): AppError {
    return new AppError('directory-unreachable', `directory ${this.#settings.name}: the connections were closed`)
  }
}

/** A fresh error for each caller, so that stacks and causes do not grow. */
function again(error: AppError): AppError {
  return new AppError(error.code, error.message, { hint: error.hint, cause: error.cause })
}

function together(errors: readonly AppError[], directory: string): AppError {
  const [first] = errors
  if (first === undefined) return new AppError('config-invalid', `directory ${directory}: urls is empty`)
  if (errors.length === 1) return first
  const message = `directory ${directory}: none of its ${errors.length} servers can be used: ${errors.map((error) => error.message).join('; ')}`
  return new AppError(first.code, message, { hint: first.hint, cause: first })
}

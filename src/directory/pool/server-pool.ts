import { span } from '../../core/format/duration.ts'
import { AppError, toAppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ServerCondition, ServerState } from '../../ports/directory.ts'
import { Connection } from '../ldap/connection.ts'
import type { ConnectionCheck } from './identity.ts'
import type { Server } from '../ldap/socket.ts'

/** Times that are not configurable; tests shorten them. */
export interface PoolTimes {
  /** The delay before connecting again, at first and at most; in between it doubles. */
  readonly backoffFirstMs: number
  readonly backoffMaxMs: number
  /** The first delay after a refused bind. It is longer, so that the tries do not lock the account out. */
  readonly bindRefusedFirstMs: number
  readonly bindRefusedMaxMs: number
  /** While another server does the work, a server that failed is not tried for this time. */
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
/** So many answers in a row that each take longer than the limit make a server slow; one may be a search without an index. */
const SLOW_ANSWERS = 3
/** The limit is this part of `operationTimeoutMs`, and not less than this time. */
const SLOW_SHARE = 4
const SLOW_MS_MIN = 1_000

interface Waiter {
  readonly resolve: (connection: Connection) => void
  readonly reject: (error: AppError) => void
  readonly sinceMs: number
}

/** What a pool of one server is made with. */
export interface ServerPoolOptions {
  readonly settings: DirectorySettings
  readonly clock: Clock
  readonly times: PoolTimes
  /** Run on a fresh connection before it is used; what it throws counts as a failure of the server. */
  readonly check: ConnectionCheck
}

/**
 * The connections to one server: opened one at a time when needed, `connectionsMax` at most, `inFlightMax` operations
 * on each. While it cannot be reached, calls fail at once with the reason until the next try is due (back-off with
 * jitter). A server that left an operation without an answer is treated as one that cannot be reached.
 */
export class ServerPool {
  readonly server: Server
  readonly #options: ServerPoolOptions
  readonly #connections: Connection[] = []
  readonly #waiters: Waiter[] = []
  readonly #closing = new Set<Promise<void>>()
  #connecting: Promise<void> | null = null
  #failure: AppError | null = null
  #failures = 0
  /** By `performance.now()`. */
  #retryAtMs = 0
  #failedAtMs = 0
  #readOnlyUntilMs = 0
  #slowUntilMs = 0
  #slowInARow = 0
  #state: ServerState
  #queueTimer: NodeJS.Timeout | null = null
  #isDisposed = false

  constructor(server: Server, options: ServerPoolOptions) {
    this.server = server
    this.#options = options
    this.#state = { url: server.url, is: 'untried', sinceMs: options.clock.nowMs(), reason: '' }
  }

  get state(): ServerState {
    return this.#state
  }

  /** No problem is recorded for it. */
  get isUsable(): boolean {
    return this.#failure === null
  }

  /** It refused a write that another server took, a short while ago. */
  get isReadOnly(): boolean {
    return this.#readOnlyUntilMs > performance.now()
  }

  /** It answers, and took too long for it a short while ago. */
  get isSlow(): boolean {
    return this.#slowUntilMs > performance.now()
  }

  /** Performs one operation on a connection of this server, and measures how long that takes. */
  async run<Result>(connection: Connection, call: (connection: Connection) => Promise<Result>): Promise<Result> {
    const startedMs = performance.now()
    try {
      return await call(connection)
    } finally {
      this.#notice(performance.now() - startedMs)
    }
  }

  /** A read is safe to repeat: once, on another connection, when the first one broke. */
  async read<Result>(call: (connection: Connection) => Promise<Result>): Promise<Result> {
    try {
      return await this.#once(call)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'directory-unreachable' || this.#failure !== null) throw error
    }
    return this.#once(call)
  }

  /** A connection for one operation; release it afterwards. Fails with the reason why there is none. */
  acquire(): Promise<Connection> | Connection {
    if (this.#isDisposed) throw this.#disposedError()
    const { inFlightMax } = this.#options.settings
    const connection = this.#leastBusy()
    if (connection !== undefined && connection.inFlight < inFlightMax) {
      connection.inFlight += 1
      if (connection.inFlight === inFlightMax) this.#growIfAllowed()
      return connection
    }
    if (connection === undefined && this.#connecting === null) this.#connectOrFail()
    else this.#growIfAllowed()
    return this.#enqueue()
  }

  release(connection: Connection): void {
    connection.inFlight -= 1
    if (this.#waiters.length > 0) this.#dispatch()
    this.#closeIfLeft(connection)
  }

  /** A connection for a walk of many pages. It stays open for it, and others may use it between the pages. */
  async keep(): Promise<{ connection: Connection; done: () => void }> {
    const connection = await this.acquire()
    connection.holders += 1
    this.release(connection)
    const done = (): void => {
      connection.holders -= 1
      this.#closeIfLeft(connection)
    }
    return { connection, done }
  }

  /**
   * Checks beside the work whether a server that failed answers again, after a time without tries.
   * @param aloneMs at least so long, besides its back-off
   */
  lookIfBack(aloneMs: number = this.#options.times.failbackMs): void {
    if (this.#failure === null || this.#connecting !== null || this.#isDisposed) return
    if (performance.now() >= Math.max(this.#retryAtMs, this.#failedAtMs + aloneMs)) this.#connect()
  }

  /**
   * For callers that can do without this server: why it cannot be used now; null: it can. It does not wait for a retry.
   */
  get failure(): AppError | null {
    this.lookIfBack(0)
    return this.#failure === null ? null : again(this.#failure)
  }

  /** Its copy of the data takes no writes; that is tried again after a while. */
  refusedWrite(reason: string): void {
    this.#readOnlyUntilMs = performance.now() + this.#options.times.failbackMs
    this.#become('read-only', reason)
  }

  tookWrite(): void {
    if (this.#state.is === 'read-only') this.#become('up', '')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    this.#rejectWaiters(this.#disposedError())
    if (this.#queueTimer !== null) clearTimeout(this.#queueTimer)
    await this.#connecting
    const open = this.#connections.splice(0)
    await Promise.all([...open.map((connection) => connection.close()), ...this.#closing])
  }

  async #once<Result>(call: (connection: Connection) => Promise<Result>): Promise<Result> {
    const connection = await this.acquire()
    try {
      return await this.run(connection, call)
    } finally {
      this.release(connection)
    }
  }

  #notice(tookMs: number): void {
    const limitMs = Math.max(SLOW_MS_MIN, this.#options.settings.operationTimeoutMs / SLOW_SHARE)
    this.#slowInARow = tookMs > limitMs ? this.#slowInARow + 1 : 0
    if (this.#slowInARow >= SLOW_ANSWERS) {
      this.#slowUntilMs = performance.now() + this.#options.times.failbackMs
      this.#become('slow', `${this.#what()}: answers take ${span(Math.round(tookMs))}`)
    } else if (this.#slowInARow === 0 && this.#failure === null && this.#state.is === 'slow' && !this.isSlow) {
      this.#become('up', '')
    }
  }

  #leastBusy(): Connection | undefined {
    let best: Connection | undefined
    for (const connection of this.#connections) {
      if (connection.isOpen && (best === undefined || connection.inFlight < best.inFlight)) best = connection
    }
    return best
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
      if (connection === undefined || connection.inFlight >= this.#options.settings.inFlightMax) return
      connection.inFlight += 1
      this.#waiters.shift()?.resolve(connection)
    }
  }

  /** A wait is limited to the time of one connect and one operation. */
  #waitMaxMs(): number {
    const { connectTimeoutMs, operationTimeoutMs } = this.#options.settings
    return connectTimeoutMs * 3 + operationTimeoutMs
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

  /** Connects, unless the last try failed a moment ago: then all callers get that reason. */
  #connectOrFail(): void {
    if (this.#failure !== null && this.#retryAtMs > performance.now()) throw again(this.#failure)
    this.#connect()
  }

  #growIfAllowed(): void {
    if (this.#connecting !== null || this.#connections.length >= this.#options.settings.connectionsMax) return
    if (this.#failure !== null && this.#retryAtMs > performance.now()) return
    this.#connect()
  }

  #connect(): void {
    this.#connecting = this.#open()
      .then((connection) => {
        this.#failure = null
        this.#failures = 0
        if (!this.isReadOnly && !this.isSlow) this.#become('up', '')
        this.#add(connection)
      })
      .catch((thrown: unknown) => this.#failed(toAppError(thrown, 'directory-unreachable')))
      .finally(() => {
        this.#connecting = null
        if (this.#waiters.length > 0 && this.#connections.length > 0) this.#growIfAllowed()
      })
  }

  async #open(): Promise<Connection> {
    const { settings, check } = this.#options
    const connection = await Connection.open(this.server, settings)
    try {
      await check(connection)
      return connection
    } catch (error) {
      await connection.close()
      throw error
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
    if (this.#isDisposed) return
    if (connection.isLate && this.#failure === null) {
      this.#failed(new AppError('directory-timeout', `${this.#what()}: an operation was left without an answer`))
      return
    }
    if (this.#waiters.length > 0 && this.#connecting === null && this.#connections.length === 0) this.#connect()
  }

  #failed(error: AppError): void {
    const { times, clock } = this.#options
    this.#failure = error
    this.#failures += 1
    const isRefused = SLOW_TO_MEND.has(error.code)
    const firstMs = isRefused ? times.bindRefusedFirstMs : times.backoffFirstMs
    const maxMs = isRefused ? times.bindRefusedMaxMs : times.backoffMaxMs
    const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(this.#failures - 1, DOUBLINGS_MAX))
    this.#failedAtMs = performance.now()
    this.#retryAtMs = this.#failedAtMs + fullMs * (0.5 + 0.5 * clock.random())
    this.#become(CONDITIONS[error.code] ?? 'down', error.message)
    if (this.#connections.length === 0) this.#rejectWaiters(error)
  }

  #become(is: ServerCondition, reason: string): void {
    const sinceMs = this.#state.is === is ? this.#state.sinceMs : this.#options.clock.nowMs()
    this.#state = { url: this.server.url, is, sinceMs, reason }
  }

  /** Closes a connection that was taken out of use, once it is idle. */
  #closeIfLeft(connection: Connection): void {
    const isNeeded = connection.inFlight > 0 || connection.holders > 0
    if (!isNeeded && !this.#connections.includes(connection)) this.#close(connection)
  }

  #close(connection: Connection): void {
    const closing = connection.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  #what(): string {
    return `directory ${this.#options.settings.name}: ${this.server.url}`
  }

  #busy(why: string): AppError {
    return new AppError('directory-busy', `${this.#what()}: ${why}`, {
      hint: 'The directory answers more slowly than work comes in; it is tried again by itself.',
    })
  }

  #disposedError(): AppError {
    const { name } = this.#options.settings
    return new AppError('directory-unreachable', `directory ${name}: the connections were closed`)
  }
}

/** Failures that a retry soon does not resolve. */
const SLOW_TO_MEND: ReadonlySet<string> = new Set(['directory-bind-refused', 'directory-changed'])

const CONDITIONS: Readonly<Partial<Record<AppError['code'], ServerCondition>>> = {
  'directory-timeout': 'slow',
  'directory-tls': 'refused',
  'directory-bind-refused': 'refused',
  'directory-identity-lost': 'refused',
  'directory-changed': 'other-identity',
}

/** A fresh error for each caller, so that stacks and causes do not grow. */
function again(error: AppError): AppError {
  return new AppError(error.code, error.message, { hint: error.hint, cause: error.cause })
}

import { AppError } from '../../core/error.ts'
import type { AccountKey } from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ServerState } from '../../ports/directory.ts'
import type { Connection } from '../ldap/connection.ts'
import { oneEntry, type Reads } from '../ldap/reads.ts'
import type { ConnectionCheck } from './identity.ts'
import { resultCodeOf } from '../protocol/result-code.ts'
import { POOL_TIMES, ServerPool, type PoolTimes } from './server-pool.ts'
import { serverOf } from '../ldap/socket.ts'

export { POOL_TIMES, type PoolTimes } from './server-pool.ts'

/**
 * The servers of one directory. The first of `urls` that is usable does the work. A server that failed comes last until
 * it answers again (checked beside the work after `failbackMs`). A slow one comes after those that are not, one that
 * takes no writes after those that do. One that holds other data is not used. An account is read from the server that
 * took its last write, for as long as RecentWriters keeps it. No call waits for a server that failed while another one
 * is usable.
 */
export class Pool implements Reads {
  readonly #settings: DirectorySettings
  readonly #servers: readonly ServerPool[]
  readonly #writers = new RecentWriters<ServerPool>()
  #meeting: Promise<unknown> | null = null

  /** @param check a server that does not pass it is not used */
  constructor(
    settings: DirectorySettings,
    clock: Clock,
    times: PoolTimes = POOL_TIMES,
    check: ConnectionCheck = async () => {},
  ) {
    this.#settings = settings
    const options = { settings, clock, times, check }
    this.#servers = settings.urls.map((url) => new ServerPool(serverOf(url, settings), options))
  }

  get servers(): readonly ServerPool[] {
    return this.#servers
  }

  states(): readonly ServerState[] {
    return this.#servers.map((server) => server.state)
  }

  /** Reads the rootDSE of each server, in parallel; the results are in `states`. */
  async lookAtAll(): Promise<void> {
    await this.meet()
    await Promise.allSettled(this.#servers.map((server) => server.read(askForRoot)))
  }

  /**
   * Called before all servers are read in parallel: where no identity is on record, the first server that answers, in
   * their order, sets it, and not the quickest.
   */
  async meet(): Promise<void> {
    if (this.#servers.length === 1 || this.#servers.some(({ state }) => state.is !== 'untried')) return
    this.#meeting ??= this.read(askForRoot).finally(() => (this.#meeting = null))
    await this.#meeting.catch(() => undefined)
  }

  /**
   * This server has our last write to an account: it is read and written there from now on.
   * @returns false, and nothing changes, where it does not answer
   */
  async turnTo(key: AccountKey, url: string): Promise<boolean> {
    const server = this.#servers.find((each) => each.server.url === url)
    if (server === undefined) return false
    try {
      await server.read(askForRoot)
    } catch (thrown) {
      orThrow(thrown)
      return false
    }
    this.#writers.note(key, server)
    return true
  }

  /** The server that took the last write to an account, where that is known and recent. */
  writerOf(key: AccountKey): string | null {
    return this.#writers.of(key)?.server.url ?? null
  }

  /**
   * A read is safe to repeat, on the same server once and then on the others.
   * @param key the account that it is about
   */
  async read<Result>(call: (connection: Connection) => Promise<Result>, key?: AccountKey): Promise<Result> {
    const [first] = this.#servers
    if (first !== undefined && this.#servers.length === 1) return first.read(call)
    const failures: AppError[] = []
    for (const server of this.#inOrder(key)) {
      try {
        return await server.read(call)
      } catch (thrown) {
        failures.push(orThrow(thrown))
      }
    }
    throw together(failures, this.#settings.name)
  }

  /**
   * Once only. On the next server where one cannot be reached or reports that it takes no writes, since nothing
   * happened there.
   */
  async write<Result>(call: (connection: Connection) => Promise<Result>, key?: AccountKey): Promise<Result> {
    const failures: AppError[] = []
    const refusals: { server: ServerPool; error: AppError }[] = []
    for (const server of this.#inOrder(key)) {
      let connection: Connection
      try {
        connection = await server.acquire()
      } catch (thrown) {
        failures.push(orThrow(thrown))
        continue
      }
      try {
        const result = await server.run(connection, call)
        this.#tookWrite(server, key)
        for (const refusal of refusals) refusal.server.refusedWrite(refusal.error.message)
        return result
      } catch (thrown) {
        if (key !== undefined && isOutcomeUnknown(thrown)) this.#writers.note(key, server)
        if (!(thrown instanceof AppError) || !isRefusedAsCopy(thrown)) throw thrown
        if (isSurelyCopy(thrown)) server.refusedWrite(thrown.message)
        refusals.push({ server, error: thrown })
      } finally {
        server.release(connection)
      }
    }
    throw refusals[0]?.error ?? together(failures, this.#settings.name)
  }

  /** A connection for a walk of many pages, to one server. */
  async *hold<Item>(call: (connection: Connection) => AsyncIterable<Item>): AsyncGenerator<Item> {
    const { connection, done } = await this.#keep()
    try {
      yield* call(connection)
    } finally {
      done()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server[Symbol.asyncDispose]()))
  }

  async #keep(): Promise<{ connection: Connection; done: () => void }> {
    const failures: AppError[] = []
    for (const server of this.#inOrder()) {
      try {
        return await server.keep()
      } catch (thrown) {
        failures.push(orThrow(thrown))
      }
    }
    throw together(failures, this.#settings.name)
  }

  #tookWrite(server: ServerPool, key: AccountKey | undefined): void {
    server.tookWrite()
    if (key !== undefined && this.#servers.length > 1) this.#writers.note(key, server)
  }

  #inOrder(key?: AccountKey): readonly ServerPool[] {
    if (this.#servers.length === 1) return this.#servers
    const writer = key === undefined ? undefined : this.#writers.of(key)
    const [first] = this.#servers
    if (first?.isUsable === true && !first.isReadOnly && !first.isSlow && (writer === undefined || writer === first))
      return this.#servers
    for (const server of this.#servers) server.lookIfBack()
    return this.#servers.toSorted((a, b) => rankOf(a, writer) - rankOf(b, writer))
  }
}

const ROOT_DSE = oneEntry('', ['1.1'])

function askForRoot(connection: Connection): Promise<unknown> {
  return connection.search(ROOT_DSE)
}

/** Smaller comes first; equal ones stay in the order of the configuration. */
function rankOf(server: ServerPool, writer: ServerPool | undefined): number {
  return (server.isUsable ? 0 : 8) + (server.isSlow ? 3 : 0) + (server === writer ? 0 : server.isReadOnly ? 2 : 1)
}

/** Failures of the server and not of the request: another server may succeed. */
const OF_SERVER: ReadonlySet<string> = new Set([
  'directory-unreachable',
  'directory-timeout',
  'directory-tls',
  'directory-bind-refused',
  'directory-identity-lost',
  'directory-changed',
])

function isOfServer(thrown: unknown): thrown is AppError {
  return thrown instanceof AppError && OF_SERVER.has(thrown.code)
}

function orThrow(thrown: unknown): AppError {
  if (isOfServer(thrown)) return thrown
  throw thrown
}

const REFERRAL = 10
const UNWILLING_TO_PERFORM = 53

/** The answer of a read-only copy to a write; another server may take it (RFC 4511, 4.1.9: 53 has other causes too). */
function isRefusedAsCopy(error: AppError): boolean {
  const code = resultCodeOf(error.cause)
  return code === REFERRAL || code === UNWILLING_TO_PERFORM
}

/**
 * The server reports that it is a copy: a referral, or OpenLDAP's message (no other server need have taken the write).
 */
function isSurelyCopy(error: AppError): boolean {
  return resultCodeOf(error.cause) === REFERRAL || /shadow context|read-?only/i.test(error.message)
}

function isOutcomeUnknown(thrown: unknown): boolean {
  return thrown instanceof AppError && thrown.code === 'outcome-unknown'
}

function together(errors: readonly AppError[], directory: string): AppError {
  const [first] = errors
  if (first === undefined) return new AppError('config-invalid', `directory ${directory}: urls is empty`)
  if (errors.length === 1) return first
  const message = `directory ${directory}: none of its ${errors.length} servers can be used: ${errors.map((error) => error.message).join('; ')}`
  return new AppError(first.code, message, { hint: first.hint, cause: first })
}

/** How long an account is read from the server that took its last write: replication between sites may take minutes. */
const WRITER_KEPT_MS = 900_000
const WRITERS_MAX = 50_000

/**
 * Which server took the last write to an account, for a bounded time and number: other servers may still have the
 * values from before. Times are those of `performance.now()`.
 */
class RecentWriters<Server> {
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

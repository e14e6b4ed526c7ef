import { age } from '../../core/format/age.ts'
import { AppError } from '../../core/error.ts'
import type { Served } from '../../core/health/health.ts'
import type { AccountKey } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Database } from '../schema/schema.ts'
import {
  HEARTBEAT_MS,
  HEARTBEAT_STALE_MS,
  isOwnerAlive,
  placeOfOwner,
  readWorker,
  WORKER_KEY,
  workerValue,
  type WorkerState,
} from './process-owner.ts'
import { freeDeadLeases, newLease, NO_LEASE, type LeaseOptions } from './leases.ts'
import type { StoreWriter, WriteScope } from './store-writer.ts'
import { dropMeta, readMeta, writeMeta } from './meta.ts'
import { delay } from '../../ports/delay.ts'

/**
 * The processes that work on this store: the one daemon, and the owners of leases. An owner is identified by host,
 * process id and start time, so that a killed process is recognized as dead at once, and its successor need not wait.
 * One of another host or PID namespace cannot be checked: it counts as alive until its heartbeat is missing.
 */

export const DAEMON_KEY = 'daemon'
const SERVED_KEY = 'daemon-served'
const PREPARING_LOOK_MS = 20
/** A process that prepares for longer is no longer waited for. */
const PREPARING_MS_MAX = 30_000

export interface DaemonRow {
  readonly owner: string
  readonly pid: number
  readonly startedMs: number
  /** Null until everything is open and the first look was taken. */
  readonly readyMs: number | null
  readonly heartbeatMs: number
}

export class ProcessLock {
  readonly #db: Database
  readonly #writer: StoreWriter
  readonly #clock: Clock
  readonly #leases: LeaseOptions
  readonly owner: string
  #heartbeat: NodeJS.Timeout | undefined

  constructor(db: Database, writer: StoreWriter, clock: Clock, leases: LeaseOptions) {
    this.#db = db
    this.#writer = writer
    this.#clock = clock
    this.#leases = leases
    this.owner = leases.owner
  }

  /** Becomes the daemon of this store. Fails with `already-running`. */
  async becomeDaemon(): Promise<void> {
    await this.#writer.run(async (scope) => {
      const other = await readMeta<DaemonRow>(scope.trx, DAEMON_KEY)
      if (other !== null && isDaemonAlive(other, this.#clock.nowMs())) {
        throw alreadyRunning(other, this.#clock.nowMs())
      }
      const nowMs = this.#clock.nowMs()
      const started = { startedMs: nowMs, readyMs: null, heartbeatMs: nowMs }
      await writeMeta<DaemonRow>(scope, DAEMON_KEY, { owner: this.owner, pid: process.pid, ...started })
    })
  }

  /** Records that the daemon serves, and later that it still does. */
  async beat(): Promise<void> {
    await this.#writer.run(async (scope) => {
      const mine = await readMeta<DaemonRow>(scope.trx, DAEMON_KEY)
      if (mine?.owner !== this.owner) throw new AppError('already-running', 'another daemon took over this store')
      const nowMs = this.#clock.nowMs()
      await writeMeta<DaemonRow>(scope, DAEMON_KEY, { ...mine, readyMs: mine.readyMs ?? nowMs, heartbeatMs: nowMs })
    })
  }

  async resign(): Promise<void> {
    await this.#writer.run(async (scope) => {
      const mine = await readMeta<DaemonRow>(scope.trx, DAEMON_KEY)
      if (mine?.owner !== this.owner) return
      if (mine.readyMs !== null) {
        await writeMeta<Served>(scope, SERVED_KEY, { untilMs: this.#clock.nowMs(), pid: mine.pid, wasStopped: true })
      }
      await dropMeta(scope, DAEMON_KEY)
    })
  }

  /** The daemon that serves this store now, or null. */
  daemon(): Promise<DaemonRow | null> {
    return daemonOf(this.#db, this.#clock.nowMs())
  }

  /** Until when a daemon served that does so no more; null: none ever did, as far as is known. */
  async served(): Promise<Served | null> {
    const left = await readMeta<DaemonRow>(this.#db, DAEMON_KEY)
    // It died: a daemon that is stopped removes its row.
    if (left !== null && left.readyMs !== null) return { untilMs: left.heartbeatMs, pid: left.pid, wasStopped: false }
    return readMeta<Served>(this.#db, SERVED_KEY)
  }

  /**
   * Joins the processes that work on accounts; waits while one of them still prepares.
   * @returns true when there is no other one: then this one may put the LDIF folders in order, and others wait for its
   * `prepared`
   */
  async enter(): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      const isLastTry = tries >= PREPARING_MS_MAX / PREPARING_LOOK_MS
      const entered = await this.#writer.run((scope) => this.#tryToEnter(scope, isLastTry))
      if (entered !== null) {
        this.#heartbeat ??= setInterval(() => void this.#beatAsWorker(), HEARTBEAT_MS).unref()
        return entered
      }
      await delay(PREPARING_LOOK_MS)
    }
  }

  async #tryToEnter({ trx, hot, on }: WriteScope, isLastTry: boolean): Promise<boolean | null> {
    const rows = await trx.selectFrom('meta').selectAll().where('key', 'like', `${WORKER_KEY}%`).execute()
    const nowMs = this.#clock.nowMs()
    const dead = rows.filter((row) => !readWorker(row, nowMs).isAlive).map((row) => row.key)
    if (dead.length > 0) await trx.deleteFrom('meta').where('key', 'in', dead).execute()
    const mine = WORKER_KEY + this.owner
    const others = rows.filter((row) => row.key !== mine && !dead.includes(row.key))
    if (!isLastTry && others.some((row) => readWorker(row, nowMs).state === 'preparing')) return null
    const value = workerValue(others.length === 0 ? 'preparing' : 'working', nowMs)
    await hot.writeMeta.run(on, { key: mine, value })
    return others.length === 0
  }

  async prepared(): Promise<void> {
    await this.#writer.run(({ trx }) =>
      trx
        .updateTable('meta')
        .set({ value: workerValue('working', this.#clock.nowMs()) })
        .where('key', '=', WORKER_KEY + this.owner)
        .execute(),
    )
  }

  async #beatAsWorker(): Promise<void> {
    const key = WORKER_KEY + this.owner
    try {
      await this.#writer.runSoon(async ({ trx }) => {
        const row = await trx.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst()
        if (row === undefined) return
        const nowMs = this.#clock.nowMs()
        const state: WorkerState = readWorker({ key, value: row.value }, nowMs).state
        await trx
          .updateTable('meta')
          .set({ value: workerValue(state, nowMs) })
          .where('key', '=', key)
          .execute()
      })
    } catch {
      // A store that cannot be written is noticed by all who have something to write.
    }
  }

  async leave(): Promise<void> {
    clearInterval(this.#heartbeat)
    this.#heartbeat = undefined
    await this.#writer.run((scope) => dropMeta(scope, WORKER_KEY + this.owner))
  }

  /**
   * Reserves an account that is neither due nor in work while `work` runs. Afterwards it is
   * due, since an event may have come meanwhile; one that was to be looked at later keeps its time and its attempts.
   * @returns false, and nothing was done, where it is due or in work
   */
  async whileIdle(key: AccountKey, work: () => Promise<void>): Promise<boolean> {
    const nowMs = this.#clock.nowMs()
    const lease = newLease(this.#leases)
    const row = { account_key: key, generation: 1, due_ms: nowMs, attempts: 0, hinted: 0, repair: 0, ...lease }
    const taken = await this.#writer.run(({ trx }) =>
      trx
        .insertInto('queue')
        .values(row)
        .onConflict((conflict) =>
          conflict
            .column('account_key')
            .doUpdateSet(lease)
            .where('queue.lease_owner', 'is', null)
            // Left there, it shows that a turn was aborted.
            .where('queue.lease_token', 'is', null)
            .where('queue.due_ms', '>', nowMs),
        )
        .returning('account_key')
        .execute(),
    )
    if (taken.length === 0) return false
    try {
      await work()
    } finally {
      await this.#writer.run(({ trx }) =>
        trx
          .updateTable('queue')
          .set(NO_LEASE)
          .where('account_key', '=', key)
          .where('lease_token', '=', lease.lease_token)
          .execute(),
      )
    }
    return true
  }

  /**
   * Leases of processes that died are free at once; those of another boot of which nothing is known, once they were
   * observed for a whole lease. The token shows the next claim of such an account that its turn was aborted.
   */
  freeDeadLeases(): Promise<void> {
    return this.#writer.run(({ trx }) => freeDeadLeases(trx, 'queue', this.#leases))
  }
}

/** The daemon that serves the store now, or null. */
export async function daemonOf(db: Pick<Database, 'selectFrom'>, nowMs: number): Promise<DaemonRow | null> {
  const row = await readMeta<DaemonRow>(db, DAEMON_KEY)
  return row !== null && isDaemonAlive(row, nowMs) ? row : null
}

export function isDaemonAlive(row: DaemonRow, nowMs: number): boolean {
  return isOwnerAlive(row.owner, row.heartbeatMs, nowMs)
}

function alreadyRunning(other: DaemonRow, nowMs: number): AppError {
  const what = `another daemon (process ${other.pid}) already serves this store`
  const place = placeOfOwner(other.owner)
  if (place === 'here') {
    return new AppError('already-running', what, {
      hint: 'Stop it first, or give this one its own store (key store). `lockstep drain` may run beside it.',
    })
  }
  const where =
    place === 'other-host' ? `on host ${other.owner.split(':')[0] ?? ''}` : 'in another PID namespace (a container)'
  return new AppError('already-running', `${what} ${where}`, {
    hint: `Stop it there. Its last heartbeat is ${age(nowMs - other.heartbeatMs)} old; if it was killed, start again once that is ${age(HEARTBEAT_STALE_MS)} old.`,
  })
}

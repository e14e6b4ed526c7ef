import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { AppError } from '../core/error.ts'
import type { AccountKey } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { Database } from './schema.ts'
import type { Writer, WriteScope } from './writer.ts'

/**
 * Who works on this store: the one daemon, and the owners of leases. An owner is told by host, process id and start
 * time, so that a process that was killed is known to be dead at once, and its successor need not wait.
 */

export const HEARTBEAT_MS = 10_000
const HEARTBEAT_STALE_MS = 45_000
const DAEMON_KEY = 'daemon'
/** With the owner after it; the value is `preparing` or `working`. */
const WORKER_KEY = 'worker '
const PREPARING_LOOK_MS = 20
/** Who prepares for longer is no longer waited for. */
const PREPARING_MS_MAX = 30_000
const IDLE_LEASE_MS = 60_000

export interface DaemonRow {
  readonly owner: string
  readonly pid: number
  readonly startedMs: number
  /** Null until everything is open and the first look was taken. */
  readonly readyMs: number | null
  readonly heartbeatMs: number
}

export function ownerOfThisProcess(): string {
  return `${hostname()}:${process.pid}:${startTimeOf(process.pid) ?? '0'}`
}

/** True when the owner is certain to be gone; false for other hosts, of which nothing is known. */
export function isOwnerDead(owner: string): boolean {
  const [host, pid, startTime] = owner.split(':')
  if (host !== hostname()) return false
  return startTimeOf(Number(pid)) !== startTime
}

/** Start of a process in clock ticks since boot (proc(5), field 22); null when there is none. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

export class ProcessLock {
  readonly #db: Database
  readonly #writer: Writer
  readonly #clock: Clock
  readonly owner: string

  constructor(db: Database, writer: Writer, clock: Clock, owner: string) {
    this.#db = db
    this.#writer = writer
    this.#clock = clock
    this.owner = owner
  }

  /** Becomes the daemon of this store. Fails with `already-running`. */
  async becomeDaemon(): Promise<void> {
    await this.#writer.run(async (scope) => {
      const other = await readDaemon(scope.trx)
      if (other !== null && isDaemonAlive(other, this.#clock.nowMs())) {
        throw new AppError('already-running', `another daemon (process ${other.pid}) already serves this store`, {
          hint: 'Stop it first, or give this one its own store (key store). `lockstep drain` may run beside it.',
        })
      }
      const nowMs = this.#clock.nowMs()
      await writeDaemon(scope, {
        owner: this.owner,
        pid: process.pid,
        startedMs: nowMs,
        readyMs: null,
        heartbeatMs: nowMs,
      })
    })
  }

  /** Says that the daemon serves, and later that it still does. */
  async beat(): Promise<void> {
    await this.#writer.run(async (scope) => {
      const mine = await readDaemon(scope.trx)
      if (mine?.owner !== this.owner) throw new AppError('already-running', 'another daemon took over this store')
      const nowMs = this.#clock.nowMs()
      await writeDaemon(scope, { ...mine, readyMs: mine.readyMs ?? nowMs, heartbeatMs: nowMs })
    })
  }

  async resign(): Promise<void> {
    await this.#writer.run(async (scope) => {
      const mine = await readDaemon(scope.trx)
      if (mine?.owner === this.owner) await scope.trx.deleteFrom('meta').where('key', '=', DAEMON_KEY).execute()
    })
  }

  /** The daemon that serves this store now, or null. */
  async daemon(): Promise<DaemonRow | null> {
    const row = await readDaemon(this.#db)
    return row !== null && isDaemonAlive(row, this.#clock.nowMs()) ? row : null
  }

  /**
   * Enters the circle of the processes that work on accounts; waits while one of them still prepares.
   * @returns true when nobody else is in it: then this one may put the LDIF folders in order, and others wait for its
   * `prepared`
   */
  async enter(): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      const isLastTry = tries >= PREPARING_MS_MAX / PREPARING_LOOK_MS
      const entered = await this.#writer.run((scope) => this.#tryToEnter(scope, isLastTry))
      if (entered !== null) return entered
      const { promise, resolve } = Promise.withResolvers<void>()
      setTimeout(resolve, PREPARING_LOOK_MS)
      await promise
    }
  }

  async #tryToEnter({ trx }: WriteScope, isLastTry: boolean): Promise<boolean | null> {
    const rows = await trx.selectFrom('meta').selectAll().where('key', 'like', `${WORKER_KEY}%`).execute()
    const dead = rows.filter((row) => isOwnerDead(row.key.slice(WORKER_KEY.length))).map((row) => row.key)
    if (dead.length > 0) await trx.deleteFrom('meta').where('key', 'in', dead).execute()
    const mine = WORKER_KEY + this.owner
    const others = rows.filter((row) => row.key !== mine && !dead.includes(row.key))
    if (!isLastTry && others.some((row) => row.value === 'preparing')) return null
    const value = others.length === 0 ? 'preparing' : 'working'
    await trx
      .insertInto('meta')
      .values({ key: mine, value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute()
    return others.length === 0
  }

  async prepared(): Promise<void> {
    await this.#writer.run(({ trx }) =>
      trx
        .updateTable('meta')
        .set({ value: 'working' })
        .where('key', '=', WORKER_KEY + this.owner)
        .execute(),
    )
  }

  async leave(): Promise<void> {
    await this.#writer.run(({ trx }) =>
      trx
        .deleteFrom('meta')
        .where('key', '=', WORKER_KEY + this.owner)
        .execute(),
    )
  }

  /**
   * Keeps an account that nobody has anything to do with out of everybody's hands while `work` runs. Afterwards it is
   * due, since an event may have come meanwhile.
   * @returns false, and nothing was done, where it waits for its turn or is in work
   */
  async whileIdle(key: AccountKey, work: () => Promise<void>): Promise<boolean> {
    const nowMs = this.#clock.nowMs()
    const lease = { lease_owner: this.owner, lease_until_ms: nowMs + IDLE_LEASE_MS }
    const row = { account_key: key, generation: 1, due_ms: nowMs, attempts: 0, hinted: 0, ...lease }
    const taken = await this.#writer.run(({ trx }) =>
      trx
        .insertInto('queue')
        .values(row)
        .onConflict((conflict) => conflict.column('account_key').doNothing())
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
          .set({ lease_owner: null, lease_until_ms: null })
          .where('account_key', '=', key)
          .where('lease_owner', '=', this.owner)
          .execute(),
      )
    }
    return true
  }

  /** Leases of processes that died are free at once. */
  async freeDeadLeases(): Promise<void> {
    await this.#writer.run(async ({ trx }) => {
      const rows = await trx
        .selectFrom('queue')
        .select('lease_owner')
        .distinct()
        .where('lease_owner', 'is not', null)
        .execute()
      const dead = rows.flatMap(({ lease_owner: owner }) => (owner !== null && isOwnerDead(owner) ? [owner] : []))
      if (dead.length === 0) return
      await trx
        .updateTable('queue')
        .set({ lease_owner: null, lease_until_ms: null })
        .where('lease_owner', 'in', dead)
        .execute()
    })
  }
}

function isDaemonAlive(row: DaemonRow, nowMs: number): boolean {
  const isHere = row.owner.startsWith(`${hostname()}:`)
  return isHere ? !isOwnerDead(row.owner) : nowMs - row.heartbeatMs < HEARTBEAT_STALE_MS
}

async function readDaemon(db: Pick<Database, 'selectFrom'>): Promise<DaemonRow | null> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', DAEMON_KEY).executeTakeFirst()
  return row === undefined ? null : (JSON.parse(row.value) as DaemonRow)
}

async function writeDaemon({ trx }: WriteScope, row: DaemonRow): Promise<void> {
  const value = JSON.stringify(row)
  await trx
    .insertInto('meta')
    .values({ key: DAEMON_KEY, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}

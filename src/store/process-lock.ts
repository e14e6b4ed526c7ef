import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { AppError } from '../core/error.ts'
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

  /** True when another live process holds a lease: it may be in the middle of a change. */
  async othersAtWork(): Promise<boolean> {
    const rows = await this.#db
      .selectFrom('queue')
      .select('lease_owner')
      .distinct()
      .where('lease_owner', 'is not', null)
      .execute()
    return rows.some(({ lease_owner: owner }) => owner !== null && owner !== this.owner && !isOwnerDead(owner))
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

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { Client } from 'ldapts'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { NO_LIMIT, within } from '../../servers/within.ts'
import { randomFrom } from './durability-model.ts'
import { shared, slapd, slapdTest as test } from '../../support/fixture.ts'
import { createLockstep, type Lockstep } from '../../support/lockstep.ts'
import type { Order, Report } from './stopping-worker.ts'

/**
 * Two processes on one store, one LDIF folder and a real slapd: one is stopped (SIGSTOP) before or after each call that it
 * makes, for longer than its lease; the other one takes over, the token is locked and unlocked meanwhile, and then the first
 * one goes on. `LOCKSTEP_SEED` repeats a run.
 */

const SCRIPT = fileURLToPath(new URL('stopping-worker.ts', import.meta.url))
const SEEDS = 100
const USERS = 240
const LEASE_MS = 300
const TOGGLES_MAX = 3
/** How often the points are played again that were not reached: where a turn stops beside other work is not in our hands. */
const AGAIN_MAX = 20
/** A round takes a few seconds; the limit is for one that stands still. */
const ROUND_LIMIT_MS = 300_000
const DAEMON_ENV = { LOCKSTEP_INTERNAL_LEASE_MS: String(LEASE_MS) }

let lockstep: Lockstep
let client: Client

test.override('slapdOptions', { users: USERS })
test.beforeAll(async () => {
  lockstep = shared.use(await createLockstep(slapd))
  client = new Client({ url: slapd.url })
  shared.defer(() => client.unbind())
  await client.bind(slapd.adminDn, slapd.adminPassword)
})

class WorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #reports: Report[] = []
  #arrived = Promise.withResolvers<void>()

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (report) => {
      this.#reports.push(report as Report)
      this.#arrived.resolve()
    })
    child.on('exit', () => {
      this.#reports.push({ is: 'failed', why: 'it ended' })
      this.#arrived.resolve()
    })
  }

  static async start(): Promise<WorkerProcess> {
    const env = { ...process.env, ...DAEMON_ENV }
    const execArgv = ['--disable-warning=ExperimentalWarning']
    const worker = new WorkerProcess(fork(SCRIPT, [lockstep.configFile], { env, execArgv }))
    expect(await worker.report()).toEqual({ is: 'ready' })
    return worker
  }

  async report(): Promise<Report> {
    for (;;) {
      const report = this.#reports.shift()
      if (report !== undefined) return report
      await this.#arrived.promise
      this.#arrived = Promise.withResolvers<void>()
    }
  }

  order(order: Order): void {
    this.#child.send(order)
  }

  /** The points that were passed. */
  async work(): Promise<readonly string[]> {
    this.order({ do: 'work', stopAt: null })
    return this.done()
  }

  async done(): Promise<readonly string[]> {
    const report = await this.report()
    if (report.is !== 'done') throw new Error(`the worker: ${JSON.stringify(report)}`)
    return report.points
  }

  /** @returns where it stopped; null: it came to its end before */
  async workAndStop(stopAt: number): Promise<string | null> {
    this.order({ do: 'work', stopAt })
    const report = await this.report()
    if (report.is !== 'stopping') return null
    await eventually('it is stopped', () => this.#state() === 'T')
    return report.point
  }

  goOn(): void {
    this.#child.kill('SIGCONT')
  }

  #state(): string {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

const KINDS = ['register', 'lock', 'unlock'] as const
type Kind = (typeof KINDS)[number]

/** How many turns a test asks for until nothing is due any more. */
const REST_TIMEOUT_MS = 60_000

interface Workers {
  readonly first: WorkerProcess
  readonly second: WorkerProcess
}

/** A user with one token, and what is true of it. */
class Token {
  readonly login: string
  readonly serial: string
  isLocked = false
  readonly #worker: WorkerProcess

  constructor(number: number, worker: WorkerProcess) {
    this.login = `u${number}`
    this.serial = `T${number}`
    this.#worker = worker
  }

  async happens(kind: Kind): Promise<void> {
    const { serial, login } = this
    this.#worker.order({ do: 'take', kind, serial, login })
    await this.#worker.done()
    if (kind !== 'register') this.isLocked = kind === 'lock'
  }

  /** As it has to be before an event of this kind. */
  async isPrepared(kind: Kind): Promise<void> {
    if (kind === 'register') return
    await this.happens('register')
    if (kind === 'unlock') await this.happens('lock')
    await comesToRest(this.#worker)
  }
}

function sql(text: string): Record<string, unknown>[] {
  const database = new DatabaseSync(lockstep.storeFile, { timeout: 5_000 })
  try {
    return database.prepare(text).all()
  } finally {
    database.close()
  }
}

/** By this worker alone, beside one that is stopped: what that one holds is free once its lease has run out. */
async function comesToRest(worker: WorkerProcess): Promise<void> {
  const isIdle = (): boolean => {
    const [row] = sql(`select (select count(*) from event where state = 'waiting') +
      (select count(*) from queue where due_ms <= ${Date.now()} or lease_owner is not null) as n`)
    return row?.['n'] === 0
  }
  await eventually(
    'nothing is due',
    async () => {
      await worker.work()
      return isIdle()
    },
    REST_TIMEOUT_MS,
  )
}

/** Whatever is to be looked at later is looked at now. */
async function timePasses(worker: WorkerProcess): Promise<void> {
  sql('update queue set due_ms = 0')
  await worker.work()
}

async function stateOf({ login, serial }: Token) {
  const attributes = ['entryUUID', 'pwdAccountLockedTime', 'description']
  const { searchEntries } = await client.search(slapd.peopleDn, { filter: `(uid=${login})`, attributes })
  const [entry] = searchEntries
  const valuesOf = (name: string): string[] => [entry?.[name] ?? []].flat().map(String)
  const [row] = sql(`select owned_lock from account where key = 'corp/${valuesOf('entryUUID')[0]}'`)
  return {
    isLocked: valuesOf('pwdAccountLockedTime').length > 0,
    isOurs: (row?.['owned_lock'] ?? null) !== null,
    hasFile: lockstep.ldif('unlock').includes(`${serial}.ldif`),
    carries: valuesOf('description'),
    hasSerialFile: lockstep.ldif('unregister').includes(`${serial}.ldif`),
  }
}

function wantedOf({ isLocked, serial }: Token) {
  return {
    isLocked,
    isOurs: isLocked,
    hasFile: isLocked,
    carries: [`privacyIDEA:${serial}`],
    hasSerialFile: true,
  }
}

/** @returns the name of the point that it was stopped at */
async function stopAndGoOn(token: Token, kind: Kind, at: number, { first, second }: Workers, random: () => number) {
  await token.isPrepared(kind)
  await token.happens(kind)
  const point = await first.workAndStop(at)
  if (point !== null) {
    await comesToRest(second)
    const toggles = Math.floor(random() * (TOGGLES_MAX + 1))
    for (let toggle = 0; toggle < toggles; toggle++) {
      await token.happens(token.isLocked ? 'unlock' : 'lock')
      await comesToRest(second)
    }
    first.goOn()
    await first.done()
  }
  await comesToRest(second)
  await timePasses(second)
  return point
}

test(
  `${SEEDS} times stopped for longer than the lease, at every call: no orphan lock, nobody open who is held, no file lost`,
  // As long as each round ends, it goes on, however slow the machine is.
  { timeout: NO_LIMIT },
  async () => {
    const seed = Number(process.env['LOCKSTEP_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
    console.log(`LOCKSTEP_SEED=${seed}`)
    const random = randomFrom(seed)
    await using first = await WorkerProcess.start()
    await using second = await WorkerProcess.start()
    let user = 0
    const all: { kind: Kind; at: number; point: string }[] = []
    for (const kind of KINDS) {
      const token = new Token(++user, second)
      await token.isPrepared(kind)
      await token.happens(kind)
      const points = await within(ROUND_LIMIT_MS, `the first turn of ${kind}`, first.work())
      all.push(...points.map((point, at) => ({ kind, at, point })))
    }
    const rounds = Math.max(SEEDS, all.length)
    expect(user + rounds + AGAIN_MAX).toBeLessThanOrEqual(USERS)
    const stoppedAt = new Set<string>()
    const missed = () => all.filter(({ kind, point }) => !stoppedAt.has(`${kind}: ${point}`))
    const wrong: string[] = []
    for (let round = 0; round < rounds || (missed().length > 0 && round < rounds + AGAIN_MAX); round++) {
      const points = round < rounds ? all : missed()
      const { kind, at } =
        (round < rounds ? all[round] : undefined) ?? points[Math.floor(random() * points.length)] ?? fail()
      const token = new Token(++user, second)
      const turn = stopAndGoOn(token, kind, at, { first, second }, random)
      const point = await within(ROUND_LIMIT_MS, `round ${round}`, turn)
      if (point !== null) stoppedAt.add(`${kind}: ${point}`)
      const [is, wanted] = [await stateOf(token), wantedOf(token)].map((state) => JSON.stringify(state))
      if (is !== wanted) wrong.push(`round ${round}, ${token.login}, ${kind}, ${point}: ${is} and should be ${wanted}`)
    }
    console.log(`stopped at ${stoppedAt.size} points`)
    expect(wrong).toEqual([])
    expect(missed()).toEqual([])
    expect(await lockstep.json('journal', '--verify')).toMatchObject({ faults: [] })
  },
)

function fail(): never {
  throw new Error('the list of points is empty')
}

import { systemClock } from '../../../src/ports/clock.ts'
import { MemoryDirectory } from '../../support/memory-directory.ts'
import type { BreakerSettings } from '../../../src/core/guards/breaker.ts'
import type { LossBreakerSettings } from '../../../src/core/guards/loss-breaker.ts'
import type { GuardSettings, PolicySettings, Settings, SourceSettings } from '../../../src/core/settings/settings.ts'
import type { Event } from '../../../src/core/events/event.ts'
import {
  parseDirectoryName,
  parseLogin,
  parseRealm,
  parseSerial,
  type AccountKey,
  type DirectoryName,
} from '../../../src/core/names.ts'
import { storeOptionsOf } from '../../../src/app/state-store.ts'
import { wire, type SystemScan } from '../../../src/app/wiring.ts'
import { openPrivacyIdea } from '../../../src/privacyidea/open-privacyidea.ts'
import { reconcileAccount } from '../../../src/reconcile/account/reconcile-account.ts'
import { markForeignLocks } from '../../../src/reconcile/mirror/foreign-locks.ts'
import type { Ports } from '../../../src/reconcile/ports.ts'
import { resolveEvent } from '../../../src/reconcile/resolve.ts'
import type { ResyncReport } from '../../../src/reconcile/source/resync-ports.ts'
import { resync } from '../../../src/reconcile/source/resync.ts'
import { Scanner } from '../../../src/reconcile/source/scan.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import type { PrivacyIdeaPort } from '../../../src/ports/privacyidea.ts'
import type { Clock } from '../../../src/ports/clock.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import { sourceSettings } from '../../privacyidea/source-settings.ts'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import type { SimToken } from '../../privacyidea/simulator/stock.ts'
import type { VersionName } from '../../privacyidea/simulator/version.ts'
import { MemoryLdif } from '../../simulation/memory-ldif.ts'
import { NO_GUARDS, POLICY, RESYNC } from '../../simulation/usual-settings.ts'
import { must } from '../../simulation/world.ts'

/** Mode `api` in one process: a simulated privacyIDEA, the directory and the store in memory, moved step by step. */

const GIVE_UP_MS = 86_400_000
const ROUNDS_MAX = 50
export const MAX_FAILURES = 3

export interface ApiWorldOptions {
  readonly policy?: Partial<PolicySettings>
  readonly version?: VersionName
  readonly breaker?: BreakerSettings
  readonly source?: Partial<SourceSettings>
  readonly guards?: Partial<GuardSettings>
  /** Left out: the default; null: off. */
  readonly lossBreaker?: LossBreakerSettings | null
  /** What stands in the place of the directory. */
  readonly around?: (directory: MemoryDirectory) => DirectoryPort
}

type WorldSettings = Pick<Settings, 'policy' | 'guards' | 'resync' | 'store'>

const IN_MEMORY: Settings['store'] = { kind: 'sqlite', file: ':memory:' }

/** The true time, and what a test adds to it. */
class MovedClock implements Clock {
  aheadMs = 0

  nowMs(): number {
    return systemClock.nowMs() + this.aheadMs
  }

  random(): number {
    return 0.5
  }
}

/** A privacyIDEA without a token. */
export async function openServer(version: VersionName = '3.14'): Promise<Simulator> {
  const simulator = await startSimulator({ version })
  const { world } = simulator
  world.admins.set('lockstep', 'secret')
  world.policies.set('admin', { active: true, admins: ['admin', 'lockstep'], actions: ['*'], body: {} })
  return simulator
}

export class ApiWorld implements AsyncDisposable {
  simulator: Simulator
  source: PrivacyIdeaPort
  readonly store: Store
  readonly directory: MemoryDirectory
  readonly clock: MovedClock
  ports: Ports
  sweeps: SystemScan
  scanner: Scanner
  readonly #settings: WorldSettings
  readonly #around: NonNullable<ApiWorldOptions['around']>
  readonly #ldif = new MemoryLdif(() => {})
  readonly #closed: AsyncDisposable[] = []
  #ids = 0

  private constructor(
    simulator: Simulator,
    source: PrivacyIdeaPort,
    store: Store,
    clock: MovedClock,
    settings: WorldSettings,
    around: NonNullable<ApiWorldOptions['around']>,
  ) {
    this.simulator = simulator
    this.source = source
    this.store = store
    this.clock = clock
    const name: DirectoryName = must(parseDirectoryName('corp'))
    this.directory = new MemoryDirectory({ name }, clock)
    this.#settings = settings
    this.#around = around
    const { ports, sweeps } = this.#wired(source)
    this.ports = ports
    this.sweeps = must(sweeps)
    this.scanner = new Scanner(this.sweeps)
  }

  #wired(source: PrivacyIdeaPort): ReturnType<typeof wire> {
    const { clock, store } = this
    const directory = this.#around(this.directory)
    const newId = () => String(++this.#ids).padStart(9, '0')
    return wire({ settings: this.#settings, clock, store, directory, ldif: this.#ldif, source, newId })
  }

  /** The next start of Lockstep, with this privacyIDEA. */
  startWith(simulator: Simulator): void {
    this.#closed.push(this.source)
    if (simulator !== this.simulator) this.#closed.push(this.simulator)
    this.simulator = simulator
    this.source = openPrivacyIdea(sourceSettings(simulator.url), () => 'secret', this.clock)
    const { ports, sweeps } = this.#wired(this.source)
    this.ports = ports
    this.sweeps = must(sweeps)
    this.scanner = new Scanner(this.sweeps)
  }

  static async open(options: ApiWorldOptions = {}): Promise<ApiWorld> {
    const clock = new MovedClock()
    const simulator = await openServer(options.version)
    const { world } = simulator
    const source = openPrivacyIdea(sourceSettings(simulator.url, options.source), () => 'secret', clock)
    const policy = { ...POLICY, ...options.policy }
    const { breaker, lossBreaker } = options
    const guards: GuardSettings = {
      ...NO_GUARDS,
      ...options.guards,
      ...(breaker === undefined ? {} : { breaker }),
      ...(lossBreaker === undefined ? {} : { lossBreaker }),
    }
    const settings = { policy, guards, resync: RESYNC, store: IN_MEMORY }
    const boot = { bootId: 'test', uptimeMs: () => clock.nowMs() }
    const store = await openStore({ ...storeOptionsOf(settings, true, clock), boot })
    const opened = new ApiWorld(simulator, source, store, clock, settings, options.around ?? ((directory) => directory))
    // Where there is no token at all nothing can be proven.
    world.stock.addToken('PROOF')
    return opened
  }

  get stock() {
    return this.simulator.world.stock
  }

  /** In the directory and, with its id, in privacyIDEA. */
  addUser(login: string): AccountKey {
    const key = this.directory.addAccount(must(parseLogin(login)))
    this.stock.addUser(login, idOf(key))
    return key
  }

  addToken(serial: string, owner: AccountKey | null, change: Partial<SimToken> = {}): SimToken {
    return this.stock.addToken(serial, {
      maxfail: MAX_FAILURES,
      userId: owner === null ? null : idOf(owner),
      ...change,
    })
  }

  assign(token: SimToken, owner: AccountKey | null): void {
    this.stock.assign(token, owner === null ? null : idOf(owner))
  }

  /** `POST /validate/check` of a user. */
  async validate(user: string, pass: string): Promise<void> {
    const body = JSON.stringify({ user, pass })
    const headers = { 'content-type': 'application/json' }
    await fetch(`${this.simulator.url}/validate/check`, { method: 'POST', headers, body })
  }

  async scan(): Promise<void> {
    await this.scanner.scan()
    await this.settle()
  }

  async resync(isDryRun = false): Promise<ResyncReport> {
    const report = await resync(this.sweeps, { isDryRun })
    if (!isDryRun) await markForeignLocks(this.sweeps)
    await this.settle()
    return report
  }

  /** Hints, as they come from shims and webhooks: nothing in them can be trusted. */
  async hint(marks: readonly Partial<Pick<Event, 'kind' | 'serial' | 'login' | 'realm' | 'actor'>>[]): Promise<void> {
    const events = marks.map((hint): Event => ({
      id: `h${++this.#ids}`,
      kind: 'lock',
      serial: null,
      login: null,
      realm: null,
      actor: '',
      takenAtUs: this.clock.nowMs() * 1000,
      source: 'webhook',
      reason: null,
      untilUs: null,
      ...hint,
    }))
    await this.store.inbox.take(events, [])
    await this.settle()
  }

  /** Everything that is due now, and what follows from it. */
  async settle(): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const nowMs = this.clock.nowMs()
      let events = await this.store.inbox.due(nowMs, 256)
      const hadEvents = events.length > 0
      while (events.length > 0) {
        const resolutions = await Promise.all(events.map((event) => resolveEvent(event, this.ports, GIVE_UP_MS)))
        await this.store.inbox.recordResolutions(resolutions, 0)
        events = await this.store.inbox.due(nowMs, 256)
      }
      let claims = await this.store.queue.claim(64, nowMs)
      const hadClaims = claims.length > 0
      while (claims.length > 0) {
        await Promise.all(claims.map((claim) => reconcileAccount(claim, this.ports)))
        claims = await this.store.queue.claim(64, nowMs)
      }
      if (!hadEvents && !hadClaims) return
    }
    throw new Error('it never comes to rest')
  }

  /** Somebody retries: every account on record is looked at again. */
  async lookAgain(...keys: AccountKey[]): Promise<void> {
    this.clock.aheadMs += 2_000
    await this.store.queue.mark(keys, this.clock.nowMs())
    await this.settle()
  }

  /** Time passes, and what is due by then is done. */
  async pass(ms: number): Promise<void> {
    this.clock.aheadMs += ms
    await this.settle()
  }

  /** `open` or `locked`, and the serials that stand there. */
  state(key: AccountKey): string {
    const { lockValues } = this.directory.account(key)
    return [lockValues.length > 0 ? 'locked' : 'open', ...this.directory.serialsOf(key).toSorted()].join(' ')
  }

  locks(): number {
    return this.directory.accounts().filter(({ lockValues }) => lockValues.length > 0).length
  }

  async derivedEvents(): Promise<number> {
    const rows = await this.store.db.selectFrom('event').select('id').where('source', '=', 'privacyidea').execute()
    return rows.length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#closed) await each[Symbol.asyncDispose]()
    await this.source[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
    await this.simulator[Symbol.asyncDispose]()
  }
}

export function idOf(key: AccountKey): string {
  return key.slice(key.indexOf('/') + 1)
}

export const serial = (text: string) => must(parseSerial(text))
export const login = (text: string) => must(parseLogin(text))
export const realm = (text: string) => must(parseRealm(text))

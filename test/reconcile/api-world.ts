import { systemClock } from '../../src/ports/clock.ts'
import { MemoryDirectory } from '../../src/directory/memory.ts'
import type { BreakerSettings } from '../../src/core/breaker.ts'
import type { GuardSettings, PolicySettings, SourceSettings } from '../../src/core/settings.ts'
import type { Event } from '../../src/core/event.ts'
import {
  parseDirectoryName,
  parseLogin,
  parseRealm,
  parseSerial,
  type AccountKey,
  type DirectoryName,
} from '../../src/core/names.ts'
import { openPrivacyIdea } from '../../src/privacyidea/open-privacyidea.ts'
import { reconcileAccount } from '../../src/reconcile/account.ts'
import { withClearTimeout } from '../../src/reconcile/clear-timeout.ts'
import { FailCountFloor, watchedSource } from '../../src/reconcile/fail-count-floor.ts'
import { markForeignLocks, type ForeignLockPorts } from '../../src/reconcile/foreign-locks.ts'
import { openLedger } from '../../src/reconcile/ledger.ts'
import { openLockouts } from '../../src/reconcile/lockouts.ts'
import { withoutMirror } from '../../src/reconcile/mirror-view.ts'
import type { Ports } from '../../src/reconcile/ports.ts'
import { resolveEvent } from '../../src/reconcile/resolve.ts'
import type { ResyncPorts, ResyncReport } from '../../src/reconcile/resync-ports.ts'
import { resync } from '../../src/reconcile/resync.ts'
import { Scanner } from '../../src/reconcile/scan.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import type { PrivacyIdeaPort } from '../../src/ports/privacyidea.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { sourceSettings } from '../privacyidea/source-settings.ts'
import { startSimulator, type Simulator } from '../privacyidea/simulator/simulator.ts'
import type { SimToken } from '../privacyidea/simulator/stock.ts'
import type { VersionName } from '../privacyidea/simulator/version.ts'
import { MemoryLdif } from '../simulation/memory-ldif.ts'
import { must } from '../simulation/world.ts'

/** Mode `api` in one process: a simulated privacyIDEA, the directory and the store in memory, moved step by step. */

const GIVE_UP_MS = 86_400_000
const ROUNDS_MAX = 50
export const MAX_FAILURES = 3

export const POLICY: PolicySettings = {
  onForeignUnlock: 'respect',
  lockWhen: 'any-token-locked',
  disabledTokens: 'ignore',
  revokedTokens: 'ignore',
  mirrorDirectoryLocks: 'off',
  lockTtlMs: null,
  lockBackoff: null,
  resetsTokenOnTtl: false,
}

export interface ApiWorldOptions {
  readonly policy?: Partial<PolicySettings>
  readonly version?: VersionName
  readonly breaker?: BreakerSettings
  readonly source?: Partial<SourceSettings>
  readonly guards?: GuardSettings
}

const NO_GUARDS: GuardSettings = { dryRun: { isForAll: false, directories: [], realms: [] }, breaker: null }

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

export class ApiWorld implements AsyncDisposable {
  readonly simulator: Simulator
  readonly source: PrivacyIdeaPort
  readonly store: Store
  readonly directory: MemoryDirectory
  readonly clock: MovedClock
  ports: Ports
  readonly failCounts = new FailCountFloor()
  readonly sweeps: ResyncPorts & ForeignLockPorts & ConstructorParameters<typeof Scanner>[0]
  readonly scanner: Scanner
  #ids = 0

  private constructor(
    simulator: Simulator,
    source: PrivacyIdeaPort,
    store: Store,
    clock: MovedClock,
    policy: PolicySettings,
    options: ApiWorldOptions,
  ) {
    this.simulator = simulator
    this.source = source
    this.store = store
    this.clock = clock
    const name: DirectoryName = must(parseDirectoryName('corp'))
    this.directory = new MemoryDirectory({ name }, clock)
    const newId = () => String(++this.#ids).padStart(9, '0')
    const ldif = new MemoryLdif(() => {})
    const { failCounts } = this
    const seen = watchedSource(withClearTimeout(withoutMirror(source, store.mirror), clock), failCounts)
    this.sweeps = {
      source: seen,
      mirrored: store.mirror,
      mode: policy.mirrorDirectoryLocks,
      failCounts,
      truth: store.truth,
      lockouts: openLockouts(seen, clock),
      directory: this.directory,
      clock,
      policy,
      resync: { scanMs: 5_000, fullMs: 900_000, shrinkLimit: 0.1 },
      record: store.resync,
      desired: store.desired,
      newId,
    }
    this.scanner = new Scanner(this.sweeps)
    this.ports = {
      clock,
      directory: this.directory,
      desired: store.desired,
      ledger: openLedger(store.records, ldif, clock),
      guards: store.guards,
      truth: this.sweeps,
      inbox: store.inbox,
      queue: store.queue,
      verification: store.verification,
      policy,
      guardSettings: options.guards ?? NO_GUARDS,
      newId,
      mirror: {
        source,
        record: store.mirror,
        truth: store.truth,
        guards: store.guards,
        guardSettings: options.guards ?? NO_GUARDS,
        mode: policy.mirrorDirectoryLocks,
        clock,
      },
    }
  }

  static async open(options: ApiWorldOptions = {}): Promise<ApiWorld> {
    const clock = new MovedClock()
    const simulator = await startSimulator({ version: options.version ?? '3.14' })
    const { world } = simulator
    world.admins.set('lockstep', 'secret')
    world.policies.set('admin', { active: true, admins: ['admin', 'lockstep'], actions: ['*'], body: {} })
    const source = openPrivacyIdea(sourceSettings(simulator.url, options.source), () => 'secret', clock)
    const policy = { ...POLICY, ...options.policy }
    const { lockTtlMs, lockBackoff } = policy
    const { breaker = null } = options
    const store = await openStore({ file: ':memory:', clock, lockTtlMs, lockBackoff, breaker, willWrite: true })
    const opened = new ApiWorld(simulator, source, store, clock, policy, options)
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
  async hint(hints: readonly Partial<Pick<Event, 'kind' | 'serial' | 'login' | 'realm'>>[]): Promise<void> {
    const events = hints.map((hint): Event => ({
      id: `h${++this.#ids}`,
      kind: 'lock',
      serial: null,
      login: null,
      realm: null,
      actor: '',
      takenAtUs: this.clock.nowMs() * 1000,
      source: 'webhook',
      reason: '',
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
        await this.store.inbox.settle(resolutions, 0)
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

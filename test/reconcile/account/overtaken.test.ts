import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import type { TokenEventKind } from '../../../src/core/events/event.ts'
import { parseDirectoryName, parseLogin, parseSerial, type AccountKey, type Serial } from '../../../src/core/names.ts'
import { keepFolders } from '../../../src/daemon/watch/keep-folders.ts'
import { openLog } from '../../../src/app/log.ts'
import { MEMORY_LOCKED, MemoryDirectory } from '../../support/memory-directory.ts'
import { reconcileAccount } from '../../../src/reconcile/account/reconcile-account.ts'
import { openLedger } from '../../../src/reconcile/ledger/ledger.ts'
import type { Ports } from '../../../src/reconcile/ports.ts'
import { resolveEvent } from '../../../src/reconcile/resolve.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { MemoryLdif } from '../../simulation/memory-ldif.ts'
import { must, VirtualClock } from '../../simulation/world.ts'
import { withMembers } from '../with-members.ts'

/** Two workers on one store: one is stopped in the middle of a change for longer than its lease, the other takes over. */

const LEASE_MS = 60_000
const DAY_MS = 86_400_000
const LOGIN = must(parseLogin('alice'))
const SERIAL = must(parseSerial('S1'))

class Site implements AsyncDisposable {
  readonly store: Store
  readonly clock: VirtualClock
  readonly directory: MemoryDirectory
  readonly ldif = new MemoryLdif(() => undefined)
  readonly key: AccountKey
  readonly machine: { bootId: string; ms: number; uptimeMs(): number }
  readonly #stack: AsyncDisposableStack
  #ids = 0
  #events = 0

  private constructor(store: Store, clock: VirtualClock, machine: Site['machine'], stack: AsyncDisposableStack) {
    this.store = store
    this.clock = clock
    this.machine = machine
    this.#stack = stack
    this.directory = new MemoryDirectory({ name: must(parseDirectoryName('corp')) }, clock)
    this.key = this.directory.addAccount(LOGIN)
  }

  static async open(): Promise<Site> {
    const stack = new AsyncDisposableStack()
    const temp = stack.use(await makeTempDir('overtaken'))
    const clock = new VirtualClock()
    const machine = { bootId: 'boot', ms: 1, uptimeMs: () => machine.ms }
    const options = { clock, lockTtlMs: null, willWrite: true, boot: machine, leaseMs: LEASE_MS }
    const store = stack.use(await openStore({ file: join(temp.path, 'lockstep.db'), ...options }))
    return new Site(store, clock, machine, stack)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }

  ports(over: Partial<Ports> = {}): Ports {
    return {
      clock: this.clock,
      directory: this.directory,
      desired: this.store.desired,
      ledger: openLedger(this.store.records, this.ldif, this.clock),
      guards: this.store.guards,
      snapshot: null,
      inbox: this.store.inbox,
      queue: this.store.queue,
      verification: this.store.verification,
      policy: { onForeignUnlock: 'respect', lockTtlMs: null },
      guardSettings: { dryRun: { isForAll: false, directories: [], realms: [] }, breaker: null },
      newId: () => `change-${String(++this.#ids).padStart(6, '0')}`,
      ...over,
    }
  }

  async happens(kind: TokenEventKind, serial: Serial | null = SERIAL): Promise<void> {
    this.clock.ms += 1
    const event = {
      id: `event-${++this.#events}`,
      kind,
      serial,
      login: LOGIN,
      realm: null,
      actor: '',
      takenAtUs: this.clock.ms * 1000,
      source: 'shim',
      reason: null,
      untilUs: null,
    } as const
    await this.store.inbox.take([event], [])
    const [due] = await this.store.inbox.due(this.clock.ms, 1)
    await this.store.inbox.recordResolutions([await resolveEvent(must(due ?? null), this.ports(), DAY_MS)], 0)
  }

  /** All that is due, by one worker. */
  async work(ports = this.ports()): Promise<void> {
    for (;;) {
      const claims = await this.store.queue.claim(8, this.clock.ms)
      if (claims.length === 0) return
      for (const claim of claims) await reconcileAccount(claim, ports)
    }
  }

  leaseRunsOut(): void {
    this.machine.ms += LEASE_MS + 1
    this.clock.ms += LEASE_MS + 1
  }

  get isLocked(): boolean {
    return this.directory.account(this.key).lockValues.includes(MEMORY_LOCKED)
  }

  async waiting(): Promise<readonly string[]> {
    return this.ldif.listPending('unlock')
  }
}

/** A worker that is stopped when it is about to call the port; `goOn` lets it. */
function stoppedBefore<Port extends object>(port: Port, method: keyof Port & string) {
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const stopped = new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return async (...values: unknown[]): Promise<unknown> => {
        if (name === method) {
          reached.resolve()
          await gate.promise
        }
        return Reflect.apply(member, target, values)
      }
    },
  })
  return { stopped, reached: reached.promise, goOn: () => gate.resolve() }
}

async function withRegistered(work: (site: Site) => Promise<void>): Promise<void> {
  await using site = await Site.open()
  await site.happens('register')
  await site.work()
  await work(site)
}

test('a worker that is stopped between its row and its write loses neither the lock of the other one nor its file', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    const { stopped, reached, goOn } = stoppedBefore(site.directory, 'apply')
    const first = site.work(site.ports({ directory: stopped }))
    await reached
    site.leaseRunsOut()
    await site.work()
    expect([site.isLocked, await site.waiting()]).toEqual([true, ['S1']])
    goOn()
    await first
    expect([site.isLocked, await site.waiting()]).toEqual([true, ['S1']])
    await site.happens('unlock')
    await site.work()
    expect([site.isLocked, await site.waiting()]).toEqual([false, []])
    expect(await site.store.archive.verify()).toMatchObject({ faults: [] })
  })
})

test.each(['writeAhead', 'close', 'recordOutcome'] as const)(
  'a worker that is stopped before it comes to %s leaves the account to the one that took over',
  async (method) => {
    await withRegistered(async (site) => {
      await site.happens('lock')
      const { stopped, reached, goOn } = stoppedBefore(site.ports().ledger, method)
      const first = site.work(site.ports({ ledger: stopped }))
      await reached
      site.leaseRunsOut()
      await site.happens('unlock')
      await site.work()
      expect([site.isLocked, await site.waiting()]).toEqual([false, []])
      await site.happens('lock')
      await site.work()
      goOn()
      await first
      await site.work()
      expect([site.isLocked, await site.waiting()]).toEqual([true, ['S1']])
      await site.happens('unlock')
      await site.work()
      expect([site.isLocked, await site.waiting()]).toEqual([false, []])
    })
  },
)

/** What a worker does that was overtaken and is killed as soon as it was told so. */
async function killedOnceLost(turn: Promise<void>): Promise<void> {
  await expect(turn).rejects.toThrow('killed')
}

function dyingQueue(site: Site): Ports['queue'] {
  return { ...site.store.queue, markForRepair: () => Promise.reject(new Error('killed')) }
}

test('a worker that plans a lock after it was overtaken, and is killed then, leaves the file of the lock that stands', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    const { stopped, reached, goOn } = stoppedBefore(site.store.guards, 'pauseOf')
    const first = site.work(site.ports({ guards: stopped, queue: dyingQueue(site) }))
    await reached
    site.leaseRunsOut()
    await site.work()
    site.clock.ms += 1_000
    goOn()
    await killedOnceLost(first)
    expect([site.isLocked, await site.waiting()]).toEqual([true, ['S1']])
  })
})

test('a worker that plans a registration after it was overtaken leaves the file of the one that was made', async () => {
  await using site = await Site.open()
  await site.happens('register')
  const { stopped, reached, goOn } = stoppedBefore(site.store.guards, 'pauseOf')
  const first = site.work(site.ports({ guards: stopped }))
  await reached
  site.leaseRunsOut()
  await site.work()
  expect(await site.ldif.listPending('unregister')).toEqual(['S1'])
  site.clock.ms += 1_000
  goOn()
  await first
  await site.work()
  expect(await site.ldif.listPending('unregister')).toEqual(['S1'])
})

test('a lock that one worker did not see yet and the next one found standing keeps its file, whatever the first one does then', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    site.directory.faults.lostAnswers.push('late')
    const [claim] = await site.store.queue.claim(1, site.clock.ms)
    await reconcileAccount(must(claim ?? null), site.ports())
    site.clock.ms += 60_000
    const { stopped, reached, goOn } = stoppedBefore(site.ports().ledger, 'recover')
    const first = site.work(site.ports({ ledger: stopped, queue: dyingQueue(site) }))
    await reached
    // The write arrives now.
    expect(site.directory.deliver()).toBe(true)
    site.leaseRunsOut()
    await site.work()
    goOn()
    await killedOnceLost(first)
    expect([site.isLocked, await site.waiting()]).toEqual([true, ['S1']])
    await site.happens('unlock')
    await site.work()
    expect([site.isLocked, await site.waiting()]).toEqual([false, []])
  })
})

test('a lock whose files fail once it was made is ours all the same, and goes with its hold', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    const full = withMembers(site.ldif, { applied: () => Promise.reject(new AppError('disk-full', 'no space left')) })
    const [claim] = await site.store.queue.claim(1, site.clock.ms)
    const ledger = openLedger(site.store.records, full, site.clock)
    expect(await reconcileAccount(must(claim ?? null), site.ports({ ledger }))).toMatchObject({
      errorCode: 'disk-full',
    })
    site.clock.ms += 60_000
    await site.work()
    expect([site.isLocked, await site.waiting()]).toEqual([true, ['S1']])
    await site.happens('unlock')
    await site.work()
    expect([site.isLocked, await site.waiting()]).toEqual([false, []])
  })
})

test('a lost claim is no failure of the account: it stands as the other worker left it, and is looked at once more', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    const [claim] = await site.store.queue.claim(1, site.clock.ms)
    site.leaseRunsOut()
    await site.work()
    const before = await site.store.reports.find(site.key, 1)
    expect(await reconcileAccount(must(claim ?? null), site.ports())).toBeNull()
    expect(await site.store.reports.find(site.key, 1)).toEqual(before)
    expect(await site.store.queue.claim(1, site.clock.ms)).toMatchObject([{ isForRepair: true }])
  })
})

test('a waiting file that is missing after a turn broke off is written by whoever takes over', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    await site.work()
    site.ldif.files.delete('unlock/S1')
    await site.store.queue.markForRepair(site.key, site.clock.ms)
    await site.work()
    expect([site.isLocked, await site.waiting()]).toEqual([true, ['S1']])
  })
})

test('a file that is written again although its lock was released meanwhile does not stay', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    await site.work()
    site.ldif.files.delete('unlock/S1')
    const stop = new AbortController()
    const ldif = withMembers(site.ldif, {
      changedFolders: () => Promise.resolve(['unlock']),
      async ensurePending(file) {
        if (file.folder === 'unlock') {
          await site.happens('unlock')
          await site.work()
          stop.abort()
        }
        return site.ldif.ensurePending(file)
      },
    })
    const { store, clock } = site
    await keepFolders({ store, ldif, clock }, () => undefined, openLog({ write: () => true }, false), stop.signal)
    expect([site.isLocked, await site.waiting()]).toEqual([false, ['S1']])
    await site.work()
    expect(await site.waiting()).toEqual([])
  })
})

test('a registration that did not happen leaves no file, although its turn broke off between the row and the file', async () => {
  await using site = await Site.open()
  await site.happens('register')
  site.directory.faults.lostAnswers.push('not-written')
  await site.work()
  expect(await site.ldif.listPending('unregister')).toEqual(['S1'])
  await site.happens('unregister')
  site.clock.ms += 60_000
  const killed = withMembers(site.ldif, { abandoned: () => Promise.reject(new Error('killed')) })
  const [claim] = await site.store.queue.claim(1, site.clock.ms)
  const ledger = openLedger(site.store.records, killed, site.clock)
  const { ledger: usual } = site.ports()
  const dying = withMembers(ledger, { recordOutcome: () => Promise.reject(new Error('killed')), repair: usual.repair })
  await expect(reconcileAccount(must(claim ?? null), site.ports({ ledger: dying }))).rejects.toThrow('killed')
  expect(site.directory.account(site.key).serialValues).toEqual([])
  expect(await site.ldif.listPending('unregister')).toEqual(['S1'])
  site.leaseRunsOut()
  await site.work()
  expect(await site.ldif.listPending('unregister')).toEqual([])
})

test('a slow directory does not cost the lease: it is renewed while the account is in work', async () => {
  await withRegistered(async (site) => {
    await site.happens('lock')
    const slow: Ports['directory'] = new Proxy(site.directory, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return (...values: unknown[]): unknown => {
          // Two steps of half a lease each take longer than one lease.
          if (name === 'observe' || name === 'apply') site.machine.ms += LEASE_MS / 2
          return Reflect.apply(member, target, values)
        }
      },
    })
    const [claim] = await site.store.queue.claim(1, site.clock.ms)
    const { stopped, reached, goOn } = stoppedBefore(site.ports().ledger, 'recordOutcome')
    const turn = reconcileAccount(must(claim ?? null), site.ports({ directory: slow, ledger: stopped }))
    await reached
    expect(await site.store.queue.claim(1, site.clock.ms)).toEqual([])
    goOn()
    expect(await turn).toMatchObject({ standing: 'in-step' })
  })
})

test('the file of a lock whose row was never written goes, also where its hold has ended before anybody looked', async () => {
  await using site = await Site.open()
  await site.happens('lock', null)
  const [claim] = await site.store.queue.claim(1, site.clock.ms)
  const filed = Promise.withResolvers<void>()
  const killed = withMembers(site.ports().ledger, {
    async writeAhead(_claim, change) {
      await site.ldif.prepare(change)
      filed.resolve()
      return new Promise<never>(() => undefined)
    },
  })
  void reconcileAccount(must(claim ?? null), site.ports({ ledger: killed }))
  await filed.promise
  expect(await site.waiting()).toHaveLength(1)
  site.leaseRunsOut()
  await site.happens('unlock', null)
  await site.work()
  expect([site.isLocked, await site.waiting()]).toEqual([false, []])
})

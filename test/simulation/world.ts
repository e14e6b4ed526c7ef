import { randomInt } from 'node:crypto'
import type { Event, TokenEventKind } from '../../src/core/events/event.ts'
import { AppError } from '../../src/core/error.ts'
import {
  asDn,
  parseDirectoryName,
  parseLogin,
  parseSerial,
  type AccountKey,
  type Login,
  type Serial,
} from '../../src/core/names.ts'
import { MEMORY_LOCKED, MemoryDirectory } from '../support/memory-directory.ts'
import { lookAtEvidence } from '../../src/app/evidence/evidence.ts'
import { recoverUnlocks, recoverUnregisters } from '../../src/app/evidence/recover-folders.ts'
import { wire } from '../../src/app/wiring.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { LdifPort } from '../../src/ports/ldif.ts'
import { reconcileAccount } from '../../src/reconcile/account/reconcile-account.ts'
import type { Ports } from '../../src/reconcile/ports.ts'
import { resolveEvent } from '../../src/reconcile/resolve.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { MemoryLdif } from './memory-ldif.ts'
import { NO_GUARDS, POLICY, RESYNC } from './usual-settings.ts'

/**
 * Lockstep on a directory in memory, driven step by step on a virtual clock: the real store (SQLite in memory), core,
 * ledger and reconciling. A crash throws away everything but the store, the folders and the directory.
 */

class Crash extends Error {}

export interface Person {
  readonly key: AccountKey
  readonly login: Login
}

const GIVE_UP_MS = 30 * 86_400_000
const TURNS_MAX = 300
/** Longer than any wait for a directory that is back. */
const QUIET_MS = 30_000

export class World {
  readonly directory: MemoryDirectory
  readonly ldif: MemoryLdif
  readonly people: readonly Person[]
  readonly serials: readonly Serial[]
  readonly store: Store
  /** Operations until the next crash; null: none is due. */
  crashIn: number | null = null
  crashes = 0
  /** Writes that succeeded after they were given up. */
  lateWrites = 0
  /** Locks of which a person had to say whose they are. */
  unclearLocks = 0
  /** When others wrote to an entry in which a lock of ours, or one that equals it, stood then. */
  readonly besideOurLock: { readonly key: AccountKey; readonly atMs: number }[] = []
  readonly #clock: VirtualClock
  readonly #ports: Ports
  readonly #policy: Ports['policy']
  #isDead = false
  #ids = 0
  #events = 0
  readonly #tag: string

  constructor(
    store: Store,
    clock: VirtualClock,
    tag: string,
    policy: Ports['policy'],
    lockPlaces: 'one' | 'several' | 'bit' = 'one',
  ) {
    this.store = store
    this.#clock = clock
    this.#tag = tag
    this.#policy = policy
    const name = must(parseDirectoryName(`d${tag}`))
    this.directory = new MemoryDirectory({ name, lockPlaces, hasVersions: /[13579]$/.test(tag) }, clock)
    this.people = ['alice', 'bob'].map((text) => {
      const login = must(parseLogin(`${text}${tag}`))
      return { login, key: this.directory.addAccount(login) }
    })
    this.serials = ['A', 'B', 'C'].map((text) => must(parseSerial(`${text}${tag}`)))
    this.ldif = new MemoryLdif(() => this.#step())
    this.#ports = this.#openPorts()
  }

  /** privacyIDEA tells something; it may come in late, or twice. */
  newEvent(kind: TokenEventKind, serial: Serial | null, login: Login | null): Event {
    this.#clock.ms += 1
    return {
      id: `${this.#tag}-${++this.#events}`,
      kind,
      serial,
      login,
      realm: null,
      actor: '',
      takenAtUs: this.#clock.ms * 1000,
      source: 'shim',
      reason: null,
      untilUs: null,
    }
  }

  async take(event: Event): Promise<void> {
    await this.store.inbox.take([event], [])
  }

  /** One round of both loops; a crash in it is survived by a start. */
  async work(): Promise<void> {
    try {
      for (const event of await this.store.inbox.due(this.#clock.ms, 16)) {
        const resolution = await resolveEvent(event, this.#ports, GIVE_UP_MS)
        this.#step()
        await this.store.inbox.recordResolutions([resolution], 0)
        this.#step()
      }
      const claims = await this.store.queue.claim(16, this.#clock.ms)
      for (const claim of claims) await reconcileAccount(claim, this.#ports)
    } catch (thrown) {
      if (!this.#isDead) throw thrown
      await this.#restart()
    }
  }

  /** Lets time pass until nothing is due any more, or only what nobody can resolve. */
  async quiesce(): Promise<void> {
    const untilMs = this.#clock.ms + QUIET_MS
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      await this.work()
      const due = [await this.store.inbox.nextDueMs(), await this.store.queue.nextDueMs()].filter((at) => at !== null)
      if (due.length === 0) return
      const next = Math.min(...due)
      if (next > untilMs) return
      this.#clock.ms = Math.max(this.#clock.ms, next)
    }
    throw new Error('it never comes to rest')
  }

  /** Leaves nothing that would be due for the next world in the same store. */
  async leave(): Promise<void> {
    await this.store.db.deleteFrom('queue').execute()
    await this.store.db.deleteFrom('event').execute()
    await this.store.db.deleteFrom('account').execute()
  }

  /** The account moves to another place of the tree. */
  rename(key: AccountKey): void {
    this.directory.edit(key, { dn: asDn(`uid=${this.directory.account(key).login},ou=${++this.#events},dc=example`) })
    this.othersWrote(key)
  }

  /** To be called after each edit by others. */
  othersWrote(key: AccountKey): void {
    if (this.directory.hasLockedPlace(key)) this.besideOurLock.push({ key, atMs: this.#clock.ms })
  }

  /** A person ends the holds of an account. */
  async release(key: AccountKey): Promise<void> {
    const person = this.people.find((each) => each.key === key)
    await this.take({ ...this.newEvent('unlock', null, person?.login ?? null), kind: 'release', source: 'cli' })
  }

  async markAll(): Promise<void> {
    await this.store.queue.mark(
      this.people.map((person) => person.key),
      this.#clock.ms,
    )
  }

  get nowMs(): number {
    return this.#clock.ms
  }

  pass(ms: number): void {
    this.#clock.ms += ms
  }

  async #restart(): Promise<void> {
    // What was on its way to the store when the process died is there before anybody does anything else.
    await this.store.queue.mark([], this.#clock.ms)
    this.#isDead = false
    this.crashIn = null
    this.crashes++
    await this.store.db.updateTable('queue').set({ lease_owner: null, lease_until_ms: null }).execute()
    const system = {
      store: this.store,
      ldif: this.ldif as LdifPort,
      clock: this.#clock,
      directory: this.directory,
      source: null,
    }
    await recoverUnlocks(system)
    await recoverUnregisters(system)
    await lookAtEvidence(system, SILENT)
    await this.store.maintenance.markUnsettled(this.#clock.ms)
  }

  #step(): void {
    if (this.#isDead) throw new Crash()
    if (this.crashIn === null || --this.crashIn > 0) return
    this.#isDead = true
    throw new Crash()
  }

  /** Every call through a port is a place to die, before it and after it. */
  #mortal<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return async (...values: unknown[]): Promise<unknown> => {
          this.#step()
          const result: unknown = await Reflect.apply(member, target, values)
          this.#step()
          return result
        }
      },
    })
  }

  #openPorts(): Ports {
    const { ports } = wire({
      settings: { policy: { ...POLICY, ...this.#policy }, guards: NO_GUARDS, resync: RESYNC },
      clock: this.#clock,
      store: { ...this.store, records: this.#mortal(this.store.records) },
      directory: this.#mortal(this.directory),
      ldif: this.ldif,
      source: null,
      newId: () => `${this.#tag}-${String(++this.#ids).padStart(6, '0')}`,
    })
    return ports
  }
}

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }

export class VirtualClock implements Clock {
  ms = 1_700_000_000_000

  nowMs(): number {
    return this.ms
  }

  random(): number {
    return 0.5
  }
}

export async function openWorldStore(clock: Clock): Promise<Store> {
  return openStore({ file: ':memory:', clock, lockTtlMs: null, willWrite: true })
}

export function randomSeed(): number {
  return randomInt(2 ** 31)
}

export { MEMORY_LOCKED }

export function must<Value>(value: Value | null): Value {
  if (value === null) throw new AppError('internal', 'a test value that does not parse')
  return value
}

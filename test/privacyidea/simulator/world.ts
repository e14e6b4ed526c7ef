import { randomBytes } from 'node:crypto'
import { AuditLog } from './audit.ts'
import { Lockouts } from './lockouts.ts'
import { REALM, RESOLVER, Stock } from './stock.ts'
import type { SimVersion } from './version.ts'

export interface AdminPolicy {
  readonly active: boolean
  readonly admins: readonly string[]
  readonly actions: readonly string[]
  /** As it was sent. */
  readonly body: Readonly<Record<string, unknown>>
}

export interface LogRow {
  readonly id: number
  readonly atMs: number
  readonly type: string
  readonly endpoint: string
  readonly serial: string | null
  readonly userId: string | null
}

/** Everything that one simulated privacyIDEA knows. */
export class World {
  readonly version: SimVersion
  readonly stock = new Stock()
  readonly admins = new Map<string, string>([['admin', 'secret']])
  readonly policies = new Map<string, AdminPolicy>()
  readonly events = new Map<number, Record<string, unknown>>()
  readonly audit = new AuditLog()
  readonly lockouts = new Lockouts()
  readonly authenticationLog: LogRow[] = []
  /** What `GET /script` would list; 3.14 refuses to bind others. */
  readonly scripts = new Set<string>()
  /** False: the user store below refuses connections. */
  isUserStoreUp = true
  /** `failcounter_clear_timeout`, as it was set; null: it was not. */
  clearTimeoutMin: string | null = null
  /** How long each owner takes then: 20 s on a real one. */
  userStoreWaitMs = 0
  /** Of the tokens that it gives from now on. */
  jwtLifeS = 3600
  #sessions = new Map<string, { readonly name: string; readonly role: string; readonly endsAtMs: number }>()
  #waits = new AbortController()

  constructor(version: SimVersion) {
    this.version = version
  }

  /** With no admin policy at all everything is allowed. */
  allows(admin: string, action: string): boolean {
    const active = [...this.policies.values()].filter((policy) => policy.active)
    if (active.length === 0) return true
    return active.some(({ admins, actions }) => {
      return (admins.length === 0 || admins.includes(admin)) && actions.some((each) => each === action || each === '*')
    })
  }

  rightsOf(admin: string): string[] {
    const all = [...this.policies.values()].filter(({ active }) => active)
    if (all.length === 0)
      return ['tokenlist', 'userlist', 'auditlog', 'reset', 'user_lock_read', 'authentication_log_read']
    return all.filter(({ admins }) => admins.length === 0 || admins.includes(admin)).flatMap(({ actions }) => actions)
  }

  jwtFor(name: string, role: string): string {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const exp = Math.floor(Date.now() / 1000) + this.jwtLifeS
    const jwt = `${part({ alg: 'HS256' })}.${part({ username: name, realm: '', role, exp })}.${randomBytes(16).toString('hex')}`
    this.#sessions.set(jwt, { name, role, endsAtMs: exp * 1000 })
    return jwt
  }

  sessionOf(jwt: string): { readonly name: string; readonly role: string } | 'expired' | null {
    const session = this.#sessions.get(jwt)
    if (session === undefined) return null
    return session.endsAtMs <= Date.now() ? 'expired' : session
  }

  /** All tokens that it gave are over, as after a restart with another key. */
  endSessions(): void {
    this.#sessions = new Map()
  }

  /** As long as so many owners take whose user store does not answer. */
  async waitForOwners(count: number): Promise<void> {
    const ms = this.userStoreWaitMs * count
    const { signal } = this.#waits
    if (ms === 0 || signal.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
    })
  }

  log(endpoint: string, type: string, serial: string | null, userId: string | null): void {
    const id = this.authenticationLog.length + 1
    this.authenticationLog.push({ id, atMs: Date.now(), type, endpoint, serial, userId })
    if (userId !== null) this.lockouts.count(type, userId)
  }

  /** Ends what waits. */
  close(): void {
    this.#waits.abort()
  }
}

/** A user as the API names him. */
export function namesOf(world: World, userId: string | null): Record<string, string | null> {
  if (userId === null) return { username: null, uid: null, realm: null, resolver: null }
  return { username: world.stock.users.get(userId)?.login ?? '', uid: userId, realm: REALM, resolver: RESOLVER }
}

import { randomBytes } from 'node:crypto'
import { AuditLog } from './audit.ts'
import { Lockouts } from './lockouts.ts'
import { REALM, RESOLVER, Stock, type SimUser } from './stock.ts'
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
/** Of those that privacyIDEA names where there is no admin policy, what Lockstep looks for. */
const ALL_RIGHTS = [
  ...['tokenlist', 'userlist', 'auditlog', 'reset', 'user_lock_read', 'authentication_log_read'],
  ...['enrollHOTP', 'enrollTOTP', 'delete'],
  ...['eventhandling_read', 'eventhandling_write', 'policyread', 'policywrite', 'policydelete'],
]

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
  /** True of rows that its lists leave out, by their place in the page, though the count names them; null: none. */
  leavesOut: ((at: number) => boolean) | null = null
  /** True of tokens, by their ids, that no list has nor counts; null: none. */
  hides: ((id: number) => boolean) | null = null
  /** False: the user store below refuses connections. */
  isUserStoreUp = true
  /** The resolvers of each realm, in the order in which they count. */
  readonly realms = new Map([[REALM, [RESOLVER]]])
  /** Resolvers that do not answer while others do. */
  readonly downResolvers = new Set<string>()
  /** Changes rows of tokens, of lockouts and of the authentication log on their way out. */
  mangle: (row: Record<string, unknown>) => Record<string, unknown> = (row) => row
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
    if (all.length === 0) return ALL_RIGHTS
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

  /** The realm has it, or some realm has. */
  hasResolver(resolver: string, realm?: string): boolean {
    const lists = realm === undefined ? [...this.realms.values()] : [this.realms.get(realm) ?? []]
    return lists.some((resolvers) => resolvers.includes(resolver))
  }

  isDown(resolver: string): boolean {
    return !this.isUserStoreUp || this.downResolvers.has(resolver)
  }

  /** Those of a login in a realm, the one that is meant without a resolver first. */
  usersOf(login: string, realm: string): SimUser[] {
    const order = this.realms.get(realm) ?? []
    const found = this.stock.usersCalled(login).filter(({ resolver }) => order.includes(resolver))
    return found.toSorted((a, b) => order.indexOf(a.resolver) - order.indexOf(b.resolver))
  }

  /** Ends what waits. */
  close(): void {
    this.#waits.abort()
  }
}

/** A user as the API names him. */
export function namesOf(world: World, userId: string | null): Record<string, string | null> {
  if (userId === null) return { username: null, uid: null, realm: null, resolver: null }
  const user = world.stock.users.get(userId)
  const { login: username, realm, resolver } = user ?? { login: '', realm: REALM, resolver: RESOLVER }
  return { username, uid: userId, realm, resolver }
}

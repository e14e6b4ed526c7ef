/** What the simulator holds: users of its user store, and tokens. 300,000 of each fit into some 100 MB. */

export interface SimUser {
  readonly userId: string
  readonly resolver: string
  readonly realm: string
  login: string
}

export interface SimToken {
  readonly id: number
  readonly serial: string
  /** As `creation_date` of its info. */
  readonly madeAt: string
  readonly type: string
  /** The secret of HOTP, and the PIN in front of it. */
  readonly key: string
  pin: string
  counter: number
  active: boolean
  revoked: boolean
  failcount: number
  maxfail: number
  /** When its counter reached its max. */
  fullSinceMs: number | null
  rolloutState: string
  /** Kept when the user store knows him no more, as are the two that follow. */
  userId: string | null
  resolver: string
  realm: string
}

export const RESOLVER = 'ldap1'
export const REALM = 'r1'

/** Tokens in the order of their ids, and found by serial (in any case, as on MariaDB and MySQL) and by user. */
export class Stock {
  readonly users = new Map<string, SimUser>()
  readonly #byLogin = new Map<string, SimUser[]>()
  #tokens: SimToken[] = []
  readonly #bySerial = new Map<string, SimToken>()
  readonly #byUser = new Map<string, Set<SimToken>>()
  #lastId = 0
  /** True: as on SQLite and PostgreSQL, where two tokens may differ by case only. */
  isCaseSensitive = false

  /** Several resolvers may have one login; no two have one id here. */
  addUser(login: string, userId: string, resolver = RESOLVER, realm = REALM): SimUser {
    const user = { userId, login, resolver, realm }
    this.users.set(userId, user)
    this.#named(login).push(user)
    return user
  }

  removeUser(login: string): void {
    const user = this.userOf(login)
    if (user === null) return
    this.users.delete(user.userId)
    this.#byLogin.delete(login.toLowerCase())
  }

  renameUser(login: string, to: string): void {
    const user = this.userOf(login)
    if (user === null) throw new Error(`no user ${login}`)
    this.#byLogin.delete(login.toLowerCase())
    user.login = to
    this.#named(to).push(user)
  }

  userOf(login: string): SimUser | null {
    return this.usersCalled(login)[0] ?? null
  }

  usersCalled(login: string): readonly SimUser[] {
    return this.#byLogin.get(login.toLowerCase()) ?? []
  }

  #named(login: string): SimUser[] {
    const found = this.#byLogin.get(login.toLowerCase()) ?? []
    this.#byLogin.set(login.toLowerCase(), found)
    return found
  }

  addToken(serial: string, change: Partial<SimToken> = {}): SimToken {
    const token: SimToken = {
      madeAt: `${new Date().toISOString().slice(0, 19)}+00:00`,
      type: 'hotp',
      key: '3132333435363738393031323334353637383930',
      pin: '',
      counter: 0,
      active: true,
      revoked: false,
      failcount: 0,
      maxfail: 10,
      fullSinceMs: null,
      rolloutState: 'enrolled',
      userId: null,
      resolver: RESOLVER,
      realm: REALM,
      ...change,
      id: ++this.#lastId,
      serial,
    }
    this.#tokens.push(token)
    this.#bySerial.set(this.#keyOf(serial), token)
    if (token.userId !== null) this.assign(token, token.userId)
    return token
  }

  removeToken(token: SimToken): void {
    this.#tokens.splice(this.#tokens.indexOf(token), 1)
    this.#bySerial.delete(this.#keyOf(token.serial))
    this.assign(token, null)
  }

  assign(token: SimToken, userId: string | null): void {
    if (token.userId !== null) this.#byUser.get(token.userId)?.delete(token)
    token.userId = userId
    if (userId === null) return
    this.#setOf(userId).add(token)
    const user = this.users.get(userId)
    if (user !== undefined) Object.assign(token, { resolver: user.resolver, realm: user.realm })
  }

  token(serial: string): SimToken | null {
    return this.#bySerial.get(this.#keyOf(serial)) ?? null
  }

  #keyOf(serial: string): string {
    return this.isCaseSensitive ? serial : serial.toLowerCase()
  }

  get tokens(): readonly SimToken[] {
    return this.#tokens
  }

  tokensOf(userId: string): readonly SimToken[] {
    return [...(this.#byUser.get(userId) ?? [])].toSorted((a, b) => a.id - b.id)
  }

  #setOf(userId: string): Set<SimToken> {
    const found = this.#byUser.get(userId) ?? new Set()
    this.#byUser.set(userId, found)
    return found
  }
}

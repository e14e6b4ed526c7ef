/** What the simulator holds: users of its user store, and tokens. 300,000 of each fit into some 100 MB. */

export interface SimUser {
  readonly userId: string
  login: string
}

export interface SimToken {
  readonly id: number
  readonly serial: string
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
  /** Kept when the user store knows him no more. */
  userId: string | null
}

export const RESOLVER = 'ldap1'
export const REALM = 'r1'

/** Tokens in the order of their ids, and found by serial (in any case, as the server does) and by user. */
export class Stock {
  readonly users = new Map<string, SimUser>()
  readonly #byLogin = new Map<string, SimUser>()
  #tokens: SimToken[] = []
  readonly #bySerial = new Map<string, SimToken>()
  readonly #byUser = new Map<string, Set<SimToken>>()
  #lastId = 0

  addUser(login: string, userId: string): SimUser {
    const user = { userId, login }
    this.users.set(userId, user)
    this.#byLogin.set(login.toLowerCase(), user)
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
    this.#byLogin.set(to.toLowerCase(), user)
  }

  userOf(login: string): SimUser | null {
    return this.#byLogin.get(login.toLowerCase()) ?? null
  }

  addToken(serial: string, change: Partial<SimToken> = {}): SimToken {
    const token: SimToken = {
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
      ...change,
      id: ++this.#lastId,
      serial,
    }
    this.#tokens.push(token)
    this.#bySerial.set(serial.toLowerCase(), token)
    if (token.userId !== null) this.#setOf(token.userId).add(token)
    return token
  }

  removeToken(token: SimToken): void {
    this.#tokens.splice(this.#tokens.indexOf(token), 1)
    this.#bySerial.delete(token.serial.toLowerCase())
    this.assign(token, null)
  }

  assign(token: SimToken, userId: string | null): void {
    if (token.userId !== null) this.#byUser.get(token.userId)?.delete(token)
    token.userId = userId
    if (userId !== null) this.#setOf(userId).add(token)
  }

  token(serial: string): SimToken | null {
    return this.#bySerial.get(serial.toLowerCase()) ?? null
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

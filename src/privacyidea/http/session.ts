import { AppError, toAppError } from '../../core/error.ts'
import type { SourceLogin, SourceSettings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { answerOf, isFields, type Answer } from './envelope.ts'
import type { Transport } from './transport.ts'

/** The login that privacyIDEA is called with. */
export interface Login {
  /** The token of the header; never shown. */
  readonly jwt: string
  readonly user: string
  readonly realm: string
  /** The actions that admin policies allow; null: this kind of login does not list them. */
  readonly rights: ReadonlySet<string> | null
  /** When it is renewed, in milliseconds since 1970 by this machine's clock; null: it is kept until it is refused. */
  readonly renewAtMs: number | null
}

/** Challenges that are answered by the same password, before a login counts as refused. */
const CHALLENGES_MAX = 3
/** A token is renewed so long before it ends, or after nine tenths of its life, the later of both. */
const RENEW_BEFORE_MS = 60_000
/** For how long a refused login is not tried again, unless the secret changed: each try counts against the account. */
const REFUSED_MS = 30_000
const LOGIN_HINT =
  'Check privacyidea.user, its realm and its password file. An administrator is needed, not a user; see docs/how-to/privacyidea-api.md.'

/** Logs in when needed, once for all callers that wait, and keeps the outcome in memory only. */
export class Session {
  readonly #settings: SourceSettings
  readonly #transport: Transport
  readonly #readSecret: SecretReader
  readonly #clock: Clock
  #current: Login | null = null
  #renewing: Promise<Login> | null = null
  #refused: { readonly secret: string; readonly error: AppError; readonly untilMs: number } | null = null

  constructor(settings: SourceSettings, transport: Transport, readSecret: SecretReader, clock: Clock) {
    this.#settings = settings
    this.#transport = transport
    this.#readSecret = readSecret
    this.#clock = clock
  }

  /** Fails with `source-login-refused`, and as the transport and reading the secret do. */
  async login(): Promise<Login> {
    const current = this.#current
    if (current !== null && (current.renewAtMs === null || this.#clock.nowMs() < current.renewAtMs)) return current
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = null))
    return this.#renewing
  }

  /** The server refused this login; the next call makes a new one. */
  drop(login: Login): void {
    if (this.#current === login) this.#current = null
  }

  /** Values that must not show in any text. */
  secrets(): readonly string[] {
    return this.#current === null ? [] : [this.#current.jwt]
  }

  async #renew(): Promise<Login> {
    const { login } = this.#settings
    const secret = this.#readSecret(login.kind === 'password' ? login.password : login.token)
    const refused = this.#refused
    if (refused !== null && refused.secret === secret && this.#clock.nowMs() < refused.untilMs) throw refused.error
    this.#refused = null
    try {
      this.#current = login.kind === 'token' ? readyMade(secret) : await this.#byPassword(login, secret)
      return this.#current
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code === 'source-login-refused') {
        this.#refused = { secret, error, untilMs: this.#clock.nowMs() + REFUSED_MS }
      }
      throw error
    }
  }

  /** Some administrators get a challenge first, which the same password answers. */
  async #byPassword(login: SourceLogin & { kind: 'password' }, password: string): Promise<Login> {
    const request = { method: 'POST', path: '/auth' } as const
    const where = this.#transport.where(request)
    const body: Record<string, string> = { username: login.user, password }
    if (login.realm !== null) body['realm'] = login.realm
    for (let tries = 1; tries <= CHALLENGES_MAX; tries++) {
      const answer = answerOf(await this.#transport.send({ ...request, body }, true), where, [password])
      if (isFields(answer.value)) return this.#granted(answer, answer.value, where)
      const transaction = isFields(answer.detail) ? answer.detail['transaction_id'] : undefined
      if (typeof transaction !== 'string') break
      body['transaction_id'] = transaction
    }
    throw new AppError('source-login-refused', `${where}: a challenge was not answered by the password alone`, {
      hint: 'Give the account that Lockstep logs in with a password only, or use a token file.',
    })
  }

  #granted(answer: Answer, value: Readonly<Record<string, unknown>>, where: string): Login {
    const { token: jwt, role, username, realm, rights } = value
    if (typeof jwt !== 'string' || jwt === '') {
      throw new AppError('source-answer', `${where}: the answer holds no token`, { hint: 'Check privacyidea.url.' })
    }
    if (role !== 'admin') {
      throw new AppError('source-login-refused', `${where}: the login is that of a user`, { hint: LOGIN_HINT })
    }
    const endsAtMs = claimsOf(jwt).endsAtMs
    const serverMs = answer.dateMs ?? this.#clock.nowMs()
    return {
      jwt,
      user: typeof username === 'string' ? username : '',
      realm: typeof realm === 'string' ? realm : '',
      rights: Array.isArray(rights) ? new Set(rights.map(String)) : null,
      renewAtMs: endsAtMs === null ? null : this.#clock.nowMs() + usableMs(endsAtMs - serverMs),
    }
  }
}

function usableMs(lifeMs: number): number {
  return Math.max(0, lifeMs - RENEW_BEFORE_MS, Math.floor(lifeMs * 0.9))
}

/** A token that was made for good: read again from its file when it is refused. */
function readyMade(jwt: string): Login {
  const { user, realm, rights } = claimsOf(jwt)
  return { jwt, user, realm, rights, renewAtMs: null }
}

/** The claims of a JWT (RFC 7519). Nothing is verified here; the server does that. */
function claimsOf(jwt: string): Pick<Login, 'user' | 'realm' | 'rights'> & { endsAtMs: number | null } {
  const claims = decoded(jwt)
  const { username, realm, rights, exp } = claims
  return {
    user: typeof username === 'string' ? username : '',
    realm: typeof realm === 'string' ? realm : '',
    rights: Array.isArray(rights) ? new Set(rights.map(String)) : null,
    endsAtMs: typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : null,
  }
}

function decoded(jwt: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'))
    return isFields(claims) ? claims : {}
  } catch {
    return {}
  }
}

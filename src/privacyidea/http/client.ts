import { AppError } from '../../core/error.ts'
import type { SourceSettings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import type { SourceVersion } from '../../ports/privacyidea.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { answerOf, type Answer } from './envelope.ts'
import { Session, type Login } from './session.ts'
import { Transport, type Request } from './transport.ts'

/** A request without its token, which the client adds. */
export type Call = Omit<Request, 'jwt'>

/**
 * Calls of privacyIDEA's API: with login, unpacked answers and error codes. Every call may fail with
 * `source-unreachable`, `source-timeout`, `source-tls`, `source-login-refused`, `source-not-permitted`,
 * `source-resolver`, `source-answer`, `unknown-user`, `limit-exceeded`, and as reading the secret does. To be disposed
 * of.
 */
export class Client implements AsyncDisposable {
  readonly #transport: Transport
  readonly #session: Session
  #version: SourceVersion | null = null

  constructor(settings: SourceSettings, readSecret: SecretReader, clock: Clock) {
    this.#transport = new Transport(settings)
    this.#session = new Session(settings, this.#transport, readSecret, clock)
  }

  /** The login in use; logs in when needed. */
  login(): Promise<Login> {
    return this.#session.login()
  }

  /** Of the server that answered last; reads one token when there was no call yet. */
  async version(): Promise<SourceVersion> {
    if (this.#version === null) await this.call({ method: 'GET', path: '/token/', query: { pagesize: 1 } })
    if (this.#version !== null) return this.#version
    throw new AppError('source-answer', `${this.where('GET', '/token/')}: the server does not report its version`, {
      hint: 'Is it privacyIDEA that answers there?',
    })
  }

  where(method: Request['method'], path: string): string {
    return this.#transport.where({ method, path })
  }

  /** @param mayRepeat the call may reach the server twice where the connection breaks; a GET always may */
  async call(call: Call, mayRepeat = call.method === 'GET'): Promise<Answer> {
    const login = await this.#session.login()
    const first = await this.#transport.send({ ...call, jwt: login.jwt }, mayRepeat)
    if (first.status !== 401) return this.#unpacked(first, call)
    // Refused before anything was done: with a new login it may be repeated.
    const secrets = this.#session.secrets()
    this.#session.drop(login)
    const again = await this.#session.login()
    if (again.jwt === login.jwt) {
      this.#session.drop(again)
      return this.#unpacked(first, call, secrets)
    }
    return this.#unpacked(await this.#transport.send({ ...call, jwt: again.jwt }, mayRepeat), call)
  }

  #unpacked(
    raw: Awaited<ReturnType<Transport['send']>>,
    call: Call,
    secrets: readonly string[] = this.#session.secrets(),
  ): Answer {
    const answer = answerOf(raw, this.#transport.where(call), secrets)
    this.#version = parseVersion(answer.version) ?? this.#version
    return answer
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#transport[Symbol.asyncDispose]()
  }
}

/** @returns null where the text begins with no `MAJOR.MINOR` */
function parseVersion(text: string): SourceVersion | null {
  const match = /^(\d{1,4})\.(\d{1,4})/.exec(text)
  return match === null ? null : { text, major: Number(match[1]), minor: Number(match[2]) }
}

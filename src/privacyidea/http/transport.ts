import { readFile } from 'node:fs/promises'
import type { Pool } from 'undici'
import { caTrouble } from '../../core/settings/ca-file.ts'
import { AppError } from '../../core/error.ts'
import { ByteBudget, type JsonLimits } from '../../core/json-limit.ts'
import { systemRefusal } from '../../core/system-error.ts'
import type { SourceSettings } from '../../core/settings/settings.ts'
import { errorOfConnection, isConnectFailure } from './connect-error.ts'

/** What goes over the wire. */
export interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below the URL of the settings; begins with a slash. */
  readonly path: string
  readonly query?: Query
  /** Sent as JSON; never with GET, which privacyIDEA answers with HTML then. */
  readonly body?: Readonly<Record<string, unknown>>
  /** For the header Authorization. */
  readonly jwt?: string
}

export type Query = Readonly<Record<string, string | number | boolean>>

/** An answer, read to its end. */
export interface RawAnswer {
  readonly status: number
  readonly contentType: string
  readonly bytes: Buffer
  /** The limits for parsing it. */
  readonly limits: AnswerLimits
  /** The server's clock by its header Date, in milliseconds since 1970; null: it sent none. */
  readonly dateMs: number | null
}

const MIB = 1024 * 1024

/** Limits of an answer: of its length, and of the memory once it is parsed. */
export interface AnswerLimits extends JsonLimits {
  readonly bytesMax: number
}

/** Pages of rows: 1000 tokens at most (`pageSize`), of 16 KiB and 400 values each. */
const LIST_LIMITS: AnswerLimits = { bytesMax: 16 * MIB, depthMax: 32, valuesMax: 400_000 }
/** All policies, event handlers, realms, resolvers. */
const DEFINITION_LIMITS: AnswerLimits = { bytesMax: 8 * MIB, depthMax: 32, valuesMax: 200_000 }
/** A login with its rights, a new token with its image, a single value. */
const SINGLE_LIMITS: AnswerLimits = { bytesMax: MIB, depthMax: 32, valuesMax: 20_000 }

const LISTS = ['/token/', '/user/', '/audit/', '/authenticationlog/', '/conditionalaccess/lock/users']
const DEFINITIONS = ['/policy/', '/event/', '/realm/', '/resolver/']
/** Of all answers in progress together. */
const READ_BYTES_MAX = 32 * MIB
const reading = new ByteBudget(READ_BYTES_MAX)

const CALLS_MAX = 256
const TRIES_MAX = 2
/** Below the 2 s after which gunicorn closes an idle connection, so that no request meets one that is just closing. */
const IDLE_MS = 1_000

/**
 * The connections to one privacyIDEA: opened when needed, `connectionsMax` at most, TLS always verified. A request that
 * may be repeated and did not reach the server is tried a second time. To be disposed of.
 */
export class Transport implements AsyncDisposable {
  readonly #settings: SourceSettings
  readonly #origin: string
  readonly #prefix: string
  #pool: Promise<Pool> | null = null
  #calls = 0

  constructor(settings: SourceSettings) {
    this.#settings = settings
    const url = new URL(settings.url)
    this.#origin = url.origin
    this.#prefix = url.pathname.replace(/\/+$/, '')
  }

  /** The URL for messages: without the query, since that may contain names. */
  where(request: Pick<Request, 'method' | 'path'>): string {
    return `privacyIDEA: ${request.method} ${this.#origin}${this.#prefix}${request.path}`
  }

  /**
   * Fails with `source-unreachable`, `source-timeout`, `source-tls`, `source-answer` (too large), `limit-exceeded`.
   * @param mayRepeat the request may reach the server twice
   */
  async send(request: Request, mayRepeat = request.method === 'GET'): Promise<RawAnswer> {
    const where = this.where(request)
    if (this.#calls >= CALLS_MAX) {
      throw new AppError('limit-exceeded', `${where}: ${CALLS_MAX} calls wait already`, {
        hint: 'It is tried again by itself; privacyIDEA answers too slowly.',
      })
    }
    this.#calls++
    try {
      const deadline = AbortSignal.timeout(this.#settings.timeoutMs)
      for (let tries = 1; ; tries++) {
        const pool = await this.#opened()
        try {
          return await this.#once(pool, request, deadline)
        } catch (thrown) {
          if (mayRepeat && tries < TRIES_MAX && isConnectFailure(thrown)) continue
          throw await this.#failure(pool, thrown, where)
        }
      }
    } finally {
      this.#calls--
    }
  }

  async #once(pool: Pool, request: Request, signal: AbortSignal): Promise<RawAnswer> {
    const query = request.query === undefined ? '' : `?${new URLSearchParams(textsOf(request.query)).toString()}`
    const response = await pool.request({
      method: request.method,
      path: `${this.#prefix}${request.path}${query}`,
      headers: {
        accept: 'application/json',
        'user-agent': 'lockstep',
        ...(request.jwt === undefined ? {} : { authorization: request.jwt }),
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: request.body === undefined ? null : JSON.stringify(request.body),
      signal,
    })
    const date = Date.parse(String(response.headers['date'] ?? ''))
    const limits = limitsOf(request)
    return {
      status: response.statusCode,
      contentType: String(response.headers['content-type'] ?? ''),
      bytes: await readBytes(response.body, limits.bytesMax, this.where(request)),
      limits,
      dateMs: Number.isNaN(date) ? null : date,
    }
  }

  /** After a failure of TLS the CA file is read again, so that a renewed one is picked up. */
  async #failure(pool: Pool, thrown: unknown, where: string): Promise<AppError> {
    const error = errorOfConnection(thrown, where, this.#settings.timeoutMs)
    if (error.code === 'source-tls' && this.#pool !== null && (await this.#pool) === pool) {
      this.#pool = null
      void pool.destroy().catch(() => undefined)
    }
    return error
  }

  #opened(): Promise<Pool> {
    this.#pool ??= this.#open().catch((thrown: unknown) => {
      this.#pool = null
      throw thrown
    })
    return this.#pool
  }

  async #open(): Promise<Pool> {
    const { caFile, connectTimeoutMs, connectionsMax, timeoutMs } = this.#settings
    const ca = caFile === null ? {} : { ca: await readCa(caFile) }
    // Loaded with the first request: a command without requests does not pay for it.
    const { httpPool } = await import('./http-pool.ts')
    return httpPool(this.#origin, {
      connections: connectionsMax,
      pipelining: 1,
      connect: { ...ca, timeout: connectTimeoutMs, minVersion: 'TLSv1.2', rejectUnauthorized: true },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pool = this.#pool
    this.#pool = null
    if (pool !== null) await pool.then((each) => each.destroy()).catch(() => undefined)
  }
}

async function readCa(file: string): Promise<string> {
  try {
    const bytes = await readFile(file)
    const trouble = caTrouble(bytes, file)
    if (trouble === null) return bytes.toString('utf8')
    throw new AppError('source-tls', `privacyIDEA: the key privacyidea.ca: ${trouble.what}`, { hint: trouble.fix })
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    const reason = systemRefusal(cause).why
    throw new AppError('source-tls', `privacyIDEA: cannot read the CA file ${file}: ${reason}`, {
      hint: 'Correct the key privacyidea.ca, or make the file readable for the user that Lockstep runs as.',
      cause,
    })
  }
}

export function limitsOf({ method, path }: Pick<Request, 'method' | 'path'>): AnswerLimits {
  if (method !== 'GET') return SINGLE_LIMITS
  if (LISTS.includes(path)) return LIST_LIMITS
  return DEFINITIONS.some((each) => path.startsWith(each)) ? DEFINITION_LIMITS : SINGLE_LIMITS
}

async function readBytes(body: AsyncIterable<Uint8Array>, bytesMax: number, where: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of body) {
      if (length + chunk.length > bytesMax) {
        throw new AppError('source-answer', `${where}: the answer is larger than ${bytesMax / MIB} MiB`, {
          hint: 'Is it privacyIDEA that answers there? Else lower privacyidea.pageSize.',
        })
      }
      if (!reading.take(chunk.length)) throw tooMuchAtOnce(where)
      length += chunk.length
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    reading.give(length)
  }
}

function tooMuchAtOnce(where: string): AppError {
  return new AppError('limit-exceeded', `${where}: answers of more than ${READ_BYTES_MAX / MIB} MiB at once`, {
    hint: 'It is tried again by itself; lower privacyidea.pageSize or privacyidea.connectionsMax if it stays so.',
  })
}

/** privacyIDEA decodes the values of a query twice (measured on 3.11 to 3.14): `%20` in a name would become a blank. */
function textsOf(query: Query): Record<string, string> {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value).replaceAll('%', '%25')]))
}

/** The length of a query in the request line. */
export function queryLength(query: Query): number {
  return new URLSearchParams(textsOf(query)).toString().length
}

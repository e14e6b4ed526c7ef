import type { IncomingMessage, Server } from 'node:http'
import { AppError, toAppError, type ErrorCode } from '../core/error.ts'
import type { HttpSettings } from '../core/settings/settings.ts'
import type { SecretReader } from '../ports/secret.ts'
import { failureOf, send, type Answer } from './answer.ts'
import { newConnections, type Connections } from './connections.ts'
import { newHandler, type Handler, type HookOptions } from './hook.ts'
import { openHookSecret } from './hook-secret.ts'
import { errnoOf } from '../core/system-error.ts'

/** The listener: `node:http` itself, since two paths need no framework, and every limit is set here. */

/**
 * Not by `import`: naming its exports one by one would load the HTTP client and WebSocket of Node as well, which take
 * 13 MB of memory without use (Node 24).
 */
const { createServer } = process.getBuiltinModule('node:http')

const HEADER_BYTES_MAX = 8 * 1024
const HEADERS_MAX = 64
const REQUESTS_PER_CONNECTION_MAX = 1000
/** The kernel cuts it to its own limit. Beyond it a connection needs a retry, which takes a second. */
const BACKLOG_MAX = 4096
/** How long the rest of an unwanted body is read and discarded, so that the caller can read the answer. */
const LINGER_MS = 1000
/** How long requests in progress may take when the server stops. */
const STOP_MS = 5000

export interface HttpLimits {
  /** Headers must be there after so long: a caller without headers must not keep a connection. */
  readonly headersMs: number
  /** Headers, and body, must be there after so long. */
  readonly requestMs: number
  /** A connection without a request is closed after so long. */
  readonly idleMs: number
}
const LIMITS: HttpLimits = { headersMs: 2000, requestMs: 10_000, idleMs: 5000 }

export interface HttpOptions extends Omit<HookOptions, 'onError'> {
  readonly readSecret: SecretReader
  /** An event that could not be recorded, or a secret that cannot be read any more. */
  readonly onError?: (error: AppError) => void
  readonly limits?: Partial<HttpLimits>
}

export interface HttpServer extends AsyncDisposable {
  /**
   * Prepares other settings; the address stays. Fails with `config-invalid` (secret).
   * @returns applies them, for every request from then on
   */
  prepare(settings: HttpSettings): () => void
  /** `host:port`, with the port that the system chose where 0 was asked for. */
  readonly address: string
}

/** Fails with `address-in-use`, `file-not-permitted` (a port below 1024), `config-invalid` (address, secret). */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const { settings, clock, readSecret, onError = () => undefined } = options
  const limits = { ...LIMITS, ...options.limits }
  const connections = newConnections()
  const handlerOf = (by: HttpSettings): Handler => {
    const secret = openHookSecret(
      () => readSecret(by.hookSecret),
      () => clock.nowMs(),
      onError,
    )
    return newHandler({ ...options, settings: by, onError }, secret, (request) => connections.trust(request.socket))
  }
  let handle = handlerOf(settings)
  const server = newServer((request) => handle(request), connections, limits, onError)
  await listen(server, settings.host, settings.port)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : settings.port
  const prepare = (by: HttpSettings): (() => void) => {
    const next = handlerOf(by)
    return () => void (handle = next)
  }
  return { address: hostPort(settings.host, port), prepare, [Symbol.asyncDispose]: () => stop(server) }
}

function newServer(
  handle: Handler,
  connections: Connections,
  limits: HttpLimits,
  onError: (error: AppError) => void,
): Server {
  const headersMs = Math.min(limits.headersMs, limits.requestMs)
  const server = createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.max(50, Math.min(1000, headersMs / 4)),
  })
  server.maxHeadersCount = HEADERS_MAX
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX
  // Nothing at all happens on the connection: the last limit, also while a slow reader takes its answer.
  server.timeout = limits.requestMs + limits.idleMs
  server.on('connection', (socket) => connections.admit(socket))
  server.on('request', (request, response) => {
    // A server that stops takes no further request on a connection that it keeps alive.
    void answer(handle, request, onError).then((result) => {
      send(response, server.listening ? result : { ...result, close: true }, request.method !== 'HEAD')
      if (!request.complete) discard(request)
    })
    response.on('error', () => undefined)
  })
  return server
}

async function answer(handle: Handler, request: IncomingMessage, onError: (error: AppError) => void): Promise<Answer> {
  try {
    return await handle(request)
  } catch (thrown) {
    const error = toAppError(thrown)
    onError(error)
    return failureOf(error)
  }
}

/** Reads on for a moment: closing with unread data would reset the connection and destroy the answer. */
function discard(request: IncomingMessage): void {
  request.on('error', () => undefined)
  request.resume()
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS)
  request.socket.once('close', () => clearTimeout(timer))
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const fail = (thrown: Error): void => reject(listenError(thrown, hostPort(host, port)))
  server.once('error', fail)
  server.listen({ host, port, backlog: BACKLOG_MAX }, resolve)
  await promise
  server.off('error', fail)
}

function listenError(thrown: Error, where: string): AppError {
  const errno = errnoOf(thrown)
  const of = (code: ErrorCode, message: string, hint: string): AppError =>
    new AppError(code, message, { hint: `Set intake.http.listen to ${hint}`, cause: thrown })
  if (errno === 'EADDRINUSE') {
    const free = 'a free port, or stop that process: `ss -ltnp` names it.'
    return of('address-in-use', `${where} is in use by another process.`, free)
  }
  if (errno === 'EACCES')
    return of('file-not-permitted', `No permission to listen on ${where}.`, 'a port of at least 1024.')
  return of(
    'config-invalid',
    `Cannot listen on ${where} (${errno}).`,
    'an address of this machine, as in 127.0.0.1:8640.',
  )
}

async function stop(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), STOP_MS)
  await promise
  clearTimeout(timer)
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

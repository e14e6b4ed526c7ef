import { connect } from 'node:net'
import { AppError } from '../../src/core/error.ts'
import type { HttpSettings } from '../../src/core/settings/settings.ts'
import { startHttp, type HttpOptions } from '../../src/http/server.ts'
import { readWebhook } from '../../src/intake/webhook.ts'
import { newMemoryIntake, type MemoryIntake } from '../intake/memory-intake.ts'

export const SECRET = 'correct-horse/battery+staple'
export const SECRET_PATH = encodeURIComponent(SECRET)

export interface Fixture extends AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly intake: MemoryIntake
  readonly errors: AppError[]
  /** What `/healthz` says. */
  ready: boolean
  /** What the secret's place holds; null: it cannot be read. */
  secret: string | null
  /** Moves the server's clock on. */
  pass(ms: number): void
}

export function settings(changes: Partial<HttpSettings> = {}): HttpSettings {
  return {
    host: '127.0.0.1',
    port: 0,
    hookSecret: { env: 'HOOK' },
    allow: [],
    bodyBytesMax: 4096,
    requestsPerSecondMax: 1000,
    ...changes,
  }
}

export async function newFixture(
  changes: Partial<HttpSettings> = {},
  limits: HttpOptions['limits'] = {},
): Promise<Fixture> {
  const intake = newMemoryIntake()
  const errors: AppError[] = []
  let passedMs = 0
  const state = { ready: true, secret: SECRET as string | null }
  const server = await startHttp({
    settings: settings(changes),
    intake,
    clock: { nowMs: () => Date.now() + passedMs, random: () => 0.5 },
    readHook: readWebhook,
    readSecret: () => {
      if (state.secret === null) throw new AppError('file-not-permitted', 'the secret file may not be read')
      return state.secret
    },
    isReady: () => state.ready,
    onError: (error) => errors.push(error),
    limits,
  })
  const port = Number(/:(\d+)$/.exec(server.address)?.[1])
  return Object.assign(state, {
    port,
    url: `http://${server.address}`,
    intake,
    errors,
    pass: (ms: number) => void (passedMs += ms),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  })
}

export async function post(
  at: Fixture,
  path: string,
  body: string | Buffer,
  contentType: string | null = 'application/x-www-form-urlencoded',
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const headers: Record<string, string> = contentType === null ? {} : { 'content-type': contentType }
  const response = await fetch(`${at.url}${path}`, { method: 'POST', body: Buffer.from(body), headers })
  return { status: response.status, body: await response.json(), headers: response.headers }
}

/** A connection on which bytes are sent as they are. */
export interface Raw extends Disposable {
  send(bytes: string): void
  /** All that came until the server closed the connection. */
  readonly closed: Promise<string>
  /** Resolves once what came matches. */
  received(pattern: RegExp): Promise<string>
}

export async function openRaw(port: number, host = '127.0.0.1'): Promise<Raw> {
  const socket = connect(port, host)
  let text = ''
  const waiters: (() => void)[] = []
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    for (const look of waiters) look()
  })
  socket.on('error', () => undefined)
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)))
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return {
    send: (bytes) => void socket.write(bytes),
    closed,
    received: (pattern) =>
      new Promise<string>((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(text)) resolve(text)
        }
        waiters.push(look)
        socket.once('close', () =>
          pattern.test(text) ? resolve(text) : reject(new Error(`closed after ${JSON.stringify(text)}`)),
        )
        look()
      }),
    [Symbol.dispose]: () => socket.destroy(),
  }
}

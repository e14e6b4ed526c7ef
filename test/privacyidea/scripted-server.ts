import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { text } from 'node:stream/consumers'

/** What came in, read to its end. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Record<string, string>
}

/** A web server of loopback that answers as it is told to, and remembers what it was asked. */
export interface ScriptedServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly received: readonly Received[]
}

export type Script = (request: Received, response: ServerResponse) => void | Promise<void>

/** @param tls PEM texts; without them it speaks plain HTTP */
export async function startScripted(script: Script, tls?: { key: string; cert: string }): Promise<ScriptedServer> {
  const received: Received[] = []
  const listener: RequestListener = (request, response) => {
    void (async () => {
      const url = new URL(request.url ?? '/', 'http://x')
      const body = await text(request)
      const one = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: body === '' ? {} : JSON.parse(body),
      }
      received.push(one)
      await script(one, response)
    })().catch(() => response.destroy())
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port')
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${tls === undefined ? '127.0.0.1' : 'localhost'}:${address.port}`,
    port: address.port,
    received,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** privacyIDEA's way to say yes. */
export function yes(response: ServerResponse, value: unknown, more: Record<string, unknown> = {}): void {
  json(response, 200, { jsonrpc: '2.0', result: { status: true, value }, versionnumber: '3.14', ...more })
}

/** privacyIDEA's way to say no. */
export function no(response: ServerResponse, status: number, code: number, message: string): void {
  json(response, status, { jsonrpc: '2.0', detail: null, result: { status: false, error: { code, message } } })
}

export function html(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-type': 'text/html' }).end('<!doctype html><title>Error</title>')
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** A token that ends so many seconds from now, as privacyIDEA makes them. */
export function jwtFor(name: string, endsInS: number): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { username: name, realm: '', role: 'admin', exp: Math.floor(Date.now() / 1000) + endsInS }
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.${name}`
}

/** The value of a good `POST /auth`. */
export function granted(jwt: string, rights: readonly string[] = ['tokenlist']): Record<string, unknown> {
  return { token: jwt, role: 'admin', username: 'lockstep', realm: '', rights }
}

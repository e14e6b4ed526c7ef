import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TestCertificates } from './test-certificates.ts'

/** What goes wrong from now on: every answer is a page of HTML with that status, or waits so long. */
export interface FrontFault {
  readonly htmlStatus?: number
  readonly slowMs?: number
}

/** A web server with TLS before a plain one, as privacyIDEA has it in real life, to break things in between. */
export interface HttpsFront extends AsyncDisposable {
  readonly url: string
  /** Requests that came in so far. */
  readonly requests: number
  /** Shows another certificate from now on; connections that are open are closed. */
  show(certificates: TestCertificates): void
  breakIt(fault: FrontFault): void
  mend(): void
}

/** @param target the URL of the plain server */
export async function startHttpsFront(target: string, certificates: TestCertificates): Promise<HttpsFront> {
  let fault: FrontFault = {}
  let requests = 0
  const open = new Set<AbortController>()
  const server = createServer(filesOf(certificates), (incoming, response) => {
    requests++
    const { htmlStatus, slowMs = 0 } = fault
    if (htmlStatus !== undefined) {
      incoming.resume()
      response.writeHead(htmlStatus, { 'content-type': 'text/html' }).end('<h1>Something went wrong</h1>')
      return
    }
    const ended = new AbortController()
    open.add(ended)
    response.once('close', () => {
      ended.abort()
      open.delete(ended)
    })
    const timer = setTimeout(() => forward(target, incoming, response, ended.signal), slowMs)
    ended.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the front has no port')
  return {
    url: `https://localhost:${address.port}`,
    get requests() {
      return requests
    },
    show: (next) => {
      server.setSecureContext(filesOf(next))
      server.closeAllConnections()
    },
    breakIt: (next) => void (fault = next),
    mend: () => void (fault = {}),
    [Symbol.asyncDispose]: async () => {
      for (const each of open) each.abort()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function filesOf({ certFile, keyFile }: TestCertificates): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) }
}

function forward(target: string, incoming: IncomingMessage, response: ServerResponse, signal: AbortSignal): void {
  const { method = 'GET', url = '/', headers } = incoming
  const forwarded = request(`${target}${url}`, { method, headers, signal }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  forwarded.on('error', () => response.destroy())
  incoming.pipe(forwarded)
}

import type { ServerResponse } from 'node:http'
import type { AppError, ErrorCode } from '../core/error.ts'

/** The answers of the server. The one place that gives a failure its HTTP status. */

export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** The request's body was not read to its end, so the connection cannot be used again. */
  readonly close?: boolean
}

/** The same for a wrong secret, an unknown path, and an address that may not call. */
export const NOT_FOUND: Answer = failure(404, 'not-found', 'There is nothing here.')

/** @param code an `ErrorCode`, or a code that exists in HTTP alone */
export function failure(
  status: number,
  code: ErrorCode | 'not-found' | 'method-not-allowed' | 'too-large' | 'rate-limited' | 'cut-off',
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return { status, body: { error: { code, message } }, headers, close: true }
}

/** Nothing of the cause goes out: the caller gets the code, the log gets the rest. */
export function failureOf(error: AppError): Answer {
  if (error.code === 'event-invalid') return failure(400, error.code, error.message)
  return failure(503, error.code, 'The event could not be recorded now.', { 'retry-after': '5' })
}

export function send(response: ServerResponse, answer: Answer, withBody: boolean): void {
  if (response.headersSent || response.destroyed) return
  const text = `${JSON.stringify(answer.body)}\n`
  response.writeHead(answer.status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
    ...(answer.close === true ? { connection: 'close' } : {}),
  })
  response.end(withBody ? text : undefined)
}

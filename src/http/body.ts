import type { IncomingMessage } from 'node:http'
import type { ByteBudget } from '../core/json-limit.ts'

/** The body of a request, within the limits. */

/**
 * @param budget the limit of all bodies together; a reader releases its length once the body is processed
 * @returns the body, `too-large`, `busy` where it does not fit into the budget now, or `cut-off` when the caller went
 *   away or took too long; for these three nothing has to be released
 */
export function readBody(
  request: IncomingMessage,
  bytesMax: number,
  budget: ByteBudget,
): Promise<Buffer | 'too-large' | 'busy' | 'cut-off'> {
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) return Promise.resolve('too-large')
  const { promise, resolve } = Promise.withResolvers<Buffer | 'too-large' | 'busy' | 'cut-off'>()
  const chunks: Buffer[] = []
  let length = 0
  let isOver = false
  const end = (outcome: Buffer | 'too-large' | 'busy' | 'cut-off'): void => {
    if (isOver) return
    isOver = true
    if (typeof outcome === 'string') budget.give(length)
    chunks.length = 0
    resolve(outcome)
  }
  request.on('data', (chunk: Buffer) => {
    if (isOver) return
    if (length + chunk.length > bytesMax) return end('too-large')
    if (!budget.take(chunk.length)) return end('busy')
    length += chunk.length
    chunks.push(chunk)
  })
  request.on('end', () => end(Buffer.concat(chunks)))
  request.on('error', () => end('cut-off'))
  request.on('close', () => end('cut-off'))
  return promise
}

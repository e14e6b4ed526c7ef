import type { IncomingMessage } from 'node:http'
import type { ByteBudget } from '../core/json-limit.ts'

/** The body of a request, within the limits. */

/**
 * @param budget what all bodies may take together; who reads one gives its length back once it is done with
 * @returns the body, `too-large`, `busy` where it does not fit into the budget now, or `cut-off` when the caller went away
 * or took too long; of these three nothing has to be given back
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

import type { IncomingMessage } from 'node:http'

/** The body of a request, within a limit. */

/** @returns the body, `too-large`, or `cut-off` when the caller went away or took too long */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | 'too-large' | 'cut-off'> {
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) return Promise.resolve('too-large')
  const { promise, resolve } = Promise.withResolvers<Buffer | 'too-large' | 'cut-off'>()
  const chunks: Buffer[] = []
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > bytesMax) {
      chunks.length = 0
      resolve('too-large')
    } else chunks.push(chunk)
  })
  request.on('end', () => resolve(Buffer.concat(chunks)))
  request.on('error', () => resolve('cut-off'))
  request.on('close', () => resolve('cut-off'))
  return promise
}

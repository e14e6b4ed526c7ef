import { connect, createServer, type Socket } from 'node:net'

/** A TCP relay before a server, to break things between a client and it. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** Connections that clients opened so far. */
  readonly connections: number
  /** Connections that are open now. */
  readonly open: number
  /** Bytes that came from clients so far. */
  readonly bytesSent: number
  /** Cuts all connections now. */
  cut(): void
  /** From now on the server's next answer is thrown away and its client cut, once. */
  loseNextAnswer(): void
  /** Gives every client a fresh connection to the server behind its back, as a proxy that forgot who it is. */
  forgetIdentities(): void
}

interface Pair {
  readonly client: Socket
  server: Socket
}

/** @param target port on 127.0.0.1 */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const pairs = new Set<Pair>()
  let connections = 0
  let bytesSent = 0
  let losesNext = false

  const join = (pair: Pair): void => {
    const { server, client } = pair
    server.on('data', (chunk) => {
      if (pair.server !== server) return
      if (!losesNext) return void client.write(chunk)
      losesNext = false
      client.destroy()
    })
    server.on('error', () => client.destroy())
    server.on('close', () => {
      if (pair.server === server) client.destroy()
    })
  }

  const proxy = createServer((client) => {
    connections += 1
    const pair: Pair = { client, server: connect(target, '127.0.0.1') }
    pairs.add(pair)
    join(pair)
    client.on('data', (chunk) => {
      bytesSent += chunk.length
      pair.server.write(chunk)
    })
    client.on('error', () => undefined)
    client.on('close', () => {
      pairs.delete(pair)
      pair.server.destroy()
    })
  })
  await new Promise<void>((resolve, reject) => {
    proxy.once('error', reject)
    proxy.listen(0, '127.0.0.1', resolve)
  })
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')

  const cut = (): void => {
    for (const pair of pairs) pair.client.destroy()
  }
  return {
    port: address.port,
    get connections() {
      return connections
    },
    get open() {
      return pairs.size
    },
    get bytesSent() {
      return bytesSent
    },
    cut,
    loseNextAnswer: () => void (losesNext = true),
    forgetIdentities: () => {
      for (const pair of pairs) {
        const before = pair.server
        pair.server = connect(target, '127.0.0.1')
        join(pair)
        before.destroy()
      }
    },
    [Symbol.asyncDispose]: async () => {
      cut()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

import { connect, createServer, type Server, type Socket } from 'node:net'
import { BerReader } from 'ldapts'

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
  /** From now on nothing is passed on, either way, until `letGo`; connections are still taken. */
  hold(): void
  letGo(): void
  /** From now on each answer of the server is passed on so much later. */
  delay(ms: number): void
  /** From now on the server's next answer is thrown away and its client cut, once. */
  loseNextAnswer(): void
  /** As the one before, for the answer to the next modification. */
  loseAnswerTo(what: 'modify'): void
  /** Cuts all connections, and nobody listens any more until `mend`. */
  refuse(): Promise<void>
  /** As at first, on the same port. */
  mend(): Promise<void>
  /** Does something right before the next modification reaches the server, once. */
  beforeModify(action: () => Promise<unknown>): void
  /**
   * Holds back the next modification, also when its client gives up and goes: the server gets it with `deliver`, which
   * resolves once it has answered.
   */
  holdNextModify(): HeldModify
  /** Gives every client a fresh connection to the server behind its back, as a proxy that forgot who it is. */
  forgetIdentities(): void
}

export interface HeldModify {
  /** Resolves once there is one. */
  readonly isHeld: Promise<void>
  deliver(): Promise<void>
}

/** Tag of a ModifyResponse (RFC 4511, 4.6), after the envelope and the message id. */
const MODIFY_RESPONSE = 0x67

const MODIFY_REQUEST = 0x66

function isFirst(tag: number, chunk: Buffer): boolean {
  const reader = new BerReader(chunk)
  reader.readSequence()
  reader.readInt()
  return reader.peek() === tag
}

interface Pair {
  readonly client: Socket
  server: Socket
  /** The server's side stays open without the client. */
  isKept?: boolean
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}

/** @param target port on 127.0.0.1, or what tells it; null while it is not known, when clients are turned away */
export async function startTcpProxy(target: number | (() => number | null)): Promise<TcpProxy> {
  const targetPort = typeof target === 'number' ? () => target : target
  const pairs = new Set<Pair>()
  const kept = new Set<Socket>()
  let connections = 0
  let bytesSent = 0
  let losesNext = false
  let losesModify = false
  let isHeld = false
  let delayMs = 0
  let before: (() => Promise<unknown>) | null = null
  let holding: ((pair: Pair, chunk: Buffer) => void) | null = null

  const join = (pair: Pair): void => {
    const { server, client } = pair
    server.on('data', (chunk) => {
      if (pair.server !== server) return
      losesNext ||= losesModify && isFirst(MODIFY_RESPONSE, chunk)
      if (!losesNext && delayMs > 0) return void setTimeout(() => client.write(chunk), delayMs)
      if (!losesNext) return void client.write(chunk)
      losesModify = false
      losesNext = false
      client.destroy()
    })
    server.on('error', () => client.destroy())
    server.on('close', () => {
      if (pair.server === server) client.destroy()
    })
  }

  const holdPair = ({ client, server }: Pair): void => {
    client.pause()
    server.pause()
  }
  const hold = (): void => {
    isHeld = true
    for (const pair of pairs) holdPair(pair)
  }
  const letGo = (): void => {
    isHeld = false
    for (const { client, server } of pairs) {
      client.resume()
      server.resume()
    }
  }

  const proxy = createServer((client) => {
    connections += 1
    const port = targetPort()
    if (port === null) return void client.destroy()
    const pair: Pair = { client, server: connect(port, '127.0.0.1') }
    pairs.add(pair)
    join(pair)
    if (isHeld) holdPair(pair)
    client.on('data', (chunk) => {
      bytesSent += chunk.length
      if (holding !== null && isFirst(MODIFY_REQUEST, chunk)) {
        holding(pair, chunk)
        holding = null
        return
      }
      if (before === null || !isFirst(MODIFY_REQUEST, chunk)) return void pair.server.write(chunk)
      const action = before
      before = null
      client.pause()
      const forward = (): void => {
        pair.server.write(chunk)
        client.resume()
      }
      action().then(forward, () => client.destroy())
    })
    client.on('error', () => undefined)
    client.on('close', () => {
      pairs.delete(pair)
      if (pair.isKept !== true) pair.server.destroy()
    })
  })
  await listen(proxy, 0)
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const { port } = address

  const cut = (): void => {
    for (const pair of pairs) pair.client.destroy()
  }
  return {
    port,
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
    refuse: async () => {
      const closed = new Promise((resolve) => proxy.close(resolve))
      cut()
      await closed
    },
    mend: async () => {
      letGo()
      if (!proxy.listening) await listen(proxy, port)
    },
    hold,
    letGo,
    delay: (ms) => void (delayMs = ms),
    loseAnswerTo: () => void (losesModify = true),
    beforeModify: (action) => void (before = action),
    holdNextModify: () => {
      const held = Promise.withResolvers<void>()
      let deliver = (): Promise<void> => Promise.reject(new Error('no modification is held'))
      holding = (pair, chunk) => {
        pair.isKept = true
        kept.add(pair.server)
        deliver = () => {
          const { server } = pair
          const answered = new Promise<void>((resolve, reject) => {
            server.once('data', () => resolve())
            server.once('close', () => reject(new Error('the server closed the connection')))
          })
          server.write(chunk)
          return answered.finally(() => server.destroy())
        }
        held.resolve()
      }
      return { isHeld: held.promise, deliver: () => deliver() }
    },
    loseNextAnswer: () => void (losesNext = true),
    forgetIdentities: () => {
      for (const pair of pairs) {
        const former = pair.server
        pair.server = connect(targetPort() ?? 0, '127.0.0.1')
        join(pair)
        former.destroy()
      }
    },
    [Symbol.asyncDispose]: async () => {
      cut()
      for (const server of kept) server.destroy()
      if (proxy.listening) await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

import type { Socket } from 'node:net'

/**
 * Connections within limits. Callers without the secret must not block those with it, and behind a reverse proxy all of
 * them have one address. So at a limit the oldest connection that never showed the secret is closed for a new one.
 */

/** One caller cannot take all the connections. */
export const CONNECTIONS_PER_ADDRESS_MAX = 256
export const CONNECTIONS_MAX = 512

export interface Connections {
  /** Takes a new connection and may close another one for it; closes the new one where no other can be closed. */
  admit(socket: Socket): void
  /** It showed the secret: it is not closed in favour of others any more. */
  trust(socket: Socket): void
}

interface Connection {
  readonly address: string
  isTrusted: boolean
}

export function newConnections(): Connections {
  /** Oldest first. */
  const open = new Map<Socket, Connection>()
  const counts = new Map<string, number>()

  /** Its place is free at once, which may be long before the system has closed the socket. */
  function close(socket: Socket): void {
    forget(socket)
    socket.destroy()
  }
  function forget(socket: Socket): void {
    const address = open.get(socket)?.address
    if (address === undefined) return
    open.delete(socket)
    const left = (counts.get(address) ?? 1) - 1
    if (left > 0) counts.set(address, left)
    else counts.delete(address)
  }
  /** @param address null: any address */
  function oldestUnknown(address: string | null): Socket | null {
    for (const [socket, connection] of open) {
      if (!connection.isTrusted && (address === null || connection.address === address)) return socket
    }
    return null
  }
  return {
    admit(socket) {
      const address = socket.remoteAddress ?? ''
      const count = counts.get(address) ?? 0
      const isCallerFull = count >= CONNECTIONS_PER_ADDRESS_MAX
      open.set(socket, { address, isTrusted: false })
      counts.set(address, count + 1)
      socket.once('close', () => forget(socket))
      // The new one has not shown the secret either, and is the last candidate.
      if (isCallerFull || open.size > CONNECTIONS_MAX) close(oldestUnknown(isCallerFull ? address : null) ?? socket)
    },
    trust(socket) {
      const connection = open.get(socket)
      if (connection !== undefined) connection.isTrusted = true
    },
  }
}

import { createServer, type Socket } from 'node:net'

/** An LDAP server of loopback that takes every bind, and answers a search as it is told to. */
export interface ScriptedLdap extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Connections that were opened so far. */
  readonly connections: number
}

/** @param base of the search that is to be answered; the id belongs into each message of the answer */
export type LdapScript = (socket: Socket, search: { readonly id: number; readonly base: string }) => void

const BIND = 0x60
const SEARCH = 0x63
const EXTENDED = 0x77
const OCTETS = 0x04

export async function startScriptedLdap(serviceDn: string, script: LdapScript): Promise<ScriptedLdap> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
    let received = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      for (let size = sizeOf(received); size !== null && received.length >= size; size = sizeOf(received)) {
        answer(socket, received.subarray(0, size), serviceDn, script)
        received = received.subarray(size)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port')
  return {
    port: address.port,
    url: `ldap://127.0.0.1:${address.port}`,
    get connections() {
      return connections
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function answer(socket: Socket, message: Buffer, serviceDn: string, script: LdapScript): void {
  const body = contentOf(message)
  const idLength = body[1] ?? 0
  const id = body.readUIntBE(2, idLength)
  const operation = body.subarray(2 + idLength)
  const [tag] = operation
  if (tag === BIND) socket.write(ldapMessage(id, result(0x61)))
  if (tag === EXTENDED) socket.write(ldapMessage(id, result(0x78, tlv(0x8b, Buffer.from(`dn:${serviceDn}`)))))
  if (tag === SEARCH) script(socket, { id, base: contentOf(contentOf(operation)).toString('utf8') })
}

/** The size of the first message; null: that is not there yet. */
function sizeOf(bytes: Buffer): number | null {
  const first = bytes[1]
  if (first === undefined) return null
  if (first < 0x80) return 2 + first
  const count = first & 0x7f
  return bytes.length < 2 + count ? null : 2 + count + bytes.readUIntBE(2, count)
}

function contentOf(element: Buffer): Buffer {
  const first = element[1] ?? 0
  const at = first < 0x80 ? 2 : 2 + (first & 0x7f)
  const length = first < 0x80 ? first : element.readUIntBE(2, first & 0x7f)
  return element.subarray(at, at + length)
}

export function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([lead(tag, length), ...parts])
}

/** What comes before a content of so many bytes. */
export function lead(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length])
  const size = Buffer.alloc(4)
  size.writeUInt32BE(length)
  return Buffer.from([tag, 0x84, ...size])
}

export function ldapMessage(id: number, operation: Buffer): Buffer {
  return tlv(0x30, integer(id), operation)
}

function integer(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return tlv(0x02, bytes)
}

/** Success, in an operation of this tag. */
export function result(tag: number, more: Buffer = Buffer.alloc(0)): Buffer {
  return tlv(tag, Buffer.from([0x0a, 1, 0]), tlv(OCTETS), tlv(OCTETS), more)
}

export function searchEntry(id: number, dn: string, attributes: Readonly<Record<string, readonly string[]>>): Buffer {
  const rows = Object.entries(attributes).map(([name, values]) =>
    tlv(
      0x30,
      tlv(OCTETS, Buffer.from(name)),
      tlv(0x31, Buffer.concat(values.map((value) => tlv(OCTETS, Buffer.from(value))))),
    ),
  )
  return ldapMessage(id, tlv(0x64, tlv(OCTETS, Buffer.from(dn)), tlv(0x30, ...rows)))
}

export function searchDone(id: number): Buffer {
  return ldapMessage(id, result(0x65))
}

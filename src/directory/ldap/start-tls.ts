import type { Socket } from 'node:net'
import { BerReader } from 'ldapts'
import { span } from '../../core/format/duration.ts'
import { AppError } from '../../core/error.ts'
import { START_TLS_OID } from '../protocol/controls.ts'

/** ExtendedRequest of message 1 with the name of StartTLS (RFC 4511, 4.14.1). */
const REQUEST = Buffer.from([
  0x30,
  5 + START_TLS_OID.length + 2,
  2,
  1,
  1,
  0x77,
  START_TLS_OID.length + 2,
  0x80,
  START_TLS_OID.length,
  ...Buffer.from(START_TLS_OID),
])
const RESPONSE_BYTES_MAX = 4096
const EXTENDED_RESPONSE = 0x78

/**
 * Asks the server to start TLS on a plain connection, and returns when it agreed. Nothing else may be on its way.
 * Fails with `directory-tls` (refused, or an answer that is none), `directory-timeout`, `directory-unreachable`.
 */
export function requestStartTls(socket: Socket, timeoutMs: number, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const finish = (error: AppError | null): void => {
      clearTimeout(timer)
      socket.off('data', onData).off('error', onClose).off('close', onClose)
      socket.pause()
      if (error === null) resolve()
      else reject(error)
    }
    const onClose = (): void => {
      finish(new AppError('directory-unreachable', `${what}: the server closed the connection instead of starting TLS`))
    }
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk])
      const code = resultOf(received)
      if (code === 0) finish(null)
      else if (code !== null || received.length > RESPONSE_BYTES_MAX) finish(refused(code, what))
    }
    const timer = setTimeout(() => {
      finish(new AppError('directory-timeout', `${what}: no answer to StartTLS within ${span(timeoutMs)}`))
    }, timeoutMs)
    socket.on('data', onData).on('error', onClose).on('close', onClose)
    socket.write(REQUEST)
  })
}

function refused(code: number | null, what: string): AppError {
  return new AppError('directory-tls', `${what}: the server refuses StartTLS (LDAP ${code ?? 'answer malformed'})`, {
    hint: 'Set up TLS in the directory server, or use its ldaps:// port.',
  })
}

/** The result code of a whole response; null while bytes are missing; 2 (protocolError) for something else. */
function resultOf(bytes: Buffer): number | null {
  try {
    const reader = new BerReader(bytes)
    if (reader.readSequence(0x30) === null || reader.remain < reader.length) return null
    reader.readInt()
    if (reader.readSequence() !== EXTENDED_RESPONSE) return 2
    return reader.readEnumeration()
  } catch {
    return 2
  }
}

import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AppError, type ErrorCode } from '../../core/error.ts'
import { serverOf, type Server, type SocketSettings } from '../ldap/socket.ts'

/** For `init` and `doctor`: a port for TLS under `ldap://`, or one for plain LDAP under `ldaps://`, is named as such. */

/** Failures of a connection with the wrong protocol. */
const FAILURES: readonly ErrorCode[] = ['directory-unreachable', 'directory-timeout', 'directory-tls']
/** An anonymous bind with the message id 1 (RFC 4511, 4.2); every LDAP server answers it, also one that refuses it. */
const BIND = Buffer.from([0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0])
/** Each LDAP message is a SEQUENCE. */
const SEQUENCE = 0x30
const LOOK_MS_MAX = 3_000

/** @returns what is wrong with the URL, where the port is the cause; else the error as it came */
export async function namedSwap(error: AppError, url: string, settings: SocketSettings): Promise<AppError> {
  if (!FAILURES.includes(error.code)) return error
  const server = serverOf(url, settings)
  const withinMs = Math.min(settings.connectTimeoutMs, LOOK_MS_MAX)
  const place = `${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`
  const what = `directory ${settings.name}: ${url}`
  if (server.security === 'tls') {
    if (!(await speaksPlainLdap(server, withinMs))) return error
    return new AppError('directory-tls', `${what}: this port speaks LDAP without TLS: use ldap:// and StartTLS`, {
      hint: `Write ldap://${place}, which is secured by StartTLS; or the port for TLS, which is 636 as a rule.`,
      cause: error,
    })
  }
  if (!(await speaksTls(server, withinMs))) return error
  return new AppError('directory-tls', `${what}: this port speaks TLS: use ldaps://`, {
    hint: `Write ldaps://${place}; or the port for plain LDAP with StartTLS, which is 389 as a rule.`,
    cause: error,
  })
}

/** Nothing is sent after the handshake, so the certificate does not matter. */
function speaksTls({ host, port }: Server, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ host, port, rejectUnauthorized: false })
    const end = (isTls: boolean) => (): void => {
      socket.destroy()
      resolve(isTls)
    }
    socket.setTimeout(withinMs, end(false))
    socket.once('secureConnect', end(true)).once('error', end(false)).once('close', end(false))
  })
}

function speaksPlainLdap({ host, port }: Server, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => socket.write(BIND))
    const end = (isLdap: boolean): void => {
      socket.destroy()
      resolve(isLdap)
    }
    socket.setTimeout(withinMs, () => end(false))
    socket.once('data', (bytes) => end(bytes[0] === SEQUENCE))
    socket.once('error', () => end(false)).once('close', () => end(false))
  })
}

import { readFile } from 'node:fs/promises'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { REACH_REASONS, tlsReason, type TlsMending } from '../../core/reasons/tls-reason.ts'
import { caTrouble } from '../../core/settings/ca-file.ts'
import { span } from '../../core/format/duration.ts'
import { AppError } from '../../core/error.ts'
import { systemRefusal } from '../../core/system-error.ts'
import { isLoopback } from '../../core/loopback.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { requestStartTls } from './start-tls.ts'

/** A server of the configuration, after its URL was read. */
export interface Server {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly security: 'tls' | 'start-tls' | 'plain'
}

/** Settings to open a connection, before the bind. */
export type SocketSettings = Pick<
  DirectorySettings,
  'name' | 'startTls' | 'caFile' | 'tlsServerName' | 'connectTimeoutMs'
>

const KEEP_ALIVE_AFTER_MS = 60_000

/**
 * Reads a URL of the configuration. An `ldap://` URL is secured by StartTLS before the bind unless `startTls` is `off`
 * or the address is loopback; on loopback it is secured too where a CA is configured.
 */
export function serverOf(url: string, settings: SocketSettings): Server {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || (parsed.protocol !== 'ldap:' && parsed.protocol !== 'ldaps:')) {
    throw new AppError('config-invalid', `directory ${settings.name}: "${url}" is not an ldap:// or ldaps:// URL`, {
      hint: 'Write it as ldaps://ldap.example.org or ldaps://ldap.example.org:636.',
    })
  }
  const host = parsed.hostname.replace(/^\[|\]$/g, '') || 'localhost'
  const isSecure = parsed.protocol === 'ldaps:'
  const port = parsed.port === '' ? (isSecure ? 636 : 389) : Number(parsed.port)
  const mayBePlain = settings.startTls === 'off' || (isLoopback(host) && settings.caFile === null)
  return { url, host, port, security: isSecure ? 'tls' : mayBePlain ? 'plain' : 'start-tls' }
}

/**
 * Opens the connection and secures it; each step takes `connectTimeoutMs` at most.
 * Fails with `directory-unreachable`, `directory-timeout`, `directory-tls`.
 */
export async function openSocket(server: Server, settings: SocketSettings): Promise<Socket> {
  const what = `directory ${settings.name}: ${server.url}`
  const tls = server.security === 'plain' ? null : await tlsOptions(server, settings)
  const first = server.security === 'tls' && tls !== null ? connectTls(tls) : connect(server.port, server.host)
  await ready(first, server.security === 'tls' ? 'secureConnect' : 'connect', settings.connectTimeoutMs, what)
  first.setNoDelay(true)
  first.setKeepAlive(true, KEEP_ALIVE_AFTER_MS)
  if (server.security !== 'start-tls' || tls === null) return first
  try {
    await requestStartTls(first, settings.connectTimeoutMs, what)
    const secured = connectTls({ ...tls, socket: first })
    await ready(secured, 'secureConnect', settings.connectTimeoutMs, what)
    return secured
  } catch (error) {
    first.destroy()
    throw error
  }
}

async function tlsOptions(server: Server, settings: SocketSettings): Promise<ConnectionOptions> {
  const options: ConnectionOptions = { host: server.host, port: server.port, minVersion: 'TLSv1.2' }
  if (settings.tlsServerName !== null) options.servername = settings.tlsServerName
  else if (isIP(server.host) === 0) options.servername = server.host
  if (settings.caFile === null) return options
  const { caFile, name } = settings
  try {
    const ca = await readFile(caFile)
    const trouble = caTrouble(ca, caFile)
    if (trouble === null) return { ...options, ca }
    throw new AppError('directory-tls', `directory ${name}: the key ca: ${trouble.what}`, { hint: trouble.fix })
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    const reason = systemRefusal(cause).why
    throw new AppError(
      'directory-tls',
      `directory ${settings.name}: cannot read the CA file ${settings.caFile}: ${reason}`,
      {
        hint: 'Correct the key ca, or make the file readable for the user that Lockstep runs as.',
        cause,
      },
    )
  }
}

/** Waits for one event of a fresh socket; destroys it where that does not come. */
function ready(socket: Socket, event: 'connect' | 'secureConnect', timeoutMs: number, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: AppError): void => {
      clearTimeout(timer)
      socket.on('error', () => undefined)
      socket.destroy()
      reject(error)
    }
    const onError = (error: Error): void => fail(errorOfSocket(error, what))
    const onClose = (): void => fail(new AppError('directory-unreachable', `${what}: the server closed the connection`))
    const timer = setTimeout(() => {
      const step = event === 'connect' ? 'connection' : 'secure connection'
      fail(new AppError('directory-timeout', `${what}: no ${step} within ${span(timeoutMs)}`, { hint: REACH_HINT }))
    }, timeoutMs)
    socket.once('error', onError)
    socket.once('close', onClose)
    socket.once(event, () => {
      clearTimeout(timer)
      socket.removeListener('error', onError)
      socket.removeListener('close', onClose)
      resolve()
    })
  })
}

const REACH_HINT = 'Check that the server runs, its port, and firewalls between here and there.'

const CA_HINT = 'Put the PEM file of the signing authority into the key ca of the directory.'

const TLS_HINTS: Readonly<Record<TlsMending, string>> = {
  authority: CA_HINT,
  renewal: 'Renew the certificate of the directory server.',
  clock: 'Check the clock of this machine, and the certificate.',
  name: 'Use the name in the certificate in urls, or set tlsServerName to it.',
  protocol: 'Use ldaps:// for the TLS port (636) and ldap:// for the plain one (389).',
}

function errorOfSocket(error: NodeJS.ErrnoException, what: string): AppError {
  const code = error.code ?? ''
  const tls = tlsReason(code)
  if (tls !== null) {
    return new AppError('directory-tls', `${what}: ${tls.text} (${code})`, {
      hint: TLS_HINTS[tls.mending],
      cause: error,
    })
  }
  if (/certificate/i.test(error.message)) {
    return new AppError('directory-tls', `${what}: its certificate cannot be verified (${code || error.message})`, {
      hint: CA_HINT,
      cause: error,
    })
  }
  const text = REACH_REASONS[code] ?? error.message
  return new AppError('directory-unreachable', `${what}: ${text}${code && ` (${code})`}`, {
    hint: REACH_HINT,
    cause: error,
  })
}

import { readFile } from 'node:fs/promises'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { AppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import { requestStartTls } from './start-tls.ts'

/** A server of the configuration, after its URL was read. */
export interface Server {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly security: 'tls' | 'start-tls' | 'plain'
}

/** What it takes to open a connection, before there is anybody to bind as. */
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

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
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
  try {
    return { ...options, ca: await readFile(settings.caFile) }
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unreadable'
    throw new AppError(
      'directory-tls',
      `directory ${settings.name}: cannot read the CA file ${settings.caFile} (${reason})`,
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
      fail(new AppError('directory-timeout', `${what}: no ${step} within ${timeoutMs} ms`, { hint: REACH_HINT }))
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

interface TlsReason {
  readonly text: string
  readonly hint: string
}

const UNKNOWN_CA: TlsReason = {
  text: 'its certificate was not signed by a certification authority that is trusted here',
  hint: 'Put the PEM file of the signing authority into the key ca of the directory.',
}

/** Codes of OpenSSL and Node.js, in words. */
const TLS_REASONS: Readonly<Record<string, TlsReason>> = {
  CERT_HAS_EXPIRED: { text: 'its certificate has expired', hint: 'Renew the certificate of the directory server.' },
  CERT_NOT_YET_VALID: {
    text: 'its certificate is not valid yet',
    hint: 'Check the clock of this machine, and the certificate.',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    text: 'its certificate is for another name',
    hint: 'Use the name in the certificate in urls, or set tlsServerName to it.',
  },
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_CA,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  CERT_SIGNATURE_FAILURE: UNKNOWN_CA,
  CERT_UNTRUSTED: UNKNOWN_CA,
  CERT_REVOKED: { text: 'its certificate was revoked', hint: 'Renew the certificate of the directory server.' },
  EPROTO: {
    text: 'it does not speak TLS on this port, or no version or cipher in common',
    hint: 'Use ldaps:// for the TLS port (636) and ldap:// for the plain one (389).',
  },
}

const REACH_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the network',
  ETIMEDOUT: 'the host does not answer',
}

function errorOfSocket(error: NodeJS.ErrnoException, what: string): AppError {
  const code = error.code ?? ''
  const tls = TLS_REASONS[code] ?? (code.startsWith('ERR_SSL') ? TLS_REASONS['EPROTO'] : undefined)
  if (tls !== undefined) {
    return new AppError('directory-tls', `${what}: ${tls.text} (${code})`, { hint: tls.hint, cause: error })
  }
  if (/^(?:ERR_TLS|CERT_|CRL_|UNABLE_)|CERT|INVALID_(?:CA|PURPOSE)/.test(code) || /certificate/i.test(error.message)) {
    return new AppError('directory-tls', `${what}: its certificate cannot be verified (${code || error.message})`, {
      hint: UNKNOWN_CA.hint,
      cause: error,
    })
  }
  const text = REACH_REASONS[code] ?? error.message
  return new AppError('directory-unreachable', `${what}: ${text}${code && ` (${code})`}`, {
    hint: REACH_HINT,
    cause: error,
  })
}

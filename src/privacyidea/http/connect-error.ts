import { span } from '../../core/format/duration.ts'
import { AppError } from '../../core/error.ts'
import { REACH_REASONS, tlsReason, type TlsMending } from '../../core/reasons/tls-reason.ts'

const REACH_HINT = 'Check that privacyIDEA runs, the key privacyidea.url, and firewalls between here and there.'

const TLS_HINTS: Readonly<Record<TlsMending, string>> = {
  authority: 'Put the PEM file of the signing authority into the key privacyidea.ca.',
  renewal: 'Renew the certificate of the web server.',
  clock: 'Check the clock of this machine, and the certificate.',
  name: 'Use the name in the certificate in privacyidea.url.',
  protocol: 'Use https:// for a port with TLS and http:// for one without.',
}

/** The request did not reach the server, or the connection was closed before an answer began. */
const NOT_REACHED: Readonly<Record<string, string>> = {
  ...REACH_REASONS,
  EPIPE: 'the connection was closed',
  UND_ERR_SOCKET: 'the connection was closed',
}

const TIMEOUTS = ['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']

/** True where a request that may be repeated should be tried once more at once. */
export function isConnectFailure(thrown: unknown): boolean {
  return codeOf(thrown) in NOT_REACHED
}

/** The error of a request without an answer. @param where the request, without its query */
export function errorOfConnection(thrown: unknown, where: string, timeoutMs: number): AppError {
  if (thrown instanceof AppError) return thrown
  const code = codeOf(thrown)
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new AppError('source-timeout', `${where}: no connection in time`, { hint: REACH_HINT, cause: thrown })
  }
  if (TIMEOUTS.includes(code) || (thrown instanceof Error && thrown.name === 'TimeoutError')) {
    return new AppError('source-timeout', `${where}: no answer within ${span(timeoutMs)}`, {
      hint: 'It is tried again by itself. A user store below privacyIDEA that does not answer makes it slow; else raise privacyidea.timeout.',
      cause: thrown,
    })
  }
  const tls = tlsReason(code)
  if (tls !== null) {
    return new AppError('source-tls', `${where}: ${tls.text} (${code})`, {
      hint: TLS_HINTS[tls.mending],
      cause: thrown,
    })
  }
  if (code.startsWith('HPE_') || /^UND_ERR_(?:HEADERS_OVERFLOW|RES_)/.test(code)) {
    return new AppError('source-answer', `${where}: what answers there does not speak HTTP (${code})`, {
      hint: 'Check the key privacyidea.url.',
      cause: thrown,
    })
  }
  const text = NOT_REACHED[code] ?? message
  return new AppError('source-unreachable', `${where}: ${text}${code === '' ? '' : ` (${code})`}`, {
    hint: REACH_HINT,
    cause: thrown,
  })
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
}

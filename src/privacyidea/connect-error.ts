import { AppError } from '../core/error.ts'

const REACH_HINT = 'Check that privacyIDEA runs, the key privacyidea.url, and firewalls between here and there.'
const CA_HINT = 'Put the PEM file of the signing authority into the key privacyidea.ca.'

interface Reason {
  readonly text: string
  readonly hint: string
}

const UNKNOWN_CA: Reason = {
  text: 'its certificate was not signed by a certification authority that is trusted here',
  hint: CA_HINT,
}

/** Codes of OpenSSL and Node.js, in words. */
const TLS_REASONS: Readonly<Record<string, Reason>> = {
  CERT_HAS_EXPIRED: { text: 'its certificate has expired', hint: 'Renew the certificate of the web server.' },
  CERT_NOT_YET_VALID: {
    text: 'its certificate is not valid yet',
    hint: 'Check the clock of this machine, and the certificate.',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    text: 'its certificate is for another name',
    hint: 'Use the name in the certificate in privacyidea.url.',
  },
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_CA,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  CERT_SIGNATURE_FAILURE: UNKNOWN_CA,
  CERT_UNTRUSTED: UNKNOWN_CA,
  EPROTO: {
    text: 'it does not speak TLS on this port, or no version or cipher in common',
    hint: 'Use https:// for a port with TLS and http:// for one without.',
  },
}

/** The request did not reach the server, or the connection was closed before an answer began. */
const NOT_REACHED: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed',
  UND_ERR_SOCKET: 'the connection was closed',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the network',
  ETIMEDOUT: 'the host does not answer',
}

const TIMEOUTS = ['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']

/** True where a request that may be repeated is worth another try at once. */
export function isConnectFailure(thrown: unknown): boolean {
  return codeOf(thrown) in NOT_REACHED
}

/** What a request that got no answer failed with. @param where the request, without its query */
export function errorOfConnection(thrown: unknown, where: string, timeoutMs: number): AppError {
  if (thrown instanceof AppError) return thrown
  const code = codeOf(thrown)
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new AppError('source-timeout', `${where}: no connection in time`, { hint: REACH_HINT, cause: thrown })
  }
  if (TIMEOUTS.includes(code) || (thrown instanceof Error && thrown.name === 'TimeoutError')) {
    return new AppError('source-timeout', `${where}: no answer within ${timeoutMs} ms`, {
      hint: 'It is tried again by itself. A user store below privacyIDEA that does not answer makes it slow; else raise privacyidea.timeout.',
      cause: thrown,
    })
  }
  const tls = TLS_REASONS[code] ?? (code.startsWith('ERR_SSL') ? TLS_REASONS['EPROTO'] : undefined)
  if (tls !== undefined) {
    return new AppError('source-tls', `${where}: ${tls.text} (${code})`, { hint: tls.hint, cause: thrown })
  }
  if (/^(?:ERR_TLS|CRL_|UNABLE_)|CERT|INVALID_(?:CA|PURPOSE)/.test(code)) {
    const text = `${where}: its certificate cannot be verified (${code})`
    return new AppError('source-tls', text, { hint: CA_HINT, cause: thrown })
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

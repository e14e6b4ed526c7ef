/** Why a connection was not made, by the codes of OpenSSL and Node.js, as a text that is the same for every server. */

/** What has to be mended; the caller has the terms for it (keys, ports). */
export type TlsMending = 'authority' | 'renewal' | 'clock' | 'name' | 'protocol'

export interface TlsReason {
  readonly text: string
  readonly mending: TlsMending
}

const UNKNOWN_AUTHORITY: TlsReason = {
  text: 'its certificate was not signed by a certification authority that is trusted here',
  mending: 'authority',
}
const NO_TLS: TlsReason = {
  text: 'it does not speak TLS on this port, or no version or cipher in common',
  mending: 'protocol',
}

const TLS_REASONS: Readonly<Record<string, TlsReason>> = {
  CERT_HAS_EXPIRED: { text: 'its certificate has expired', mending: 'renewal' },
  CERT_REVOKED: { text: 'its certificate was revoked', mending: 'renewal' },
  CERT_NOT_YET_VALID: { text: 'its certificate is not valid yet', mending: 'clock' },
  ERR_TLS_CERT_ALTNAME_INVALID: { text: 'its certificate is for another name', mending: 'name' },
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
  EPROTO: NO_TLS,
}

/** @returns null where the code is not about TLS or a certificate */
export function tlsReason(code: string): TlsReason | null {
  const known = TLS_REASONS[code]
  if (known !== undefined) return known
  if (code.startsWith('ERR_SSL')) return NO_TLS
  const isCertificate = /^(?:ERR_TLS|CRL_|UNABLE_)|CERT|INVALID_(?:CA|PURPOSE)/.test(code)
  return isCertificate ? { text: 'its certificate cannot be verified', mending: 'authority' } : null
}

/** Codes of a connection that was not made. */
export const REACH_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the network',
  ETIMEDOUT: 'the host does not answer',
}

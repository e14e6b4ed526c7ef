/** Whether a file holds certificates as PEM, which every connection here takes; else a text about its contents. */

export interface CaTrouble {
  readonly what: string
  /** With the command to run. */
  readonly fix: string
}

const PEM_CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/
const PEM_ANYTHING = /-----BEGIN ([A-Z0-9 ]{1,40})-----/
/** The object identifier of signed data, 1.2.840.113549.1.7.2 (RFC 2315): a P7B file begins with it. */
const SIGNED_DATA = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]
const SIGNED_DATA_WITHIN = 32
const SEQUENCE = 0x30
const FIX_PEM =
  'Put the certificate of the certification authority there, as PEM (it begins with -----BEGIN CERTIFICATE-----).'

/** @returns null where it can be used */
export function caTrouble(bytes: Uint8Array, file: string): CaTrouble | null {
  const named = (what: string, fix: string): CaTrouble => ({ what: `${file} ${what}`, fix })
  const converted = (command: string): string => `${command} -in ${file} -out ${file}.pem, and name ${file}.pem as ca`
  if (bytes.every(isBlank)) return named('holds nothing', FIX_PEM)
  if (startsWith(bytes, [0xff, 0xfe]) || startsWith(bytes, [0xfe, 0xff])) {
    return named('is text in UTF-16', `iconv -f UTF-16 -t ASCII ${file} > ${file}.pem, and name ${file}.pem as ca`)
  }
  if (startsWith(bytes, [0xef, 0xbb, 0xbf])) {
    return named(
      'begins with a byte order mark, which hides its first certificate',
      `sed -i '1s/^\\xEF\\xBB\\xBF//' ${file}`,
    )
  }
  const text = new TextDecoder('latin1').decode(bytes)
  if (PEM_CERTIFICATE.test(text)) return null
  const kind = PEM_ANYTHING.exec(text)?.[1]
  if (kind === 'PKCS7' || kind === 'CMS') {
    return named('holds certificates as PKCS #7 (P7B)', converted('openssl pkcs7 -print_certs'))
  }
  if (kind !== undefined) return named(`holds no certificate but a ${kind}`, FIX_PEM)
  if (bytes[0] !== SEQUENCE) return named('holds no certificate', FIX_PEM)
  return includes(bytes.subarray(0, SIGNED_DATA_WITHIN), SIGNED_DATA)
    ? named('holds certificates as PKCS #7 (P7B) in DER', converted('openssl pkcs7 -inform DER -print_certs'))
    : named('holds a certificate in DER', converted('openssl x509 -inform DER'))
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}

function startsWith(bytes: Uint8Array, head: readonly number[]): boolean {
  return head.every((byte, index) => bytes[index] === byte)
}

function includes(bytes: Uint8Array, part: readonly number[]): boolean {
  return bytes.some((_, at) => part.every((byte, index) => bytes[at + index] === byte))
}

/** An address for an envelope and a header (RFC 5321, 4.1.2, without quoted local parts), at most 254 characters. */
export type MailAddress = string & { readonly __brand: 'MailAddress' }

/** The sender as people see them. */
export interface Mailbox {
  /** '' where it has none. */
  readonly name: string
  readonly address: MailAddress
}

const ADDRESS_LENGTH_MAX = 254
const LOCAL_LENGTH_MAX = 64
/** RFC 5321 and 6531: atoms with dots between, a host name of labels. No spaces, brackets, quotes, commas or controls. */
const ADDRESS =
  /^[\w.!#$%&'*+/=?^`{|}~\u00a1-\ud7ff\uf900-\uffef-]+@(?:[A-Za-z0-9\u00a1-\ud7ff](?:[A-Za-z0-9\u00a1-\ud7ff-]*[A-Za-z0-9\u00a1-\ud7ff])?\.)*[A-Za-z0-9\u00a1-\ud7ff](?:[A-Za-z0-9\u00a1-\ud7ff-]*[A-Za-z0-9\u00a1-\ud7ff])?$/
// eslint-disable-next-line no-control-regex -- control characters are what it refuses
const NOT_IN_A_NAME = /[\u0000-\u001f\u007f-\u009f\u2028\u2029<>"\\]/

/** @returns null where the text is no address that mail can be sent to */
export function parseMailAddress(text: string): MailAddress | null {
  const at = text.lastIndexOf('@')
  const isGood =
    text.length <= ADDRESS_LENGTH_MAX &&
    at > 0 &&
    at <= LOCAL_LENGTH_MAX &&
    ADDRESS.test(text) &&
    !/^\.|\.\.|\.@/.test(text) &&
    !/[\u2028\u2029\u3000\u00a0]/.test(text)
  return isGood ? (text as MailAddress) : null
}

/** `lockstep@example.org` or `Lockstep <lockstep@example.org>`; null where it is neither. */
export function parseMailbox(text: string): Mailbox | null {
  const [, written = '', inner] = /^([^<>]*)<([^<>\s]+)>$/.exec(text.trim()) ?? []
  const address = parseMailAddress(inner ?? text.trim())
  const name = written.trim().replace(/^"([^"]*)"$/, '$1')
  return address === null || NOT_IN_A_NAME.test(name) ? null : { name, address }
}

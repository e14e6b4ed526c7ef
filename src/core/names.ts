/**
 * The names that cross every boundary, as branded strings: parsed once at the edge, trusted beyond it.
 */
type Brand<Name extends string> = string & { readonly __brand: Name }

/** A token's serial number: 1 to 64 of `A-Z a-z 0-9 _ -`, as privacyIDEA itself allows. Safe as a file name. */
export type Serial = Brand<'Serial'>
/**
 * A privacyIDEA login name: 1 to 1,024 characters of any kind, as privacyIDEA takes them from its user stores (a line feed
 * among them, measured on 3.11 to 3.14). Not safe in a filter, a path or a line.
 */
export type Login = Brand<'Login'>
/** A privacyIDEA realm, in lower case: 1 to 1,024 characters. */
export type Realm = Brand<'Realm'>
/** The key of a directory in the configuration: 1 to 64 of `a-z 0-9 _ -`. */
export type DirectoryName = Brand<'DirectoryName'>
/** The stable id of an account in its directory (entryUUID, objectGUID, nsUniqueId), in lower case. */
export type AccountId = Brand<'AccountId'>
/** `<directory>/<account id>`: what the queue holds. */
export type AccountKey = Brand<'AccountKey'>
/** The name of a resolver of privacyIDEA: 1 to 1,024 characters. */
export type ResolverName = Brand<'ResolverName'>
/**
 * What a resolver calls a user for good (for LDAP the entryUUID, the objectGUID or the DN, as configured there), as
 * written there: 1 to 1,024 characters of any kind. Its column has 320; SQLite takes longer ones.
 */
export type UserId = Brand<'UserId'>
/** A distinguished name as the directory wrote it. */
export type Dn = Brand<'Dn'>
/** `lockstep@example.org` or `EXAMPLE\lockstep`: Active Directory's names for an account that binds (bind-name.ts). */
export type WindowsName = Brand<'WindowsName'>
/** The name of a hold and of its LDIF files: a Serial, or `account.<hex>`, `manual.<hex>`, `lockout.<hex>`. */
export type HoldName = Brand<'HoldName'>

const SERIAL = /^[A-Za-z0-9_-]{1,64}$/
const HOLD_NAME = /^(?:[A-Za-z0-9_-]{1,64}|(?:account|manual|lockout)\.[0-9a-f]{8,32})$/
const DIRECTORY_NAME = /^[a-z0-9_-]{1,64}$/
const ACCOUNT_ID = /^[a-z0-9-]{1,128}$/
const NAME_LENGTH_MAX = 1_024
// eslint-disable-next-line no-control-regex -- control characters are what it finds
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]/

/** @returns the serial, or null when the text is none */
export function parseSerial(text: string): Serial | null {
  return SERIAL.test(text) ? (text as Serial) : null
}

/** @returns the login, or null when the text is empty, too long or no text at all (a NUL, half a character) */
export function parseLogin(text: string): Login | null {
  return isName(text) ? (text as Login) : null
}

/** @returns login and realm of a text such as `alice@example`, parted at its last `@`; null where one of them is none */
export function partedLogin(text: string): { readonly login: Login; readonly realm: Realm } | null {
  const at = text.lastIndexOf('@')
  const [login, realm] = [parseLogin(text.slice(0, Math.max(0, at))), parseRealm(text.slice(at + 1))]
  return at < 1 || login === null || realm === null ? null : { login, realm }
}

/** @returns the realm in lower case (privacyIDEA's realms are case-insensitive), or null when the text is none */
export function parseRealm(text: string): Realm | null {
  return isName(text) ? (text.toLowerCase() as Realm) : null
}

export function parseResolverName(text: string): ResolverName | null {
  return isName(text) ? (text as ResolverName) : null
}

/** @returns the id, or null when the text is empty, too long or no text at all */
export function parseUserId(text: string): UserId | null {
  return isName(text) ? (text as UserId) : null
}

export function parseDirectoryName(text: string): DirectoryName | null {
  return DIRECTORY_NAME.test(text) ? (text as DirectoryName) : null
}

/** @returns the id in lower case, or null when the text is none */
export function parseAccountId(text: string): AccountId | null {
  const lower = text.toLowerCase()
  return ACCOUNT_ID.test(lower) ? (lower as AccountId) : null
}

export function parseHoldName(text: string): HoldName | null {
  return HOLD_NAME.test(text) ? (text as HoldName) : null
}

export function holdNameOfSerial(serial: Serial): HoldName {
  return serial as string as HoldName
}

/** A DN is only ever taken from a directory's answer, our own record or the configuration. */
export function asDn(text: string): Dn {
  return text as Dn
}

export function accountKey(directory: DirectoryName, id: AccountId): AccountKey {
  return `${directory}/${id}` as AccountKey
}

/** @returns the two parts of a key, or null when the text is no key */
export function splitAccountKey(text: string): { key: AccountKey; directory: DirectoryName; id: AccountId } | null {
  const slash = text.indexOf('/')
  const directory = parseDirectoryName(text.slice(0, slash))
  const id = parseAccountId(text.slice(slash + 1))
  return slash > 0 && directory && id ? { key: accountKey(directory, id), directory, id } : null
}

/** The directory's name within a key that is already known to be one. */
export function directoryOf(key: AccountKey): DirectoryName {
  return key.slice(0, key.indexOf('/')) as DirectoryName
}

export function accountIdOf(key: AccountKey): AccountId {
  return key.slice(key.indexOf('/') + 1) as AccountId
}

function isName(text: string): boolean {
  return text.length > 0 && text.length <= NAME_LENGTH_MAX && !text.includes('\u0000') && text.isWellFormed()
}

/** Nobody types these in a name: a control character, a line separator, or a replacement for bytes that are no text. */
export function hasControlCharacter(text: string): boolean {
  return CONTROL.test(text)
}

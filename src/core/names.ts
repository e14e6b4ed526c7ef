/**
 * The names that cross every boundary, as branded strings: parsed once at the edge, trusted beyond it.
 */
type Brand<Name extends string> = string & { readonly __brand: Name }

/** A token's serial number: 1 to 64 of `A-Z a-z 0-9 _ -`, as privacyIDEA itself allows. Safe as a file name. */
export type Serial = Brand<'Serial'>
/** A privacyIDEA login name: 1 to 255 characters, no control characters. Not safe in a filter or a path. */
export type Login = Brand<'Login'>
/** A privacyIDEA realm, in lower case: 1 to 255 characters, no control characters. */
export type Realm = Brand<'Realm'>
/** The key of a directory in the configuration: 1 to 64 of `a-z 0-9 _ -`. */
export type DirectoryName = Brand<'DirectoryName'>
/** The stable id of an account in its directory (entryUUID, objectGUID, nsUniqueId), in lower case. */
export type AccountId = Brand<'AccountId'>
/** `<directory>/<account id>`: what the queue holds. */
export type AccountKey = Brand<'AccountKey'>
/** The name of a resolver of privacyIDEA: 1 to 255 characters, no control characters. */
export type ResolverName = Brand<'ResolverName'>
/** What a resolver calls a user for good (for LDAP the entryUUID or objectGUID, as configured there), as written there. */
export type UserId = Brand<'UserId'>
/** A distinguished name as the directory wrote it. */
export type Dn = Brand<'Dn'>
/** The name of a hold and of its LDIF files: a Serial, or `account.<hex>`, `manual.<hex>`, `lockout.<hex>`. */
export type HoldName = Brand<'HoldName'>

const SERIAL = /^[A-Za-z0-9_-]{1,64}$/
const HOLD_NAME = /^(?:[A-Za-z0-9_-]{1,64}|(?:account|manual|lockout)\.[0-9a-f]{8,32})$/
const DIRECTORY_NAME = /^[a-z0-9_-]{1,64}$/
const ACCOUNT_ID = /^[a-z0-9-]{1,128}$/
const NAME_LENGTH_MAX = 255
// eslint-disable-next-line no-control-regex -- control characters are what it refuses
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]/

/** @returns the serial, or null when the text is none */
export function parseSerial(text: string): Serial | null {
  return SERIAL.test(text) ? (text as Serial) : null
}

/** @returns the login, or null when the text is empty, too long or holds control characters */
export function parseLogin(text: string): Login | null {
  return isPlainName(text) ? (text as Login) : null
}

/** @returns the realm in lower case (privacyIDEA's realms are case-insensitive), or null when the text is none */
export function parseRealm(text: string): Realm | null {
  return isPlainName(text) ? (text.toLowerCase() as Realm) : null
}

export function parseResolverName(text: string): ResolverName | null {
  return isPlainName(text) ? (text as ResolverName) : null
}

/** @returns the id, or null when the text is empty, too long, or holds control characters or a wildcard */
export function parseUserId(text: string): UserId | null {
  return isPlainName(text) && !text.includes('*') ? (text as UserId) : null
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

function isPlainName(text: string): boolean {
  return text.length > 0 && text.length <= NAME_LENGTH_MAX && !CONTROL.test(text)
}

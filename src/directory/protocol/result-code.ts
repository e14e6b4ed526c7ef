import { ResultCodeError } from 'ldapts'
import { bindLine } from './search-line.ts'
import type { DirectoryType } from '../../core/settings/directory-type.ts'
import { AppError, type ErrorCode } from '../../core/error.ts'
import { bindReasonOf, saysBadPassword, saysUnbound } from './windows-reason.ts'

/** What was tried, for the message: never a value or a secret. */
export interface Attempt {
  readonly directory: string
  readonly url: string
  readonly kind: 'bind' | 'read' | 'write'
  readonly dn: string
  /** The attributes that were to be written. */
  readonly attributes?: readonly string[]
  /** The length of the longest value that was to be written. */
  readonly charsMax?: number
}

interface Meaning {
  readonly code: ErrorCode
  readonly text: string
  readonly hint: string
}

/** How a right is given, in the order in which the products are named; null: as for another one that is named. */
const RIGHTS: Readonly<Record<DirectoryType, string | null>> = {
  openldap:
    'OpenLDAP: an olcAccess clause "to attrs=…" that comes before any other for the attribute, with "by dn.exact=… write".',
  'active-directory':
    'Active Directory: RPWP on the attribute, inherited by user objects; members of administrators’ groups inherit nothing (AdminSDHolder).',
  '389ds': '389-DS: an aci.',
  freeipa: null,
  custom: null,
}

/** Where the limits of searches are. */
const LIMITS: Readonly<Record<DirectoryType, string | null>> = {
  openldap: 'OpenLDAP: olcLimits',
  '389ds': '389-DS and FreeIPA: nsSizeLimit, nsLookThroughLimit and nsIDListScanLimit of its entry',
  freeipa: null,
  'active-directory': 'Active Directory: MaxPageSize',
  custom: null,
}

const NOT_PERMITTED_HINT = `Give the account that Lockstep binds as this right. ${named(RIGHTS, ' ')} lockstep doctor --probe LOGIN prints the lines.`

const LIMIT_HINT = `Raise the limits for the account that Lockstep binds as (${named(LIMITS, '; ')}).`

function named(byType: Readonly<Record<DirectoryType, string | null>>, separator: string): string {
  return Object.values(byType)
    .filter((each) => each !== null)
    .join(separator)
}

const NOT_OF_NAME_HINT =
  'Choose a serialAttribute (and, for a custom lock, attributes) that is no part of the accounts’ DNs.'

/** LDAP result codes (RFC 4511, appendix A.1; 122 RFC 4528) that mean the same for every operation. */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  3: {
    code: 'directory-timeout',
    text: 'the server gave up at its time limit',
    hint: 'Index the attributes of the search filter.',
  },
  7: { code: 'directory-bind-refused', text: 'the server does not offer simple binds', hint: 'Allow simple binds.' },
  8: {
    code: 'directory-identity-lost',
    text: 'the server no longer takes the connection for authenticated',
    hint: 'The connection is opened anew by itself; check proxies between here and the server.',
  },
  4: {
    code: 'directory-cut',
    text: 'the server returned a part only, because of its size limit; nothing is concluded from it',
    hint: `${LIMIT_HINT} lockstep doctor prints the lines.`,
  },
  10: {
    code: 'directory-refused',
    text: 'the server refers to another one (a read-only replica does)',
    hint: 'Put the URL of the provider into urls.',
  },
  11: {
    code: 'directory-cut',
    text: 'the search goes beyond a limit of the server; nothing is concluded from what it returned',
    hint: `${LIMIT_HINT} Index the attributes of the filter. lockstep doctor prints the lines.`,
  },
  12: {
    code: 'directory-refused',
    text: 'the server does not support a control that another one of urls did',
    hint: 'It is tried again by itself without; better use servers of the same kind.',
  },
  13: {
    code: 'directory-tls',
    text: 'the server wants an encrypted connection',
    hint: 'Use an ldaps:// URL, or ldap:// with startTls: required.',
  },
  16: { code: 'write-raced', text: 'a value that was to be replaced is no longer there', hint: '' },
  17: {
    code: 'directory-refused',
    text: 'the server has no such attribute',
    hint: 'For pwdAccountLockedTime load the ppolicy module and overlay; otherwise correct the name of the attribute.',
  },
  18: {
    code: 'directory-refused',
    text: 'the values of the attribute cannot be compared that way',
    hint: 'Choose an attribute with an equality matching rule, or correct the filter.',
  },
  20: { code: 'write-raced', text: 'the value, or one that the server holds equal, is there already', hint: '' },
  21: {
    code: 'directory-refused',
    text: 'the value does not suit the syntax of the attribute',
    hint: 'Choose an attribute of a text syntax, or correct the value.',
  },
  32: { code: 'entry-not-found', text: 'there is no such entry, or it may not be seen', hint: '' },
  34: { code: 'directory-refused', text: 'the DN is malformed', hint: 'Correct the DN in the configuration.' },
  48: {
    code: 'directory-bind-refused',
    text: 'the account cannot bind with a password',
    hint: 'Give the account of bindDn a userPassword.',
  },
  49: {
    code: 'directory-bind-refused',
    text: 'the DN or the password is wrong, or the account is locked',
    hint: 'Correct bindDn or the password file.',
  },
  50: { code: 'directory-not-permitted', text: 'the right for it is missing', hint: NOT_PERMITTED_HINT },
  53: {
    code: 'directory-refused',
    text: 'the server is unwilling to do it',
    hint: 'Its log shows why: a read-only server, a rule of its own for the attribute, or a policy of passwords.',
  },
  54: {
    code: 'directory-refused',
    text: 'the server found a loop of referrals',
    hint: 'Correct the referrals or the chain overlay of the server.',
  },
  64: { code: 'directory-refused', text: 'the change would break the name of the entry', hint: NOT_OF_NAME_HINT },
  67: { code: 'directory-refused', text: 'the attribute is part of the name of the entry', hint: NOT_OF_NAME_HINT },
  68: { code: 'write-raced', text: 'there is such an entry already', hint: '' },
  69: {
    code: 'directory-refused',
    text: 'the object classes of the entry may not be changed',
    hint: 'Choose an attribute that the accounts’ object classes allow.',
  },
  71: {
    code: 'directory-refused',
    text: 'the change concerns several servers at once',
    hint: 'Put the URL of the server that holds the accounts into urls.',
  },
  80: {
    code: 'directory-refused',
    text: 'the server failed inside',
    hint: 'See the log of the directory server; it is tried again by itself.',
  },
  51: { code: 'directory-busy', text: 'the server is busy', hint: 'It is tried again by itself.' },
  52: { code: 'directory-unreachable', text: 'the server is not available now', hint: 'It is tried again by itself.' },
  65: {
    code: 'directory-refused',
    text: 'the object classes of the entry do not allow the attribute',
    hint: 'Choose an attribute that the accounts’ object classes allow.',
  },
  122: { code: 'write-raced', text: 'the entry is no longer as it was when it was read', hint: '' },
}

/** 389-DS's answers to a bind of an account that is inactivated (53), or locked after wrong passwords (19). */
const LOCKED_SERVICE: Meaning = {
  code: 'directory-bind-refused',
  text: 'the account is locked',
  hint: 'Unlock the account of bindDn, and exempt it from the password policy.',
}

const OPERATIONS_ERROR = 1
const STRONGER_AUTH_REQUIRED = 8
const INVALID_CREDENTIALS = 49
const UNWILLING = 53
const CONSTRAINT_VIOLATION = 19
const INVALID_SYNTAX = 21
/** Servers that limit a text usually limit it to so many characters. */
const LONG_CHARS = 1024
const TOO_LONG = /00002082|\btoo (?:long|large|big)\b|exceeds|maximum (?:length|size)|size constraint|rangeUpper/i
/** slapd's message for a second value of a single-valued attribute, which it reports as 19. */
const SECOND_VALUE = /multiple values|single-?valued/i
const DIAGNOSTIC_LENGTH_MAX = 200

/** The LDAP result code of what ldapts threw, or null when it was no answer of the server. */
export function resultCodeOf(thrown: unknown): number | null {
  return thrown instanceof ResultCodeError ? thrown.code : null
}

/** The one place that turns an answer of the server into an error of ours. */
export function errorOfResult(thrown: ResultCodeError, attempt: Attempt): AppError {
  const meaning = meaningOf(thrown, attempt)
  const what = { bind: 'bind as', read: 'read', write: 'write to' }[attempt.kind]
  const attributes = attempt.attributes?.length ? ` (${attempt.attributes.join(', ')})` : ''
  const said = diagnosticOf(thrown)
  const message = `directory ${attempt.directory}: cannot ${what} ${attempt.dn || 'the root DSE'}${attributes} at ${attempt.url}: ${meaning.text} (LDAP ${thrown.code}${said})`
  const tryIt = thrown.code === INVALID_CREDENTIALS ? ` Try it with: ${bindLine(attempt.url, attempt.dn)}` : ''
  return new AppError(meaning.code, message, { hint: `${meaning.hint}${tryIt}`, cause: thrown })
}

function meaningOf(thrown: ResultCodeError, attempt: Attempt): Meaning {
  if (thrown.code === 19 && attempt.kind === 'write' && SECOND_VALUE.test(thrown.message)) {
    return { code: 'write-raced', text: 'another value is there already', hint: '' }
  }
  if (thrown.code === CONSTRAINT_VIOLATION && attempt.kind === 'write') return constraintOf(thrown, attempt)
  if (thrown.code === INVALID_SYNTAX && isLong(attempt)) return constraintOf(thrown, attempt)
  if (thrown.code === 3 && attempt.kind === 'write') {
    return { code: 'outcome-unknown', text: 'the server gave up at its time limit', hint: 'Lockstep looks again.' }
  }
  if (attempt.kind === 'bind' && (thrown.code === 53 || thrown.code === 19)) return LOCKED_SERVICE
  return (
    windowsMeaning(thrown, attempt) ??
    MEANINGS[thrown.code] ?? {
      code: 'directory-refused',
      text: 'the server refused',
      hint: 'See the log of the directory server.',
    }
  )
}

/**
 * A value that breaks a rule. Active Directory: 00002082 is ERROR_DS_RANGE_CONSTRAINT, `len` the length in bytes;
 * slapo-constraint(5) names `size`; Samba calls a value that is too long an invalid one (21). A retry soon resolves
 * none of them.
 */
function constraintOf({ message }: ResultCodeError, attempt: Attempt): Meaning {
  const isTooLong = TOO_LONG.test(message) || isLong(attempt)
  return {
    code: isTooLong ? 'value-too-long' : 'directory-refused',
    text: isTooLong
      ? 'the value would be too long'
      : 'the value breaks a rule of the server (its length, form or number)',
    hint: 'Shorten the value of the attribute, or choose another serialAttribute; then lockstep retry.',
  }
}

function isLong({ kind, charsMax = 0 }: Attempt): boolean {
  return kind === 'write' && charsMax > LONG_CHARS
}

/** Codes that Active Directory uses otherwise, or with more detail. */
function windowsMeaning({ code, message }: ResultCodeError, { kind }: Attempt): Meaning | null {
  if (code === INVALID_CREDENTIALS && kind === 'bind') {
    const reason = bindReasonOf(message)
    return reason === null ? null : { code: 'directory-bind-refused', ...reason }
  }
  if (code === STRONGER_AUTH_REQUIRED && kind === 'bind') return MEANINGS[13] ?? null
  if (code === OPERATIONS_ERROR && saysUnbound(message)) return MEANINGS[STRONGER_AUTH_REQUIRED] ?? null
  if (code === UNWILLING && saysBadPassword(message)) {
    return {
      code: 'directory-refused',
      text: 'the account cannot be enabled, since its password does not fit the password policy',
      hint: 'Set a new password for the account; it is tried again by itself.',
    }
  }
  return null
}

/** The server's own message, in one short line. */
function diagnosticOf(thrown: ResultCodeError): string {
  const text = thrown.message
    .replace(/ Code: 0x[0-9a-f]+$/, '')
    .replace(/\s+/g, ' ')
    .trim()
  return text === '' ? '' : `: ${text.slice(0, DIAGNOSTIC_LENGTH_MAX)}`
}

import {
  AndFilter,
  ApproximateFilter,
  EqualityFilter,
  ExtensibleFilter,
  GreaterThanEqualsFilter,
  LessThanEqualsFilter,
  NotFilter,
  OrFilter,
  PresenceFilter,
  SubstringFilter,
  type Filter,
} from 'ldapts'
import { AppError } from '../../core/error.ts'

/** Values for the placeholders `{login}` and `{realm}` of a filter. */
export type FilterValues = Readonly<Record<string, string>>
/** A filter whose text was read once; the values become parts of it and are never read as text. */
export type FilterTemplate = (values: FilterValues) => Filter

const DEPTH_MAX = 32
const ITEM = /^([A-Za-z0-9.;-]*)((?::dn)?(?::[A-Za-z0-9.-]+)?:=|>=|<=|~=|=)(.*)$/s

/**
 * Reads a filter (RFC 4515). Values are put in after reading, so that nothing in them can be syntax.
 * Fails with `config-invalid`.
 */
export function compileFilter(text: string, where: string): FilterTemplate {
  const reader: Reader = { text, at: 0, where }
  const template = readFilter(reader, 0)
  if (reader.at !== text.length) throw invalid(reader, 'something follows its closing parenthesis')
  return template
}

/** RFC 4515, 3: the characters that must be escaped, as `\hh`. For filters that people are to copy. */
export function escapeFilterValue(value: string): string {
  // eslint-disable-next-line no-control-regex -- NUL is one of them
  return value.replace(/[*()\\\u0000]/g, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

interface Reader {
  readonly text: string
  at: number
  readonly where: string
}

function readFilter(reader: Reader, depth: number): FilterTemplate {
  if (depth > DEPTH_MAX) throw invalid(reader, `it is nested more than ${DEPTH_MAX} levels deep`)
  expect(reader, '(')
  const sign = reader.text[reader.at]
  if (sign !== '&' && sign !== '|' && sign !== '!') return readItem(reader)
  reader.at += 1
  const parts: FilterTemplate[] = []
  while (reader.text[reader.at] === '(') parts.push(readFilter(reader, depth + 1))
  expect(reader, ')')
  const [first] = parts
  if (first === undefined || (sign === '!' && parts.length > 1)) throw invalid(reader, `"${sign}" takes other parts`)
  if (sign === '!') return (values) => new NotFilter({ filter: first(values) })
  const List = sign === '&' ? AndFilter : OrFilter
  return (values) => new List({ filters: parts.map((part) => part(values)) })
}

function readItem(reader: Reader): FilterTemplate {
  const end = reader.text.indexOf(')', reader.at)
  const match = ITEM.exec(end < 0 ? '' : reader.text.slice(reader.at, end))
  if (match === null) throw invalid(reader, '"attribute=value" is expected')
  const [, attribute = '', operator = '', value = ''] = match
  reader.at = end + 1
  if (operator.endsWith(':=')) return extensible(attribute, operator, valueOf(reader, value))
  if (operator === '=' && value === '*') return () => new PresenceFilter({ attribute })
  if (operator === '=' && value.includes('*')) return substrings(reader, attribute, value)
  const read = valueOf(reader, value)
  if (operator === '>=') return (values) => new GreaterThanEqualsFilter({ attribute, value: read(values).toString() })
  if (operator === '<=') return (values) => new LessThanEqualsFilter({ attribute, value: read(values).toString() })
  if (operator === '~=') return (values) => new ApproximateFilter({ attribute, value: read(values).toString() })
  return (values) => new EqualityFilter({ attribute, value: read(values) })
}

function substrings(reader: Reader, attribute: string, value: string): FilterTemplate {
  const parts = value.split('*').map((part) => valueOf(reader, part))
  return (values) => {
    const texts = parts.map((part) => part(values).toString())
    return new SubstringFilter({
      attribute,
      initial: texts.at(0) ?? '',
      any: texts.slice(1, -1).filter((text) => text !== ''),
      final: texts.at(-1) ?? '',
    })
  }
}

function extensible(
  attribute: string,
  operator: string,
  read: (values: FilterValues) => string | Buffer,
): FilterTemplate {
  const names = operator
    .slice(0, -2)
    .split(':')
    .filter((name) => name !== '')
  const dnAttributes = names[0] === 'dn'
  const rule = names[dnAttributes ? 1 : 0] ?? ''
  return (values) => new ExtensibleFilter({ matchType: attribute, rule, dnAttributes, value: read(values).toString() })
}

/** A value: literal pieces (bytes where an escape makes them no UTF-8) and placeholders. */
function valueOf(reader: Reader, text: string): (values: FilterValues) => string | Buffer {
  if (/\(|\\(?![0-9A-Fa-f]{2})/.test(text)) throw invalid(reader, 'a value has a "(" or a bad escape')
  const pieces = text.split(/\{(login|realm)\}/)
  const literals = pieces.map((piece, index) => (index % 2 === 0 ? unescape(piece) : piece))
  const only = literals.length === 1 ? literals[0] : undefined
  if (only !== undefined) return () => only
  if (literals.length === 3 && literals[0] === '' && literals[2] === '') {
    const name = String(literals[1])
    return (values) => values[name] ?? ''
  }
  return (values) => {
    const parts = literals.map((literal, index) => (index % 2 === 0 ? literal : (values[String(literal)] ?? '')))
    return parts.some((part) => Buffer.isBuffer(part))
      ? Buffer.concat(parts.map((part) => Buffer.from(part)))
      : parts.join('')
  }
}

function unescape(text: string): string | Buffer {
  if (!text.includes('\\')) return text
  const pieces = text.split(/((?:\\[0-9A-Fa-f]{2})+)/)
  const bytes = Buffer.concat(
    pieces.map((piece, index) =>
      index % 2 === 0 ? Buffer.from(piece) : Buffer.from(piece.replaceAll('\\', ''), 'hex'),
    ),
  )
  const decoded = bytes.toString('utf8')
  return Buffer.from(decoded).equals(bytes) ? decoded : bytes
}

function expect(reader: Reader, char: string): void {
  if (reader.text[reader.at] !== char) throw invalid(reader, `"${char}" is expected`)
  reader.at += 1
}

function invalid(reader: Reader, what: string): AppError {
  return new AppError(
    'config-invalid',
    `${reader.where}: "${reader.text}" is no LDAP filter: ${what} (character ${reader.at + 1})`,
    {
      hint: 'Write it as in (uid={login}) or (&(objectClass=person)(uid={login})).',
    },
  )
}

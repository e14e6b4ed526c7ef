import { isIP } from 'node:net'
import { writtenDuration } from '../../core/format/duration.ts'
import { parseSerial, type Serial } from '../../core/names.ts'
import { isWindowsName } from '../../core/settings/bind-name.ts'
import { WINDOWS_NAMED } from '../../core/settings/directory-type.ts'
import { dnProblem } from './dn-syntax.ts'
import { filterProblem } from './filter-syntax.ts'
import { Reason, single, type Json, type Value } from './value.ts'

/** The kinds of single values in the YAML file. */

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const UNITS_BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 * 1024 }
/** A text of the configuration is at most so many characters. */
const TEXT_LENGTH_MAX = 4096
const DURATION_MS_MAX = 3650 * 86_400_000

/** A text that is not empty, converted to its value. */
function fromText<T>(expected: string, convert: (text: string) => T | Reason, json: Json = {}): Value<T> {
  return single(expected, { type: 'string', minLength: 1, maxLength: TEXT_LENGTH_MAX, ...json }, (raw) =>
    typeof raw === 'string' && raw !== '' && raw.length <= TEXT_LENGTH_MAX ? convert(raw) : new Reason(''),
  )
}

/** A text that is kept as it is when `problem` finds nothing wrong with it; '' where `expected` is enough. */
function checkedText(expected: string, problem: (text: string) => string | null): Value<string> {
  return fromText(expected, (written) => {
    const found = problem(written)
    return found === null ? written : new Reason(found)
  })
}

export function matching(expected: string, pattern: RegExp): Value<string> {
  return fromText(expected, (written) => (pattern.test(written) ? written : new Reason('')), {
    pattern: pattern.source,
  })
}

export const text = checkedText('a text', () => null)

/** RFC 4512, 1.4: a short name or a dotted OID. */
export const attribute = matching(
  'the name of an LDAP attribute, as in description',
  /^(?:[A-Za-z][A-Za-z0-9-]{0,127}|\d+(?:\.\d+)+)$/,
)

export const environmentName = matching(
  'the name of an environment variable, as in LOCKSTEP_LDAP_PASSWORD',
  /^[A-Za-z_][A-Za-z0-9_]{0,127}$/,
)

export const flag = single('true or false', { type: 'boolean' }, (raw) =>
  typeof raw === 'boolean' ? raw : new Reason(''),
)

export function integer(min: number, max: number): Value<number> {
  const json = { type: 'integer', minimum: min, maximum: max }
  return single(`a whole number from ${min} to ${max}`, json, (raw) =>
    typeof raw === 'number' && Number.isInteger(raw) && raw >= min && raw <= max ? raw : new Reason(''),
  )
}

export function choice<const Allowed extends string>(allowed: readonly Allowed[]): Value<Allowed> {
  const expected = allowed.length === 1 ? String(allowed[0]) : `one of ${allowed.join(', ')}`
  const convert = (raw: unknown): Allowed | Reason => allowed.find((each) => each === raw) ?? new Reason('')
  return single(expected, { type: 'string', enum: allowed }, convert)
}

/** `5s`, `10m`, `2h`, `30d`, `250ms` to milliseconds. */
export function duration(minMs: number, maxMs: number = DURATION_MS_MAX): Value<number> {
  const expected = `a duration from ${writtenDuration(minMs)} to ${writtenDuration(maxMs)}, as in 250ms, 5s, 10m, 2h or 30d`
  return fromText(expected, (written) => measured(written, /^(\d{1,9})(ms|s|m|h|d)$/, UNITS_MS, minMs, maxMs))
}

/** `64KiB` to bytes. */
export function size(minBytes: number, maxBytes: number): Value<number> {
  const expected = `a size from ${minBytes} bytes to ${maxBytes / 1024} KiB, as in 512B, 64KiB or 1MiB`
  return fromText(expected, (written) => measured(written, /^(\d{1,9}) ?(B|KiB|MiB)$/, UNITS_BYTES, minBytes, maxBytes))
}

function measured(
  written: string,
  pattern: RegExp,
  units: Readonly<Record<string, number>>,
  min: number,
  max: number,
): number | Reason {
  const [, count, unit = ''] = pattern.exec(written) ?? []
  const value = Number(count) * (units[unit] ?? Number.NaN)
  return value >= min && value <= max ? value : new Reason('')
}

export const path = checkedText('the path of a file or folder, absolute or relative to this file', (written) =>
  written.includes('\0') ? 'it holds a NUL character' : null,
)

export const dn = checkedText('a distinguished name, as in cn=lockstep,dc=example,dc=org', dnProblem)

export const bindName = checkedText(
  `a distinguished name, as in cn=lockstep,dc=example,dc=org; for type ${WINDOWS_NAMED.join(', ')} also user@example.org or EXAMPLE\\user`,
  (written) => (isWindowsName(written) ? null : dnProblem(written)),
)

export const filter = checkedText('an LDAP filter, as in (uid=alice)', filterProblem)

export const userFilter = checkedText('an LDAP filter with {login}, as in (uid={login})', (written) => {
  if (!written.includes('{login}')) return 'it does not hold {login}, so it would match the same account for everybody'
  const unknown = /\{(?!login\}|realm\}|userId\})[A-Za-z]*\}/.exec(written)
  if (unknown !== null) return `it holds ${unknown[0]}; known are {login} and {realm}`
  if (written.includes('{userId}')) {
    return 'it holds {userId}, which is not in this version yet; known are {login} and {realm}'
  }
  return filterProblem(written.replaceAll(/\{(?:login|realm)\}/g, 'x'))
})

export const serialFormat = checkedText('a text with exactly one {serial}, as in "privacyIDEA:{serial}"', (written) => {
  const count = written.split('{serial}').length - 1
  return count === 1 ? null : `it holds {serial} ${count} times`
})

export const directoryUrl = checkedText(
  'an ldap:// or ldaps:// URL with a host and nothing after it, as in ldaps://ldap.example.org',
  (written) => {
    const url = URL.canParse(written) ? new URL(written) : null
    if (url === null || !/^ldaps?:\/\//i.test(written)) return ''
    if (url.username !== '' || url.password !== '') {
      return 'it holds credentials; they belong into bindDn and bindPasswordFile'
    }
    if (url.hostname === '') return 'it has no host'
    if (url.search !== '' || url.hash !== '' || (url.pathname !== '' && url.pathname !== '/')) {
      return 'there is something after the host and port; the base belongs into the key base'
    }
    return null
  },
)

export const sourceUrl = fromText(
  'an https:// URL with nothing after its path, as in https://pi.example.org',
  (written): string | Reason => {
    const url = URL.canParse(written) ? new URL(written) : null
    if (url === null || !/^https?:\/\//i.test(written)) return new Reason('')
    if (url.username !== '' || url.password !== '') {
      return new Reason('it holds credentials; they belong into user and passwordFile')
    }
    if (url.search !== '' || url.hash !== '') return new Reason('there is something after the path')
    return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
  },
)

/** `10%` to 0.1. */
export const percent = fromText('a percentage from 0% to 100%, as in 10%', (written): number | Reason => {
  const match = /^(\d{1,3}(?:\.\d{1,3})?) ?%$/.exec(written)
  const value = Number(match?.[1]) / 100
  return value <= 1 ? value : new Reason('')
})

export const serial = fromText('the serial of a token, as in TOTP0001', (written): Serial | Reason => {
  return parseSerial(written) ?? new Reason('')
})

export interface Listen {
  readonly host: string
  readonly port: number
}

export const listen = fromText(
  'an address and a port, as in 127.0.0.1:8640 or [::1]:8640',
  (written): Listen | Reason => {
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(written)
    if (match === null) return new Reason('')
    const port = Number(match[3])
    if (port > 65_535) return new Reason('a port is at most 65535')
    if (match[1] !== undefined && isIP(match[1]) !== 6) return new Reason('the text in [ ] is no IPv6 address')
    return { host: match[1] ?? match[2] ?? '', port }
  },
)

export const cidr = checkedText('a network, as in 192.0.2.0/24 or 2001:db8::/32', (written) => {
  const [address = '', prefix, more] = written.split('/')
  const family = isIP(address)
  if (family === 0 || more !== undefined) return ''
  if (prefix === undefined) return 'the prefix length is missing, as in /32'
  const bits = family === 4 ? 32 : 128
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits ? null : `the prefix length is 0 to ${bits}`
})

/** `sqlite:PATH` to the path. */
export const store = fromText(
  'sqlite: and the path of a file, as in sqlite:/var/lib/lockstep/lockstep.db',
  (written) => {
    if (/^postgres(?:ql)?:/i.test(written)) return new Reason('not in this version yet: PostgreSQL; leave it out')
    return /^sqlite:./.test(written) ? written.slice('sqlite:'.length) : new Reason('')
  },
)

/** One text or several, as a list. */
export const texts = single(
  'a value or a list of values',
  { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 64 }] },
  (raw): readonly string[] | Reason => {
    const all: unknown = typeof raw === 'string' ? [raw] : raw
    const isGood = Array.isArray(all) && all.length > 0 && all.length <= 64
    return isGood && all.every((each): each is string => typeof each === 'string') ? all : new Reason('')
  },
)

import { isIP } from 'node:net'
import * as z from 'zod/mini'
import { dnProblem } from './dn-syntax.ts'
import { filterProblem } from './filter-syntax.ts'

/**
 * The kinds of value that the YAML file knows. Each is a zod schema from what stands in the file to what Settings
 * holds, and one phrase that says what is expected; the phrase is the error text and the column of the manual.
 */
export interface Value<Schema extends z.ZodMiniType = z.ZodMiniType> {
  readonly schema: Schema
  /** Completes "expected …". */
  readonly expected: string
  /** The same of one element, for a list. */
  readonly each?: string
  /** Values that are known and that this version refuses. */
  readonly later?: readonly string[]
}

/** Message of a value that is simply of another kind: what is expected says it all. */
export const PLAIN_MISMATCH = 'mismatch'

/** Why a text is none of its kind; without the value, which may be a secret. '' where what is expected says it all. */
class Reason {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const UNITS_BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 * 1024 }
/** A text of the configuration is at most so many characters. */
const TEXT_LENGTH_MAX = 4096
const DURATION_MS_MAX = 3650 * 86_400_000

function converted<T>(convert: (text: string) => T | Reason) {
  return z.pipe(
    z.string().check(z.minLength(1), z.maxLength(TEXT_LENGTH_MAX)),
    z.transform((text: string, context): T => {
      const result = convert(text)
      if (!(result instanceof Reason)) return result
      context.issues.push({ code: 'custom', message: result.text === '' ? PLAIN_MISMATCH : result.text, input: text })
      return z.NEVER
    }),
  )
}

/** A text that is kept as it is when `problem` finds nothing wrong with it. */
function checkedText(problem: (text: string) => string | null) {
  return converted((text) => {
    const found = problem(text)
    return found === null ? text : new Reason(found)
  })
}

export const text = { schema: z.string().check(z.minLength(1), z.maxLength(TEXT_LENGTH_MAX)), expected: 'a text' }

/** RFC 4512, 1.4: a short name or a dotted OID. */
const ATTRIBUTE = /^(?:[A-Za-z][A-Za-z0-9-]{0,127}|\d+(?:\.\d+)+)$/
export const attribute = {
  schema: z.string().check(z.regex(ATTRIBUTE)),
  expected: 'the name of an LDAP attribute, as in description',
}

export const flag = { schema: z.boolean(), expected: 'true or false' }

export function integer(min: number, max: number) {
  return { schema: z.int().check(z.gte(min), z.lte(max)), expected: `a whole number from ${min} to ${max}` }
}

export function choice<const Allowed extends readonly [string, ...string[]]>(
  allowed: Allowed,
  later: readonly string[] = [],
) {
  const expected = allowed.length === 1 ? allowed[0] : `one of ${allowed.join(', ')}`
  return { schema: z.enum(allowed), expected, later }
}

/** `5s`, `10m`, `2h`, `30d`, `250ms` to milliseconds. */
export function duration(minMs: number, maxMs: number = DURATION_MS_MAX) {
  const expected = `a duration from ${showDuration(minMs)} to ${showDuration(maxMs)}, as in 250ms, 5s, 10m, 2h or 30d`
  const schema = converted((written) => {
    const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(written)
    const unit = match?.[2] === undefined ? undefined : UNITS_MS[match[2]]
    if (match === null || unit === undefined) return new Reason('')
    const ms = Number(match[1]) * unit
    return ms < minMs || ms > maxMs ? new Reason('') : ms
  })
  return { schema, expected }
}

function showDuration(ms: number): string {
  const unit = Object.entries(UNITS_MS)
    .toReversed()
    .find(([, each]) => ms >= each && ms % each === 0)
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`
}

/** `64KiB` to bytes. */
export function size(minBytes: number, maxBytes: number) {
  const expected = `a size from ${minBytes} bytes to ${maxBytes / 1024} KiB, as in 512B, 64KiB or 1MiB`
  const schema = converted((written) => {
    const match = /^(\d{1,9}) ?(B|KiB|MiB)$/.exec(written)
    const unit = match?.[2] === undefined ? undefined : UNITS_BYTES[match[2]]
    if (match === null || unit === undefined) return new Reason('')
    const bytes = Number(match[1]) * unit
    return bytes < minBytes || bytes > maxBytes ? new Reason('') : bytes
  })
  return { schema, expected }
}

export const path = {
  schema: checkedText((written) => (written.includes('\0') ? 'it holds a NUL character' : null)),
  expected: 'the path of a file or folder, absolute or relative to this file',
}

export const environmentName = {
  schema: z.string().check(z.regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/)),
  expected: 'the name of an environment variable, as in LOCKSTEP_LDAP_PASSWORD',
}

export const dn = {
  schema: checkedText(dnProblem),
  expected: 'a distinguished name, as in cn=lockstep,dc=example,dc=org',
}

export const filter = { schema: checkedText(filterProblem), expected: 'an LDAP filter, as in (uid=alice)' }

export const userFilter = {
  schema: checkedText((written) => {
    if (!written.includes('{login}'))
      return 'it does not hold {login}, so it would match the same account for everybody'
    const unknown = /\{(?!login\}|realm\}|userId\})[A-Za-z]*\}/.exec(written)
    if (unknown !== null) return `it holds ${unknown[0]}; known are {login} and {realm}`
    if (written.includes('{userId}'))
      return 'it holds {userId}, which is not in this version yet; known are {login} and {realm}'
    return filterProblem(written.replaceAll(/\{(?:login|realm)\}/g, 'x'))
  }),
  expected: 'an LDAP filter with {login}, as in (uid={login})',
}

export const serialFormat = {
  schema: checkedText((written) => {
    const count = written.split('{serial}').length - 1
    return count === 1 ? null : `it holds {serial} ${count} times`
  }),
  expected: 'a text with exactly one {serial}, as in "privacyIDEA:{serial}"',
}

export const directoryUrl = {
  schema: checkedText(urlProblem),
  expected: 'an ldap:// or ldaps:// URL with a host and nothing after it, as in ldaps://ldap.example.org',
}

function urlProblem(written: string): string | null {
  const url = URL.canParse(written) ? new URL(written) : null
  if (url === null || !/^ldaps?:\/\//i.test(written)) return ''
  if (url.username !== '' || url.password !== '')
    return 'it holds credentials; they belong into bindDn and bindPasswordFile'
  if (url.hostname === '') return 'it has no host'
  if (url.search !== '' || url.hash !== '' || (url.pathname !== '' && url.pathname !== '/')) {
    return 'there is something after the host and port; the base belongs into the key base'
  }
  return null
}

export interface Listen {
  readonly host: string
  readonly port: number
}

export const listen = {
  schema: converted((written): Listen | Reason => {
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(written)
    if (match === null) return new Reason('')
    const port = Number(match[3])
    if (port > 65_535) return new Reason('a port is at most 65535')
    if (match[1] !== undefined && isIP(match[1]) !== 6) return new Reason('what stands in [ ] is no IPv6 address')
    return { host: match[1] ?? match[2] ?? '', port }
  }),
  expected: 'an address and a port, as in 127.0.0.1:8640 or [::1]:8640',
}

export const cidr = {
  schema: checkedText((written) => {
    const [address = '', prefix, more] = written.split('/')
    const family = isIP(address)
    if (family === 0 || more !== undefined) return ''
    if (prefix === undefined) return 'the prefix length is missing, as in /32'
    const bits = family === 4 ? 32 : 128
    return /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits ? null : `the prefix length is 0 to ${bits}`
  }),
  expected: 'a network, as in 192.0.2.0/24 or 2001:db8::/32',
}

/** `sqlite:PATH` to the path. */
export const store = {
  schema: converted((written) => {
    if (/^postgres(?:ql)?:/i.test(written)) return new Reason('not in this version yet: PostgreSQL; leave it out')
    return /^sqlite:./.test(written) ? written.slice('sqlite:'.length) : new Reason('')
  }),
  expected: 'sqlite: and the path of a file, as in sqlite:/var/lib/lockstep/lockstep.db',
}

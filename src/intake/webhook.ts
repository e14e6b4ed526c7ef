import { isUtf8 } from 'node:buffer'
import type { TokenEventKind } from '../core/events/event.ts'
import { jsonMembers, jsonTrouble, type JsonMember } from '../core/json-limit.ts'
import { eventsOfFields, excerpt, refuse, type EventFields, type Origin, type Received } from './event-fields.ts'

/**
 * Reads the body of privacyIDEA's webhook. Pure. privacyIDEA 3.10 to 3.14 sends:
 * - `user={logged_in_user}&realm={realm}&serial={token_serial}` as `urlencoded`, `urlendcode` or the MIME type, with
 *   values without escaping; a missing value is the text `None`, or empty;
 * - up to 3.13 a JSON template as a form with its first key only, under the content type `json`;
 * - 3.14: JSON, and the serials of all the owner's tokens joined by commas.
 * So the content decides what a body is, and the content type only how a form was escaped.
 */

const NAMES: Readonly<Record<string, keyof EventFields>> = {
  serial: 'serial',
  serials: 'serial',
  token_serial: 'serial',
  user: 'user',
  username: 'user',
  login: 'user',
  realm: 'realm',
  userrealm: 'realm',
  user_realm: 'realm',
  actor: 'actor',
  admin: 'actor',
}

/** Pairs of a form, members of an object at most. */
const PAIRS_MAX = 64
/** A text, or a list of serials; other values are skipped. */
const JSON_LIMITS = { depthMax: 8, valuesMax: 10_000 }
const PLACEHOLDER = /^\{[A-Za-z_]{1,40}\}$/

type Pairs = readonly (readonly [string, unknown])[]

/** @param contentType the header as it came, or '' */
export function readWebhook(kind: TokenEventKind, contentType: string, body: Buffer, origin: Origin): Received {
  if (!isUtf8(body)) return refuse(origin, 'body: not valid UTF-8')
  const text = body.toString('utf8').trim()
  if (text === '') return refuse(origin, 'body: empty; expected user=…&realm=…&serial=… or a JSON object')
  const pairs =
    text.startsWith('{') || text.startsWith('[') ? jsonPairs(Buffer.from(text)) : formPairs(text, contentType)
  if (typeof pairs === 'string') return refuse(origin, pairs)
  const fields = readPairs(pairs)
  if (typeof fields === 'string') return refuse(origin, fields)
  return eventsOfFields(kind, ownerOnly(fields), origin)
}

/** A name that is there twice comes twice, as in a form. */
function jsonPairs(bytes: Buffer): Pairs | string {
  const trouble = jsonTrouble(bytes, JSON_LIMITS)
  if (trouble !== null) return `body: ${trouble}`
  let members: JsonMember[] | null
  try {
    members = jsonMembers(bytes)
  } catch {
    return 'body: starts like JSON, but is none'
  }
  return members?.map(({ name, value }) => [name, value] as const) ?? 'body: a JSON object is expected'
}

function formPairs(text: string, contentType: string): Pairs | string {
  const parts = text.split('&', PAIRS_MAX + 1)
  if (!text.includes('=')) return `body: neither a form nor JSON: ${excerpt(text)}`
  // A template's values are not escaped: a plus there is a plus, unless the sender does escape.
  const escaped = /%[0-9A-Fa-f]{2}/.test(text) || contentType.trim().toLowerCase() === 'json'
  return parts.map((part) => {
    const equals = part.indexOf('=')
    if (equals < 0) return [unescape(part, escaped), ''] as const
    return [unescape(part.slice(0, equals), escaped), unescape(part.slice(equals + 1), escaped)] as const
  })
}

function unescape(text: string, escaped: boolean): string {
  if (!escaped) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

function readPairs(pairs: Pairs): EventFields | string {
  if (pairs.length > PAIRS_MAX) return `body: more than ${PAIRS_MAX} fields`
  const fields: { -readonly [Field in keyof EventFields]: EventFields[Field] } = {}
  for (const [name, value] of pairs) {
    const field = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined
    if (field === undefined) continue
    const text = plainText(value)
    if (field === 'actor') {
      fields.actor = text ?? undefined
      continue
    }
    if (text === null) return `${field}: a text is expected`
    if (PLACEHOLDER.test(text)) return `${field}: the placeholder ${text} was not replaced; switch "replace" on`
    // Values are not escaped, so a user with the login `x&serial=S` gives a field twice.
    if (fields[field] !== undefined && fields[field] !== text) return `${field}: given twice, with different values`
    fields[field] = text
  }
  if (Object.keys(fields).length > 0) return fields
  return `body: none of the fields user, realm and serial is there, but ${excerpt(pairs.map(([name]) => name).join(' '))}`
}

function plainText(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (value === null) return ''
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value.join(',')
  return null
}

/**
 * Where a request has no user, `{logged_in_user}` and `{realm}` are those of the administrator. A local one has no
 * realm and a token's owner always has one, so a user with an empty realm is the actor and not the owner.
 */
function ownerOnly(fields: EventFields): EventFields {
  const { user, realm } = fields
  if (user === undefined || realm === undefined || !(realm === '' || realm === 'None' || realm === 'none'))
    return fields
  return { serial: fields.serial, actor: fields.actor ?? (user === '' ? '' : `${user}@`) }
}

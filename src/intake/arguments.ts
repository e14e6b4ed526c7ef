import { isUtf8 } from 'node:buffer'
import {
  eventsOfFields,
  excerpt,
  isTokenEventKind,
  refuse,
  type EventFields,
  type Origin,
  type Received,
} from './event-fields.ts'

/** Reads a shim's file: the kind and privacyIDEA's arguments, each ended by NUL. Pure. */

const OPTIONS = {
  '--serial': 'serial',
  '--user': 'user',
  '--realm': 'realm',
  '--logged_in_user': 'actor',
} as const
type Option = keyof typeof OPTIONS

/** Fields of a file at most: privacyIDEA passes ten. */
const FIELDS_MAX = 256

/**
 * @param bytes the file's content
 * @param expectedArguments how many arguments the file's name states, or null when it does not
 */
export function readSpoolFile(bytes: Buffer, expectedArguments: number | null, origin: Origin): Received {
  if (bytes.length === 0 || bytes[bytes.length - 1] !== 0) return refuse(origin, 'file: cut short, its end is missing')
  const text = isUtf8(bytes) ? bytes.toString('utf8', 0, bytes.length - 1) : null
  const fields = text === null ? splitBytes(bytes) : text.split('\0', FIELDS_MAX + 1)
  if (fields.length > FIELDS_MAX) return refuse(origin, `file: more than ${FIELDS_MAX - 1} arguments`)
  if (expectedArguments !== null && fields.length !== expectedArguments + 1) {
    return refuse(origin, `file: cut short, ${fields.length - 1} of ${expectedArguments} arguments are there`)
  }
  const [kind, ...args] = fields
  return readArguments(kind ?? '', args, origin)
}

/**
 * privacyIDEA passes pairs of an option and its value. So the text after an option is its value, also where it looks
 * like an option: a user with the login `--serial` stays a user. Unknown options are skipped with their values.
 * @param args null: an argument that is no valid UTF-8
 */
export function readArguments(kind: string | null, args: readonly (string | null)[], origin: Origin): Received {
  if (kind === null || !isTokenEventKind(kind)) {
    return refuse(origin, `kind: register, lock, unlock or unregister expected, not ${excerpt(kind ?? '\ufffd')}`)
  }
  const fields: { -readonly [Field in keyof EventFields]: EventFields[Field] } = {}
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? ''
    if (!word.startsWith('--')) continue
    const equals = word.indexOf('=')
    const option = equals < 0 ? word : word.slice(0, equals)
    const value = equals < 0 ? args[++at] : word.slice(equals + 1)
    if (!isOption(option) || value === undefined) continue
    const problem = set(fields, OPTIONS[option], value)
    if (problem !== null) return refuse(origin, problem)
  }
  return eventsOfFields(kind, fields, origin)
}

function isOption(text: string): text is Option {
  return Object.hasOwn(OPTIONS, text)
}

function set(
  fields: { -readonly [Field in keyof EventFields]: EventFields[Field] },
  field: keyof EventFields,
  value: string | null,
): string | null {
  const text = value ?? '\ufffd'
  if (field !== 'actor' && value === null) return `${field}: not valid UTF-8`
  if (field !== 'actor' && fields[field] !== undefined && fields[field] !== text)
    return `${field}: given twice, with different values`
  fields[field] = text
  return null
}

/** The fields of a file that is no valid UTF-8 as a whole; null for each invalid field. */
function splitBytes(bytes: Buffer): (string | null)[] {
  const fields: (string | null)[] = []
  let start = 0
  while (start < bytes.length && fields.length <= FIELDS_MAX) {
    const end = bytes.indexOf(0, start)
    const field = bytes.subarray(start, end)
    fields.push(isUtf8(field) ? field.toString('utf8') : null)
    start = end + 1
  }
  return fields
}

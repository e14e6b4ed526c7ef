import type { AccountOwner, ChangeKind, EntryModification } from './account/change.ts'
import { AppError } from './error.ts'
import { asDn } from './names.ts'
import { reasonText, type Reason } from './reasons/reason.ts'
import type { Modification, AttributeValue } from './account/state.ts'

/**
 * LDIF change records (RFC 2849), written so that the stock `ldapmodify -f` applies them and a person can read them.
 *
 *   # Lockstep change record (RFC 2849): apply it with ldapmodify -f
 *   # time: 2026-11-24T10:15:30.123Z
 *   # event: lock
 *   # login: alice                         these two where they are known
 *   # realm: example
 *   # account: corp/0b6c…
 *   # change: 01j…
 *   # until: 2026-11-24T12:15:30.123Z      only where the hold ends by itself
 *   # reason: token T1 reached its max fail count
 *   # code: token-max-fail {"serial":"T1"}
 *   version: 1
 *   dn: uid=alice,ou=people,dc=example,dc=org
 *   changetype: modify
 *   add: pwdAccountLockedTime
 *   pwdAccountLockedTime: 000001010000Z
 *   -
 *
 * Text that is not plain printable ASCII, or that starts or ends in a way that LDIF reads otherwise, is written in
 * base64: nothing in a value can start a line of its own, and nothing in a file can steer a terminal.
 */

/** The comments above the records. Every field may be ''; an unknown file has none of them. */
export interface LdifHeader {
  /** ISO 8601 in UTC. */
  readonly at: string
  readonly event: string
  readonly actor: string
  /** Of the account's owner, for people: characters that do not print are `?`, and a long one is cut. */
  readonly login: string
  readonly realm: string
  /** The account's key. */
  readonly account: string
  /** The id of the change in the ledger. */
  readonly change: string
  /** When the hold of the file ends by itself: ISO 8601 in UTC, or ''. */
  readonly until: string
  /** In English; older versions wrote nothing else. */
  readonly reason: string
  /** What the reason is made from: its code, and its parameters as JSON where it has any; ''. */
  readonly code: string
}

export interface ChangeLdif {
  readonly header: LdifHeader
  readonly entries: readonly EntryModification[]
}

/** RFC 2849 advises to fold; 76 columns is the common width. */
const FOLD_COLUMNS = 76
const HEADER_VALUE_LENGTH_MAX = 255
const ATTRIBUTE_LENGTH_MAX = 256
/** Characters in a file, in writing as in reading; a directory's own limits are far below. */
export const LDIF_LENGTH_MAX = 4 * 1024 * 1024
const BASE64_CHUNK_BYTES = 8192
const LAST_INSTANT_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

const TITLE = '# Lockstep change record (RFC 2849): apply it with ldapmodify -f'
const VERSION_LINE = 'version: 1'
const HEADER_FIELDS = [
  'at',
  'event',
  'actor',
  'login',
  'realm',
  'account',
  'change',
  'until',
  'reason',
  'code',
] as const
const HEADER_LABELS: Readonly<Record<(typeof HEADER_FIELDS)[number], string>> = {
  at: 'time',
  event: 'event',
  actor: 'actor',
  login: 'login',
  realm: 'realm',
  account: 'account',
  change: 'change',
  until: 'until',
  reason: 'reason',
  code: 'code',
}

/** RFC 2849's SAFE-STRING, less the control characters that it allows, and without a space at the end. */
const PLAIN = /^(?:[!-9;=-~](?:[ -~]*[!-~])?)?$/
/** RFC 4512, 2.5: a name or a numeric OID, and options. */
const ATTRIBUTE = /^(?:[A-Za-z][A-Za-z0-9-]*|(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+)(?:;[A-Za-z0-9-]+)*$/
/** Controls, format characters (they can reorder what a person reads), lone surrogates, line separators. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu
const LONE_SURROGATE = /\p{Cs}/u

export function headerOf(facts: {
  readonly atMs: number
  readonly event: ChangeKind
  readonly actor: string
  readonly owner?: AccountOwner | undefined
  readonly account: string
  readonly change: string
  /** When the hold of the file ends by itself, in microseconds since 1970. */
  readonly untilUs?: number | undefined
  readonly reason: Reason
}): LdifHeader {
  const { atMs, event, actor, owner, account, change, untilUs, reason } = facts
  const until = untilUs === undefined ? '' : isoTime(Math.ceil(untilUs / 1000))
  return {
    at: isoTime(atMs),
    event,
    actor,
    login: owner?.login ?? '',
    realm: owner?.realm ?? '',
    account,
    change,
    until,
    reason: reasonText(reason),
    code: codeOf(reason),
  }
}

/** A person's text is in the sentence already; a sentence of an older version has no code. */
function codeOf({ code, params }: Reason): string {
  if (code === 'plain-text') return ''
  return code === 'manual' || Object.keys(params).length === 0 ? code : `${code} ${JSON.stringify(params)}`
}

function isoTime(ms: number): string {
  return new Date(boundedMs(ms)).toISOString()
}

/** `20261124T101530.123Z`: safe in a file name, and sorts by time. Times outside the years 1970 to 9999 are clamped. */
export function utcStamp(ms: number): string {
  return isoTime(ms).replaceAll('-', '').replaceAll(':', '')
}

/** Milliseconds since 1970 of a `utcStamp`, or null when the text is none. */
export function parseUtcStamp(text: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z$/.exec(text)
  if (match === null) return null
  const [, year, month, day, hour, minute, second] = match
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(ms) ? null : ms
}

function boundedMs(ms: number): number {
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(Math.trunc(ms), 0), LAST_INSTANT_MS)
}

/**
 * The text of a file of change records. Entries without a modification are left out.
 * Fails with `config-invalid` for an attribute description that is none (they come from the configuration and the
 * schema), `limit-exceeded` for a text longer than `LDIF_LENGTH_MAX`, and `internal` for text that is no Unicode.
 */
export function writeChangeLdif(entries: readonly EntryModification[], header: LdifHeader): string {
  let text = `${TITLE}\n`
  for (const field of HEADER_FIELDS) {
    if (header[field] !== '') text += `# ${HEADER_LABELS[field]}: ${commentText(header[field])}\n`
  }
  text += `${VERSION_LINE}\n`
  let isFirst = true
  for (const entry of entries) {
    if (entry.modifications.length === 0) continue
    if (!isFirst) text += '\n'
    isFirst = false
    text += attributeLine('dn', entry.dn) + 'changetype: modify\n'
    for (const modification of entry.modifications) text += modificationLines(modification)
  }
  if (text.length <= LDIF_LENGTH_MAX) return text
  throw new AppError('limit-exceeded', `an LDIF file of ${text.length} characters; ${LDIF_LENGTH_MAX} are allowed`, {
    hint: 'An attribute of the account holds an unusually large value; choose another attribute.',
  })
}

function modificationLines(modification: Modification): string {
  const { op, attribute, values } = modification
  if (attribute.length > ATTRIBUTE_LENGTH_MAX || !ATTRIBUTE.test(attribute)) throw badAttribute(attribute)
  if (op === 'add' && values.length === 0) throw new AppError('internal', `an LDIF "add: ${attribute}" without a value`)
  let text = `${op}: ${attribute}\n`
  for (const value of values) text += attributeLine(attribute, value)
  return `${text}-\n`
}

function attributeLine(attribute: string, value: AttributeValue): string {
  if (value.length === 0) return `${attribute}:\n`
  if (typeof value !== 'string') return folded(`${attribute}:: ${base64(value)}`)
  if (PLAIN.test(value)) return folded(`${attribute}: ${value}`)
  if (LONE_SURROGATE.test(value)) {
    throw new AppError('internal', `a value of ${attribute} is no valid Unicode text and cannot be written as LDIF`)
  }
  return folded(`${attribute}:: ${base64(new TextEncoder().encode(value))}`)
}

/** Only ever called with ASCII, where a column is a byte. */
function folded(line: string): string {
  if (line.length <= FOLD_COLUMNS) return `${line}\n`
  let text = `${line.slice(0, FOLD_COLUMNS)}\n`
  for (let at = FOLD_COLUMNS; at < line.length; at += FOLD_COLUMNS - 1) {
    text += ` ${line.slice(at, at + FOLD_COLUMNS - 1)}\n`
  }
  return text
}

function commentText(value: string): string {
  const isLong = value.length > HEADER_VALUE_LENGTH_MAX
  const text = (isLong ? value.slice(0, HEADER_VALUE_LENGTH_MAX - 1) : value).replace(UNPRINTABLE, '?')
  return isLong ? `${text}…` : text
}

function badAttribute(attribute: string): AppError {
  const shown = commentText(attribute).slice(0, 80)
  return new AppError(
    'config-invalid',
    `"${shown}" is not an attribute name (letters, digits and hyphens, or an OID)`,
    {
      hint: 'Correct the attribute in the configuration: serialAttribute, or the attribute of a lock.',
    },
  )
}

function base64(bytes: Uint8Array): string {
  let binary = ''
  for (let at = 0; at < bytes.length; at += BASE64_CHUNK_BYTES) {
    binary += String.fromCharCode(...bytes.subarray(at, at + BASE64_CHUNK_BYTES))
  }
  return btoa(binary)
}

/** One line after unfolding; `number` is that of its first physical line, from 1. */
interface Line {
  readonly text: string
  readonly number: number
}

/**
 * Reads change records of kind `modify`: as written above, or by hand (CRLF, any folding, comments anywhere, `FILL`
 * spaces, a missing `version:`). Values that are valid UTF-8 come back as text, others as bytes. A value from a URL
 * (`attribute:< file:…`), a control, and any other change type are refused.
 * Fails with `event-invalid`, naming the line: a retry does not help.
 */
export function parseChangeLdif(text: string): ChangeLdif {
  if (text.length > LDIF_LENGTH_MAX) throw malformed(1, `is the start of more than ${LDIF_LENGTH_MAX} characters`)
  const { comments, lines } = unfold(text)
  const entries: EntryModification[] = []
  let at = 0
  if (lines[at] !== undefined && /^version:/i.test(lines[at]?.text ?? '')) {
    if (!/^version: *1 *$/i.test(lines[at]?.text ?? ''))
      throw malformed(lines[at]?.number, 'names a version other than 1')
    at++
  }
  while (at < lines.length) {
    if (lines[at]?.text === '') {
      at++
      continue
    }
    const record = readRecord(lines, at)
    entries.push(record.entry)
    at = record.next
  }
  return { header: readHeader(comments), entries }
}

/** Joins folded lines and parts the comments above the first record from the rest. Leading blank lines go. */
function unfold(text: string): { comments: Line[]; lines: Line[] } {
  const all: { text: string; number: number }[] = []
  const physical = text.split('\n')
  if (physical.at(-1) === '') physical.pop()
  for (const [index, raw] of physical.entries()) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
    if (!line.startsWith(' ')) {
      all.push({ text: line, number: index + 1 })
      continue
    }
    const last = all.at(-1)
    if (last === undefined || last.text === '') throw malformed(index + 1, 'continues a line that is not there')
    last.text += line.slice(1)
  }
  const isComment = (line: Line): boolean => line.text.startsWith('#')
  const firstRecord = all.findIndex((line) => line.text !== '' && !isComment(line))
  const comments = (firstRecord < 0 ? all : all.slice(0, firstRecord)).filter(isComment)
  return { comments, lines: firstRecord < 0 ? [] : all.slice(firstRecord).filter((line) => !isComment(line)) }
}

function readHeader(comments: readonly Line[]): LdifHeader {
  const found: Record<string, string> = {}
  for (const { text } of comments) {
    const match = /^# ([a-z]+): (.*)$/.exec(text)
    const label = match?.[1]
    if (label !== undefined && !Object.hasOwn(found, label)) found[label] = match?.[2] ?? ''
  }
  const field = (name: (typeof HEADER_FIELDS)[number]): string => found[HEADER_LABELS[name]] ?? ''
  return {
    at: field('at'),
    event: field('event'),
    actor: field('actor'),
    login: field('login'),
    realm: field('realm'),
    account: field('account'),
    change: field('change'),
    until: field('until'),
    reason: field('reason'),
    code: field('code'),
  }
}

function readRecord(lines: readonly Line[], start: number): { entry: EntryModification; next: number } {
  const first = lines[start]
  const dn = first === undefined ? null : readAttribute(first)
  if (dn === null || dn.name.toLowerCase() !== 'dn') throw malformed(first?.number, 'should start a record with "dn:"')
  if (typeof dn.value !== 'string') throw malformed(first?.number, 'holds a DN that is not UTF-8')
  const second = lines[start + 1]
  if (second === undefined || !/^changetype: *modify *$/i.test(second.text)) {
    throw malformed(second?.number ?? first?.number, 'should be followed by, or be, "changetype: modify"')
  }
  const modifications: Modification[] = []
  let at = start + 2
  while (at < lines.length && lines[at]?.text !== '') {
    const read = readModification(lines, at)
    modifications.push(read.modification)
    at = read.next
  }
  return { entry: { dn: asDn(dn.value), modifications }, next: at }
}

function readModification(lines: readonly Line[], start: number): { modification: Modification; next: number } {
  const head = lines[start]
  const match = /^(add|delete|replace): *(.*?) *$/i.exec(head?.text ?? '')
  const attribute = match?.[2] ?? ''
  if (match === null) throw malformed(head?.number, 'should be "add:", "delete:" or "replace:" with an attribute')
  if (attribute.length > ATTRIBUTE_LENGTH_MAX || !ATTRIBUTE.test(attribute)) {
    throw malformed(head?.number, 'names no valid attribute')
  }
  const op = operation(match[1] ?? '')
  const values: AttributeValue[] = []
  for (let at = start + 1; ; at++) {
    const line = lines[at]
    if (line === undefined || line.text === '') throw malformed(head?.number, 'starts a modification that no "-" ends')
    if (line.text === '-') {
      if (op === 'add' && values.length === 0) throw malformed(head?.number, 'adds no value')
      return { modification: { op, attribute, values }, next: at + 1 }
    }
    const { name, value } = readAttribute(line)
    if (name.toLowerCase() !== attribute.toLowerCase())
      throw malformed(line.number, `should be a value of ${attribute}`)
    values.push(value)
  }
}

function operation(word: string): Modification['op'] {
  const lower = word.toLowerCase()
  return lower === 'add' || lower === 'delete' ? lower : 'replace'
}

function readAttribute(line: Line): { name: string; value: AttributeValue } {
  const colon = line.text.indexOf(':')
  if (colon < 1) throw malformed(line.number, 'should be "attribute: value"')
  const name = line.text.slice(0, colon)
  const marker = line.text[colon + 1]
  if (marker === '<') throw malformed(line.number, 'takes its value from a URL, which is never followed')
  if (line.text.includes('\u0000')) throw malformed(line.number, 'holds a NUL character')
  if (marker !== ':') return { name, value: withoutFill(line.text.slice(colon + 1)) }
  return { name, value: textOrBytes(decodeBase64(withoutFill(line.text.slice(colon + 2)), line.number)) }
}

function withoutFill(text: string): string {
  let start = 0
  while (text[start] === ' ') start++
  return text.slice(start)
}

function decodeBase64(text: string, lineNumber: number): Uint8Array {
  const trimmed = text.trimEnd()
  if (trimmed.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(trimmed)) {
    throw malformed(lineNumber, 'holds a value that is not base64')
  }
  const binary = atob(trimmed)
  const bytes = new Uint8Array(binary.length)
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at)
  return bytes
}

function textOrBytes(bytes: Uint8Array): AttributeValue {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return bytes
  }
}

function malformed(lineNumber: number | undefined, what: string): AppError {
  return new AppError('event-invalid', `LDIF line ${lineNumber ?? 1} ${what}`, {
    hint: 'Correct the file, or move it out of the folder.',
  })
}

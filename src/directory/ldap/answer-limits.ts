import type { Client } from 'ldapts'
import { ByteBudget } from '../../core/json-limit.ts'
import { MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE } from '../protocol/group-entry.ts'

/**
 * What a server's answers may take in memory. ldapts collects a message until it has the length that the message
 * claims, and makes some 250 bytes of each value; here a message is held back until it is complete and within the
 * limits, and ldapts gets it in one piece. A message that is too large is skipped, and its operation fails with
 * `AnswerTooLarge`. Where it claims more than is worth skipping, or is no LDAP message at all, the connection ends.
 */

const MIB = 1024 * 1024
/** A group of 10,000 members, of names of 1,000 bytes, is 10 MiB (guards.protect.groups reads that many). */
const MESSAGE_BYTES_MAX = 16 * MIB
/** Values, and all else that has a length of its own. */
const MESSAGE_VALUES_MAX = 200_000
/** Of one attribute that does not list members; the schema of a large FreeIPA has 1 MiB. */
const ATTRIBUTE_BYTES_MAX = 4 * MIB
/** An answer that is no entry: its code, its text, and what a control asked for. */
const RESULT_BYTES_MAX = MIB
/** All members of a group, for a person who waits for it. */
const LARGE = { bytesMax: 256 * MIB, valuesMax: 2_500_000 }
const USUAL = { bytesMax: MESSAGE_BYTES_MAX, valuesMax: MESSAGE_VALUES_MAX }
/** A message that is larger is not skipped: the connection ends. */
const PASSED_OVER_BYTES_MAX = 64 * MIB
/** Of all answers of all servers in progress, in the memory that they take. */
const READ_BYTES_MAX = 192 * MIB
const reading = new ByteBudget(READ_BYTES_MAX)
/** What ldapts makes of a value: its bytes, a Buffer on them and a text (measured). */
const VALUE_BYTES = 256

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const CONSTRUCTED = 0x20
const SEARCH_ENTRY = 0x64
const SEARCH_REFERENCE = 0x73
const MEMBERS: readonly string[] = [...MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE].map((name) => name.toLowerCase())

/** Why an operation has no answer: it is beyond the limits. */
export class AnswerTooLarge extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'AnswerTooLarge'
  }
}

type Waiting = Map<string, { reject(error: Error): void }>

/** How ldapts reads what comes; private there (ldapts 9.2). */
interface Reading {
  readonly messageParser: { read(data: Buffer, waiting: Waiting): void }
}

export interface AnswerLimits {
  /** While a group is read as a whole. @returns what ends it */
  allowLarge(): () => void
  /** Releases what is counted for operations of this connection. */
  close(): void
}

/** @param onFatal ends the connection */
export function limitAnswers(client: Client, onFatal: (error: AnswerTooLarge) => void): AnswerLimits {
  const parser = (client as unknown as Reading).messageParser
  const read = parser.read.bind(parser)
  const frames = new Frames(read, onFatal)
  parser.read = (data, waiting) => frames.push(data, waiting)
  return frames
}

class Frames implements AnswerLimits {
  readonly #deliver: (message: Buffer, waiting: Waiting) => void
  readonly #onFatal: (error: AnswerTooLarge) => void
  #chunks: Buffer[] = []
  #length = 0
  /** Of the message that is being collected, once it is there. */
  #head: Head | null = null
  /** Bytes of a skipped message that are still to come. */
  #over = 0
  #large = 0
  #isClosed = false
  /** By message id: what its answer takes so far. */
  readonly #taken = new Map<string, number>()

  constructor(deliver: (message: Buffer, waiting: Waiting) => void, onFatal: (error: AnswerTooLarge) => void) {
    this.#deliver = deliver
    this.#onFatal = onFatal
  }

  allowLarge(): () => void {
    this.#large++
    return () => this.#large--
  }

  close(): void {
    this.#isClosed = true
    for (const bytes of this.#taken.values()) reading.give(bytes)
    reading.give(this.#length)
    this.#taken.clear()
    this.#chunks = []
    this.#length = 0
  }

  push(data: Buffer, waiting: Waiting): void {
    let rest = data
    while (rest.length > 0 && !this.#isClosed) {
      if (this.#over > 0) {
        const passed = Math.min(this.#over, rest.length)
        this.#over -= passed
        rest = rest.subarray(passed)
      } else rest = this.#take(rest, waiting)
    }
  }

  /** @returns what is left of the bytes */
  #take(rest: Buffer, waiting: Waiting): Buffer {
    const head = this.#head ?? headOf(this.#length === 0 ? rest : Buffer.concat([...this.#chunks, rest]))
    if (head === 'malformed') return this.#end('no LDAP message came')
    if (head === 'incomplete') {
      this.#keep(rest)
      return NOTHING
    }
    this.#head = head
    const missing = head.length - this.#length
    const limit = this.#large > 0 ? LARGE.bytesMax : USUAL.bytesMax
    if (head.length > limit) return this.#passOver(rest, head, waiting, `a message of ${head.length} bytes`)
    if (!this.#fits(Math.min(missing, rest.length))) return this.#passOver(rest, head, waiting, TOO_MUCH)
    if (rest.length < missing) {
      this.#keep(rest)
      return NOTHING
    }
    this.#chunks.push(rest.subarray(0, missing))
    const message = this.#chunks.length === 1 ? (this.#chunks[0] ?? NOTHING) : Buffer.concat(this.#chunks)
    this.#forget()
    this.#give(message, head, waiting)
    return rest.subarray(missing)
  }

  #fits(bytes: number): boolean {
    return this.#large > 0 || reading.taken + bytes <= reading.bytesMax
  }

  #keep(chunk: Buffer): void {
    reading.add(chunk.length)
    this.#chunks.push(chunk)
    this.#length += chunk.length
  }

  #forget(): void {
    reading.give(this.#length)
    this.#head = null
    this.#chunks = []
    this.#length = 0
  }

  #passOver(rest: Buffer, head: Head, waiting: Waiting, why: string): Buffer {
    if (head.length > PASSED_OVER_BYTES_MAX || head.id === null) return this.#end(why)
    this.#refuse(head.id, waiting, why)
    this.#over = head.length - this.#length
    this.#forget()
    return rest
  }

  /** ldapts makes a text of an answer without a waiting operation, so it gets nothing of such an answer. */
  #give(message: Buffer, { id, bodyAt }: Head, waiting: Waiting): void {
    if (id === null || !waiting.has(id)) return
    const found = weigh(message, bodyAt, this.#large > 0 ? LARGE.valuesMax : USUAL.valuesMax, this.#large > 0)
    if (typeof found === 'string') return this.#refuse(id, waiting, found)
    const cost = message.length + found.values * VALUE_BYTES
    if (!this.#fits(cost)) return this.#refuse(id, waiting, TOO_MUCH)
    if (!found.isLast) {
      reading.add(cost)
      this.#taken.set(id, (this.#taken.get(id) ?? 0) + cost)
    } else this.#release(id)
    this.#deliver(message, waiting)
    if (!waiting.has(id)) this.#release(id)
  }

  #refuse(id: string, waiting: Waiting, why: string): void {
    const operation = waiting.get(id)
    waiting.delete(id)
    this.#release(id)
    operation?.reject(new AnswerTooLarge(why))
  }

  #release(id: string): void {
    reading.give(this.#taken.get(id) ?? 0)
    this.#taken.delete(id)
  }

  #end(why: string): Buffer {
    this.close()
    this.#onFatal(new AnswerTooLarge(why))
    return NOTHING
  }
}

const NOTHING = Buffer.alloc(0)
const TOO_MUCH = `answers of more than ${READ_BYTES_MAX / MIB} MiB at once`

interface Head {
  /** Of the message with its head. */
  readonly length: number
  /** Null: it has none of the usual form. */
  readonly id: string | null
  /** Where the operation begins. */
  readonly bodyAt: number
}

/** Tag, length in up to five bytes; then the message id in up to six (RFC 4511, 4.1.1). */
function headOf(bytes: Buffer): Head | 'incomplete' | 'malformed' {
  if (bytes.length > 0 && bytes[0] !== SEQUENCE) return 'malformed'
  const size = lengthAt(bytes, 1)
  if (size === 'malformed' || size === 'incomplete') return size
  const length = size.next + size.length
  if (length > LARGE.bytesMax) return { length, id: null, bodyAt: size.next }
  if (bytes.length < Math.min(length, size.next + 6)) return 'incomplete'
  const idLength = bytes[size.next + 1] ?? 0
  const bodyAt = size.next + 2 + idLength
  if (bytes[size.next] !== INTEGER || idLength < 1 || idLength > 4 || bodyAt > bytes.length) return 'malformed'
  return { length, id: String(bytes.readIntBE(size.next + 2, idLength)), bodyAt }
}

type Size = { readonly length: number; readonly next: number }

/** BER, definite form in up to four bytes (RFC 4511, 5.1). */
function lengthAt(bytes: Buffer, at: number): Size | 'incomplete' | 'malformed' {
  const first = bytes[at]
  if (first === undefined) return 'incomplete'
  if (first < 0x80) return { length: first, next: at + 1 }
  const count = first & 0x7f
  if (count < 1 || count > 4) return 'malformed'
  if (bytes.length < at + 1 + count) return 'incomplete'
  return { length: bytes.readUIntBE(at + 1, count), next: at + 1 + count }
}

/** @returns how much a message holds, or what is too much of it */
function weigh(
  message: Buffer,
  bodyAt: number,
  valuesMax: number,
  isLarge: boolean,
): { values: number; isLast: boolean } | string {
  const operation = message[bodyAt] ?? 0
  const isLast = operation !== SEARCH_ENTRY && operation !== SEARCH_REFERENCE
  if (isLast && message.length > RESULT_BYTES_MAX) return `a result of ${message.length} bytes`
  let values = 0
  /** The last plain value: before a set of values it is their attribute's name. */
  let last: Size = { length: 0, next: 0 }
  for (let at = bodyAt; at < message.length; values++) {
    if (values > valuesMax) return `an entry of more than ${valuesMax} values`
    const tag = message[at] ?? 0
    const size = lengthAt(message, at + 1)
    if (typeof size === 'string' || size.next + size.length > message.length) return 'a malformed message'
    if (tag === SET && size.length > ATTRIBUTE_BYTES_MAX && !isLarge) {
      const name = nameIn(message, last)
      if (!MEMBERS.includes(name)) return `an attribute ${JSON.stringify(name)} of ${size.length} bytes`
    }
    const isConstructed = (tag & CONSTRUCTED) !== 0
    if (!isConstructed) last = size
    at = isConstructed ? size.next : size.next + size.length
  }
  return { values, isLast }
}

const NAME_LENGTH_MAX = 64

/** In lower case, without its options (`;range=0-1499`). */
function nameIn(message: Buffer, { next, length }: Size): string {
  const text = message.toString('latin1', next, next + Math.min(length, NAME_LENGTH_MAX))
  return text.split(';', 1)[0]?.toLowerCase() ?? ''
}

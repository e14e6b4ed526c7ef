/**
 * The memory that a JSON text would take, before it is parsed: a few bytes of it can become a hundred of the heap, so
 * that a limit on its length alone protects nothing. Measured with V8 (Node 24): 24 to 120 bytes of the heap a value,
 * and twice that at the peak.
 */
export interface JsonLimits {
  readonly depthMax: number
  /** Values of all kinds: members of arrays, and names and values of objects. */
  readonly valuesMax: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPENING = [0x5b, 0x7b]
const CLOSING = [0x5d, 0x7d]

/** A member of the outermost object, as it is written. */
export interface JsonMember {
  readonly name: string
  readonly value: unknown
}

/**
 * Reads the structure alone, so that it does not show whether the text is JSON.
 * @returns what is beyond the limits; null: nothing
 */
export function jsonTrouble(bytes: Uint8Array, { depthMax, valuesMax }: JsonLimits): string | null {
  let depth = 0
  let values = 1
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === QUOTE) at = endOfString(bytes, at)
    else if (byte === COMMA || byte === COLON) values++
    else if (OPENING.includes(byte)) {
      depth++
      values++
      if (depth > depthMax) return `it is nested deeper than ${depthMax} levels`
    } else if (CLOSING.includes(byte)) depth--
    if (values > valuesMax) return `it holds more than ${valuesMax} values`
  }
  return null
}

/** @returns where the closing quote is; the end of the text where there is none */
function endOfString(bytes: Uint8Array, quote: number): number {
  for (let at = quote + 1; at < bytes.length; at++) {
    if (bytes[at] === BACKSLASH) at++
    else if (bytes[at] === QUOTE) return at
  }
  return bytes.length
}

/**
 * The members of an object in their order, each as often as it is there: `JSON.parse` keeps the last one of a name,
 * although it is not known which of two values was meant. Throws a SyntaxError where the text is no JSON; null: it is
 * no object.
 */
export function jsonMembers(bytes: Buffer): JsonMember[] | null {
  const whole: unknown = JSON.parse(bytes.toString('utf8'))
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) return null
  const members: JsonMember[] = []
  let depth = 0
  let start = bytes.indexOf('{') + 1
  let colon = -1
  for (let at = start - 1; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === QUOTE) at = endOfString(bytes, at)
    else if (OPENING.includes(byte)) depth++
    else if (byte === COLON && depth === 1) colon = at
    const isEnd = CLOSING.includes(byte) && --depth === 0
    if (!isEnd && !(byte === COMMA && depth === 1)) continue
    if (colon >= 0) members.push({ name: textIn(bytes, start, colon), value: valueIn(bytes, colon + 1, at) })
    colon = -1
    start = at + 1
  }
  return members
}

function textIn(bytes: Buffer, from: number, to: number): string {
  return String(valueIn(bytes, from, to))
}

function valueIn(bytes: Buffer, from: number, to: number): unknown {
  return JSON.parse(bytes.toString('utf8', from, to))
}

/** The memory for all that is read at the same time, from all senders. Callers give back what they took. */
export class ByteBudget {
  readonly bytesMax: number
  #taken = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get taken(): number {
    return this.#taken
  }

  /** @returns false where it does not fit beside what is read already; then nothing is taken */
  take(bytes: number): boolean {
    if (this.#taken + bytes > this.bytesMax) return false
    this.#taken += bytes
    return true
  }

  /** Takes it even where it does not fit. */
  add(bytes: number): void {
    this.#taken += bytes
  }

  give(bytes: number): void {
    this.#taken -= bytes
  }
}

import { parseSerial, type Serial } from './names.ts'
import type { Modification } from './change.ts'
import type { AttributeValue } from './state.ts'

/** The place of the serial in a `serialFormat`. */
export const SERIAL_PLACEHOLDER = '{serial}'

/** `privacyIDEA:{serial}` and `T1` give `privacyIDEA:T1`. */
export function formatSerial(format: string, serial: Serial): string {
  return format.replace(SERIAL_PLACEHOLDER, () => serial)
}

/**
 * The serials that values carry in our format. In a multi-valued attribute a value is one serial or none; in a
 * single-valued one the serials stand among other text, apart by white space.
 */
export function serialsIn(format: string, multiValued: boolean, values: readonly AttributeValue[]): Serial[] {
  const found: Serial[] = []
  for (const value of values) {
    if (typeof value !== 'string') continue
    const words = multiValued ? [value] : value.split(/\s+/)
    for (const word of words) {
      const serial = serialOfWord(format, word)
      if (serial !== null && !found.includes(serial)) found.push(serial)
    }
  }
  return found
}

function serialOfWord(format: string, word: string): Serial | null {
  const at = format.indexOf(SERIAL_PLACEHOLDER)
  const head = format.slice(0, at)
  const tail = format.slice(at + SERIAL_PLACEHOLDER.length)
  if (word.length <= head.length + tail.length || !word.startsWith(head) || !word.endsWith(tail)) return null
  return parseSerial(word.slice(head.length, word.length - tail.length))
}

export interface SerialPlace {
  readonly attribute: string
  readonly multiValued: boolean
  readonly format: string
  readonly values: readonly AttributeValue[]
}

/** The modifications that put a serial in and take it out again, or null when there is nothing to do. */
export interface SerialEdit {
  readonly forward: readonly Modification[]
  readonly inverse: readonly Modification[]
}

/** Adds a serial beside what stands there: as a value of its own, or as a word where one value is allowed. */
export function addSerial(place: SerialPlace, serial: Serial): SerialEdit | null {
  if (serialsIn(place.format, place.multiValued, place.values).includes(serial)) return null
  const word = formatSerial(place.format, serial)
  if (place.multiValued) {
    return {
      forward: [{ op: 'add', attribute: place.attribute, values: [word] }],
      inverse: [{ op: 'delete', attribute: place.attribute, values: [word] }],
    }
  }
  const before = place.values[0]
  if (before !== undefined && typeof before !== 'string') return null
  return swap(place.attribute, before, before === undefined || before === '' ? word : `${before} ${word}`)
}

/** Takes exactly this serial out and leaves the rest as it is. */
export function removeSerial(place: SerialPlace, serial: Serial): SerialEdit | null {
  const word = formatSerial(place.format, serial)
  if (place.multiValued) {
    if (!place.values.includes(word)) return null
    return {
      forward: [{ op: 'delete', attribute: place.attribute, values: [word] }],
      inverse: [{ op: 'add', attribute: place.attribute, values: [word] }],
    }
  }
  const before = place.values[0]
  if (typeof before !== 'string') return null
  const after = withoutWord(before, word)
  return after === null ? null : swap(place.attribute, before, after === '' ? undefined : after)
}

/** Removes one word and the white space before it (after it, at the start); null when the word is not there. */
function withoutWord(text: string, word: string): string | null {
  const parts = text.split(/(\s+)/)
  const at = parts.indexOf(word)
  if (at < 0) return null
  if (at === 0) parts.splice(0, 2)
  else parts.splice(at - 1, 2)
  return parts.join('')
}

/** Compare and swap of a single value: the old one is deleted by name, so that a changed one makes the write fail. */
function swap(attribute: string, before: string | undefined, after: string | undefined): SerialEdit {
  return { forward: steps(attribute, before, after), inverse: steps(attribute, after, before) }
}

function steps(attribute: string, from: string | undefined, to: string | undefined): Modification[] {
  const result: Modification[] = []
  if (from !== undefined) result.push({ op: 'delete', attribute, values: [from] })
  if (to !== undefined) result.push({ op: 'add', attribute, values: [to] })
  return result
}

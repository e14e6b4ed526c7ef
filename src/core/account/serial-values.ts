import { parseSerial, type AccountKey, type Dn, type Serial } from '../names.ts'
import { isSameSerial, spelledAmong } from '../serials/serial-key.ts'
import type { Modification, AttributeValue, DuplicateSerial } from './state.ts'

/** The place of the serial in a `serialFormat`. */
export const SERIAL_PLACEHOLDER = '{serial}'

/** `privacyIDEA:{serial}` and `T1` give `privacyIDEA:T1`. */
export function formatSerial(format: string, serial: Serial): string {
  return format.replace(SERIAL_PLACEHOLDER, () => serial)
}

/**
 * The serials that values have in our format. In a multi-valued attribute a value is one serial or none; in a
 * single-valued one the serials are among other text, apart by white space.
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
  /** Serials that are known to be another token than the one that differs from them by case only; usually none. */
  readonly twins?: readonly Serial[]
}

/** The spelling of a serial that is there; null: it is not. */
export function spelledAt(place: SerialPlace, serial: Serial): Serial | null {
  const there = serialsIn(place.format, place.multiValued, place.values)
  if (place.twins?.includes(serial) !== true) return spelledAmong(there, serial)
  return there.includes(serial) ? serial : null
}

/** Those of the accounts that have the serial, in any spelling. */
export function duplicatesAmong(
  accounts: readonly { readonly key: AccountKey; readonly dn: Dn; readonly serials: readonly Serial[] }[],
  serial: Serial,
): DuplicateSerial[] {
  return accounts.flatMap(({ key, dn, serials }) => {
    const spelled = spelledAmong(serials, serial)
    return spelled === null ? [] : [{ key, dn, spelled }]
  })
}

/** The modifications that add a serial and remove it, or null when there is nothing to do. */
export interface SerialEdit {
  readonly forward: readonly Modification[]
  readonly inverse: readonly Modification[]
}

/**
 * Adds a serial beside the others: as a value of its own, or as a word where one value is allowed. In any spelling it
 * counts as there: most servers treat values as equal that differ by case only, and refuse the second.
 */
export function addSerial(place: SerialPlace, serial: Serial): SerialEdit | null {
  const there = serialsIn(place.format, place.multiValued, place.values)
  if (there.some((each) => isSameSerial(each, serial))) return null
  const word = formatSerial(place.format, serial)
  if (place.multiValued && place.values.some((value) => isEqualOnServer(value, word))) return null
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

/** Removes exactly this serial, in the spelling that is there, and leaves the rest unchanged. */
export function removeSerial(place: SerialPlace, serial: Serial): SerialEdit | null {
  const spelled = spelledAt(place, serial)
  if (spelled === null) return null
  const word = formatSerial(place.format, spelled)
  if (place.multiValued) {
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

/** As caseIgnoreMatch compares (RFC 4517, 4.2.11): a second value that is equal so is refused with result 20. */
function isEqualOnServer(value: AttributeValue, word: string): boolean {
  return typeof value === 'string' && normalized(value) === normalized(word)
}

function normalized(text: string): string {
  return text.normalize('NFKC').toLowerCase().trim().replace(/\s+/g, ' ')
}

/**
 * Removes one word and the one blank that was put before it, else, at the start, the one after it: all other white space
 * was there before, and stays. Null when the word is not there.
 */
function withoutWord(text: string, word: string): string | null {
  const parts = text.split(/(\s+)/)
  const at = parts.indexOf(word)
  if (at < 0) return null
  const before = parts.slice(0, at).join('')
  const after = parts.slice(at + 1).join('')
  if (before.endsWith(' ')) return before.slice(0, -1) + after
  if (before === '' && after.startsWith(' ')) return after.slice(1)
  return before + after
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

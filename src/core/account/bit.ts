import type { AttributeValue } from './state.ts'

/**
 * Bits within an integer of the directory (RFC 4517, 3.3.16, within 32 bits), as in userAccountControl: all other bits
 * belong to others and may change at any time.
 */

const INTEGER = /^-?\d{1,10}$/

/** @returns the number, or null where the attribute is absent, has several values, or holds no integer of 32 bits */
export function integerOf(values: readonly AttributeValue[]): number | null {
  const [text] = values
  if (values.length !== 1 || typeof text !== 'string' || !INTEGER.test(text)) return null
  const value = Number(text)
  return value >= -(2 ** 31) && value < 2 ** 32 ? value | 0 : null
}

/** The text of the same integer with these bits set; the text itself where it has them. */
export function withBits(text: string, bits: number): string {
  const value = integerOf([text])
  return value === null || (value & bits) === bits ? text : String(value | bits)
}

/** What a lock changed: the bits in which the integers before and after it differ; 0 where either is none. */
export function changedBits(before: readonly AttributeValue[], after: readonly AttributeValue[]): number {
  const [from, to] = [integerOf(before), integerOf(after)]
  return from === null || to === null ? 0 : from ^ to
}

/** Whether our bits are in `current` as we wrote them, whatever the others are. */
export function bitsStand(
  current: readonly AttributeValue[],
  before: readonly AttributeValue[],
  after: readonly AttributeValue[],
): boolean {
  const [now, written, bits] = [integerOf(current), integerOf(after), changedBits(before, after)]
  return now !== null && written !== null && bits !== 0 && (now & bits) === (written & bits)
}

/** The integer of now with our bits as they were before. */
export function bitsGivenBack(
  current: readonly AttributeValue[],
  before: readonly AttributeValue[],
  after: readonly AttributeValue[],
): AttributeValue[] {
  const now = integerOf(current)
  return now === null ? [...before] : [String(now ^ changedBits(before, after))]
}

/** Times of Active Directory: 100 ns since 1601 (MS-DTYP, 2.3.3); 0 and the greatest number mean never. */

const NS100_PER_MS = 10_000n
const UNIX_EPOCH_MS = 11_644_473_600_000n
const NEVER = 0x7fff_ffff_ffff_ffffn
const INTEGER = /^-?\d{1,19}$/

/** @returns milliseconds since 1970; null for never, and for what is no time */
export function parseFileTime(text: string | null): number | null {
  if (text === null || !INTEGER.test(text)) return null
  const value = BigInt(text)
  return value <= 0n || value >= NEVER ? null : Number(value / NS100_PER_MS - UNIX_EPOCH_MS)
}

/** @param ms since 1970 */
export function fileTimeOf(ms: number): string {
  return String((BigInt(Math.floor(ms)) + UNIX_EPOCH_MS) * NS100_PER_MS)
}

/** A duration is written as a negative number. @returns milliseconds; Infinity: for ever; null for what is none */
export function parseTimeSpan(text: string | null): number | null {
  if (text === null || !INTEGER.test(text)) return null
  const value = BigInt(text)
  if (value > 0n) return null
  return value === 0n || value <= -NEVER ? Infinity : Number(-value / NS100_PER_MS)
}

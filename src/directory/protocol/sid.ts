import type { AttributeValue } from '../../core/account/state.ts'

/** `S-1-5-21-…-500` in the form in which it is read (MS-DTYP, 2.4.2.2). @returns null for what is no SID of a domain */
export function relativeIdOf(value: AttributeValue | undefined): number | null {
  const bytes = sidBytes(value)
  return bytes === null || bytes.readUInt32LE(8) !== 21 ? null : bytes.readUInt32LE(bytes.length - 4)
}

const SID_HEAD_BYTES = 8
const SUB_AUTHORITY_BYTES = 4

function sidBytes(value: AttributeValue | undefined): Buffer | null {
  if (value === undefined) return null
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value)
  const count = bytes[1] ?? 0
  return count > 0 && bytes.length === SID_HEAD_BYTES + count * SUB_AUTHORITY_BYTES ? bytes : null
}

/** `S-1-5-21-1-2-3-1104`, as the tools of Active Directory write it; null for what is none. */
export function sidText(value: AttributeValue | undefined): string | null {
  const bytes = sidBytes(value)
  if (bytes === null) return null
  const authority = bytes.readUIntBE(2, 6)
  const parts = Array.from({ length: bytes[1] ?? 0 }, (_, index) => {
    return bytes.readUInt32LE(SID_HEAD_BYTES + index * SUB_AUTHORITY_BYTES)
  })
  return ['S', bytes[0], authority, ...parts].join('-')
}

import { parseAccountId, type AccountId } from '../../core/names.ts'
import type { AttributeValue } from '../../core/account/state.ts'

/** How the values of an id attribute become the ids of accounts, and how a search asks for one. */
export interface IdCodec {
  /** @param value as it was read @returns null for a value that is no id */
  decode(value: AttributeValue): AccountId | null
  /** What the attribute is compared with in a filter. */
  encode(id: AccountId): string | Buffer
  /** Whether a text has the form of such an id, so that it may be searched for; a login hardly ever has. */
  isOwn(id: AccountId): boolean
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const NS_UNIQUE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{8}){3}$/
const GUID_BYTES = 16

/** A text that is the id itself. */
function asText(form: RegExp): IdCodec {
  return {
    decode: (value) => (typeof value === 'string' ? parseAccountId(value) : null),
    encode: (id) => id,
    isOwn: (id) => form.test(id),
  }
}

/**
 * Microsoft's GUID: 16 bytes, the first three groups of the text with their bytes in reverse order (MS-DTYP, 2.3.4). The
 * text is the one that every tool of Active Directory shows.
 */
const guid: IdCodec = {
  decode: (value) => {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value)
    return bytes.length === GUID_BYTES ? parseAccountId(guidText(bytes)) : null
  },
  encode: (id) => guidBytes(id),
  isOwn: (id) => UUID.test(id),
}

function guidText(bytes: Buffer): string {
  const hex = reordered(bytes).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function guidBytes(id: AccountId): Buffer {
  return reordered(Buffer.from(id.replaceAll('-', ''), 'hex'))
}

/** Its own inverse. */
function reordered(bytes: Uint8Array): Buffer {
  const part = (start: number, end: number): Buffer => Buffer.from(bytes.subarray(start, end).toReversed())
  return Buffer.concat([part(0, 4), part(4, 6), part(6, 8), bytes.subarray(8)])
}

const CODECS: Readonly<Record<string, IdCodec>> = {
  objectguid: guid,
  nsuniqueid: asText(NS_UNIQUE_ID),
}
const UUID_TEXT = asText(UUID)

/** By the attribute, whatever the type: entryUUID and ipaUniqueID are texts of the form of a UUID. */
export function idCodecOf(idAttribute: string): IdCodec {
  return CODECS[idAttribute.toLowerCase()] ?? UUID_TEXT
}

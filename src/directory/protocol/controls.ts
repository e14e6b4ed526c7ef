import { BerWriter, Control, type BerReader, type Filter } from 'ldapts'

export const POST_READ_OID = '1.3.6.1.1.13.2'
export const ASSERTION_OID = '1.3.6.1.1.12'
export const PASSWORD_POLICY_OID = '1.3.6.1.4.1.42.2.27.8.5.1'
export const PAGED_RESULTS_OID = '1.2.840.113556.1.4.319'
export const START_TLS_OID = '1.3.6.1.4.1.1466.20037'
/** 389-DS: only what is stored in an entry, without what classes of service and roles add. */
export const REAL_ATTRIBUTES_OID = '2.16.840.1.113730.3.4.17'
/** 389-DS: only what classes of service and roles add. */
export const VIRTUAL_ATTRIBUTES_OID = '2.16.840.1.113730.3.4.19'
/** 389-DS: which rights one has. */
export const EFFECTIVE_RIGHTS_OID = '1.3.6.1.4.1.42.2.27.9.5.2'
export const WHO_AM_I_OID = '1.3.6.1.4.1.4203.1.11.3'

const OCTET_STRING = 0x04
const SET = 0x31
const SEARCH_RESULT_ENTRY = 0x64

/** An entry as it comes over the wire: attribute names as the server writes them. */
export interface WireEntry {
  readonly dn: string
  readonly attributes: readonly { readonly name: string; readonly values: readonly Buffer[] }[]
}

/**
 * Asks for the entry as it is after the modification, in the same answer (RFC 4527). ldapts hands the answer to the
 * control of the request; `entry` is null when the server left it out.
 */
export class PostReadControl extends Control {
  entry: WireEntry | null = null
  readonly #attributes: readonly string[]

  constructor(attributes: readonly string[]) {
    super(POST_READ_OID, { critical: false })
    this.#attributes = attributes
  }

  protected override writeControl(writer: BerWriter): void {
    const value = new BerWriter()
    value.startSequence()
    for (const attribute of this.#attributes) value.writeString(attribute)
    value.endSequence()
    writer.writeBuffer(value.buffer, OCTET_STRING)
  }

  protected override parseControl(reader: BerReader): void {
    reader.readSequence(SEARCH_RESULT_ENTRY)
    const dn = reader.readString() ?? ''
    const attributes: { name: string; values: Buffer[] }[] = []
    reader.readSequence()
    const end = reader.offset + reader.length
    while (reader.offset < end) {
      reader.readSequence()
      const name = reader.readString() ?? ''
      const values: Buffer[] = []
      reader.readSequence(SET)
      const valuesEnd = reader.offset + reader.length
      while (reader.offset < valuesEnd) values.push(reader.readString(OCTET_STRING, true) ?? Buffer.alloc(0))
      attributes.push({ name, values })
    }
    this.entry = { dn, attributes }
  }
}

/** A search that shows what is stored, and nothing of the server's own making (389-DS). */
export class RealAttributesControl extends Control {
  constructor() {
    super(REAL_ATTRIBUTES_OID, { critical: true })
  }
}

/** A search that shows what is of the server's own making, and nothing of what is stored (389-DS). */
export class VirtualAttributesControl extends Control {
  constructor() {
    super(VIRTUAL_ATTRIBUTES_OID, { critical: true })
  }
}

/** The modification happens only where the entry matches the filter (RFC 4528); else result 122, nothing written. */
export class AssertionControl extends Control {
  readonly #filter: Filter

  constructor(filter: Filter) {
    super(ASSERTION_OID, { critical: true })
    this.#filter = filter
  }

  protected override writeControl(writer: BerWriter): void {
    const value = new BerWriter()
    this.#filter.write(value)
    writer.writeBuffer(value.buffer, OCTET_STRING)
  }
}

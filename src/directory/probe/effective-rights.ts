import { BerWriter, Control, PresenceFilter, type Filter } from 'ldapts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { EFFECTIVE_RIGHTS_OID } from '../protocol/controls.ts'
import type { Pool } from '../pool/pool.ts'
import { textsOf } from '../protocol/entry.ts'
import type { ServerFacts } from '../pool/server-facts.ts'

/** The rights of the account that we bind as on one entry, as the server evaluates its ACIs. */
export interface RightsProbe {
  readonly dn: string
  readonly attributes: ReadonlyMap<string, AttributeRights>
}

export interface AttributeRights {
  readonly canRead: boolean
  readonly canSearch: boolean
  /** To add a value and to delete one. */
  readonly canWrite: boolean
}

const NO_RIGHTS: AttributeRights = { canRead: false, canSearch: false, canWrite: false }
const OCTET_STRING = 0x04

/** Asks 389-DS for effective rights (draft-ietf-ldapext-acl-model-08); every account may ask for its own. */
class EffectiveRightsControl extends Control {
  readonly #dn: string

  constructor(dn: string) {
    super(EFFECTIVE_RIGHTS_OID, { critical: true })
    this.#dn = dn
  }

  protected override writeControl(writer: BerWriter): void {
    const value = new BerWriter()
    value.writeString(`dn: ${this.#dn}`)
    writer.writeBuffer(value.buffer, OCTET_STRING)
  }
}

/**
 * The rights on one entry that the filter finds below the base. Null where the server does not report rights, or no
 * entry is found. Nothing is written.
 */
export async function probeRights(
  pool: Pool,
  settings: DirectorySettings,
  facts: ServerFacts,
  anybody: Filter,
  attributes: readonly string[],
): Promise<RightsProbe | null> {
  if (facts.controls?.includes(EFFECTIVE_RIGHTS_OID) !== true) return null
  const request = {
    base: settings.base,
    scope: 'sub' as const,
    filter: anybody,
    attributes,
    bytesOf: [],
    sizeMax: 1,
    controls: [new EffectiveRightsControl(settings.bindDn)],
  }
  const [entry] = await pool.read((connection) => connection.search(request))
  if (entry === undefined) return null
  return { dn: entry.dn, attributes: rightsFrom(textsOf(entry, 'attributeLevelRights').join(', ')) }
}

/** `nsAccountLock:rscwo, uid:rsc, sn:none`; the letters: read, search, compare, write (add), obliterate (delete). */
function rightsFrom(text: string): Map<string, AttributeRights> {
  const found = new Map<string, AttributeRights>()
  for (const part of text.split(/,\s*/)) {
    const [name = '', letters = ''] = part.split(':')
    const has = (letter: string): boolean => letters !== 'none' && letters.includes(letter)
    const rights = { canRead: has('r'), canSearch: has('s'), canWrite: has('w') && has('o') }
    if (name !== '') found.set(name.toLowerCase(), rights)
  }
  return found
}

export function rightsOn(probe: RightsProbe, attribute: string): AttributeRights {
  return probe.attributes.get(attribute.toLowerCase()) ?? NO_RIGHTS
}

/** What the server grants the account that we bind as: how many entries a search of it returns and looks through. */
export interface LimitsProbe {
  readonly attribute: (typeof LIMIT_ATTRIBUTES)[number]
  /** -1: none. Null: not set, or not to be seen; the server's own limit then holds. */
  readonly limit: number | null
}

export const LIMIT_ATTRIBUTES = ['nsSizeLimit', 'nsLookThroughLimit', 'nsIDListScanLimit'] as const

export async function probeLimits(pool: Pool, settings: DirectorySettings): Promise<LimitsProbe[]> {
  const request = {
    base: settings.bindDn,
    scope: 'base' as const,
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: LIMIT_ATTRIBUTES,
    bytesOf: [],
    sizeMax: 1,
  }
  const [entry] = await pool.read((connection) => connection.search(request))
  return LIMIT_ATTRIBUTES.map((attribute) => {
    const [text] = textsOf(entry ?? null, attribute)
    return { attribute, limit: text === undefined ? null : Number(text) }
  })
}

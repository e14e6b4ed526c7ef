import { EqualityFilter, PresenceFilter, type Entry } from 'ldapts'
import type { Clock } from '../../ports/clock.ts'
import { AppError } from '../../core/error.ts'
import {
  ASSERTION_OID,
  PAGED_RESULTS_OID,
  PASSWORD_POLICY_OID,
  POST_READ_OID,
  REAL_ATTRIBUTES_OID,
  VIRTUAL_ATTRIBUTES_OID,
  START_TLS_OID,
} from '../protocol/controls.ts'
import { isWithin, normalDn } from '../../core/dn.ts'
import { textsOf } from '../protocol/entry.ts'
import type { Reads } from '../ldap/reads.ts'

/** What a server shows about itself (RFC 4512, 5.1). */
export interface RootFacts {
  /** As in `OpenLDAP`; '' when the server does not report it. */
  readonly vendor: string
  readonly namingContexts: readonly string[]
  /** Object identifiers; null: the server does not report them. */
  readonly controls: readonly string[] | null
  readonly hasPostRead: boolean
  readonly hasAssertion: boolean
  readonly hasPaging: boolean
  /** Whether a search may ask for what is stored alone (389-DS). */
  readonly hasRealAttributes: boolean
  readonly hasVirtualAttributes: boolean
  readonly hasStartTls: boolean
  /** Whether the password policy module is loaded; null: not known. */
  readonly hasPasswordPolicy: boolean | null
}

/** The same, and the schema (4.2) of the attributes that we use. */
export interface ServerFacts extends RootFacts {
  /** Active Directory's way to ask for nested members (LDAP_MATCHING_RULE_IN_CHAIN) works. */
  readonly hasChainRule: boolean
  /** The server's spelling of an attribute's name; the name itself where the schema cannot be read. */
  canonical(name: string): string
  isSingleValued(name: string): boolean
  isKnown(name: string): boolean | null
}

interface AttributeType {
  readonly canonical: string
  readonly isSingleValued: boolean
}

/** How long facts are used; a server's set-up rarely changes. */
const FACTS_MAX_AGE_MS = 600_000

/** Reads the facts when they are first needed, once for all that wait, and again when they are old. */
export class FactsReader {
  readonly #reads: Reads
  readonly #clock: Clock
  readonly #attributes: readonly string[]
  #facts: ServerFacts | null = null
  #atMs = 0
  #reading: Promise<ServerFacts> | null = null

  /** @param attributes those whose schema is wanted */
  constructor(reads: Reads, clock: Clock, attributes: readonly string[]) {
    this.#reads = reads
    this.#clock = clock
    this.#attributes = attributes
  }

  /** Without waiting, where they are known and fresh. */
  get fresh(): ServerFacts | null {
    const ageMs = this.#clock.nowMs() - this.#atMs
    return ageMs >= 0 && ageMs < FACTS_MAX_AGE_MS ? this.#facts : null
  }

  forget(): void {
    this.#facts = null
  }

  async read(): Promise<ServerFacts> {
    this.#reading ??= this.#load().finally(() => (this.#reading = null))
    return this.#reading
  }

  async #load(): Promise<ServerFacts> {
    const root = await this.#searchBase('', ROOT_ATTRIBUTES, 'objectClass')
    const subschema = textsOf(root, 'subschemaSubentry')[0]
    const schema = subschema === undefined ? null : await this.#searchBase(subschema, ['attributeTypes'], 'subschema')
    this.#facts = factsFrom(root, schema, this.#attributes)
    this.#atMs = this.#clock.nowMs()
    return this.#facts
  }

  async #searchBase(
    base: string,
    attributes: readonly string[],
    kind: 'objectClass' | 'subschema',
  ): Promise<Entry | null> {
    const filter =
      kind === 'subschema'
        ? new EqualityFilter({ attribute: 'objectClass', value: 'subschema' })
        : new PresenceFilter({ attribute: 'objectClass' })
    const request = { base, scope: 'base' as const, filter, attributes, bytesOf: [], sizeMax: 1 }
    try {
      return (await this.#reads.read((connection) => connection.search(request)))[0] ?? null
    } catch (error) {
      const isHidden =
        error instanceof AppError && (error.code === 'entry-not-found' || error.code === 'directory-not-permitted')
      if (isHidden) return null
      throw error
    }
  }
}

/** LDAP_CAP_ACTIVE_DIRECTORY_OID (MS-ADTS 3.1.1.3.4.3.1); Samba reports it too. */
const ACTIVE_DIRECTORY_OID = '1.2.840.113556.1.4.800'

export const ROOT_ATTRIBUTES = [
  'vendorName',
  'vendorVersion',
  'objectClass',
  'namingContexts',
  'supportedControl',
  'supportedExtension',
  'supportedCapabilities',
  'subschemaSubentry',
]

export function rootFactsFrom(root: Entry | null): RootFacts {
  const controls = textsOf(root, 'supportedControl')
  const has = (oid: string): boolean => controls.includes(oid)
  return {
    vendor: vendorOf(root),
    namingContexts: textsOf(root, 'namingContexts'),
    controls: controls.length > 0 ? controls : null,
    hasPostRead: has(POST_READ_OID),
    hasAssertion: has(ASSERTION_OID),
    hasPaging: has(PAGED_RESULTS_OID),
    hasRealAttributes: has(REAL_ATTRIBUTES_OID),
    hasVirtualAttributes: has(VIRTUAL_ATTRIBUTES_OID),
    hasStartTls: textsOf(root, 'supportedExtension').includes(START_TLS_OID),
    hasPasswordPolicy: controls.length > 0 ? has(PASSWORD_POLICY_OID) : null,
  }
}

function factsFrom(root: Entry | null, schema: Entry | null, wanted: readonly string[]): ServerFacts {
  const types = schema === null ? null : attributeTypes(textsOf(schema, 'attributeTypes'), wanted)
  const typeOf = (name: string): AttributeType | undefined => types?.get(name.toLowerCase())
  return {
    ...rootFactsFrom(root),
    hasChainRule: textsOf(root, 'supportedCapabilities').includes(ACTIVE_DIRECTORY_OID),
    canonical: (name) => typeOf(name)?.canonical ?? name,
    isSingleValued: (name) => typeOf(name)?.isSingleValued ?? false,
    isKnown: (name) => (types === null ? null : types.has(name.toLowerCase())),
  }
}

/** Keeps only the wanted ones of perhaps thousands of definitions. */
function attributeTypes(definitions: readonly string[], wanted: readonly string[]): Map<string, AttributeType> {
  const open = new Set(wanted.map((name) => name.toLowerCase()))
  const found = new Map<string, AttributeType>()
  for (const definition of definitions) {
    const names = namesIn(definition)
    const [canonical] = names
    if (canonical === undefined || !names.some((name) => open.has(name.toLowerCase()))) continue
    const type = { canonical, isSingleValued: /\sSINGLE-VALUE\b/.test(withoutQuoted(definition)) }
    for (const name of names) found.set(name.toLowerCase(), type)
  }
  return found
}

/** `( 2.5.4.13 NAME 'description' …` or `NAME ( 'cn' 'commonName' )`; the number counts as a name too, at the end. */
function namesIn(definition: string): string[] {
  const match = /^\s*\(\s*([0-9A-Za-z.-]+)\s+NAME\s+(?:'([^']*)'|\(([^)]*)\))/.exec(definition)
  if (match === null) return []
  const [, oid = '', single, several = ''] = match
  const names = single === undefined ? [...several.matchAll(/'([^']*)'/g)].map(([, name = '']) => name) : [single]
  return [...names, oid]
}

function withoutQuoted(definition: string): string {
  return definition.replace(/'[^']*'/g, '')
}

function vendorOf(root: Entry | null): string {
  const vendor = [...textsOf(root, 'vendorName'), ...textsOf(root, 'vendorVersion')].join(' ')
  if (vendor !== '') return vendor
  return textsOf(root, 'objectClass').some((name) => /^OpenLDAProotDSE$/i.test(name)) ? 'OpenLDAP' : ''
}

/** The suffix that a DN lies in, the nearest of several, or null. */
export function namingContextOf(facts: ServerFacts, dn: string): string | null {
  const normal = normalDn(dn)
  const around = facts.namingContexts.filter((context) => isWithin(normal, normalDn(context)))
  return around.toSorted((a, b) => normalDn(b).length - normalDn(a).length)[0] ?? null
}

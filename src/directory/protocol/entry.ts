import { isUtf8 } from 'node:buffer'
import type { Entry } from 'ldapts'
import type { AttributeValue } from '../../core/account/state.ts'
import type { WireEntry } from './controls.ts'

/** The attributes that are read of an entry: as the configuration writes them, and as the server does. */
export class AttributeNames {
  /** What is asked for. */
  readonly wanted: readonly string[]
  /** As the server writes them. */
  readonly canonical: readonly string[]
  readonly #wantedOf: ReadonlyMap<string, string>

  /** @param canonicalOf the server's spelling of a name */
  constructor(wanted: readonly string[], canonicalOf: (name: string) => string) {
    this.wanted = [...new Map(wanted.map((name) => [canonicalOf(name).toLowerCase(), name])).values()]
    this.canonical = this.wanted.map(canonicalOf)
    this.#wantedOf = new Map(wanted.map((name) => [canonicalOf(name).toLowerCase(), name.toLowerCase()]))
    this.#canonicalOf = new Map(wanted.map((name) => [name.toLowerCase(), canonicalOf(name).toLowerCase()]))
  }

  readonly #canonicalOf: ReadonlyMap<string, string>

  /** The key of the values, for a name as the configuration writes it. */
  keyOf(name: string): string {
    const lower = name.toLowerCase()
    return this.#canonicalOf.get(lower) ?? lower
  }

  has(canonical: string): boolean {
    return this.#wantedOf.has(canonical)
  }
}

/** An entry with the values of those attributes; text where it is UTF-8, else bytes of its own. */
export class ReadEntry {
  readonly dn: string
  readonly #names: AttributeNames
  readonly #values: ReadonlyMap<string, readonly AttributeValue[]>

  constructor(dn: string, names: AttributeNames, values: ReadonlyMap<string, readonly AttributeValue[]>) {
    this.dn = dn
    this.#names = names
    this.#values = values
  }

  values(attribute: string): readonly AttributeValue[] {
    return this.#values.get(this.#names.keyOf(attribute)) ?? NONE
  }

  /** The first value that is text, or null. */
  text(attribute: string): string | null {
    const first = this.values(attribute)[0]
    return typeof first === 'string' ? first : null
  }
}

const NONE: readonly AttributeValue[] = []

export function fromSearch(entry: Entry, names: AttributeNames): ReadEntry {
  const values = new Map<string, readonly AttributeValue[]>()
  for (const name in entry) {
    const key = name.toLowerCase()
    const raw = entry[name]
    if (raw === undefined || !names.has(key)) continue
    if (!Array.isArray(raw)) values.set(key, [valueOf(raw)])
    else if (raw.length > 0) values.set(key, raw.map(valueOf))
  }
  return new ReadEntry(entry.dn, names, values)
}

export function fromWire(entry: WireEntry, names: AttributeNames): ReadEntry {
  const values = new Map<string, readonly AttributeValue[]>()
  for (const attribute of entry.attributes) {
    const key = attribute.name.toLowerCase()
    if (names.has(key)) values.set(key, attribute.values.map(valueOf))
  }
  return new ReadEntry(entry.dn, names, values)
}

/** The values of one attribute of any entry, its name in any case. */
export function valuesIn(entry: Entry | undefined, name: string): AttributeValue[] {
  const lower = name.toLowerCase()
  const raw = Object.entries(entry ?? {}).find(([each]) => each.toLowerCase() === lower)?.[1] ?? []
  return (Array.isArray(raw) ? raw : [raw]).map(valueOf)
}

/** Bytes are copied, so that they do not keep a whole network buffer in memory. */
function valueOf(raw: Buffer | string): AttributeValue {
  if (typeof raw === 'string') return raw
  return isUtf8(raw) ? raw.toString('utf8') : Uint8Array.from(raw)
}

/** Values of an attribute as text, its name in any case; none where the entry is not there. */
export function textsOf(entry: Entry | null, name: string): string[] {
  if (entry === null) return []
  const raw = entry[name] ?? entry[Object.keys(entry).find((key) => key.toLowerCase() === name.toLowerCase()) ?? '']
  if (raw === undefined) return []
  const list = Array.isArray(raw) ? raw : [raw]
  return list.map((value) => value.toString())
}

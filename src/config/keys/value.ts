import { nearest } from './nearest.ts'
import { shownValue } from './shown-value.ts'

/**
 * How the YAML file is checked: a Value reads the raw value and returns the one for Settings, or reports what is wrong
 * with it. The manual and the JSON Schema are made from the same objects. (A schema library would do; its loading alone
 * took longer than reading a configuration takes now, and every command reads one.)
 */
export interface Value<T> {
  /** Completes "expected …". */
  readonly expected: string
  /** The same of one element, for a list; else ''. */
  readonly each: string
  /** JSON Schema 2020-12 of the value in the file. */
  readonly json: () => Json
  /** The keys of a section. */
  readonly children: Keys | null
  /** Of a map with the user's own names: the value of each. */
  readonly named: Value<unknown> | null
  readonly read: (raw: unknown, path: Path, reading: Reading) => T | Bad
}

/** A key of a section, and its text in the manual. */
export interface Key<T> {
  readonly doc: string
  readonly value: Value<T>
  /** The value where the key is left out; null: it must be there. */
  readonly missing: { readonly value: T } | null
  /** The default as it would be written, or as a description; null: there is none. */
  readonly fallback: string | null
  /**
   * What a change needs to take effect. `restart`: the store and the listeners are opened once. `serials`, `locks`,
   * `both`: it reloads, and is refused while the directory has serials or locks of ours, which would no longer be
   * found. `realms`: the same, for those of a realm's accounts in a directory that the realm loses.
   */
  readonly change: 'reload' | 'restart' | 'serials' | 'locks' | 'both' | 'realms'
}

export type Keys = Readonly<Record<string, Key<unknown>>>
export type Json = Record<string, unknown>
export type Path = readonly (string | number)[]
/** The type of a section once it was read. */
export type ReadOf<K extends Keys> = { readonly [Name in keyof K]: K[Name] extends Key<infer T> ? T : never }
export type ValueOf<V> = V extends Value<infer T> ? T : never

/** Replaces a value that was reported. */
export const BAD: unique symbol = Symbol('bad')
export type Bad = typeof BAD

export interface Reading {
  /** The whole configuration, to report where a misplaced key belongs. */
  readonly root: Keys
  readonly report: (path: Path, at: 'key' | 'value', message: string) => void
}

/** Why a value is invalid, without the value, which may be a secret; '' where `expected` is enough. */
export class Reason {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type ValueOptions = Partial<Pick<Value<unknown>, 'each' | 'children' | 'named'>>
const NOTHING = { each: '', children: null, named: null }

/** A single value: `convert` returns the value for Settings, or the reason why there is none. */
export function single<T>(
  expected: string,
  json: Json,
  convert: (raw: unknown) => T | Reason,
  given: ValueOptions = {},
): Value<T> {
  return {
    ...NOTHING,
    ...given,
    expected,
    json: () => json,
    read: (raw, path, { report }) => {
      const value = convert(raw)
      if (!(value instanceof Reason)) return value
      report(path, 'value', mismatch(expected, raw, path, value.text))
      return BAD
    },
  }
}

function mismatch(expected: string, raw: unknown, path: Path, reason: string): string {
  if (reason.startsWith('not in this version')) return reason
  if (reason !== '') return `${reason} (expected ${expected})`
  return `expected ${expected}; got ${shownValue(String(path.at(-1) ?? ''), raw)}`
}

/** As `value`, and null. */
export function orNull<T>(value: Value<T>): Value<T | null> {
  return {
    ...value,
    expected: `${value.expected}, or null`,
    json: () => ({ anyOf: [value.json(), { type: 'null' }] }),
    read: (raw, path, reading) => (raw === null ? null : value.read(raw, path, reading)),
  }
}

export function list<T>(each: Value<T>, min: number, max: number, example: string): Value<readonly T[]> {
  const expected = `a list with ${min} to ${max} entries, as in ${example}`
  return {
    ...NOTHING,
    expected,
    each: each.expected,
    children: each.children,
    json: () => ({ type: 'array', minItems: min, maxItems: max, items: each.json() }),
    read: (raw, path, reading) => {
      if (!Array.isArray(raw) || raw.length < min || raw.length > max) {
        reading.report(path, 'value', mismatch(expected, raw, path, ''))
        return BAD
      }
      const values: T[] = []
      for (const [index, item] of raw.entries()) {
        const value = each.read(item, [...path, index], reading)
        if (value !== BAD) values.push(value)
      }
      return values.length === raw.length ? values : BAD
    },
  }
}

/** A map with the user's own names, each with the same kind of value. */
export function mapOf<T>(named: Value<T>, expected: string): Value<Readonly<Record<string, T>>> {
  return {
    ...NOTHING,
    expected,
    named,
    json: () => ({ type: 'object', additionalProperties: named.json() }),
    read: (raw, path, reading) => {
      if (!isSection(raw)) {
        reading.report(path, 'value', mismatch(expected, raw, path, ''))
        return BAD
      }
      const entries: [string, T][] = []
      for (const [name, item] of Object.entries(raw)) {
        const value = named.read(item, [...path, name], reading)
        if (value !== BAD) entries.push([name, value])
      }
      return entries.length === Object.keys(raw).length ? Object.fromEntries(entries) : BAD
    },
  }
}

/** A section: only known keys, each checked, all mistakes at once. */
export function section<K extends Keys>(children: K): Value<ReadOf<K>> {
  const expected = 'a section with keys of its own'
  return {
    ...NOTHING,
    expected,
    children,
    json: () => sectionJson(children),
    read: (raw, path, reading) => {
      if (isSection(raw)) return readKeys(children, raw, path, reading)
      reading.report(path, 'value', mismatch(expected, raw, path, ''))
      return BAD
    },
  }
}

function readKeys<K extends Keys>(children: K, raw: Json, path: Path, reading: Reading): ReadOf<K> | Bad {
  const values: Record<string, unknown> = {}
  let isGood = true
  for (const name of Object.keys(raw)) {
    if (Object.hasOwn(children, name)) continue
    reading.report([...path, name], 'key', unknownKey(name, children, reading.root))
    isGood = false
  }
  for (const [name, key] of Object.entries(children)) {
    const value = readKey(key, Object.hasOwn(raw, name) ? raw[name] : undefined, [...path, name], reading)
    if (value === BAD) isGood = false
    values[name] = value
  }
  // Every key of K was read by the Value of the same name in K.
  return isGood ? (values as ReadOf<K>) : BAD
}

function readKey(key: Key<unknown>, raw: unknown, path: Path, reading: Reading): unknown {
  if (raw === undefined) {
    if (key.missing !== null) return key.missing.value
    reading.report(path, 'key', `this key is missing; expected ${key.value.expected}`)
    return BAD
  }
  return key.value.read(raw, path, reading)
}

function unknownKey(name: string, children: Keys, root: Keys): string {
  const known = Object.keys(children)
  const near = nearest(name, known)
  if (near !== null) return `unknown key; did you mean "${near}"?`
  const elsewhere = placeOf(name, root, '')
  if (elsewhere !== null) return `unknown key here; it belongs into ${elsewhere}`
  return `unknown key; known here are ${known.join(', ')}`
}

/** The section that has a key of this name, or null. */
function placeOf(name: string, keys: Keys, path: string): string | null {
  if (Object.hasOwn(keys, name)) return path === '' ? 'the top level' : path
  for (const [each, { value }] of Object.entries(keys)) {
    const below = path === '' ? each : `${path}.${each}`
    const inner = value.children ?? value.named?.children ?? null
    const found = inner === null ? null : placeOf(name, inner, value.named === null ? below : `${below}.NAME`)
    if (found !== null) return found
  }
  return null
}

function sectionJson(children: Keys): Json {
  const properties: Json = {}
  const required: string[] = []
  for (const [name, { doc, value, missing, fallback }] of Object.entries(children)) {
    const expected = `Expected: ${value.expected}.`
    const absent = fallback === null ? '' : `Default: ${fallback}.`
    const description = [doc, expected, absent].filter((each) => each !== '').join(' ')
    properties[name] = { ...value.json(), description }
    if (missing === null) required.push(name)
  }
  return { type: 'object', properties, ...(required.length > 0 ? { required } : {}), additionalProperties: false }
}

export function isSection(raw: unknown): raw is Json {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw)
}

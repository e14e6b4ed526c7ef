import { BAD, orNull, section as sectionOf, type Key, type Keys, type Value } from './value.ts'

type Change = Key<unknown>['change']

/** Definitions of the keys of the YAML file: their values, and the meaning of leaving them out. */

export function required<T>(value: Value<T>, doc: string): Key<T> {
  return { doc, value, missing: null, fallback: null, change: 'reload' }
}

/** A key with a default, given as it would be written in the file. */
export function withDefault<T>(value: Value<T>, fallback: unknown, doc: string): Key<T> {
  const shown = typeof fallback === 'string' ? fallback : JSON.stringify(fallback)
  return { doc, value, missing: whatIs(value, fallback), fallback: shown, change: 'reload' }
}

/** A key that may be left out or be null, and is null then. */
export function nullable<T>(value: Value<T>, doc: string): Key<T | null> {
  return { doc, value: orNull(value), missing: { value: null }, fallback: 'null', change: 'reload' }
}

/** A key whose default depends on other keys; `fallback` describes it. */
export function derived<T>(value: Value<T>, fallback: string | null, doc: string): Key<T | undefined> {
  return { doc, value, missing: { value: undefined }, fallback, change: 'reload' }
}

export function section<K extends Keys>(children: K, doc: string) {
  const value = sectionOf(children)
  return { doc, value, missing: whatIs(value, {}), fallback: null, change: 'reload' as Change }
}

/** A section that `null` switches off; `fallback` applies when it is left out: its own defaults, or null. */
export function optionalSection<K extends Keys>(children: K, fallback: object | null, doc: string) {
  const value = orNull(sectionOf(children))
  const shown = fallback === null ? 'null' : null
  return { doc, value, missing: whatIs(value, fallback), fallback: shown, change: 'reload' as Change }
}

/** A key whose change needs more than a reload, or is refused at times. */
export function changing<K extends Key<unknown>>(change: Change, key: K): K {
  return { ...key, change }
}

/** A default is read as any other value, so it is written once, as in the file. */
function whatIs<T>(value: Value<T>, raw: unknown): { readonly value: T } {
  const read = value.read(raw, [], { root: {}, report: () => undefined })
  if (read === BAD) throw new TypeError(`a default is not ${value.expected}`)
  return { value: read }
}

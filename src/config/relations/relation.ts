import {
  isSection,
  type Json,
} from '../keys/value.ts' /** A contradiction between keys, found in the raw file, so that it is reported with the mistakes of single keys. */
export interface Relation {
  readonly path: readonly PropertyKey[]
  readonly severity: 'error' | 'warning'
  readonly message: string
}

export function error(path: Relation['path'], message: string): Relation {
  return { path, severity: 'error', message }
}

export function warning(path: Relation['path'], message: string): Relation {
  return { path, severity: 'warning', message }
}

/** Of a file of which nothing is checked yet: an empty section where there is none. */
export function sectionAt(value: unknown): Json {
  return isSection(value) ? value : {}
}

export function listAt(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

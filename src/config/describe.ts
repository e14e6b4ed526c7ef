import type { core } from 'zod/mini'
import { nearest } from './nearest.ts'
import { docOf, configSchema, keyDoc, type KeyDoc } from './schema.ts'
import { showPath } from './problem.ts'
import { PLAIN_MISMATCH } from './values.ts'

/** A mistake with its place still as a path: `atKey` when the key itself is wrong, not its value. */
export interface Described {
  readonly path: readonly PropertyKey[]
  readonly atKey: boolean
  readonly message: string
}

/** A value longer than this is not repeated in a message. */
const SHOWN_LENGTH_MAX = 60

/** Turns one finding of zod into words: what was expected, what stands there, what was probably meant. */
export function describeIssue(issue: core.$ZodIssue, raw: unknown): Described[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], atKey: true, message: unknownKey(issue.path, key) }))
  }
  if (issue.code === 'invalid_key') return [{ path: issue.path, atKey: true, message: badName(issue.path) }]
  const doc = nearestDoc(issue.path)
  const value = valueAt(raw, issue.path)
  const key = issue.path.at(-1)
  if (value === undefined && issue.path.length > 0) {
    return [{ path: issue.path, atKey: true, message: `this key is missing; expected ${doc.expected}` }]
  }
  if (typeof value === 'string' && doc.later.includes(value)) {
    return [
      { path: issue.path, atKey: false, message: `not in this version yet: ${value}; leave it out${insteadOf(doc)}` },
    ]
  }
  const reason = issue.code === 'custom' && issue.message !== PLAIN_MISMATCH ? issue.message : ''
  if (reason.startsWith('not in this version')) return [{ path: issue.path, atKey: false, message: reason }]
  const message =
    reason === ''
      ? `expected ${doc.expected}; got ${shownValue(String(key ?? ''), value)}`
      : `${reason} (expected ${doc.expected})`
  return [{ path: issue.path, atKey: false, message }]
}

function insteadOf(doc: KeyDoc): string {
  return doc.required ? `, or use ${doc.expected}` : ''
}

function badName(path: readonly PropertyKey[]): string {
  return `${nearestDoc(path.slice(0, -1)).expected || 'another name'} is expected here`
}

function unknownKey(path: readonly PropertyKey[], key: string): string {
  const known = Object.keys(keyDoc(path)?.children ?? {})
  const near = nearest(key, known)
  if (near !== null) return `unknown key; did you mean "${near}"?`
  const elsewhere = placesOf(key)
  if (elsewhere !== null) return `unknown key here; it belongs into ${elsewhere}`
  return `unknown key; known here are ${known.join(', ')}`
}

/** Where a key of this very name stands in the whole configuration, or null. */
function placesOf(key: string): string | null {
  const walk = (doc: KeyDoc, path: readonly string[]): string | null => {
    if (doc.map !== null) return walk(docOf(doc.map), [...path, 'NAME'])
    for (const [name, schema] of Object.entries(doc.children ?? {})) {
      if (name === key) return path.length === 0 ? 'the top level' : showPath(path)
      const below = walk(docOf(schema), [...path, name])
      if (below !== null) return below
    }
    return null
  }
  return walk(docOf(configSchema), [])
}

function nearestDoc(path: readonly PropertyKey[]): KeyDoc {
  for (let length = path.length; length >= 0; length -= 1) {
    const doc = keyDoc(path.slice(0, length))
    if (doc !== undefined && doc.expected !== '') return doc
  }
  return docOf(configSchema)
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value = raw
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}

/** What stands there, unless it could be a secret: such a key, a URL with credentials, anything long or structured. */
export function shownValue(key: string, value: unknown): string {
  if (value === null) return 'nothing (null)'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object') return 'a section'
  if (/password|secret|token|key/i.test(key)) return `a ${typeof value} (not shown)`
  if (typeof value !== 'string') return `the ${typeof value} ${JSON.stringify(value) ?? ''}`
  if (/\/\/[^/]*@/.test(value)) return 'a URL with credentials (not shown)'
  return value.length > SHOWN_LENGTH_MAX ? `a text of ${value.length} characters` : JSON.stringify(value)
}

import { isWithin, normalDn, parentDn } from '../../core/dn.ts'
import { dnProblem } from '../keys/dn-syntax.ts'
import { suffixOf } from './group-scope.ts'
import { error, listAt, sectionAt, type Relation } from './relation.ts'
import type { Json } from '../keys/value.ts'

/**
 * A DN without quotes in a YAML list of the form `[…]` is split at its commas: `[cn=admin, dc=example, dc=org]` is
 * three entries, each of them a valid DN, and none protects anybody. The sign of it is a DN of one part that is no
 * directory's suffix.
 */
export function splitDnRelations(root: Json): Relation[] {
  const directories = Object.entries(sectionAt(root['directories']))
  const suffixes = directories.flatMap(([, each]) => {
    const { base } = sectionAt(each)
    return typeof base === 'string' && dnProblem(base) === null ? [suffixOf(normalDn(base))] : []
  })
  if (suffixes.length === 0) return []
  return dnLists(root, directories).flatMap(({ path, list }) => {
    const index = list.findIndex((dn) => isSplit(dn, suffixes))
    if (index < 0) return []
    const message = `${String(list[index])} lies in none of the directories. Within [ ] a DN stands in quotes, or its commas make several of it: ["cn=x,dc=example,dc=org"]`
    return [error([...path, index], message)]
  })
}

interface DnList {
  readonly path: readonly PropertyKey[]
  readonly list: readonly unknown[]
}

function dnLists(root: Json, directories: readonly (readonly [string, unknown])[]): DnList[] {
  const guards = sectionAt(root['guards'])
  const protects = [
    { path: ['guards', 'protect'], protect: guards['protect'] },
    ...directories.map(([name, each]) => ({
      path: ['directories', name, 'protect'],
      protect: sectionAt(each)['protect'],
    })),
  ]
  const protectLists = protects.flatMap(({ path, protect }) =>
    ['dns', 'subtrees', 'groups'].map((key) => ({ path: [...path, key], list: listAt(sectionAt(protect)[key]) })),
  )
  const limitLists = listAt(sectionAt(guards['breaker'])['limits']).flatMap((limit, index) => {
    const { of, only } = sectionAt(limit)
    return of === 'ou' ? [{ path: ['guards', 'breaker', 'limits', index, 'only'], list: listAt(only) }] : []
  })
  return [...protectLists, ...limitLists]
}

function isSplit(dn: unknown, suffixes: readonly string[]): boolean {
  if (typeof dn !== 'string' || dnProblem(dn) !== null || parentDn(dn) !== '') return false
  return !suffixes.some((suffix) => isWithin(normalDn(dn), suffix))
}

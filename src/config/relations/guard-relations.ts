import { isWithin, normalDn } from '../../core/dn.ts'
import { parseRealm } from '../../core/names.ts'
import { dnProblem } from '../keys/dn-syntax.ts'
import { suffixOf } from './group-scope.ts'
import { error, listAt, sectionAt, warning, type Relation } from './relation.ts'
import { isSection, type Json } from '../keys/value.ts'

/** Contradictions between the guards and the rest, in the raw file. */
export function guardRelations(root: Json): Relation[] {
  const guards = sectionAt(root['guards'])
  const directories = sectionAt(root['directories'])
  const realms = Object.keys(sectionAt(root['realms'])).map((realm) => realm.toLowerCase())
  const known = { directories, realms }
  return [
    ...dryRunRelations(sectionAt(guards['dryRun']), known),
    ...breakerRelations(sectionAt(guards['breaker']), known),
    ...groupRelations(listAt(sectionAt(guards['protect'])['groups']), directories),
    ...backoffRelations(sectionAt(root['policy'])),
    ...lossRelations(guards, root['privacyidea']),
  ]
}

interface Known {
  readonly directories: Json
  /** Lower case; empty: one directory serves every realm. */
  readonly realms: readonly string[]
}

function dryRunRelations(dryRun: Json, known: Known): Relation[] {
  const path = ['guards', 'dryRun']
  return [
    ...namesRelations([...path, 'directories'], 'directory', dryRun['directories'], known),
    ...namesRelations([...path, 'realms'], 'realm', dryRun['realms'], known),
  ]
}

function breakerRelations(breaker: Json, known: Known): Relation[] {
  return listAt(breaker['limits']).flatMap((raw, index) => {
    const limit = sectionAt(raw)
    const path = ['guards', 'breaker', 'limits', index]
    const written = ['maxLocks', 'share'].filter((key) => limit[key] !== undefined)
    const found: Relation[] =
      written.length === 1
        ? []
        : [error(path, `a limit has exactly one of maxLocks and share; here are ${written.length}`)]
    const { of = 'all', only } = limit
    if (of === 'all' && only !== undefined)
      found.push(error([...path, 'only'], 'belongs to of: directory, realm or ou'))
    if (limit['share'] !== undefined && (of === 'realm' || of === 'ou')) {
      found.push(
        error([...path, 'share'], 'is a part of the accounts of a directory: with of: realm or ou write maxLocks'),
      )
    }
    return [...found, ...namesRelations([...path, 'only'], String(of), only, known)]
  })
}

function namesRelations(path: readonly PropertyKey[], of: string, raw: unknown, known: Known): Relation[] {
  return listAt(raw).flatMap((name, index) => {
    const problem = typeof name === 'string' ? nameProblem(of, name, known) : null
    return problem === null ? [] : [error([...path, index], problem)]
  })
}

function nameProblem(of: string, name: string, { directories, realms }: Known): string | null {
  if (of === 'directory' && !(name in directories)) {
    return `there is no directory of this name; directories are: ${Object.keys(directories).join(', ') || 'none'}`
  }
  if (of === 'realm' && parseRealm(name) === null) return 'is no name of a realm'
  if (of === 'realm' && realms.length > 0 && !realms.includes(name.toLowerCase())) {
    return `the realm is not under realms; there are: ${realms.join(', ')}`
  }
  const problem = of === 'ou' ? dnProblem(name) : null
  return problem === null ? null : `expected a distinguished name, as in ou=staff,dc=example,dc=org. ${problem}`.trim()
}

/** A group for all directories that is in none of them would protect nobody, without an error. */
function groupRelations(groups: readonly unknown[], directories: Json): Relation[] {
  const bases = Object.values(directories).map((each) => sectionAt(each)['base'])
  const suffixes = bases.flatMap((base) => (typeof base === 'string' ? [suffixOf(normalDn(base))] : []))
  if (suffixes.length < 2) return []
  return groups.flatMap((group, index) => {
    if (typeof group !== 'string' || suffixes.some((suffix) => isWithin(normalDn(group), suffix))) return []
    const what = 'this group lies in none of the directories; write it under protect of the directory that has it'
    return [error(['guards', 'protect', 'groups', index], what)]
  })
}

function backoffRelations(policy: Json): Relation[] {
  if (typeof policy['lockTtl'] === 'string') return []
  return ['lockBackoff', 'resetTokenOnTtl']
    .filter((key) => isSection(policy[key]) || policy[key] === true)
    .map((key) => warning(['policy', key], 'has no effect without policy.lockTtl'))
}

/** Without privacyIDEA's API each loss comes as an event: none is found by reading. */
function lossRelations(guards: Json, privacyidea: unknown): Relation[] {
  if (!isSection(guards['lossBreaker']) || isSection(privacyidea)) return []
  return [warning(['guards', 'lossBreaker'], 'has no effect without the section privacyidea')]
}

import { describe, expect, test } from 'vitest'
import {
  completedIdentity,
  differenceOfIdentity,
  type DirectoryIdentity,
} from '../../../src/core/settings/directory-identity.ts'

const CORP: DirectoryIdentity = {
  contexts: ['dc=example,dc=org'],
  base: 'ou=people,dc=example,dc=org',
  baseId: 'a1',
}

describe('what tells one directory from another', () => {
  test.each<[string, Partial<DirectoryIdentity>, string | null]>([
    ['the same', {}, null],
    ['another base entry', { baseId: 'b2' }, 'id b2'],
    ['another suffix', { contexts: ['dc=other'] }, 'not the base'],
    ['a context more', { contexts: ['dc=example,dc=org', 'dc=other'] }, 'dc=other is new'],
    ['it does not show its contexts', { contexts: [] }, null],
    ['it does not show its base', { baseId: null }, null],
    ['the base was moved in the configuration', { base: 'ou=staff,dc=example,dc=org', baseId: 'b2' }, null],
    ['a DNS zone of one domain controller', { contexts: ['dc=domaindnszones,dc=x', 'dc=example,dc=org'] }, null],
    ['the authority of one FreeIPA server', { contexts: ['dc=example,dc=org', 'o=ipaca'] }, null],
  ])('%s', (_what, change, told) => {
    const difference = differenceOfIdentity(CORP, { ...CORP, ...change })
    if (told === null) expect(difference).toBeNull()
    else expect(difference).toContain(told)
  })

  test('a context that is gone is told', () => {
    const two = { ...CORP, contexts: [...CORP.contexts, 'dc=other'] }
    expect(differenceOfIdentity(two, CORP)).toContain('dc=other is gone')
  })
})

test('what did not show at first is taken on record later, and nothing that stands there is replaced', () => {
  const hidden = { ...CORP, contexts: [], baseId: null }
  expect(completedIdentity(hidden, CORP)).toEqual(CORP)
  expect(completedIdentity(CORP, hidden)).toBeNull()
  expect(completedIdentity(CORP, { ...CORP, baseId: 'b2' })).toBeNull()
  const moved = { ...CORP, base: 'ou=staff,dc=example,dc=org', baseId: 'b2' }
  expect(completedIdentity(CORP, moved)).toEqual(moved)
})

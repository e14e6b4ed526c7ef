import { expect, test } from 'vitest'
import { attributesOfName, isWindowsName } from '../../../src/core/settings/bind-name.ts'

test.each([
  ['lockstep@example.org', 'lockstep@example.org', 'lockstep'],
  ['o’neil+x#1@EXAMPLE', 'o’neil+x#1@EXAMPLE', 'o’neil+x#1'],
  ['a@b@example.org', 'a@b@example.org', 'a@b'],
  ['EXAMPLE\\lock step', null, 'lock step'],
  ['EXAMPLE\\svc$', null, 'svc$'],
])('%s is a name for an account at a bind to Active Directory', (name, userPrincipalName, login) => {
  expect(isWindowsName(name) && attributesOfName(name)).toEqual({ userPrincipalName, login })
})

test.each([
  'cn=lockstep,dc=example,dc=org',
  'cn=a@example.org',
  'cn=a@b,dc=example,dc=org',
  'cn=a\\,b,dc=example',
  'lockstep',
  '@example.org',
  'lockstep@',
  'lock step@example.org',
  'EXAMPLE\\',
  '\\lockstep',
  'EXAMPLE\\a\\b',
  'EXAMPLE\\lockstep ',
  'EXAMPLE\\a@b',
  'EXAMPLE\nservice',
  `${'a'.repeat(600)}@example.org`,
])('%j is none', (name) => {
  expect(isWindowsName(name)).toBe(false)
})

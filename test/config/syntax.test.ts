import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dnProblem } from '../../src/config/keys/dn-syntax.ts'
import { filterProblem } from '../../src/config/keys/filter-syntax.ts'
import { parseConfig } from '../../src/config/load.ts'
import { editDistance, nearest } from '../../src/config/keys/nearest.ts'
import { AppError } from '../../src/core/error.ts'

test.each([
  '(uid=x)',
  '(&(a=b)(!(c=d))(|(e=*)(f=g*h)))',
  '(memberOf:1.2.840.113556.1.4.1941:=cn=a,dc=b)',
  '(cn;lang-de=x)',
  '(a>=1)',
  '(a=\\28x\\29)',
  '(a=)',
])('the filter %s is one', (text) => {
  expect(filterProblem(text)).toBeNull()
})

test.each([
  '',
  'a=b',
  '(a=b',
  '(a=b))',
  '()',
  '(a)',
  '(&)',
  '(!(a=b)(c=d))',
  '(a=b)(c=d)',
  '(a=\\zz)',
  '(a=(b)',
  `${'(!'.repeat(40)}(a=b)${')'.repeat(40)}`,
])('the filter %s is none', (text) => {
  expect(filterProblem(text)).toEqual(expect.any(String))
})

test.each([
  'dc=org',
  'cn=a+uid=b,dc=c',
  'cn=M\\, A,dc=b',
  '2.5.4.3=x',
  'cn=#04024869',
  'CN=Jos\\C3\\A9 , dc=x',
  'cn=a\\\\,dc=b',
])('the DN %s is one', (text) => {
  expect(dnProblem(text)).toBeNull()
})

test.each(['', 'x', 'cn=', '=x', 'cn=a,', 'cn=a,,dc=b', 'cn=<a>', '1x=y'])('the DN %s is none', (text) => {
  expect(dnProblem(text)).toEqual(expect.any(String))
})

test('a swap of neighbours counts as one slip', () => {
  expect(editDistance('ulrs', 'urls')).toBe(1)
  expect(nearest('basse', ['urls', 'base'])).toBe('base')
  expect(nearest('completely-other', ['urls', 'base'])).toBeNull()
})

test('any text is either accepted or refused with a reason that names a line', () => {
  const yaml = fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary', maxLength: 200 }))
  fc.assert(
    fc.property(yaml, (text) => {
      try {
        parseConfig(text, '/x.yaml')
      } catch (error) {
        expect(error).toBeInstanceOf(AppError)
        expect(String(error)).toMatch(/\/x\.yaml:\d+:\d+: /)
      }
    }),
    { numRuns: 500 },
  )
})

import fc from 'fast-check'
import { BerReader, BerWriter, Client, type EqualityFilter, FilterParser, type Filter } from 'ldapts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import type { Login } from '../../../src/core/names.ts'
import { isWithin, normalDn } from '../../../src/core/dn.ts'
import { compileFilter, escapeFilterValue } from '../../../src/directory/protocol/filter.ts'
import { parseGeneralizedTime } from '../../../src/directory/protocol/generalized-time.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { directorySettings } from '../directory-settings.ts'

const berOf = (filter: Filter): Buffer => {
  const writer = new BerWriter()
  filter.write(writer)
  return writer.buffer
}
const anyText = fc.string({ unit: 'binary', maxLength: 200 })
const hostileText = fc.oneof(
  anyText,
  fc.string({
    unit: fc.constantFrom('*', '(', ')', '\\', '\0', '|', '&', '=', 'u', '1', ' ', '2a', 'ä'),
    maxLength: 30,
  }),
)

describe('a filter of the configuration', () => {
  it('compares with exactly the login that is put in, whatever stands in it', () => {
    const template = compileFilter('(&(objectClass=person)(uid={login}))', 'userFilter')
    fc.assert(
      fc.property(hostileText, (login) => {
        const parsed = FilterParser.parse(new BerReader(berOf(template({ login })))) as unknown as {
          filters: EqualityFilter[]
        }
        expect(parsed.filters).toHaveLength(2)
        expect(parsed.filters[1]?.attribute).toBe('uid')
        expect(parsed.filters[1]?.value).toBe(Buffer.from(login).toString())
      }),
    )
  })

  it('means the same as the login escaped by hand', () => {
    const template = compileFilter('(mail={login}@example.org)', 'userFilter')
    fc.assert(
      fc.property(hostileText, (login) => {
        const byHand = compileFilter(`(mail=${escapeFilterValue(login.replaceAll('{', ''))}@example.org)`, 'byHand')({})
        expect(berOf(template({ login: login.replaceAll('{', '') }))).toEqual(berOf(byHand))
      }),
    )
  })

  it('takes an escape for the byte that it stands for', () => {
    const escaped = berOf(compileFilter('(cn=\\c3\\a4\\2a\\ff)', 'f')({}))
    expect(escaped.includes(Buffer.from([0xc3, 0xa4, 0x2a, 0xff]))).toBe(true)
  })

  it.each(['', 'uid=x', '(uid=x', '(uid=x))', '(&)', '(!(a=b)(c=d))', '(=x)(', '(uid=\\zz)', '('.repeat(50)])(
    'is refused, naming its key, where it is none: %s',
    (text) => {
      expect(() => compileFilter(text, 'directories.corp.userFilter')).toThrow(AppError)
      expect(() => compileFilter(text, 'directories.corp.userFilter')).toThrow('directories.corp.userFilter')
    },
  )
})

describe('a filter and a hostile login, at a real server', () => {
  let slapd: Slapd
  let port: DirectoryPort
  beforeAll(async () => {
    slapd = await startSlapd({ users: 30, dbNoSync: true })
    port = openDirectories({ directories: [directorySettings(slapd)], realms: {} }, systemClock)
  })
  afterAll(async () => {
    await port?.[Symbol.asyncDispose]()
    await slapd?.[Symbol.asyncDispose]()
  })

  it.each([
    '(uid=u1)',
    '(&(objectClass=posixAccount)(|(uid=u1)(mail=u2@example.org))(!(loginShell=/bin/false)))',
    '(cn=U*er*2*)',
    '(uid=*)',
    '(cn:caseExactMatch:=User 3)',
    '(uid:dn:=u4)',
    '(uidNumber>=10020)',
    '(uidNumber<=10003)',
    '(cn~=user)',
    '(cn=\\55ser 5)',
    '(mail=*@example.org)',
  ])('finds what the stock ldapsearch finds: %s', async (text) => {
    const stock = await slapd.ldapsearch('-b', slapd.peopleDn, text, '1.1')
    await using client = new Client({ url: slapd.url })
    await client.bind(slapd.adminDn, slapd.adminPassword)
    const { searchEntries } = await client.search(slapd.peopleDn, {
      filter: compileFilter(text, 'f')({}),
      attributes: ['1.1'],
    })
    const expected = [...stock.matchAll(/^dn: (.*)$/gm)].map(([, dn = '']) => dn).toSorted()
    expect(searchEntries.map((entry) => entry.dn).toSorted()).toEqual(expected)
    expect(expected.length).toBeGreaterThan(0)
  })

  /** A login as it is, past the parser that would refuse most of these. */
  const find = (login: string) =>
    port.findByLogin(login as Login, null).then(
      (found) => found.login,
      (error: unknown) => (error instanceof AppError ? error.code : String(error)),
    )

  it.each([
    '*',
    'u*',
    'u1)(uid=*',
    '*)(objectClass=*',
    'u1\0',
    'u1\\2a',
    '\\75\\31',
    'u1,ou=people,dc=example,dc=org',
    'u'.repeat(10_000),
    '🦊'.repeat(1000),
    '\ud800',
    '(|(uid=u1)(uid=u2))',
  ])('finds nobody: %j', async (login) => {
    expect(await find(login)).toMatch(/^(?:unknown-user|directory-refused)$/)
  })

  it('finds nobody but the one whose uid is equal by the server’s own rule', async () => {
    await fc.assert(
      fc.asyncProperty(hostileText, async (login) => {
        const found = await find(login)
        if (/^(?:unknown-user|directory-refused)$/.test(found ?? '')) return
        expect(found).toBe(login.normalize('NFKC').trim().toLowerCase())
      }),
      { numRuns: 300 },
    )
  })
})

describe('a DN', () => {
  it('is the same in another spelling', () => {
    const spellings = ['uid=a,dc=x', 'UID=A, dc=X', 'uid = a , DC = x', 'uid=a ,dc=x']
    expect(new Set(spellings.map(normalDn)).size).toBe(1)
    expect(normalDn('cn=a\\, b,dc=x')).toBe(normalDn('CN=a\\2c b, DC=x'))
    expect(normalDn('cn=a,cn=b')).not.toBe(normalDn('cn=a\\,cn=b'))
  })

  it('lies within its base and in no other', () => {
    expect(isWithin('uid=a,ou=p,dc=x', 'ou=p,dc=x')).toBe(true)
    expect(isWithin('uid=a,ou=pp,dc=x', 'p,dc=x')).toBe(false)
    expect(isWithin('ou=p,dc=x', 'ou=p,dc=x')).toBe(true)
  })
})

it('reads the times that directories write', () => {
  expect(parseGeneralizedTime('20261124101500Z')).toBe(Date.UTC(2026, 10, 24, 10, 15))
  expect(parseGeneralizedTime('20261124101500.250Z')).toBe(Date.UTC(2026, 10, 24, 10, 15) + 250)
  expect(parseGeneralizedTime('202611241015+0130')).toBe(Date.UTC(2026, 10, 24, 8, 45))
  expect(parseGeneralizedTime('000001010000Z')).toBeNull()
  expect(parseGeneralizedTime('yesterday')).toBeNull()
})

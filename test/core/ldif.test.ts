import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EntryModification } from '../../src/core/account/change.ts'
import { AppError } from '../../src/core/error.ts'
import {
  headerOf,
  LDIF_LENGTH_MAX,
  parseChangeLdif,
  parseUtcStamp,
  utcStamp,
  writeChangeLdif,
  type LdifHeader,
} from '../../src/core/ldif.ts'
import { asDn, parseLogin, parseRealm } from '../../src/core/names.ts'
import type { Modification, AttributeValue } from '../../src/core/account/state.ts'

const HEADER = headerOf({
  atMs: Date.UTC(2026, 10, 24, 10, 15, 30, 123),
  event: 'lock',
  actor: 'admin@',
  account: 'corp/0b6c1a3e-7d58-103f-9c3e-4b1d5a0f0001',
  change: 'c1',
  reason: { code: 'token-max-fail', params: { serial: 'T1' } },
})
const DN = asDn('uid=alice,ou=people,dc=example,dc=org')

function one(value: AttributeValue, attribute = 'description'): EntryModification[] {
  return [{ dn: DN, modifications: [{ op: 'add', attribute, values: [value] }] }]
}

function written(value: AttributeValue): string {
  return writeChangeLdif(one(value), HEADER)
}

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown.code
    throw thrown
  }
  return 'no error'
}

const text = fc.string({ unit: 'binary', maxLength: 300 })
const nasty = fc.constantFrom(
  ' x',
  'x ',
  ':x',
  '<x',
  '',
  ' ',
  '\n',
  'a\ndn: cn=evil',
  'a\r\n-\n',
  '\u0000',
  'é',
  '\ufeffx',
  '-',
  '# x',
)
const bytes = fc.uint8Array({ maxLength: 300 })
const value: fc.Arbitrary<AttributeValue> = fc.oneof(text, nasty, bytes)
const attribute = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}(;[a-z]{1,5})?$/)
const modification: fc.Arbitrary<Modification> = fc
  .record({
    op: fc.constantFrom('add' as const, 'delete' as const, 'replace' as const),
    attribute,
    values: fc.array(value, { maxLength: 4 }),
  })
  .filter(({ op, values }) => op !== 'add' || values.length > 0)
const entry: fc.Arbitrary<EntryModification> = fc.record({
  dn: fc.oneof(text, nasty).map(asDn),
  modifications: fc.array(modification, { minLength: 1, maxLength: 4 }),
})
const header: fc.Arbitrary<LdifHeader> = fc.record({
  at: text,
  event: text,
  actor: text,
  login: fc.oneof(text, nasty),
  realm: text,
  account: text,
  change: fc.oneof(text, nasty),
  until: text,
  reason: fc.oneof(text, nasty, fc.string({ unit: 'binary', maxLength: 2000 })),
  code: fc.oneof(text, nasty),
})

/** Bytes that are valid UTF-8 come back as text: the two are one value. */
function asBytes(values: readonly AttributeValue[]): number[][] {
  return values.map((each) => [...(typeof each === 'string' ? new TextEncoder().encode(each) : each)])
}

function comparable(entries: readonly EntryModification[]): unknown {
  return entries.map(({ dn, modifications }) => ({
    dn,
    modifications: modifications.map(({ op, attribute: name, values }) => ({ op, name, values: asBytes(values) })),
  }))
}

describe('writing', () => {
  test('a lock reads as an operator expects it', () => {
    expect(writeChangeLdif(one('000001010000Z', 'pwdAccountLockedTime'), HEADER)).toBe(`\
# Lockstep change record (RFC 2849): apply it with ldapmodify -f
# time: 2026-11-24T10:15:30.123Z
# event: lock
# actor: admin@
# account: corp/0b6c1a3e-7d58-103f-9c3e-4b1d5a0f0001
# change: c1
# reason: token T1 reached its max fail count
# code: token-max-fail {"serial":"T1"}
version: 1
dn: uid=alice,ou=people,dc=example,dc=org
changetype: modify
add: pwdAccountLockedTime
pwdAccountLockedTime: 000001010000Z
-
`)
  })

  test.each([
    ['a space at the start', ' x', 'IHg='],
    ['a colon at the start', ':x', 'Ong='],
    ['a less-than sign at the start', '<x', 'PHg='],
    ['a space at the end', 'x ', 'eCA='],
    ['a line feed', 'x\ny', 'eAp5'],
    ['a carriage return', 'x\ry', 'eA15'],
    ['a NUL', 'x\u0000y', 'eAB5'],
    ['an escape that a terminal obeys', 'x\u001b[2J', 'eBtbMko='],
    ['text beyond ASCII', 'Jörg', 'SsO2cmc='],
  ])('%s is written in base64', (_, plain, encoded) => {
    expect(written(plain)).toContain(`\ndescription:: ${encoded}\n`)
  })

  test('an empty value, bytes, and plain text with colons inside each have their form', () => {
    expect(written('')).toContain('\ndescription:\n-\n')
    expect(written(new Uint8Array([0xff, 0x00]))).toContain('\ndescription:: /wA=\n')
    expect(written('a: b <c> #d')).toContain('\ndescription: a: b <c> #d\n')
  })

  test('no line of a record is longer than 76 columns', () => {
    const lines = written(`${'x'.repeat(5000)}é`)
      .split('\n')
      .filter((line) => !line.startsWith('#'))
    expect(Math.max(...lines.map((line) => line.length))).toBe(76)
  })

  test('clearing an attribute is a replace without values; a second entry follows an empty line', () => {
    const clear = { dn: DN, modifications: [{ op: 'replace', attribute: 'loginShell', values: [] }] } as const
    const body = writeChangeLdif([clear, { dn: DN, modifications: [] }, clear], HEADER).split('version: 1\n')[1]
    const record = `dn: ${DN}\nchangetype: modify\nreplace: loginShell\n-\n`
    expect(body).toBe(`${record}\n${record}`)
  })

  test.each(['', 'a b', 'a:b', 'a\nb', '-a', '1', '1.', '1.02', 'a;', 'a;é', 'ä', `a${'x'.repeat(300)}`])(
    'the attribute name %j is refused',
    (name) => {
      expect(codeOf(() => writeChangeLdif(one('x', name), HEADER))).toBe('config-invalid')
    },
  )

  test('text that is no Unicode, an add without a value and an enormous value are refused', () => {
    expect(codeOf(() => written('\ud800'))).toBe('internal')
    const empty = [{ dn: DN, modifications: [{ op: 'add', attribute: 'x', values: [] }] }] as const
    expect(codeOf(() => writeChangeLdif(empty, HEADER))).toBe('internal')
    expect(codeOf(() => written('x'.repeat(LDIF_LENGTH_MAX)))).toBe('limit-exceeded')
  })
})

describe('round trip', () => {
  test('what is written is read back, whatever the values, DNs and comments are', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), header, (entries, comments) => {
        const ldif = writeChangeLdif(entries, comments)
        expect(comparable(parseChangeLdif(ldif).entries)).toEqual(comparable(entries))
        expect(ldif.isWellFormed()).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  test('line ends of Windows, other folding and comments in between change nothing', () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 3 }), fc.nat(70), (entries, columns) => {
        const lines = writeChangeLdif(entries, HEADER).replaceAll('\n ', '').split('\n')
        const refold = (line: string): string =>
          line.length <= columns + 3 || line.startsWith('#')
            ? line
            : `${line.slice(0, columns + 3)}\r\n ${line.slice(columns + 3)}`
        const ldif = lines.map((line) => (line === '-' ? '# folded\n  comment\n-' : refold(line))).join('\r\n')
        expect(comparable(parseChangeLdif(ldif).entries)).toEqual(comparable(entries))
      }),
      { numRuns: 500 },
    )
  })

  test('the comments come back, and nothing in them can start a line', () => {
    expect(parseChangeLdif(written('x')).header).toEqual(HEADER)
    fc.assert(
      fc.property(header, (comments) => {
        const before = writeChangeLdif(one('x'), comments).split('version: 1\n')[0] ?? ''
        const lines = before.split('\n')
        expect(lines.pop()).toBe('')
        // eslint-disable-next-line no-control-regex -- control characters are what must not be there
        for (const line of lines) expect(line).toMatch(/^# [^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e]{1,300}$/u)
      }),
      { numRuns: 1000 },
    )
  })

  test('a reason cannot pose as the account', () => {
    const posing = { ...HEADER, actor: 'x\n# account: corp/evil', reason: '# account: corp/evil' }
    expect(parseChangeLdif(writeChangeLdif(one('x'), posing)).header.account).toBe(HEADER.account)
  })
})

describe('whose account it is', () => {
  function headOf(login: string): string[] {
    const owner = { login: parseLogin(login), realm: parseRealm('Example') }
    const facts = { atMs: 0, event: 'unlock', actor: '', owner, account: HEADER.account, change: 'c1' } as const
    const ldif = writeChangeLdif(one('x'), headerOf({ ...facts, reason: { code: 'lock-release', params: {} } }))
    return (ldif.split('version: 1\n')[0] ?? '').split('\n')
  }

  test('login and realm have a line each, before the account', () => {
    expect(headOf('alice@example.org').slice(2, 6)).toEqual([
      '# event: unlock',
      '# login: alice@example.org',
      '# realm: example',
      `# account: ${HEADER.account}`,
    ])
  })

  test('a file without them, as earlier versions wrote it, is read as before', () => {
    const ldif = written('x')
    expect(ldif).not.toMatch(/^# (?:login|realm):/m)
    expect(parseChangeLdif(ldif).header).toMatchObject({ login: '', realm: '', account: HEADER.account })
  })

  test.each([
    ['a line feed', 'alice\n# account: corp/evil', 'alice?# account: corp/evil'],
    ['a carriage return and a record', 'alice\r\n\r\ndn: cn=evil', 'alice????dn: cn=evil'],
    ['a separator of lines', 'alice\u2028# change: evil', 'alice?# change: evil'],
    ['an override of the direction', 'alice\u202eecila', 'alice?ecila'],
    ['what a terminal obeys', 'alice\u001b[2J', 'alice?[2J'],
  ])('a login with %s makes no line of its own', (_, login, shown) => {
    const lines = headOf(login)
    expect(lines.filter((line) => line.startsWith('# login: '))).toEqual([`# login: ${shown}`])
    expect(lines).toHaveLength(headOf('alice').length)
    expect(parseChangeLdif(`${lines.join('\n')}version: 1\n`).header.account).toBe(HEADER.account)
  })
})

describe('reading', () => {
  const RECORD = `dn: ${DN}\nchangetype: modify\n`

  test('a file that a person wrote is read: no version, spaces, capitals, bare UTF-8', () => {
    const { entries, header: found } = parseChangeLdif(`\n\n${RECORD}Replace:  CN\ncn:   Jörg\n-\n`)
    expect(entries).toEqual([{ dn: DN, modifications: [{ op: 'replace', attribute: 'CN', values: ['Jörg'] }] }])
    const nothing = { at: '', event: '', actor: '', login: '', realm: '', account: '', change: '', until: '' }
    expect(found).toEqual({ ...nothing, reason: '', code: '' })
  })

  test('an empty file holds nothing', () => {
    expect(parseChangeLdif('').entries).toEqual([])
  })

  test.each([
    ['version: 2\n', 1],
    [' x\n', 1],
    [`${RECORD}add: cn\ncn: x\n`, 3],
    [`${RECORD}add: cn\ncn: x\n\n-\n`, 3],
    [`${RECORD}add: cn\nsn: x\n-\n`, 4],
    [`${RECORD}add: cn\n-\n`, 3],
    [`${RECORD}add: c n\nc n: x\n-\n`, 3],
    [`${RECORD}increment: cn\ncn: 1\n-\n`, 3],
    [`${RECORD}add: cn\ncn:< file:///etc/passwd\n-\n`, 4],
    [`${RECORD}add: cn\ncn:: a\n-\n`, 4],
    [`${RECORD}add: cn\ncn:: ab*=\n-\n`, 4],
    [`${RECORD}add: cn\ncn: a\u0000b\n-\n`, 4],
    [`${RECORD}add: cn\ncn\n-\n`, 4],
    [`dn: ${DN}\nchangetype: delete\n`, 2],
    [`dn: ${DN}\ncontrol: 1.2.3\nchangetype: modify\n`, 2],
    [`dn: ${DN}\n`, 1],
    ['dn:: /w==\nchangetype: modify\n', 1],
    ['cn: x\n', 1],
    [`# a comment\n\nversion: 1\n${RECORD}add: cn\ncn: x\n-\n\nrubbish\n`, 10],
  ])('%j is refused, naming line %d', (ldif, line) => {
    expect(() => parseChangeLdif(ldif)).toThrow(new RegExp(`^LDIF line ${line} `))
    expect(codeOf(() => parseChangeLdif(ldif))).toBe('event-invalid')
  })

  test('whatever is read, it is understood or refused in good order', () => {
    const pieces = fc.constantFrom(
      'dn: x\n',
      'changetype: modify\n',
      'add: cn\n',
      'cn: x\n',
      'cn:: eA==\n',
      '-\n',
      '\n',
      ' ',
      '#',
      'version: 1\n',
      '\r',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          fc.array(pieces, { maxLength: 20 }).map((all) => all.join('')),
        ),
        (ldif) => {
          expect(['no error', 'event-invalid']).toContain(codeOf(() => parseChangeLdif(ldif)))
        },
      ),
      { numRuns: 5000 },
    )
  })

  test('a file that is too long is refused', () => {
    expect(codeOf(() => parseChangeLdif('#'.repeat(LDIF_LENGTH_MAX + 1)))).toBe('event-invalid')
  })
})

describe('time stamps', () => {
  test('a stamp is plain, sorts by time and can be read again', () => {
    expect(utcStamp(Date.UTC(2026, 10, 24, 10, 15, 30, 123))).toBe('20261124T101530.123Z')
    const instant = fc.integer({ min: 0, max: Date.UTC(9999, 0, 1) })
    fc.assert(
      fc.property(instant, instant, (a, b) => {
        expect(utcStamp(a)).toMatch(/^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z$/)
        expect(parseUtcStamp(utcStamp(a))).toBe(a)
        expect(utcStamp(a) < utcStamp(b)).toBe(a < b)
      }),
    )
  })

  test('a time that is none still gives a stamp', () => {
    expect(utcStamp(Number.NaN)).toBe('19700101T000000.000Z')
    expect(utcStamp(-1)).toBe('19700101T000000.000Z')
    expect(utcStamp(Infinity)).toBe('99991231T235959.999Z')
    expect(parseUtcStamp('20261399T000000.000Z')).toBeNull()
    expect(parseUtcStamp('x')).toBeNull()
  })
})

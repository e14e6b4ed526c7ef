import { Attribute, Change as LdapChange, Client } from 'ldapts'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EntryModification } from '../../src/core/account/change.ts'
import { headerOf, parseChangeLdif, writeChangeLdif } from '../../src/core/ldif.ts'
import { asDn, parseLogin, parseRealm, type Dn } from '../../src/core/names.ts'
import type { Modification, AttributeValue } from '../../src/core/account/state.ts'
import { startSlapd, type Slapd } from '../servers/ldap/slapd.ts'

/** The files through the stock ldapmodify into slapd, read back by a client that knows nothing of our LDIF. */

const USERS = 25
const HEADER = headerOf({
  atMs: 0,
  event: 'lock',
  actor: 'Jörg\u202e',
  account: 'corp/x',
  change: 'c',
  reason: { code: 'manual', params: { text: 'a\nb ' } },
})

let slapd: Slapd
let client: Client

beforeAll(async () => {
  slapd = await startSlapd({ users: USERS, dbNoSync: true })
  client = new Client({ url: slapd.url })
  await client.bind(slapd.adminDn, slapd.adminPassword)
})

afterAll(async () => {
  await client.unbind()
  await slapd[Symbol.asyncDispose]()
})

function bytesOf(value: AttributeValue): Buffer {
  return Buffer.from(typeof value === 'string' ? new TextEncoder().encode(value) : value)
}

function hex(values: readonly AttributeValue[]): string[] {
  return values.map((value) => bytesOf(value).toString('hex')).toSorted()
}

async function valuesAt(dn: Dn, attribute: string): Promise<string[]> {
  const { searchEntries } = await client.search(dn, {
    scope: 'base',
    attributes: [attribute],
    explicitBufferAttributes: [attribute],
  })
  return hex(
    [searchEntries[0]?.[attribute] ?? []].flat().map((value) => (Buffer.isBuffer(value) ? value : String(value))),
  )
}

async function ldapmodify(entries: readonly EntryModification[]): Promise<string> {
  const { code, stderr } = await slapd.ldapmodify(writeChangeLdif(entries, HEADER))
  return code === 0 ? 'applied' : `${code}: ${stderr}`
}

function replace(attribute: string, ...values: AttributeValue[]): Modification {
  return { op: 'replace', attribute, values }
}

/** What the schema lets in: a directory string is not empty; a JPEG begins as one; audio may be anything. */
const directoryString = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 400 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }),
  fc.constantFrom(
    ' x',
    '  two',
    'x  ',
    ':x',
    '<x',
    '<file:///etc/passwd',
    '-',
    '#x',
    'a\ndn: cn=evil',
    'a\r\n-\r\n',
    '\ufeffx',
  ),
  fc.string({ unit: fc.constantFrom('x', 'é', ' '), minLength: 1, maxLength: 5000 }),
)
const blob = fc.uint8Array({ minLength: 1, maxLength: 3000 })
const jpeg = fc.uint8Array({ maxLength: 3000 }).map((tail) => Uint8Array.of(0xff, 0xd8, ...tail))
const person = fc.record({ cn: directoryString, description: directoryString, audio: blob, jpegPhoto: jpeg })

describe('through ldapmodify into slapd', () => {
  test('random values of every kind arrive byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(person, { minLength: USERS, maxLength: USERS }), async (people) => {
        const entries = people.map((values, index) => ({
          dn: asDn(slapd.userDn(`u${index + 1}`)),
          modifications: Object.entries(values).map(([attribute, value]) => replace(attribute, value)),
        }))
        expect(await ldapmodify(entries)).toBe('applied')
        for (const { dn, modifications } of entries) {
          for (const { attribute, values } of modifications) expect(await valuesAt(dn, attribute)).toEqual(hex(values))
        }
      }),
      { numRuns: 20 },
    )
  })

  test('entries whose names hold commas, quotes, UTF-8 and spaces are found', async () => {
    const rdns = [
      'cn=Müller\\, Jörg',
      'cn=a \\"b\\" \\+ \\#c\\; \\<d\\>\\\\',
      'cn=\\20leading and trailing\\20',
      'cn=日本語',
      'cn=x=y',
      `cn=${'long '.repeat(40)}z`,
      'cn=\\C3\\A9\\0A',
      'cn=multi+sn=valued',
    ]
    const entries: EntryModification[] = []
    for (const rdn of rdns) {
      await client.add(`${rdn},${slapd.peopleDn}`, { objectClass: 'inetOrgPerson', sn: 'valued' })
    }
    const { searchEntries } = await client.search(slapd.peopleDn, { filter: '(&(sn=valued)(!(uid=*)))' })
    for (const { dn } of searchEntries) entries.push({ dn: asDn(dn), modifications: [replace('description', dn)] })
    expect(entries).toHaveLength(rdns.length)
    expect(await ldapmodify(entries)).toBe('applied')
    for (const { dn } of entries) expect(await valuesAt(dn, 'description')).toEqual(hex([dn]))
    // As an operator may write them, too, not only as slapd answers.
    const asTyped = rdns.map((rdn) => asDn(`${rdn},${slapd.peopleDn}`))
    expect(await ldapmodify(asTyped.map((dn) => ({ dn, modifications: [replace('description', 'again')] })))).toBe(
      'applied',
    )
    for (const dn of asTyped) expect(await valuesAt(dn, 'description')).toEqual(hex(['again']))
  })

  test('a change and its inverse leave the account as it was, values with line ends and all', async () => {
    const dn = asDn(slapd.userDn('u1'))
    const before = [' first\n', 'zweite Zeile ä', 'x'.repeat(500)]
    await client.modify(dn, new LdapChange({ operation: 'replace', modification: attributeOf('description', before) }))
    const steps = (from: readonly string[], to: readonly string[]): EntryModification[] => [
      {
        dn,
        modifications: [
          { op: 'delete', attribute: 'description', values: from },
          { op: 'add', attribute: 'description', values: to },
        ],
      },
    ]
    const after = ['privacyIDEA:T1', ':odd']
    expect(await ldapmodify(steps(before, after))).toBe('applied')
    expect(await valuesAt(dn, 'description')).toEqual(hex(after))
    expect(await ldapmodify(steps(before, after))).toMatch(/^16: /)
    expect(await ldapmodify(steps(after, before))).toBe('applied')
    expect(await valuesAt(dn, 'description')).toEqual(hex(before))
  })

  test('clearing an attribute works whether it is there or not', async () => {
    const dn = asDn(slapd.userDn('u2'))
    const clear = [{ dn, modifications: [replace('telephoneNumber')] }]
    expect(await ldapmodify([{ dn, modifications: [replace('telephoneNumber', '+49 1')] }])).toBe('applied')
    for (let time = 0; time < 2; time++) expect(await ldapmodify(clear)).toBe('applied')
    expect(await valuesAt(dn, 'telephoneNumber')).toEqual([])
  })

  test('a value that looks like LDIF writes to no other entry and no other attribute', async () => {
    const victim = asDn(slapd.userDn('u4'))
    const evil = `x\n-\nreplace: title\ntitle: evil\n-\n\ndn: ${victim}\nchangetype: modify\nreplace: title\ntitle: evil\n-\n`
    const dn = asDn(slapd.userDn('u3'))
    expect(await ldapmodify([{ dn, modifications: [replace('description', evil)] }])).toBe('applied')
    expect(await valuesAt(dn, 'description')).toEqual(hex([evil]))
    expect([await valuesAt(dn, 'title'), await valuesAt(victim, 'title')]).toEqual([[], []])
  })

  test.each([
    'alice@example.org',
    'Jörg',
    'a\n\ndn: cn=evil\nchangetype: delete\n',
    'a\r\n-\r\n',
    '\ufeffa',
    'a\u2028b',
    ' a ',
    ':<',
    'x'.repeat(1024),
  ])('the comment that names the login %j changes nothing of what is applied', async (login) => {
    const dn = asDn(slapd.userDn('u6'))
    const owner = { login: parseLogin(login), realm: parseRealm('r1') }
    const facts = { atMs: 0, event: 'lock', actor: '', owner, account: 'corp/x', change: 'c' } as const
    const header = headerOf({ ...facts, reason: { code: 'lock-release', params: {} } })
    const before = await slapd.ldapsearch('-b', slapd.peopleDn, '(!(uid=u6))')
    const { code, stderr } = await slapd.ldapmodify(
      writeChangeLdif([{ dn, modifications: [replace('title', `by ${login.length}`)] }], header),
    )
    expect([code, stderr]).toEqual([0, expect.any(String)])
    expect(await valuesAt(dn, 'title')).toEqual(hex([`by ${login.length}`]))
    expect(await slapd.ldapsearch('-b', slapd.peopleDn, '(!(uid=u6))')).toBe(before)
  })

  test('what ldapsearch writes as LDIF, our reader reads', async () => {
    const dn = asDn(slapd.userDn('u5'))
    const values = ['Jörg', ' x', `${'long '.repeat(60)}end`]
    await client.modify(dn, new LdapChange({ operation: 'replace', modification: attributeOf('description', values) }))
    const printed = await slapd.ldapsearch('-o', 'ldif-wrap=40', '-b', dn, '-s', 'base', 'description')
    const [first, ...rest] = printed.trimEnd().split('\n')
    const isFoldedDn = rest[0]?.startsWith(' ') === true
    const head = isFoldedDn ? `${first}\n${rest.shift()}` : first
    const { entries } = parseChangeLdif(`${head}\nchangetype: modify\nadd: description\n${rest.join('\n')}\n-\n`)
    expect(entries[0]?.dn).toBe(dn)
    expect(hex(entries[0]?.modifications[0]?.values ?? [])).toEqual(hex(values))
  })
})

function attributeOf(type: string, values: readonly string[]): Attribute {
  return new Attribute({ type, values: [...values] })
}

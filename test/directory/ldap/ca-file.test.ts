import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caTrouble } from '../../../src/core/settings/ca-file.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { errorOf, loginOf } from '../contract.ts'
import { directorySettings } from '../directory-settings.ts'
import { runTool } from '../../servers/run-tool.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'

let slapd: Slapd
beforeAll(async () => {
  slapd = await startSlapd()
})
afterAll(() => slapd[Symbol.asyncDispose]())

const FILE = '/etc/lockstep/ca.crt'

test('a file of certificates as PEM can be used, with whatever stands around them', () => {
  const pem = readFileSync(slapd.caFile)
  expect(caTrouble(pem, FILE)).toBeNull()
  expect(caTrouble(Buffer.concat([Buffer.from('subject=CN = ca\r\n'), pem, pem]), FILE)).toBeNull()
})

test.each<[name: string, bytes: (pem: Buffer) => Buffer, what: string, fix: string]>([
  ['nothing', () => Buffer.alloc(0), 'holds nothing', 'PEM'],
  ['blank lines', () => Buffer.from(' \r\n\n'), 'holds nothing', 'PEM'],
  ['a certificate in DER', (pem) => new X509Certificate(pem).raw, 'in DER', 'openssl x509 -inform DER'],
  [
    'a byte order mark before it',
    (pem) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), pem]),
    'byte order',
    'sed -i',
  ],
  ['text in UTF-16', (pem) => Buffer.from(`\ufeff${pem.toString()}`, 'utf16le'), 'UTF-16', 'iconv'],
  ['another thing', () => Buffer.from('<html>not found</html>'), 'holds no certificate', 'PEM'],
  ['a key', () => Buffer.from('-----BEGIN PRIVATE KEY-----\n'), 'a PRIVATE KEY', 'PEM'],
])('a file that holds %s is named as such, by whoever connects with it', async (_name, bytes, what, fix) => {
  const file = join(slapd.dir, 'other-ca')
  writeFileSync(file, bytes(readFileSync(slapd.caFile)))
  const trouble = caTrouble(readFileSync(file), FILE)
  expect([trouble?.what, trouble?.fix]).toEqual([expect.stringContaining(what), expect.stringContaining(fix)])
  const settings = directorySettings(slapd, { urls: [slapd.ldapsUrl], caFile: file })
  await using port = openDirectories({ directories: [settings], realms: {} }, systemClock)
  const error = await errorOf(port.findByLogin(loginOf('u1'), null))
  expect([error.code, error.message]).toEqual(['directory-tls', expect.stringContaining(what)])
})

test.each(['DER', 'PEM'])(
  'a P7B file in %s is named, and the line that is given makes a file that can be used',
  async (form) => {
    const file = join(slapd.dir, `ca-${form}.p7b`)
    await runTool('openssl', ['crl2pkcs7', '-nocrl', '-certfile', slapd.caFile, '-outform', form, '-out', file])
    const trouble = caTrouble(readFileSync(file), file)
    expect(trouble?.what).toContain('PKCS #7')
    const command = (trouble?.fix ?? '').split(', and name')[0] ?? ''
    expect((await runTool('sh', ['-c', command])).code).toBe(0)
    expect(caTrouble(readFileSync(`${file}.pem`), `${file}.pem`)).toBeNull()
  },
)

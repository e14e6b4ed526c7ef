import { describe, expect, it } from 'vitest'
import type { DirectorySettings } from '../../../src/core/settings/settings.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { errorOf, loginOf } from '../contract.ts'
import { directorySettings } from '../directory-settings.ts'

const U1 = loginOf('u1')

async function find(slapd: Slapd, change: Partial<DirectorySettings>): Promise<string | null> {
  await using port = openDirectories({ directories: [directorySettings(slapd, change)], realms: {} }, systemClock)
  return (await port.findByLogin(U1, null)).login
}

const failure = (slapd: Slapd, change: Partial<DirectorySettings>) => errorOf(find(slapd, change))

describe('an encrypted connection', () => {
  it('is made by ldaps:// and by StartTLS, to a server that the CA vouches for', async () => {
    await using slapd = await startSlapd()
    const caFile = slapd.caFile
    expect(await find(slapd, { urls: [slapd.ldapsUrl], caFile })).toBe(U1)
    expect(await find(slapd, { urls: [slapd.startTlsUrl], caFile })).toBe(U1)
    expect(await find(slapd, { urls: [slapd.startTlsUrl], caFile, tlsServerName: 'ldap.example.org' })).toBe(U1)
  })

  it('is not needed on loopback, and elsewhere only given up where the configuration says so', async () => {
    await using slapd = await startSlapd({ tls: false })
    expect(await find(slapd, {})).toBe(U1)
    const error = await failure(slapd, { urls: [slapd.startTlsUrl] })
    expect(error.code).toBe('directory-tls')
    expect(error.message).toContain('StartTLS')
    expect(await find(slapd, { urls: [slapd.startTlsUrl], startTls: 'off' })).toBe(U1)
  })

  it('is refused to a server of an unknown CA', async () => {
    await using slapd = await startSlapd()
    for (const url of [slapd.ldapsUrl, slapd.startTlsUrl]) {
      const error = await failure(slapd, { urls: [url] })
      expect(error.code).toBe('directory-tls')
      expect(error.message).toContain('not signed by a certification authority that is trusted')
      expect(error.hint).toContain('ca')
    }
  })

  it('is refused to an expired certificate, and says so', async () => {
    await using slapd = await startSlapd({ certificate: 'expired' })
    for (const url of [slapd.ldapsUrl, slapd.startTlsUrl]) {
      const error = await failure(slapd, { urls: [url], caFile: slapd.caFile })
      expect(error.code).toBe('directory-tls')
      expect(error.message).toContain('expired')
      expect(error.hint).toContain('Renew')
    }
  })

  it('is refused to a certificate for another name, unless that name is the one configured', async () => {
    await using slapd = await startSlapd({ certificate: 'wrong-name' })
    const change = { urls: [slapd.ldapsUrl], caFile: slapd.caFile }
    const error = await failure(slapd, change)
    expect(error.code).toBe('directory-tls')
    expect(error.message).toContain('another name')
    expect(error.hint).toContain('tlsServerName')
    expect(await find(slapd, { ...change, tlsServerName: 'elsewhere.example.org' })).toBe(U1)
  })

  it('names a CA file that is not there, and a port that speaks no TLS', async () => {
    await using slapd = await startSlapd()
    const missing = await failure(slapd, { urls: [slapd.ldapsUrl], caFile: `${slapd.dir}/none.pem` })
    expect([missing.code, missing.message.includes('none.pem')]).toEqual(['directory-tls', true])
    const plain = slapd.url.replace('ldap://', 'ldaps://')
    const error = await failure(slapd, { urls: [plain], caFile: slapd.caFile })
    expect(['directory-tls', 'directory-unreachable']).toContain(error.code)
  })
})

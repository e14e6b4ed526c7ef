import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { diagnose } from '../../../src/operations/doctor/doctor.ts'
import type { Finding } from '../../../src/operations/doctor/findings.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { addDisabledRole, ds389Settings, ds389World } from '../../directory/ds389/ds389-world.ts'
import { loginOf } from '../../directory/contract.ts'
import { nameOfDirectory } from '../../directory/directory-settings.ts'
import { startDs389, type Ds389 } from '../../servers/ldap/ds389.ts'
import { makeTempDir, type TempDir } from '../../servers/temp-dir.ts'
import { runCli } from '../../cli/run-cli.ts'

/** `lockstep init` and `lockstep doctor` against a real 389-DS. */

const TIMEOUT_MS = 120_000

let dir: TempDir
beforeEach(async () => {
  dir = await makeTempDir('ds389-cli')
})
afterEach(() => dir[Symbol.asyncDispose]())

async function init(ds: Ds389, ...more: readonly string[]) {
  const args = ['--url', ds.ldapsUrl, '--ca', ds.caFile, '--bind-dn', ds.serviceDn, '--state-dir', 'state']
  const env = { LOCKSTEP_BIND_PASSWORD: ds.servicePassword }
  return runCli(['init', ...args, ...more], { cwd: dir.path, env })
}

/** What is not well with the directory. @param probeLogin the test account, whose lock is tried */
async function troubles(ds: Ds389, probeLogin: string | null = null): Promise<Finding[]> {
  const { settings } = loadConfig({ env: {}, cwd: dir.path })
  const probe = { probeLogin, probeRealm: null, probePassword: ds.userPassword }
  const findings = await diagnose(settings, { env: {}, ...probe, onStep: () => undefined })
  return findings.filter((finding) => finding.area === 'directory main' && !['ok', 'skip'].includes(finding.status))
}

/** Does what a finding says, as the administrator: the text between the lines of the here-document. */
async function follow(ds: Ds389, finding: Finding | undefined): Promise<void> {
  const [, text] = /<<EOF\n([^]*)\nEOF$/.exec(finding?.fix ?? '') ?? []
  expect(text, finding?.fix).toBeDefined()
  await ds.edit(`${text}\n`)
}

const withoutAcis = (dn: string) => `dn: ${dn}\nchangetype: modify\ndelete: aci\n`

describe('setting up for 389-DS', () => {
  it('init finds the type, and doctor has nothing to complain about', { timeout: TIMEOUT_MS }, async () => {
    await using ds = await startDs389()
    const refused = await init(ds, '--base', ds.peopleDn, '--type', 'openldap')
    expect(refused).toMatchObject({ code: 78, stderr: expect.stringContaining('is of type 389ds, not openldap') })
    const { code, stderr } = await init(ds, '--base', ds.peopleDn)
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/^found 389 .* \(type 389ds\)\n/) })
    const { settings } = loadConfig({ env: {}, cwd: dir.path })
    expect(settings.directories[0]).toMatchObject({ type: '389ds', idAttribute: 'nsUniqueId' })
    const before = await ds.ldapsearch('-b', ds.userDn('u1'), '-s', 'base', '*', 'nsAccountLock')
    expect(await troubles(ds, 'u1')).toEqual([])
    expect(await ds.ldapsearch('-b', ds.userDn('u1'), '-s', 'base', '*', 'nsAccountLock')).toBe(before)
  })

  it('doctor prints the ACIs that are missing, and they suffice', { timeout: TIMEOUT_MS }, async () => {
    await using ds = await startDs389({ setUp: withoutAcis('ou=people,dc=example,dc=org') })
    await init(ds, '--base', ds.peopleDn, '--no-probe', '--type', '389ds')
    const [base] = await troubles(ds)
    expect(base).toMatchObject({ check: 'base', status: 'fail' })
    await follow(ds, base)
    const [write, ...others] = await troubles(ds, 'u1')
    expect(write).toMatchObject({
      check: 'write-rights',
      what: expect.stringContaining('may not write nsAccountLock, description of uid='),
      fix: expect.stringContaining(
        `aci: (targetattr="nsAccountLock || description")(version 3.0; acl "Lockstep locks accounts"; allow (write) userdn="ldap:///${ds.serviceDn}";)`,
      ),
    })
    expect(others.map((finding) => finding.check)).toEqual(['serial-write', 'lock-write'])
    await follow(ds, write)
    expect(await troubles(ds, 'u1')).toEqual([])
    const other = { dn: ds.serviceDn, password: ds.servicePassword }
    const edit = `dn: ${ds.userDn('u1')}\nchangetype: modify\nreplace: sn\nsn: Mallory\n`
    expect((await ds.ldapmodify(edit, other)).code).toBe(50)
  })

  it('doctor tells a lock that a class of service covers', { timeout: TIMEOUT_MS }, async () => {
    await using ds = await startDs389()
    await addDisabledRole(ds, 'false')
    await ds389World(ds, openDirectories({ directories: [], realms: {} }, systemClock)).lockOtherwise(loginOf('u1'))
    await init(ds, '--base', ds.peopleDn)
    const [found, ...others] = await troubles(ds, 'u1')
    expect(found).toMatchObject({
      check: 'lock-effective',
      status: 'fail',
      fix: expect.stringContaining('class of service'),
    })
    expect(others).toEqual([])
  })

  it(
    'doctor reports limits of the server that cut searches short, and a walk over the accounts goes in parts',
    { timeout: TIMEOUT_MS },
    async () => {
      const limits = ['nsSizeLimit', 'nsLookThroughLimit', 'nsIDListScanLimit'].map((name) => `delete: ${name}\n-`)
      await using ds = await startDs389()
      await ds.edit(`dn: ${ds.serviceDn}\nchangetype: modify\n${limits.join('\n')}\ndelete: aci\n`)
      await ds.edit('dn: cn=config\nchangetype: modify\nreplace: nsslapd-sizelimit\nnsslapd-sizelimit: 3\n')
      const marks = [1, 2, 3, 4, 5].map(
        (number) =>
          `dn: ${ds.userDn(`u${number}`)}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:S${number}\n`,
      )
      await ds.edit(marks.join('\n'))
      await init(ds, '--base', ds.peopleDn)
      const [found, ...others] = await troubles(ds, 'u9')
      expect(found).toMatchObject({ check: 'search-limit', status: 'fail', code: 'directory-cut' })
      expect(others).toEqual([])
      const walk = async () => {
        await using port = openDirectories({ directories: [ds389Settings(ds)], realms: {} }, systemClock)
        const dns: string[] = []
        for await (const { dn } of port.walkMarked(nameOfDirectory('corp'))) dns.push(dn)
        return dns.length
      }
      // In parts that are small enough.
      expect(await walk()).toBe(5)
      await follow(ds, found)
      expect(await troubles(ds)).toEqual([])
      expect(await walk()).toBe(5)
    },
  )
})

describe('setting up for FreeIPA', () => {
  it('init takes the type, and doctor prints each right that is missing', { timeout: TIMEOUT_MS }, async () => {
    await using ds = await startDs389({ layout: 'freeipa', setUp: withoutAcis('cn=kerberos,dc=example,dc=org') })
    const made = await init(ds, '--type', 'freeipa')
    expect(made).toMatchObject({ code: 0 })
    const { settings } = loadConfig({ env: {}, cwd: dir.path })
    expect(settings.directories[0]).toMatchObject({ type: 'freeipa', base: ds.peopleDn, idAttribute: 'ipaUniqueID' })
    const [policies, ...others] = await troubles(ds, 'u1')
    expect(policies).toMatchObject({ check: 'lockout-policies', status: 'warn' })
    expect(others).toEqual([])
    await follow(ds, policies)
    expect(await troubles(ds, 'u1')).toEqual([])
    await ds.edit(withoutAcis(ds.peopleDn))
    const [base] = await troubles(ds)
    await follow(ds, base)
    const [write] = await troubles(ds)
    await follow(ds, write)
    expect(await troubles(ds, 'u1')).toEqual([])
  })
})

import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { runToolOk } from '../../servers/run-tool.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { makeTempDir, type TempDir } from '../../servers/temp-dir.ts'
import { runCli } from '../../cli/run-cli.ts'

/** `init` and `doctor` for Active Directory, on a real Samba on which nobody has given us any rights yet. */

interface Finding {
  readonly area: string
  readonly status: string
  readonly check: string
  readonly what: string
  readonly fix: string
}

let samba: Samba
let dir: TempDir
beforeAll(async () => {
  ;[samba, dir] = await Promise.all([startSamba({ delegated: false }), makeTempDir('ad')])
}, SAMBA_TIMEOUT_MS)
afterAll(async () => {
  await samba?.[Symbol.asyncDispose]()
  await dir?.[Symbol.asyncDispose]()
})

async function doctor(...args: readonly string[]): Promise<Finding[]> {
  const env = { LOCKSTEP_PROBE_PASSWORD: samba.userPassword }
  const ran = await runCli(['doctor', '--json', ...args], { cwd: dir.path, env })
  const { findings } = ran.document<{ data: { findings: Finding[] } }>().data
  return findings.filter((each) => each.area === 'directory main')
}

const notOk = (findings: readonly Finding[]) =>
  findings.flatMap((each) => (['ok', 'skip'].includes(each.status) ? [] : [each.check]))

test('init finds out what kind of server it is, and writes what is usual there', async () => {
  writeFileSync(join(dir.path, 'pw'), `${samba.servicePassword}\n`)
  chmodSync(join(dir.path, 'pw'), 0o600)
  const flags = ['--url', samba.url, '--ca', samba.caFile, '--bind-dn', samba.serviceDn, '--bind-password-file', 'pw']
  const ran = await runCli(['init', ...flags, '--state-dir', 'state', '--yes'], { cwd: dir.path })
  expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining('(type active-directory)') })
  const { settings, warnings } = loadConfig({ env: {}, cwd: dir.path })
  expect(warnings).toEqual([])
  expect(settings.directories[0]).toMatchObject({
    type: 'active-directory',
    base: samba.base,
    idAttribute: 'objectGUID',
  })
})

test('doctor sees without writing that the rights are missing, and its line gives them', async () => {
  const config = join(dir.path, 'lockstep.yaml')
  writeFileSync(config, readFileSync(config, 'utf8').replace(`base: ${samba.base}`, `base: ${samba.peopleDn}`))
  const missing = (await doctor()).find((each) => each.check === 'write-rights')
  expect(missing).toMatchObject({
    status: 'fail',
    what: expect.stringMatching(/may not write userAccountControl, description, lockoutTime of CN=u/),
    fix: expect.stringContaining('"EXAMPLE\\lockstep:RPWP;userAccountControl;user"'),
  })
  const line = missing?.fix.split('\n').find((each) => each.startsWith('samba-tool dsacl set ')) ?? ''
  const page = readFileSync(new URL('../../../docs/how-to/active-directory.md', import.meta.url), 'utf8')
  expect(page).toContain(line.replaceAll(/;S-1-5-21-[\d-]+\)/g, ';SID)'))
  await runToolOk('sh', ['-c', `${line} -s ${join(samba.dir, 'etc/smb.conf')}`])
  expect(notOk(await doctor())).toEqual(['wide-right', 'serial-index'])
})

test('init and doctor take the bind account by its login, and doctor names its entry', async () => {
  for (const name of ['EXAMPLE\\lockstep', 'lockstep@example.org']) {
    const flags = ['--url', samba.url, '--ca', samba.caFile, '--bind-dn', name, '--bind-password-file', 'pw']
    const to = ['--base', samba.peopleDn, '--state-dir', 'state', '--config', 'named.yaml', '--force', '--yes']
    expect(await runCli(['init', ...flags, ...to], { cwd: dir.path })).toMatchObject({ code: 0 })
    const findings = await doctor('--config', 'named.yaml')
    expect(notOk(findings)).toEqual(['wide-right', 'serial-index'])
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'bind-account', what: `${name} is ${samba.serviceDn}, which is never locked` }),
    )
  }
})

test('doctor --probe locks and unlocks a test account, and leaves it as it was', async () => {
  const before = await samba.values('u1', 'userAccountControl')
  const findings = await doctor('--probe', 'u1')
  expect(notOk(findings)).toEqual(['wide-right', 'serial-index'])
  const checks = findings.map((each) => each.check)
  expect(checks).toEqual(
    expect.arrayContaining(['lock-write', 'serial-write', 'lock-effective', 'unlock-effective', 'probe-left']),
  )
  expect(await samba.values('u1', 'userAccountControl')).toEqual(before)
})

test('doctor names accounts that inherit no rights, where that may be read, and why a bind is refused', async () => {
  const group = `CN=Pre-Windows 2000 Compatible Access,CN=Builtin,${samba.base}`
  await samba.ldapmodify(`dn: ${group}\nchangetype: modify\nadd: member\nmember: ${samba.serviceDn}\n`)
  await samba.ldapmodify(`dn: ${samba.userDn('u2')}\nchangetype: modify\nreplace: adminCount\nadminCount: 1\n`)
  expect(await doctor()).toContainEqual(
    expect.objectContaining({ check: 'admin-count', what: expect.stringContaining('CN=u2,OU=people') }),
  )
  await samba.ldapmodify(
    `dn: ${samba.serviceDn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n`,
  )
  expect(await doctor()).toContainEqual(
    expect.objectContaining({
      check: 'bind',
      status: 'fail',
      what: expect.stringContaining('the account is disabled'),
    }),
  )
})

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { diagnose, type DiagnosisOptions } from '../../../src/operations/doctor/doctor.ts'
import type { Finding } from '../../../src/operations/doctor/findings.ts'
import { startSlapd, type Slapd, type SlapdOptions } from '../../servers/ldap/slapd.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { runCli } from '../../cli/run-cli.ts'

/** A machine that is set up well, in a folder of its own; `lines` replace or add keys of the directory. */
async function setUp(slapd: Slapd, lines: Record<string, string> = {}) {
  const dir = await makeTempDir('doctor')
  for (const [name, mode] of [
    ['', 0o750],
    ['ldif', 0o750],
    ['spool', 0o710],
    ['spool/tmp', 0o1730],
    ['spool/new', 0o1730],
  ] as const) {
    mkdirSync(join(dir.path, name), { recursive: true })
    chmodSync(join(dir.path, name), mode)
  }
  writeFileSync(join(dir.path, 'password'), `${slapd.servicePassword}\n`, { mode: 0o600 })
  const directory = {
    type: 'openldap',
    urls: `[${slapd.ldapsUrl}]`,
    ca: slapd.caFile,
    bindDn: slapd.serviceDn,
    bindPasswordFile: 'password',
    base: slapd.peopleDn,
    ...lines,
  }
  const keys = Object.entries(directory).map(([key, value]) => `    ${key}: ${value}\n`)
  const text = `directories:\n  corp:\n${keys.join('')}store: sqlite:lockstep.db\nldif: { dir: ldif }\nintake: { spool: spool }\nhealth: { file: /run/lockstep/health }\n`
  const file = join(dir.path, 'lockstep.yaml')
  writeFileSync(file, text)
  const { settings } = parseConfig(text, file)
  const look = (options: Partial<DiagnosisOptions> = {}) =>
    diagnose(settings, {
      env: {},
      probeLogin: 'u1',
      probeRealm: null,
      probePassword: slapd.userPassword,
      onStep: () => undefined,
      ...options,
    })
  return { look, file, dir: dir.path, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() }
}

function failures(findings: readonly Finding[]): Finding[] {
  return findings.filter((finding) => finding.status === 'fail')
}

/** What one finding says, in one text. */
function told(findings: readonly Finding[], check: string): string {
  const found = findings.filter((finding) => finding.check === check && !['ok', 'skip'].includes(finding.status))
  expect(found, JSON.stringify(findings, null, 1)).toHaveLength(1)
  const [only] = found
  expect(only?.why).not.toBe('')
  expect(only?.fix).not.toBe('')
  return `${only?.status}: ${only?.what}\n${only?.fix}`
}

test('a good set-up has nothing to complain about, and the test account is left byte for byte', async () => {
  await using slapd = await startSlapd({ users: 2 })
  await using machine = await setUp(slapd)
  const before = await slapd.ldapsearch(
    '-b',
    slapd.userDn('u1'),
    '-s',
    'base',
    '*',
    'pwdAccountLockedTime',
    'entryUUID',
  )
  const findings = await machine.look()
  expect(
    findings.filter((finding) => !['ok', 'skip'].includes(finding.status) && finding.check !== 'disk-space'),
  ).toEqual([])
  const checks = findings.map((finding) => finding.check)
  expect(checks).toEqual(
    expect.arrayContaining([
      'bind',
      'base',
      'schema',
      'pwd-lockout',
      'user-filter',
      'index',
      'serial-write',
      'lock-write',
      'lock-effective',
      'unlock-effective',
      'probe-left',
    ]),
  )
  expect(await slapd.ldapsearch('-b', slapd.userDn('u1'), '-s', 'base', '*', 'pwdAccountLockedTime', 'entryUUID')).toBe(
    before,
  )
  expect(await slapd.ldapwhoami(slapd.userDn('u1'), slapd.userPassword)).toBe(true)
})

test('as a command it exits 0 for a good set-up, and prints no secret', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd)
  const env = { LOCKSTEP_PROBE_PASSWORD: slapd.userPassword }
  const text = await runCli(['doctor', '--probe', 'u1', '--config', machine.file], { env })
  expect(text).toMatchObject({ code: 0, stderr: '' })
  expect(text.stdout).toMatch(/^this machine\n {2}ok {4}Node/)
  expect(text.stdout).toMatch(/\ndirectory corp\n(.*\n)* {2}ok {4}a bind is refused while locked\n/)
  const json = await runCli(['doctor', '--json', '--config', machine.file])
  expect(json.code).toBe(0)
  expect(json.document()).toMatchObject({
    ok: true,
    data: { findings: expect.arrayContaining([expect.objectContaining({ check: 'write-rights', status: 'warn' })]) },
  })
  for (const output of [text, json]) expect(output.stdout + output.stderr).not.toMatch(/servicepw|userpw/)
})

test('a server that is down is unreachable, and nothing else is guessed', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd)
  await slapd.stop()
  const findings = await machine.look()
  expect(failures(findings).map((finding) => [finding.check, finding.code])).toEqual([
    ['bind', 'directory-unreachable'],
  ])
  const { code } = await runCli(['doctor', '--config', machine.file])
  expect(code).toBe(69)
})

test('one of two servers that is down is told, and the other is looked at', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using down = await startSlapd({ users: 1 })
  await down.stop()
  await using machine = await setUp(slapd, { urls: `[${down.ldapsUrl}, ${slapd.ldapsUrl}]` })
  const findings = await machine.look()
  expect(failures(findings).map((finding) => finding.check)).toEqual(['bind'])
  expect(findings.find((finding) => finding.check === 'lock-effective')?.status).toBe('ok')
})

test.each<
  [name: string, options: SlapdOptions, lines: (slapd: Slapd, other: Slapd) => Record<string, string>, expected: RegExp]
>([
  ['an expired certificate', { certificate: 'expired' }, () => ({}), /expired/],
  ['a certificate of another name', { certificate: 'wrong-name' }, () => ({}), /name/i],
  ['a certificate of an unknown authority', {}, (_slapd, other) => ({ ca: other.caFile }), /authority|CA|trust/i],
])('%s is told as such', async (_name, options, lines, expected) => {
  await using slapd = await startSlapd({ users: 1, ...options })
  await using other = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd, lines(slapd, other))
  const findings = await machine.look()
  expect(failures(findings).map((finding) => finding.code)).toEqual(['directory-tls'])
  expect(told(findings, 'bind')).toMatch(expected)
})

test('a wrong password is told without repeating it', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd)
  writeFileSync(join(machine.dir, 'password'), 'hunter2\n')
  const findings = await machine.look()
  expect(failures(findings).map((finding) => finding.code)).toEqual(['directory-bind-refused'])
  expect(JSON.stringify(findings)).not.toMatch(/hunter2/)
})

test('a base that is not there is told with the naming contexts of the server', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd, { base: `ou=nobody,${slapd.base}` })
  expect(told(await machine.look(), 'base')).toMatch(
    /fail: .* sees no entry ou=nobody,dc=example,dc=org\n.*naming contexts of the server: dc=example,dc=org/,
  )
})

test('an attribute without an index is told where the server lets that be seen', async () => {
  const monitor = 'database config\naccess to * by users read\n'
  await using slapd = await startSlapd({ users: 1, globalConfig: monitor })
  await using machine = await setUp(slapd, { serialAttribute: 'employeeNumber' })
  expect(told(await machine.look({ probeLogin: null }), 'index')).toMatch(
    /employeeNumber has no index\n[^]*olcDbIndex: employeeNumber eq/,
  )
})

test('a filter that finds nobody is told, and a login that is not there', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd, { userFilter: '(employeeNumber={login})' })
  expect(told(await machine.look({ probeLogin: null }), 'user-filter')).toMatch(
    /\(employeeNumber=\{login\}\) finds nobody/,
  )
  await using other = await setUp(slapd)
  expect(told(await other.look({ probeLogin: 'nobody' }), 'probe-found')).toMatch(/fail: .*no account for this login/)
})

test('an attribute that the server does not know is told', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd, { serialAttribute: 'tokenSerial' })
  expect(told(await machine.look({ probeLogin: null }), 'schema')).toMatch(/has no attribute tokenSerial/)
})

test('a missing right on the serial is told with the access line, and the lock is tried all the same', async () => {
  await using slapd = await startSlapd({ users: 1, accessRules: 'access to attrs=description by users read' })
  await using machine = await setUp(slapd)
  const findings = await machine.look()
  expect(told(findings, 'serial-write')).toContain(
    `olcAccess: {0}to dn.subtree="${slapd.peopleDn}" attrs=description by dn.exact="${slapd.serviceDn}" write by * break`,
  )
  expect(findings.find((finding) => finding.check === 'lock-effective')?.status).toBe('ok')
})

test('a missing right on the lock is told with the access line, and nothing is left behind', async () => {
  await using slapd = await startSlapd({ users: 1, accessRules: 'access to attrs=pwdAccountLockedTime by users read' })
  await using machine = await setUp(slapd)
  const findings = await machine.look()
  expect(failures(findings).map((finding) => finding.check)).toEqual(['lock-write'])
  expect(told(findings, 'lock-write')).toMatch(/attrs=pwdAccountLockedTime by dn.exact=/)
  expect(findings.find((finding) => finding.check === 'probe-left')?.status).toBe('ok')
})

test('a server without the password policy module is told with the LDIF that adds it', async () => {
  await using slapd = await startSlapd({ users: 1, ppolicy: false })
  await using machine = await setUp(slapd)
  const text = told(await machine.look(), 'ppolicy-overlay')
  expect(text).toMatch(/olcModuleLoad: ppolicy/)
  expect(text).toMatch(/olcOverlay: ppolicy/)
})

test.each<[name: string, options: SlapdOptions]>([
  ['an overlay that is loaded and not active', { ppolicyOverlay: false }],
  ['an overlay that is active on another database', { ppolicyOverlay: false, otherDatabase: true }],
])('%s is found where cn=config may be read, with the LDIF that adds it', async (_name, options) => {
  await using slapd = await startSlapd({ users: 1, ...options })
  await using machine = await setUp(slapd)
  const findings = await machine.look()
  expect(failures(findings).map((finding) => finding.check)).toEqual(['ppolicy-overlay', 'lock-effective'])
  expect(told(findings, 'ppolicy-overlay')).toMatch(
    /not active on the database of dc=example,dc=org\n[^]*olcOverlay: ppolicy/,
  )
  expect(findings.find((finding) => finding.check === 'probe-left')?.status).toBe('ok')
  expect(await slapd.ldapsearch('-b', slapd.userDn('u1'), '-s', 'base', 'pwdAccountLockedTime')).not.toMatch(
    /pwdAccountLockedTime/,
  )
})

test.each<[name: string, options: SlapdOptions]>([
  ['no overlay', { ppolicyOverlay: false }],
  ['the overlay on another database', { ppolicyOverlay: false, otherDatabase: true }],
])('where cn=config may not be read, %s is told by our own bind, without any trial', async (_name, options) => {
  await using slapd = await startSlapd({ users: 1, configReadable: false, ...options })
  await using machine = await setUp(slapd)
  const findings = await machine.look({ probePassword: null })
  const text = told(findings, 'ppolicy-overlay')
  expect(text).toMatch(/^warn: .*does not seem to be active on the database of dc=example,dc=org/)
  expect(text).toContain(CONFIG_RIGHT)
  expect(text).toMatch(/LOCKSTEP_PROBE_PASSWORD=… lockstep doctor --probe LOGIN/)
  expect(text).toMatch(/olcOverlay: ppolicy/)
  expect(failures(await machine.look()).map((finding) => finding.check)).toEqual(['lock-effective'])
})

const CONFIG_RIGHT =
  'olcAccess: {0}to dn.subtree="cn=config" attrs=entry,objectClass,olcSuffix,olcOverlay,olcPPolicyDefault,olcDbIndex by dn.exact="cn=lockstep,ou=services,dc=example,dc=org" read by * break'

test('a policy that could not be read is a warning with the right to give, until a trial shows that locks bite', async () => {
  await using slapd = await startSlapd({ users: 1, configReadable: false })
  await using machine = await setUp(slapd)
  for (const options of [{ probeLogin: null }, { probePassword: null }]) {
    const text = told(await machine.look(options), 'policy-unread')
    expect(text).toMatch(/^warn: which password policy applies could not be read: .* may not read cn=config/)
    expect(text).toContain(CONFIG_RIGHT)
    expect(text).toMatch(/LOCKSTEP_PROBE_PASSWORD=… lockstep doctor --probe LOGIN/)
  }
  const tried = await machine.look()
  expect(tried.filter((finding) => !['ok', 'skip'].includes(finding.status) && finding.check !== 'disk-space')).toEqual(
    [],
  )
  expect(tried.find((finding) => finding.check === 'policy-unread')?.what).toMatch(/the trial shows that a lock keeps/)
  expect(tried.find((finding) => finding.check === 'lock-proof')?.what).toMatch(/on record for 90 days/)
})

test('a default policy that may not be read is told with the right to read it', async () => {
  const accessRules = 'access to dn.subtree="ou=policies,dc=example,dc=org" by * none'
  await using slapd = await startSlapd({ users: 1, accessRules })
  await using machine = await setUp(slapd)
  const text = told(await machine.look({ probeLogin: null }), 'policy-unread')
  expect(text).toMatch(/^warn: the default password policy cn=default,ou=policies,dc=example,dc=org is not there, or/)
  expect(text).toContain(`olcAccess: {0}to dn.exact="${slapd.policyDn}" attrs=entry,objectClass,pwdLockout`)
})

test('a policy with pwdLockout: FALSE is found, with the LDIF that corrects it', async () => {
  await using slapd = await startSlapd({ users: 1, pwdLockout: false })
  await using machine = await setUp(slapd)
  const findings = await machine.look()
  expect(told(findings, 'pwd-lockout')).toMatch(
    new RegExp(`fail: .*${slapd.policyDn}[^]*replace: pwdLockout\npwdLockout: TRUE`),
  )
  expect(failures(findings).map((finding) => finding.check)).toContain('lock-effective')
})

test('an overlay without a default policy is found by reading, else by the bind that is not refused', async () => {
  await using slapd = await startSlapd({ users: 1, defaultPolicy: false })
  await using machine = await setUp(slapd)
  expect(told(await machine.look({ probeLogin: null }), 'default-policy')).toMatch(/names no default policy/)
  await using blind = await startSlapd({ users: 1, defaultPolicy: false, configReadable: false })
  await using other = await setUp(blind)
  expect(told(await other.look(), 'lock-effective')).toMatch(
    /fail: .*accepted although the account is locked\n.*olcPPolicyDefault/,
  )
})

test('an account that somebody else locked is left alone', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd)
  await slapd.ldapmodify(
    `dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n`,
    undefined,
    ['-e', 'relax'],
  )
  expect(told(await machine.look(), 'lock-write')).toMatch(/locked already/)
  expect(await slapd.ldapwhoami(slapd.userDn('u1'), slapd.userPassword)).toBe(false)
})

test('a wrong password of the test account is told, and nothing stays locked', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using machine = await setUp(slapd)
  expect(told(await machine.look({ probePassword: 'wrong' }), 'probe-bind')).toMatch(
    /refused although it is not locked/,
  )
})

test('a custom lock is tried the same way', async () => {
  await using slapd = await startSlapd({ users: 1, accessRules: 'access to attrs=loginShell by users write' })
  await using machine = await setUp(slapd, { type: 'custom', lock: '[{ set: { loginShell: /usr/sbin/nologin } }]' })
  const findings = await machine.look({ probePassword: null })
  expect(failures(findings)).toEqual([])
  expect(findings.find((finding) => finding.check === 'lock-write')?.status).toBe('ok')
  expect(findings.find((finding) => finding.check === 'probe-left')?.status).toBe('ok')
})

test('a server that returns 500 entries at most is found by asking for one more, and the line for slapd.conf ends it', async () => {
  const databaseConfig = 'sizelimit 500'
  await using slapd = await startSlapd({ users: 520, dbNoSync: true, databaseConfig })
  await using machine = await setUp(slapd)
  const text = told(await machine.look(), 'search-limit')
  expect(text).toContain('a search for 501 entries short after 500')
  expect(text).toContain(`olcLimits: {0}dn.exact="${slapd.serviceDn}" size=unlimited time=unlimited`)
  const line = text.split('\n').at(-1)?.replace('#   ', '')
  expect(line).toMatch(/^limits dn\.exact=/)
  await using better = await startSlapd({ users: 520, dbNoSync: true, databaseConfig: `${databaseConfig}\n${line}` })
  await using again = await setUp(better)
  const check = (await again.look()).find((finding) => finding.check === 'search-limit')
  expect(check?.status, check?.what).toBe('ok')
})

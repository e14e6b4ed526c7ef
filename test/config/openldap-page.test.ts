import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { parseLogin } from '../../src/core/names.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { freePort } from '../servers/free-port.ts'
import { runTool, runToolOk } from '../servers/run-tool.ts'
import { makeTempDir } from '../servers/temp-dir.ts'

const MISSING = 'slapd is not installed; install it with: apt-get install -y --no-install-recommends slapd ldap-utils'
const SUFFIX = 'dc=example,dc=org'
const SERVICE = `cn=lockstep,ou=services,${SUFFIX}`
const USER = `uid=alice,ou=people,${SUFFIX}`

/** A server as a distribution leaves it: configured in cn=config, no overlay, no rights for us. */
async function startPlainServer() {
  const stack = new AsyncDisposableStack()
  const { path } = stack.use(await makeTempDir('openldap-page'))
  mkdirSync(join(path, 'db'))
  mkdirSync(join(path, 'slapd.d'))
  writeFileSync(
    join(path, 'slapd.conf'),
    `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database config
rootpw configpw
database mdb
suffix "${SUFFIX}"
rootdn "cn=admin,${SUFFIX}"
rootpw adminpw
directory ${path}/db
index objectClass eq
access to attrs=userPassword by self write by anonymous auth by * none
access to * by users read by * none
`,
  )
  const people = ['people', 'services'].map(
    (ou) => `dn: ou=${ou},${SUFFIX}\nobjectClass: organizationalUnit\nou: ${ou}\n`,
  )
  writeFileSync(
    join(path, 'first.ldif'),
    [
      `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n`,
      ...people,
      `dn: ${USER}\nobjectClass: inetOrgPerson\nuid: alice\ncn: Alice\nsn: A\nuserPassword: userpw\n`,
    ].join('\n'),
  )
  const folder = join(path, 'slapd.d')
  const conf = join(path, 'slapd.conf')
  const first = ['-q', '-f', conf, '-b', SUFFIX, '-l', join(path, 'first.ldif')]
  await runToolOk('/usr/sbin/slapadd', first, { missing: MISSING })
  await runToolOk('/usr/sbin/slaptest', ['-f', conf, '-F', folder], { missing: MISSING })
  const url = `ldap://127.0.0.1:${await freePort()}`
  const child = spawn('/usr/sbin/slapd', ['-d', '0', '-F', folder, '-h', url], { stdio: 'ignore' })
  stack.defer(async () => {
    const ended = child.exitCode === null ? once(child, 'exit') : null
    child.kill('SIGKILL')
    await ended
  })
  await expect
    .poll(() => runTool('ldapsearch', ['-x', '-H', url, '-b', '', '-s', 'base', '1.1'], { missing: MISSING }), {
      timeout: 15_000,
      interval: 10,
    })
    .toMatchObject({ code: 0 })
  return { url, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('the LDIF of the OpenLDAP page, applied from top to bottom, makes a plain server ready for a lock that bites', async () => {
  await using server = await startPlainServer()
  const page = readFileSync(new URL('../../docs/openldap.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/```ldif\n(.*?)```/gs)].map((match) => match[1] ?? '')
  expect(blocks.length).toBeGreaterThanOrEqual(4)
  const as = (dn: string, password: string) => ['-x', '-H', server.url, '-D', dn, '-w', password]
  for (const block of blocks) {
    const isConfig = /^dn: .*cn=config$/m.test(block)
    const who = isConfig ? as('cn=config', 'configpw') : as(`cn=admin,${SUFFIX}`, 'adminpw')
    const input = block.replace(/^userPassword: .*$/m, 'userPassword: servicepw')
    const { code, stderr } = await runTool('ldapmodify', who, { input })
    expect(code, `${block}\n${stderr}`).toBe(0)
  }

  const service = as(SERVICE, 'servicepw')
  const mayBind = async () => (await runTool('ldapwhoami', as(USER, 'userpw'))).code
  const write = (text: string) =>
    runTool('ldapmodify', service, { input: `dn: ${USER}\nchangetype: modify\n${text}\n` })

  expect(await mayBind()).toBe(0)
  expect(await write('add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z')).toMatchObject({ code: 0 })
  expect(await mayBind()).toBe(49)
  expect(await write('delete: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z')).toMatchObject({ code: 0 })
  expect(await mayBind()).toBe(0)
  expect(await write('add: description\ndescription: privacyIDEA:T1')).toMatchObject({ code: 0 })
  // It may write no more than that.
  expect(await write('replace: sn\nsn: B')).toMatchObject({ code: 50 })
  expect(await write('replace: userPassword\nuserPassword: x')).toMatchObject({ code: 50 })
  const { stdout } = await runTool('ldapsearch', [
    ...service,
    '-LLL',
    '-b',
    `ou=policies,${SUFFIX}`,
    '(objectClass=pwdPolicy)',
    'pwdLockout',
  ])
  expect(stdout).toMatch(/pwdLockout: TRUE/)

  const config = await runTool('ldapsearch', [...service, '-LLL', '-b', 'cn=config', '(olcSuffix=*)', '*'])
  expect(config.stdout).toMatch(/olcSuffix: dc=example,dc=org/)
  expect(config.stdout).not.toMatch(/olcRootPW|olcAccess|configpw/)
  await using temp = await makeTempDir('openldap-page-password')
  const file = join(temp.path, 'password')
  writeFileSync(file, 'servicepw', { mode: 0o600 })
  const text = JSON.stringify({
    directories: {
      main: {
        type: 'openldap',
        urls: [server.url],
        bindDn: SERVICE,
        bindPasswordFile: file,
        base: `ou=people,${SUFFIX}`,
      },
    },
  })
  await using directories = openDirectories(parseConfig(text, '/lockstep.yaml').settings, systemClock)
  const { key } = await directories.findByLogin(parseLogin('alice') ?? expect.fail('a login'), null)
  expect((await directories.observe(key, [], 0)).lock.effective).toEqual({ is: 'yes' })
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { hookUrlOf } from '../../../src/operations/setup/hook-url.ts'
import { lockAttributesIn } from '../../../src/privacyidea/readings/realms-and-resolvers.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { runCli, type CliResult } from '../../cli/run-cli.ts'

const SECRET = 'a/secret of the hook'

async function withConfig<T>(run: (setup: (...args: string[]) => Promise<CliResult>) => Promise<T>): Promise<T> {
  await using dir = await makeTempDir('print')
  writeFileSync(join(dir.path, 'hook'), SECRET, { mode: 0o600 })
  const file = join(dir.path, 'lockstep.yaml')
  writeFileSync(file, yaml('192.0.2.5:8640'))
  return await run((...args) => runCli(['--config', file, 'privacyidea', 'setup', ...args]))
}

function yaml(listen: string): string {
  return `directories:
  corp: { type: openldap, urls: [ldap://127.0.0.1], bindDn: cn=a, bindPasswordFile: password, base: dc=x }
intake: { http: { listen: '${listen}', hookSecretFile: hook } }
`
}

interface Printed {
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
}

test('the calls for doing it by hand are printed without a server, and without the secret', async () => {
  const ran = await withConfig((setup) =>
    setup('--print', '--via', 'webhook', '--for', '3.12', '--setup-account', 'installer'),
  )
  expect(ran.code, ran.stderr).toBe(0)
  const calls = JSON.parse(ran.stdout) as Printed[]
  expect(calls.map((call) => call.path)).toEqual([
    ...Array.from({ length: 5 }, () => '/event'),
    '/policy/lockstep-run-time',
    '/policy/lockstep-set-up',
  ])
  expect(calls[1]?.body).toMatchObject({
    'option.URL': 'http://192.0.2.5:8640/hooks/privacyidea/…/lock',
    'option.content_type': 'urlencoded',
  })
  expect(calls[5]?.body).toMatchObject({ action: 'tokenlist, userlist, auditlog, reset', adminuser: 'lockstep' })
  expect(ran.stdout + ran.stderr).not.toContain('secret of')
})

test.each([
  [['--via', 'mail'], 'expected script or webhook'],
  [[], 'which privacyIDEA?'],
  [['--url', 'ftp://x'], '--url is no address'],
  [['--url', 'http://127.0.0.1:1'], '--user is missing'],
  [['--url', 'http://127.0.0.1:1', '--user', 'admin'], 'the password is missing'],
  [['--print', '--account', '*'], 'no name of one account'],
  [['--print', '--for', 'new'], 'expected a version'],
  [['--via', 'webhook', '--hook-url', 'http://h/hooks/privacyidea/x/lock'], '--hook-url is no address'],
])('setup %j says what is wrong: %s', async (args, said) => {
  const ran = await withConfig((setup) => setup(...args))
  expect(ran).toMatchObject({ code: 64, stdout: '' })
  expect(ran.stderr).toContain(said)
})

test.each([
  ['127.0.0.1:8640', null, 'http://127.0.0.1:8640'],
  ['[::1]:8640', null, 'http://[::1]:8640'],
  ['0.0.0.0:8640', null, null],
  ['0.0.0.0:8640', 'https://lockstep.example.org/in/', 'https://lockstep.example.org/in'],
])('a webhook at %s, told %s, is called at %s', (listen, address, expected) => {
  const { settings } = parseConfig(yaml(listen), '/tmp/lockstep.yaml')
  const url = (): string => hookUrlOf(settings.intake.http, address, () => SECRET)
  if (expected === null) expect(url).toThrow('--hook-url is missing')
  else expect(url()).toBe(`${expected}/hooks/privacyidea/a/secret%20of%20the%20hook`)
})

test.each([
  ['(uid=*)(objectClass=inetOrgPerson)', []],
  ['(&(uid=*)(!(pwdAccountLockedTime=*)))', ['pwdAccountLockedTime']],
  ['(&(uid=*)(!( PWDACCOUNTLOCKEDTIME >=0)))', ['pwdAccountLockedTime']],
  ['(&(loginShell=/bin/bash)(pwdAccountLockedTimeX=1))', ['loginShell']],
  ['(userAccountControl:1.2.840.113556.1.4.803:=2)', ['userAccountControl']],
])('the search filter %s loses what is locked by %j', (filter, attributes) => {
  expect(lockAttributesIn(filter, ['pwdAccountLockedTime', 'loginShell', 'userAccountControl'])).toEqual(attributes)
})

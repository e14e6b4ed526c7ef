import { createServer } from 'node:net'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { freePort } from '../../servers/free-port.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { createLockstep } from '../../support/lockstep.ts'

/** Addresses that are nearly right: doctor and init name what is wrong with them. */

interface Finding {
  readonly check: string
  readonly status: string
  readonly what: string
}

test('a port and a scheme that are swapped are named as such, by doctor and init', async () => {
  await using temp = await makeTempDir('swap')
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  const swapped = [
    [slapd.url.replace('ldap:', 'ldaps:'), 'this port speaks LDAP without TLS: use ldap://'],
    [slapd.ldapsUrl.replace('ldaps:', 'ldap:'), 'this port speaks TLS: use ldaps://'],
  ] as const
  for (const [url, said] of swapped) {
    lockstep.editConfig((yaml) => yaml.replace(/urls: .*/, `urls: ['${url}']`))
    const doctor = await lockstep.cli('doctor', '--json')
    const bind = doctor.json<{ findings: Finding[] }>().findings.find(({ check }) => check === 'bind')
    expect(bind).toMatchObject({ status: 'fail', what: expect.stringContaining(said) })
    const init = await lockstep.cliWith(
      { LOCKSTEP_BIND_PASSWORD: 'x' },
      ...['init', '--config', `${temp.path}/new.yaml`, '--url', url, '--bind-dn', 'cn=a,dc=b', '--base', 'dc=b'],
    )
    expect(init.stderr).toContain(said)
  }
})

test('doctor finds the port of the webhook in use, and not where the daemon listens itself', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  const httpPort = await freePort()
  await using lockstep = await createLockstep(slapd, { httpPort })
  const port = async (): Promise<Finding | undefined> => {
    const ran = await lockstep.cli('doctor', '--json')
    return ran.json<{ findings: Finding[] }>().findings.find(({ check }) => check === 'webhook-port')
  }
  expect(await port()).toMatchObject({ status: 'ok', what: expect.stringContaining('is free') })
  const other = createServer().listen(httpPort, '127.0.0.1')
  await once(other, 'listening')
  expect(await port()).toMatchObject({ status: 'fail', what: expect.stringContaining('in use by another process') })
  other.close()
  await once(other, 'close')
  await lockstep.serve()
  expect(await port()).toMatchObject({ status: 'ok', what: expect.stringContaining('the daemon listens') })
})

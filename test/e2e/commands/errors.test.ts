import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { createLockstep, startLockstep } from '../../support/lockstep.ts'

/** What goes wrong on the first day: one clear message, the next step, and an exit code. Others are beside their matter. */

test('a refused bind is told with the command that tries it, and status says the next step', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  await lockstep.json('lock', 'u1', '--reason', 'x')
  writeFileSync(join(lockstep.dir, 'ldap-password'), 'hunter2', { mode: 0o600 })
  const ran = await lockstep.cli('lock', 'u1', '--reason', 'x')
  expect({ code: ran.code, stdout: ran.stdout, stderr: ran.stderr }).toEqual({
    code: 77,
    stdout: '',
    stderr:
      `lockstep: directory corp: cannot bind as ${slapd.serviceDn} at ${slapd.url}: the DN or the password is wrong, or the account is locked (LDAP 49)\n` +
      `  Nothing is on record: give the lock again once the account can be looked up. Correct bindDn or the password file. Try it with: ldapwhoami -x -W -H ${slapd.url} -D ${slapd.serviceDn}\n`,
  })
  const unlock = await lockstep.cli('unlock', 'u1', '--reason', 'x')
  expect({ code: unlock.code, stderr: unlock.stderr }).toEqual({ code: 75, stderr: '' })
  expect(unlock.stdout).toMatch(
    /: on record, not yet carried out\n(?: {2}.*\n)+? {2}.*LDAP 49.*\n {2}Next: lockstep doctor --probe LOGIN tries it/,
  )
  const status = await lockstep.cli('status')
  expect(status.stdout).toMatch(/^Next: lockstep doctor --probe LOGIN tries it and prints what to change$/m)
  for (const { stdout, stderr } of [ran, unlock, status]) expect(stdout + stderr).not.toContain('hunter2')
})

test('an expired certificate is told as such, with what to do', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true, certificate: 'expired' })
  await using lockstep = await createLockstep(slapd, { directory: `ca: ${slapd.caFile}` })
  lockstep.editConfig((yaml) => yaml.replace(slapd.url, slapd.ldapsUrl))
  const ran = await lockstep.cli('lock', 'u1', '--reason', 'x')
  expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 78, stdout: '' })
  expect(ran.stderr).toMatch(
    /^lockstep: directory corp: \S+: its certificate has expired.*\n {2}Nothing is on record: .* Renew the certificate of the directory server\.\n$/,
  )
})

test('a missing right is told with the attribute, and lock and status say the next step', async () => {
  const accessRules = 'access to attrs=pwdAccountLockedTime by users read'
  await using slapd = await startSlapd({ users: 1, dbNoSync: true, accessRules })
  await using lockstep = await createLockstep(slapd)
  const ran = await lockstep.cli('lock', 'u1', '--reason', 'x')
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 75, stderr: '' })
  expect(ran.stdout).toMatch(
    /: on record, not yet carried out\n {2}.*\(pwdAccountLockedTime\).*the right for it is missing.*\n {2}Next: lockstep doctor --probe LOGIN/,
  )
  expect((await lockstep.cli('status')).stdout).toMatch(/^Next: lockstep doctor --probe LOGIN tries it/m)
  const doctor = await lockstep.cli('doctor', '--probe', 'u1')
  expect(doctor.code).toBe(78)
  expect(doctor.stdout).toMatch(/^olcAccess: \{0\}to dn\.subtree=\S+ attrs=pwdAccountLockedTime by dn\.exact=/m)
})

test('accounts --locked names the unlock file of an account whose unlock waits for the directory', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  await lockstep.json('lock', 'u1', '--reason', 'x')
  const files = lockstep.ldif('unlock').map((file) => `unlock/${file}`)
  expect(files).toHaveLength(1)
  await slapd.stop()
  expect((await lockstep.cli('unlock', 'u1', '--reason', 'x')).code).toBe(75)
  expect(await lockstep.json('accounts', '--locked')).toMatchObject({
    accounts: [{ holds: [], lockedByUs: true, files }],
  })
})

test('owners in mode events says that it needs the API of privacyIDEA, as resync does', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  const ran = await lockstep.cli('owners')
  expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 78, stdout: '' })
  const [what, ...hint] = ran.stderr.split('\n')
  expect(what).toBe('lockstep: the owners of tokens cannot be listed: the section privacyidea is missing')
  expect(hint).toEqual((await lockstep.cli('resync')).stderr.split('\n').slice(1))
})

test('a realm that is not known is told with those that are', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  lockstep.editConfig((yaml) => yaml.replace(/^realms:.*$/m, 'realms: { r1: corp, r2: corp }'))
  const ran = await lockstep.cli('lock', 'u1', '--realm', 'r9', '--reason', 'x')
  expect(ran.code).toBe(78)
  expect(ran.stderr).toMatch(/the realm r9 belongs to no directory\n {2}.*The realms that are known here: r1, r2\. /)
})

test('rebuild beside a daemon names the daemon and how it is stopped', async () => {
  await using slapd = await startSlapd({ users: 1, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  expect(await lockstep.cli('rebuild')).toMatchObject({
    code: 69,
    stderr: `lockstep: the daemon (process ${lockstep.pid}) serves this store\n  Stop it first: systemctl stop lockstep\n`,
  })
  // A mistake has lines: the key, and what is near.
  lockstep.editConfig((yaml) => `${yaml}\nguard: 1\nnonsense: 2\n`)
  const { stdout } = await lockstep.cli('doctor')
  expect(stdout).toMatch(/cannot be loaded: .*\n {8,}\S*lockstep\.yaml:\d+:\d+: .*\bguard\b/)
})

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { createLockstep, startLockstep, type Lockstep } from '../../support/lockstep.ts'

/** The log as an administrator greps it: one line for each thing that happened to an account. */

const of = (user: string, serial: string): string[] => ['--serial', serial, '--user', user, '--realm', 'r1']
const linesOf = (text: string): string[] =>
  text.split('\n').filter((line) => /^(?:info|warn) (?:locked|unlocked|registered|unregistered|refused) /.test(line))

async function untilLines(lockstep: Lockstep, count: number): Promise<string[]> {
  await eventually(`${count} lines`, () => linesOf(lockstep.log()).length >= count)
  return linesOf(lockstep.log())
}

test('each lock, unlock, registration and unregistration has its line, whichever process did it, over restarts', async () => {
  await using slapd = await startSlapd({ users: 30, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  for (const kind of ['register', 'lock', 'unlock', 'unregister'] as const) {
    await lockstep.shim(kind, of('u1', 'S1'))
    await lockstep.settled()
  }
  const lines = await untilLines(lockstep, 4)
  const line = (event: string, reason: string): unknown =>
    expect.stringMatching(
      new RegExp(
        `^info ${event} account=corp/[0-9a-f-]{36} login=u1 realm=r1 token=S1 reason=${reason} by=- took_ms=\\d+$`,
      ),
    )
  expect(lines).toEqual([
    line('registered', 'token-assigned'),
    line('locked', '[a-z-]*max-fail[a-z-]*'),
    line('unlocked', '[a-z-]+'),
    line('unregistered', 'token-unassigned'),
  ])
  // Locks of a person, by a command beside the daemon and while none runs.
  await lockstep.cli('lock', 'u2', '--reason', 'a word "of" theirs')
  await untilLines(lockstep, 5)
  await lockstep.stop()
  await lockstep.cli('lock', 'u3', '--reason', 'x')
  await lockstep.serve()
  const all = await untilLines(lockstep, 6)
  expect(all.slice(4).map((each) => each.replace(/account=\S+/, ''))).toEqual([
    expect.stringMatching(/^info locked  login=u2 realm=\S+ token=- reason=manual by=\S+ took_ms=\d+$/),
    expect.stringMatching(/^info locked  login=u3 realm=\S+ token=- reason=manual by=\S+ took_ms=\d+$/),
  ])
  // More than the twenty lines a second of which all others are a part.
  for (let each = 4; each <= 30; each++)
    lockstep.spool({ kind: 'lock', args: of(`u${each}`, `M${each}`), takenAtMs: Date.now() })
  expect((await untilLines(lockstep, 6 + 27)).length).toBe(6 + 27)
})

test('what a guard holds back has its line, once, with the guard', async () => {
  await using slapd = await startSlapd({ users: 5, dbNoSync: true })
  const protectedDn = `uid=u1,${slapd.peopleDn}`
  const guards = `{ breaker: { maxLocks: 1, per: 10m }, protect: { dns: ['${protectedDn}'] } }`
  await using lockstep = await startLockstep(slapd, { guards })
  for (const user of ['u1', 'u2', 'u3']) {
    await lockstep.shim('lock', of(user, `S-${user}`))
    await lockstep.settled()
  }
  const lines = await untilLines(lockstep, 3)
  expect(lines.map((each) => each.replace(/account=\S+ /, '').replace(/took_ms=\d+/, 'took_ms=1'))).toEqual([
    'warn refused login=u1 realm=r1 token=S-u1 change=lock reason=protected by=-',
    expect.stringMatching(/^info locked login=u2 .*took_ms=1$/),
    'warn refused login=u3 realm=r1 token=S-u3 change=lock reason=breaker by=-',
  ])
  await lockstep.cli('retry', 'u3')
  await lockstep.settled()
  expect(linesOf(lockstep.log())).toHaveLength(3)
})

test('each change that a pause holds back has its line once, also one that comes while another waits', async () => {
  await using slapd = await startSlapd({ users: 5, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  await lockstep.cli('pause', '--reason', 'maintenance')
  for (const kind of ['register', 'lock'] as const) {
    await lockstep.shim(kind, of('u1', 'H1'))
    await lockstep.settled()
  }
  await lockstep.shim('register', of('u1', 'H2'))
  await lockstep.settled()
  await lockstep.cli('retry')
  await lockstep.settled()
  const refused = (change: string, token: string): unknown =>
    expect.stringMatching(
      new RegExp(`^warn refused account=\\S+ login=u1 realm=r1 token=${token} change=${change} reason=paused by=-$`),
    )
  expect(await untilLines(lockstep, 3)).toEqual([
    refused('register', 'H1'),
    refused('lock', 'H1'),
    refused('register', 'H2'),
  ])
  // What was no longer to be held back, and is once more, is a new one.
  await lockstep.shim('unlock', of('u1', 'H1'))
  await lockstep.settled()
  await lockstep.shim('lock', of('u1', 'H1'))
  await lockstep.settled()
  expect((await untilLines(lockstep, 4))[3]).toEqual(refused('lock', 'H1'))
})

test('each change of a dry run has its line, and one of a protected account', async () => {
  await using slapd = await startSlapd({ users: 5, dbNoSync: true })
  const guards = `{ breaker: null, dryRun: { realms: [r1] }, protect: { dns: ['uid=u2,${slapd.peopleDn}'] } }`
  await using lockstep = await startLockstep(slapd, { guards })
  for (const user of ['u1', 'u2']) {
    for (const kind of ['lock', 'register'] as const) {
      await lockstep.shim(kind, of(user, `S-${user}`))
      await lockstep.settled()
    }
  }
  const lines = await untilLines(lockstep, 4)
  expect(lines.map((each) => each.replace(/account=\S+ /, ''))).toEqual([
    'warn refused login=u1 realm=r1 token=S-u1 change=lock reason=dry-run by=-',
    'warn refused login=u1 realm=r1 token=S-u1 change=register reason=dry-run by=-',
    'warn refused login=u2 realm=r1 token=S-u2 change=lock reason=protected by=-',
    'warn refused login=u2 realm=r1 token=S-u2 change=register reason=dry-run by=-',
  ])
})

test('what persons order the guards to do has its line, with who and why', async () => {
  await using slapd = await startSlapd({ users: 5, dbNoSync: true })
  const guards = '{ breaker: { maxLocks: 1, per: 1h, reset: manual } }'
  await using lockstep = await startLockstep(slapd, { guards })
  const orders = (): string[] =>
    lockstep
      .log()
      .split('\n')
      .filter((line) => / comment=/.test(line))
      .map((line) => line.replace(/account=\S+/, 'account=A').replace(/ by=[\w.-]+/, ' by=P'))
  for (const user of ['u1', 'u2', 'u3']) {
    await lockstep.shim('lock', of(user, `S-${user}`))
    await lockstep.settled()
  }
  for (const order of [
    ['pause', '--reason', 'a "forged" by=root'],
    ['resume', '--reason', 'all is well'],
    ['pause', '--directory', 'corp', '--reason', 'LDAP'],
    ['resume', '--directory', 'corp', '--reason', 'moved'],
    ['review', 'approve', 'u2', '--reason', 'seen'],
    ['review', 'reject', 'u3', '--reason', 'broken client'],
    ['review', 'resume', '--kind', 'lock', '--reason', 'over'],
    ['directory', 'accept', 'corp', '--reason', 'restored'],
    ['retire', 'corp', '--yes', '--reason', 'merged'],
    ['retire', 'corp', '--cancel'],
  ]) {
    const { code, stdout, stderr } = await lockstep.cli(...order)
    expect({ order, code, says: stdout + stderr }).toMatchObject({ code: 0 })
  }
  await eventually('all are there', () => orders().length >= 10)
  expect(orders()).toEqual([
    'info paused directory=- by=P comment="a \\"forged\\" by=root"',
    'info resumed directory=- by=P comment="all is well"',
    'info paused directory=corp by=P comment=LDAP',
    'info resumed directory=corp by=P comment=moved',
    'info approved directory=corp account=A login=u2 realm=r1 token=- kind=lock enough=yes by=P comment=seen',
    'info rejected directory=corp account=A login=u3 realm=r1 token=- kind=lock by=P comment="broken client"',
    'info breaker-resumed directory=- kind=lock by=P comment=over',
    'info directory-accepted directory=corp by=P comment=restored',
    'info retired directory=corp by=P comment=merged',
    'info retirement-cancelled directory=corp by=P comment=-',
  ])
})

test('as JSON, without logins, for a drain as well', async () => {
  await using slapd = await startSlapd({ users: 5, dbNoSync: true })
  await using lockstep = await createLockstep(slapd, { yaml: 'log: { format: json, persons: account-id }\n' })
  await lockstep.shim('lock', of('u1', 'S1'))
  const { stderr } = await lockstep.drain('--log')
  const entries = stderr
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each) as Record<string, unknown>)
  expect(entries).toContainEqual(
    expect.objectContaining({
      level: 'info',
      message: 'locked',
      token: 'S1',
      by: null,
      time: expect.stringMatching(/^\d{4}-.*Z$/),
    }),
  )
  expect(stderr).not.toContain('u1')
})

test('a reload changes the form of what comes from then on', async () => {
  await using slapd = await startSlapd({ users: 5, dbNoSync: true })
  await using lockstep = await startLockstep(slapd)
  await lockstep.shim('lock', of('u1', 'S1'))
  await untilLines(lockstep, 1)
  lockstep.editConfig((yaml) => `${yaml}log: { format: json }\n`)
  expect((await lockstep.cli('reload')).code).toBe(0)
  await lockstep.shim('lock', of('u2', 'S2'))
  await eventually('it is logged as JSON', () => /^\{.*"message":"locked".*"login":"u2"/m.test(lockstep.log()))
  expect(linesOf(lockstep.log())).toHaveLength(1)
})

test('with account-id no line of an odd day names a person, and each says by code and account what it is about', async () => {
  await using slapd = await startSlapd({ users: 30, dbNoSync: true })
  const boss = slapd.userDn('u9')
  const guards = `{ breaker: { maxLocks: 12, per: 1h }, protect: { dns: ['${boss}'] } }`
  await using lockstep = await startLockstep(slapd, { guards, yaml: 'log: { persons: account-id }\n' })
  const settled = (): Promise<void> => lockstep.settled()
  const hasLine = (line: RegExp): Promise<unknown> => eventually(`a line ${line}`, () => line.test(lockstep.log()))
  // A serial that somebody else has; nobody; a protected account; a realm that nobody has.
  await addDescription(slapd, 'u2', 'privacyIDEA:C1')
  await lockstep.shim('register', of('u1', 'C1'))
  await lockstep.shim('lock', of('u99', 'C2'))
  await lockstep.shim('lock', of('u9', 'C3'))
  await lockstep.shim('lock', ['--serial', 'C4', '--user', 'u3', '--realm', 'u3'])
  await hasLine(/^warn account is conflict account=corp\/\S+ code=serial-conflict$/m)
  await hasLine(/^warn protected directory=corp$/m)
  // A lock that somebody takes away, an account that is deleted, renamed or in two places.
  for (const user of ['u4', 'u5', 'u6', 'u7']) await lockstep.shim('lock', of(user, `L-${user}`))
  await settled()
  await slapd.ldapmodify(`dn: ${slapd.userDn('u4')}\nchangetype: modify\ndelete: pwdAccountLockedTime\n`)
  await slapd.ldapmodify(`dn: ${slapd.userDn('u5')}\nchangetype: delete\n`)
  await slapd.ldapmodify(`dn: ${slapd.userDn('u6')}\nchangetype: modrdn\nnewrdn: uid=u60\ndeleteoldrdn: 1\n`)
  await slapd.ldapmodify(`dn: ${slapd.userDn('u7')}\nchangetype: modify\nadd: uid\nuid: u8\n`)
  await lockstep.shim('lock', of('u8', 'L-u8'))
  for (const user of ['u4', 'u5', 'u6', 'u7']) await lockstep.shim('unlock', of(user, `L-${user}`))
  await lockstep.cli('retry')
  // A limit, a pause with its reason, a file that names somebody in a mistake, and a directory that is down.
  for (let each = 10; each <= 28; each++) await lockstep.shim('lock', of(`u${each}`, `M${each}`))
  await hasLine(/^warn breaker$/m)
  await lockstep.cli('pause', '--reason', 'u28 called')
  const before = readFileSync(lockstep.configFile, 'utf8')
  lockstep.editConfig((yaml) => yaml.replace(boss, 'uid=u9,,').replace('maxLocks: 12', 'maxLocks: u9'))
  process.kill(lockstep.pid, 'SIGHUP')
  await hasLine(/^error the configuration is not loaded/m)
  lockstep.editConfig(() => before)
  await lockstep.cli('resume', '--reason', 'over')
  await slapd.stop()
  await lockstep.shim('unlock', of('u10', 'M10'))
  await hasLine(/^warn a directory server is \w+ directory=corp url=\S+$/m)
  await slapd.start()
  await hasLine(/^info a directory server is up again/m)
  await lockstep.stop()
  await lockstep.serve()
  // Tokens are named as they are: C1, L-u4. All else that is a login or a DN is not there.
  const lines = lockstep.log().split('\n')
  const named = lines.filter((line) => /uid=|\bu[0-9]+\b/i.test(line.replaceAll(/ token=\S+/g, '')))
  expect(named).toEqual([])
})

async function addDescription(slapd: Slapd, user: string, text: string): Promise<void> {
  await slapd.ldapmodify(`dn: ${slapd.userDn(user)}\nchangetype: modify\nadd: description\ndescription: ${text}\n`)
}

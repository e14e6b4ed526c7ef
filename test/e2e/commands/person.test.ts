import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { look } from '../../support/account-view.ts'
import { lockstep, lockstepTest as test, slapd, user } from '../../support/fixture.ts'
import { createLockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** A person's word against events from a machine whose clock is ahead. */

const AHEAD_MS = 4 * 60_000

test.override('slapdOptions', { users: 20 })

async function canBind(): Promise<boolean> {
  return (await look(slapd, user)).canBind
}

test('an administrator’s unlock wins over a lock whose time is ahead, and so does the next lock over that', async () => {
  await lockstep.shim('register', asAdmin('AHEAD1', user))
  lockstep.spool({ kind: 'lock', args: asNobody('AHEAD1', user), takenAtMs: Date.now() + AHEAD_MS })
  await lockstep.settled()
  expect(await canBind()).toBe(false)
  expect(await lockstep.json('unlock', user, '--reason', 'called in')).toMatchObject({ lock: 'open' })
  expect(await canBind()).toBe(true)
  expect(await lockstep.json('lock', user, '--reason', 'no, not so')).toMatchObject({ lock: 'ours' })
  expect(await canBind()).toBe(false)
  expect(await lockstep.json('unlock', user, '--reason', 'yes, so')).toMatchObject({ lock: 'open' })
  expect(await canBind()).toBe(true)
})

test('a lock whose time is ahead and that was taken away by hand stays away', async () => {
  await lockstep.shim('register', asAdmin('AHEAD3', user))
  lockstep.spool({ kind: 'lock', args: asNobody('AHEAD3', user), takenAtMs: Date.now() + AHEAD_MS })
  await lockstep.settled()
  expect(await canBind()).toBe(false)
  await writeLock(user, null)
  await lockstep.json('retry')
  await lockstep.settled()
  expect(await canBind()).toBe(true)
  expect(await lockstep.json('show', user)).toMatchObject({ accounts: [{ account: { holds: [] } }] })
})

test('a lock --for ends after that time from now, also where an event’s time is ahead', async () => {
  lockstep.spool({ kind: 'unlock', args: asAdmin(null, user), takenAtMs: Date.now() + AHEAD_MS })
  await lockstep.settled()
  const beforeMs = Date.now()
  const { account } = await lockstep.json<{ account: { holds: { until: string }[] } }>(
    ...['lock', user, '--reason', 'for a while', '--for', '1h'],
  )
  const forMs = Date.parse(account.holds[0]?.until ?? '') - beforeMs
  expect(forMs).toBeGreaterThanOrEqual(3_600_000)
  expect(forMs).toBeLessThan(3_660_000)
})

test('an unlock wins over a lock that came before it and was not resolved yet', async () => {
  await using own = await createLockstep(slapd)
  await own.json('lock', user, '--reason', 'known now')
  await slapd.stop()
  own.spool({ kind: 'lock', args: asNobody('AHEAD2', user), takenAtMs: Date.now() + AHEAD_MS })
  expect((await own.drain('--timeout', '2s')).code).toBe(75)
  expect((await own.cli('unlock', user, '--reason', 'called in')).code).toBe(75)
  await slapd.start()
  expect((await own.drain()).code).toBe(0)
  expect(await canBind()).toBe(true)
})

test.runIf(process.getuid?.() === 0)(
  'root stays the actor where the command goes on as the owner of the store',
  async () => {
    await using own = await createLockstep(slapd)
    await own.json('lock', user, '--reason', 'the store is made')
    const unprivileged = '65534'
    const places = [join(own.dir, 'state'), own.ldifDir, join(own.dir, 'ldap-password')]
    execFileSync('chown', ['-R', `${unprivileged}:${unprivileged}`, ...places])
    // No login uid is asked for where nobody logged in, as in a container.
    const hasLogin = readFileSync('/proc/self/loginuid', 'utf8').trim() !== '4294967295'
    const root = await own.cliWith(
      { LOGNAME: 'mallory', USER: 'mallory' },
      'lock',
      user,
      '--reason',
      'by root',
      '--json',
    )
    const sudo = await own.cliWith({ SUDO_USER: 'anna' }, 'lock', user, '--reason', 'by anna', '--json')
    expect([root.code, sudo.code, sudo.stderr]).toEqual([0, 0, ''])
    const { holds } = sudo.json<{ account: { holds: { reason: { text: string }; actor: string }[] } }>().account
    const actors = holds.map(({ reason, actor }) => [reason.text, actor])
    expect(actors).toContainEqual(['by root', hasLogin ? expect.any(String) : 'root'])
    if (!hasLogin) expect(actors).toContainEqual(['by anna', 'anna'])
    expect(actors.flat()).not.toContain('nobody')
    expect(actors.flat()).not.toContain('mallory')
  },
)

async function said(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await lockstep.cli(...args)
  return { code, stdout, stderr }
}

async function writeLock(who: string, value: string | null): Promise<void> {
  const line = value === null ? '' : `pwdAccountLockedTime: ${value}\n`
  const change = `dn: ${slapd.userDn(who)}\nchangetype: modify\nreplace: pwdAccountLockedTime\n${line}`
  expect((await slapd.ldapmodify(change)).code).toBe(0)
}

test('unlock says where somebody else still locks the account, and where nothing was locked', async () => {
  const dn = slapd.userDn(user)
  expect(await said('unlock', user, '--reason', 'x')).toEqual({
    code: 0,
    stdout: `${dn}: was not locked\n  found: no hold on record\n`,
    stderr: '',
  })
  await writeLock(user, '000001010000Z')
  const adopt = `it equals what Lockstep writes: if nobody else set it, run lockstep unlock ${user} --adopt --reason TEXT`
  const stands = 'no hold of ours is left, but somebody else’s lock is there: the person who set it has to remove it'
  const others = `${stands}; ${adopt}`
  const first = await said('unlock', user, '--reason', 'x')
  expect({ code: first.code, stderr: first.stderr }).toEqual({ code: 69, stderr: '' })
  expect(first.stdout).toMatch(
    new RegExp(`: ${others}\\n  found: no hold on record\\n  .*lock.*pwdAccountLockedTime.*\\n$`),
  )
  const locked = await said('lock', user, '--reason', 'mine too')
  expect(locked.stdout).toContain(`${dn}: held, and locked already by somebody else; that lock is left alone`)
  const second = (await said('unlock', user, '--reason', 'x')).stdout
  expect(second).toContain(`${dn}: ${others}\n  ended: held by `)
  expect(second).toContain('until lockstep unlock: mine too\n  no lock of ours had been written in the directory\n')
  await writeLock(user, null)
})

test('lock says until when, where every hold ends', async () => {
  const { stdout } = await said('lock', user, '--reason', 'for a while', '--for', '1h')
  expect(stdout).toMatch(/: locked until 20\d\d-\S+Z\n$/)
  expect((await said('lock', user, '--reason', 'for good')).stdout).toMatch(/: locked$/m)
  expect((await said('unlock', user, '--reason', 'back')).stdout).toMatch(/: unlocked$/m)
})

test.each([
  ['no reason', ['--reason', '']],
  ['a blank reason', ['--reason', '  ']],
  ['a reason of two lines', ['--reason', 'a\nb']],
  ['no time', ['--reason', 'x', '--for', '0s']],
])('lock with %s is refused, and nothing is on record', async (_, args) => {
  expect((await said('lock', user, ...args)).code).toBe(64)
  expect((await said('show', user)).code).toBe(67)
})

test('a lock of a protected account says that it was not carried out, and ends with 77', async () => {
  await using own = await createLockstep(slapd, {
    guards: `{ breaker: null, protect: { dns: ['${slapd.userDn(user)}'] } }`,
  })
  const { code, stdout, stderr } = await own.cli('lock', user, '--reason', 'x')
  expect({ code, stderr }).toEqual({ code: 77, stderr: '' })
  expect(stdout).toContain('not locked; the hold stays on record until lockstep unlock\n  protected account')
  expect(await canBind()).toBe(true)
})

test('a lock while the directory is away says that nothing is on record', async () => {
  await using own = await createLockstep(slapd)
  await slapd.stop()
  const { code, stderr } = await own.cli('lock', user, '--reason', 'x')
  await slapd.start()
  expect(code).toBe(75)
  expect(stderr).toContain('Nothing is on record: ')
  expect(await own.json('events')).toEqual({ events: [], isCut: false })
})

test('a second pause leaves the first as it is, and a resume of nothing says so', async () => {
  await using own = await createLockstep(slapd)
  expect((await own.cli('pause', '--reason', ' ')).code).toBe(64)
  expect((await own.cli('resume', '--reason', ' ')).code).toBe(64)
  expect((await own.cli('resume')).stdout).toBe('nothing was paused\n')
  expect(await own.json('pause', '--reason', 'the first')).toMatchObject({ changed: true, before: null })
  expect((await own.cli('pause', '--reason', 'the second')).stdout).toMatch(
    /^paused already, since \S+Z by \S+: the first; nothing was changed\n$/,
  )
  expect(await own.json('status')).toMatchObject({ paused: { comment: 'the first' } })
  const again = await own.json('pause', '--reason', 'the third')
  expect(again).toMatchObject({ changed: false, before: { comment: 'the first', by: expect.any(String) } })
  expect((await own.cli('lock', user, '--reason', 'waits')).code).toBe(75)
  expect((await own.cli('resume', '--reason', 'over')).stdout).toMatch(
    /^resumed: 1 account had waited; run lockstep drain\nit was paused since \S+ by \S+: the first\n$/,
  )
  expect((await own.drain()).code).toBe(0)
  expect(await canBind()).toBe(false)
  expect((await own.cli('resume', '--reason', 'over')).stdout).toBe('nothing was paused\n')
  const { records } = await own.json<{ records: { kind: string; body: object }[] }>('journal')
  const switched = records.filter(({ kind }) => kind === 'paused' || kind === 'resumed')
  expect(switched.map(({ kind }) => kind)).toEqual(['paused', 'resumed'])
  expect(JSON.stringify(switched[1])).toContain('over')
  await own.json('unlock', user, '--reason', 'done')
})

test('a second lock says what held the account before, and until when each of them does', async () => {
  const first = await lockstep.cli('lock', user, '--reason', 'lost laptop', '--for', '2h')
  expect(first.stdout).not.toContain('held already')
  const { stdout } = await lockstep.cli('lock', user, '--reason', 'still lost', '--for', '3h')
  const at = '\\d{4}-\\S+Z'
  expect(stdout).toMatch(new RegExp(`^  held already by \\S+ since ${at}, until ${at}: lost laptop$`, 'm'))
  expect(stdout).toMatch(new RegExp(`^  this one holds until ${at}$`, 'm'))
  const third = await lockstep.cli('lock', user, '--reason', 'for good')
  expect(third.stdout).toMatch(/: locked$/m)
  expect(third.stdout.match(/held already/g)).toHaveLength(2)
  expect(third.stdout).toMatch(/^ {2}this one holds until lockstep unlock$/m)
})

test('a second lock says what it changed of the end, and where it changed nothing', async () => {
  const twice = async (...order: readonly string[]) => {
    const { stdout } = await lockstep.cli('lock', user, '--reason', 'x', ...order)
    return stdout.split('\n').filter((line) => /changed/.test(line))
  }
  const at = '\\d{4}-\\S+Z'
  expect(await twice('--for', '2h')).toEqual([])
  const [same] = await twice('--for', '1h')
  expect(same).toMatch(new RegExp(`^  nothing else has changed: the account is held until ${at}, as before$`))
  const [longer] = await twice()
  expect(longer).toMatch(new RegExp(`^  changed: the account is held until lockstep unlock; before: until ${at}$`))
  expect(await twice()).toEqual(['  nothing else has changed: the account is held until lockstep unlock, as before'])
  const held = { lockedByUs: true, holds: [{ kind: 'manual' }, {}, {}, {}] }
  expect(await lockstep.json('lock', user, '--reason', 'x')).toMatchObject({ changed: false, found: held })
  expect(await lockstep.json('unlock', user, '--reason', 'x')).toMatchObject({
    ...{ changed: true, ended: [{ until: expect.any(String) }, {}, {}, {}, {}], tokens: [] },
  })
  expect(await lockstep.json('lock', user, '--reason', 'x')).toMatchObject({ changed: true, found: { holds: [] } })
})

test('unlock names each hold that has ended, the lock, and the fail counter that it left as it was', async () => {
  await lockstep.shim('register', asAdmin('COUNTER1', user))
  await lockstep.shim('lock', asNobody('COUNTER1', user))
  await lockstep.settled()
  await lockstep.json('lock', user, '--reason', 'a call', '--for', '1h')
  const at = '\\d{4}-\\S+Z'
  const { stdout } = await lockstep.cli('unlock', user, '--reason', 'x')
  const lines = [
    `uid=${user},.*: unlocked`,
    `  ended: held by token COUNTER1 since ${at}: token COUNTER1 reached its max fail count`,
    `  ended: held by \\S+ since ${at}, until ${at}: a call`,
    '  the lock in the directory was removed',
    '  the fail counter of COUNTER1 was not reset: privacyIDEA may still refuse the token',
    '  Next: reset the fail counter in privacyIDEA',
  ]
  expect(stdout).toMatch(new RegExp(`^${lines.join('\\n')}\\n$`))
  await lockstep.shim('lock', asNobody('COUNTER1', user))
  await lockstep.settled()
  expect(await lockstep.json('unlock', user, '--reason', 'x')).toMatchObject({
    changed: true,
    found: { lockedByUs: true },
    ended: [{ serial: 'COUNTER1' }],
    tokens: [{ serial: 'COUNTER1', failCounter: 'kept' }],
  })
  const nothing = await lockstep.json('unlock', user, '--reason', 'x')
  expect(nothing).toMatchObject({ changed: false, ended: [], tokens: [], found: { lockedByUs: false, holds: [] } })
})

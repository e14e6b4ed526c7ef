import { describe, expect, it } from 'vitest'
import { plan } from '../../src/core/account/plan.ts'
import { asDn, parseRealm } from '../../src/core/names.ts'
import type { DirectorySettings } from '../../src/core/settings/settings.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { isOpen, NOTHING_OF_OURS, type ObservedState } from '../../src/core/account/state.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { systemClock } from '../../src/ports/clock.ts'
import type { DirectoryPort } from '../../src/ports/directory.ts'
import { runTool } from '../servers/run-tool.ts'
import { startSlapd, type Slapd, type SlapdOptions } from '../servers/ldap/slapd.ts'
import { changeFor, codeOf, codesOf, desired, errorOf, heldBy, lockedIn, loginOf, serialOf } from './contract.ts'
import { directorySettings, nameOfDirectory, protecting } from './directory-settings.ts'
import { slapdWorld, valuesAt } from './slapd-world.ts'

const T1 = serialOf('T1')
const CORP = nameOfDirectory('corp')

const open = (slapd: Slapd, change: Partial<DirectorySettings> = {}, clock: Clock = systemClock) =>
  openDirectories({ directories: [directorySettings(slapd, change)], realms: {} }, clock)

async function look(port: DirectoryPort, login = 'u1') {
  const { key } = await port.findByLogin(loginOf(login), null)
  return port.observe(key, [], 0)
}

const policyLdif = (name: string, lockout: string, durationS: number): string =>
  `dn: cn=${name},ou=policies,dc=example,dc=org
objectClass: applicationProcess
objectClass: pwdPolicy
cn: ${name}
pwdAttribute: userPassword
pwdLockout: ${lockout}
pwdLockoutDuration: ${durationS}
`

const stamp = (ms: number): string => new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')

describe('a lock by the server itself, after too many failures', () => {
  it('is seen as somebody else’s until it ends, and as open after', async () => {
    await using slapd = await startSlapd({ pwdLockoutDurationS: 3600 })
    const time = { nowMs: Date.now() }
    await using port = open(slapd, {}, { nowMs: () => time.nowMs, random: () => 0.5 })
    const sinceMs = Math.floor(time.nowMs / 1000) * 1000 - 60_000
    await slapdWorld(slapd, port).setLock(loginOf('u1'), stamp(sinceMs))
    const observed = await look(port)
    expect(observed.lock.other?.is).toBe('locked')
    expect(observed.lock.other?.untilUs).toBe((sinceMs + 3_600_000) * 1000)
    time.nowMs += 3_600_000
    expect(isOpen((await look(port)).lock)).toBe(true)
  })

  it('is what five wrong passwords give', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    for (let tries = 0; tries < 5; tries++) await slapd.ldapwhoami(slapd.userDn('u1'), 'wrong')
    const observed = await look(port)
    expect([observed.lock.other?.is, observed.lock.other?.untilUs]).toEqual(['locked', null])
  })

  it('is told for an account that is no longer valid, or not yet', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    for (const [login, line] of [
      ['u1', 'pwdEndTime: 20200101000000Z'],
      ['u2', 'pwdStartTime: 29990101000000Z'],
    ] as const) {
      const attribute = line.slice(0, line.indexOf(':'))
      const text = `dn: ${slapd.userDn(login)}\nchangetype: modify\nadd: ${attribute}\n${line}\n`
      expect((await slapd.ldapmodify(text)).code).toBe(0)
      expect(await slapd.ldapwhoami(slapd.userDn(login), slapd.userPassword)).toBe(false)
    }
    const [ended, early] = [await look(port, 'u1'), await look(port, 'u2')]
    expect([ended.lock.other?.is, ended.lock.other?.untilUs]).toEqual(['locked', null])
    expect([early.lock.other?.is, early.lock.other?.untilUs]).toEqual(['locked', Date.UTC(2999, 0, 1) * 1000])
  })

  it('is reported beside ours, and stays when ours is removed', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    const change = changeFor(heldBy(T1), await look(port))
    expect((await port.apply(change)).lock).toMatchObject({ state: 'as-ours', other: null })
    const text = `dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: pwdEndTime\npwdEndTime: 20200101000000Z\n`
    expect((await slapd.ldapmodify(text)).code).toBe(0)
    const both = await look(port)
    const theirs = { is: 'locked', cause: 'expired', attribute: 'pwdEndTime', untilUs: null }
    expect(both.lock).toMatchObject({ state: 'as-ours', other: theirs })
    const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
    const planned = plan(heldBy(T1), both, ours, { onForeignUnlock: 'respect' })
    expect(planned).toMatchObject({
      kind: 'foreign-lock',
      reason: { code: 'locked-by-others', params: { attribute: 'pwdEndTime' } },
    })
    const after = await port.apply(changeFor(desired(), both, ours))
    expect(after.lock).toMatchObject({ state: 'open', other: theirs })
    expect(await valuesAt(slapd, 'u1', 'pwdEndTime')).toEqual(['20200101000000Z'])
  })

  it('ends as the policy says now, also in the minute after that was changed', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    expect(isOpen((await look(port, 'u2')).lock)).toBe(true)
    const change = `dn: ${slapd.policyDn}\nchangetype: modify\nreplace: pwdLockoutDuration\npwdLockoutDuration: 25\n`
    expect((await slapd.ldapmodify(change)).code).toBe(0)
    for (let tries = 0; tries < 5; tries++) await slapd.ldapwhoami(slapd.userDn('u1'), 'wrong')
    const { other } = (await look(port)).lock
    expect(other).toMatchObject({ is: 'locked', cause: 'too-many-failures' })
    expect((other?.untilUs ?? Infinity) / 1000 - Date.now()).toBeLessThanOrEqual(26_000)
  })

  it('is unknown where two policies that may apply do not agree, and known where they do', async () => {
    await using slapd = await startSlapd({ configReadable: false, extraLdif: policyLdif('short', 'TRUE', 60) })
    const time = { nowMs: Date.now() }
    await using port = open(slapd, {}, { nowMs: () => time.nowMs, random: () => 0.5 })
    await slapdWorld(slapd, port).setLock(loginOf('u1'), stamp(time.nowMs - 1_000))
    // Both lock: for good, and for a minute.
    expect((await look(port)).lock.other).toMatchObject({ is: 'locked', untilUs: null })
    time.nowMs += 120_000
    const observed = await look(port)
    expect(observed.lock).toMatchObject({ state: 'open', other: { is: 'unknown', attribute: 'pwdAccountLockedTime' } })
    expect(await lockedIn(port)).toContain(observed.key)
    expect(plan(heldBy(T1), observed, NOTHING_OF_OURS, { onForeignUnlock: 'respect' }).kind).toBe('change')
    await slapdWorld(slapd, port).setLock(loginOf('u2'), stamp(time.nowMs + 60_000))
    expect((await look(port, 'u2')).lock.other).toBeNull()
  })

  it('is not taken for one when its time is still to come', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    await slapdWorld(slapd, port).setLock(loginOf('u1'), '29990101000000Z')
    expect(await slapd.ldapwhoami(slapd.userDn('u1'), slapd.userPassword)).toBe(true)
    expect(isOpen((await look(port)).lock)).toBe(true)
  })
})

describe('a lock that would not keep its user out', () => {
  it('is told where the policy has pwdLockout FALSE, and is right about it', async () => {
    await using slapd = await startSlapd({ pwdLockout: false })
    await using port = open(slapd)
    const observed = await look(port)
    const after = await port.apply(changeFor(heldBy(T1), observed))
    expect(await slapd.ldapwhoami(slapd.userDn('u1'), slapd.userPassword)).toBe(true)
    expect(after.lock.state).toBe('as-ours')
    expect(after.lock.effective.is).toBe('no')
    expect(reasonOf(after)).toContain('pwdLockout: FALSE')
    expect(reasonOf(after)).toContain(slapd.policyDn)
  })

  it('is told by the policy of the account, where that names its own', async () => {
    const lax = 'cn=lax,ou=policies,dc=example,dc=org'
    const classes = 'objectClass: applicationProcess\nobjectClass: pwdPolicy'
    await using slapd = await startSlapd({
      extraLdif: `dn: ${lax}\n${classes}\ncn: lax\npwdAttribute: userPassword\npwdLockout: FALSE\n`,
    })
    await using port = open(slapd)
    await slapd.ldapmodify(
      `dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: pwdPolicySubentry\npwdPolicySubentry: ${lax}\n`,
    )
    expect(reasonOf(await look(port, 'u1'))).toContain(lax)
    expect((await look(port, 'u2')).lock.effective).toEqual({ is: 'yes' })
  })

  it('is told where the server has no password policy module, and the write says why it fails', async () => {
    await using slapd = await startSlapd({ ppolicy: false })
    await using port = open(slapd)
    const observed = await look(port)
    expect(reasonOf(observed)).toContain('no password policy module')
    const error = await errorOf(port.apply(changeFor(heldBy(T1), observed)))
    expect(error.code).toBe('directory-refused')
    expect(error.hint).toContain('ppolicy')
  })

  it.each<[name: string, options: SlapdOptions, reason: string]>([
    ['no overlay', { ppolicyOverlay: false }, 'overlay is not active'],
    ['the overlay on another database', { ppolicyOverlay: false, otherDatabase: true }, 'overlay is not active'],
    ['an overlay without a policy', { defaultPolicy: false }, 'no password policy applies'],
  ])('is told where cn=config may be read and has %s', async (_name, options, reason) => {
    await using slapd = await startSlapd(options)
    await using port = open(slapd)
    const observed = await look(port)
    expect(observed.lock.effective.is).toBe('no')
    expect(reasonOf(observed)).toContain(reason)
    await port.apply(changeFor(heldBy(T1), observed))
    expect(await slapd.ldapwhoami(slapd.userDn('u1'), slapd.userPassword)).toBe(true)
  })

  it('is not claimed where the policies cannot be known', async () => {
    const accessRules = 'access to dn.subtree="ou=policies,dc=example,dc=org" by * none'
    await using slapd = await startSlapd({ accessRules, pwdLockout: false })
    await using port = open(slapd)
    const observed = await look(port)
    expect(observed.lock.effective.is).toBe('unknown')
    expect(reasonOf(observed)).toContain(`the password policy ${slapd.policyDn} could not be read`)
  })
})

describe('whether a lock locks its user out', () => {
  it('is known where cn=config may be read', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    const after = await port.apply(changeFor(heldBy(T1), await look(port)))
    expect(after.lock.effective).toEqual({ is: 'yes' })
    expect(await slapd.ldapwhoami(slapd.userDn('u1'), slapd.userPassword)).toBe(false)
  })

  it.each<[name: string, options: SlapdOptions, reason: string, canBind: boolean]>([
    ['all is well', {}, 'which password policy applies could not be read', false],
    ['there is no default policy', { defaultPolicy: false }, 'which password policy applies could not be read', true],
    ['there is no overlay', { ppolicyOverlay: false }, 'overlay does not seem to be active', true],
    [
      'the overlay is on another database',
      { ppolicyOverlay: false, otherDatabase: true },
      'overlay does not seem to be active',
      true,
    ],
  ])('is not known where cn=config may not be read and %s', async (_name, options, reason, canBind) => {
    await using slapd = await startSlapd({ ...options, configReadable: false })
    await using port = open(slapd)
    const after = await port.apply(changeFor(heldBy(T1), await look(port)))
    expect(after.lock.effective.is).toBe('unknown')
    expect(reasonOf(after)).toContain(reason)
    expect(await slapd.ldapwhoami(slapd.userDn('u1'), slapd.userPassword)).toBe(canBind)
  })

  it('is known without cn=config for an account that names its policy, since our own bind tells of the overlay', async () => {
    await using slapd = await startSlapd({ configReadable: false })
    await using port = open(slapd)
    await slapd.ldapmodify(
      `dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: pwdPolicySubentry\npwdPolicySubentry: ${slapd.policyDn}\n`,
    )
    expect((await look(port, 'u1')).lock.effective).toEqual({ is: 'yes' })
    expect((await look(port, 'u2')).lock.effective.is).toBe('unknown')
  })

  it('is not denied where the overlay answers and its entry alone may not be read', async () => {
    const globalConfig = `database config
access to dn.base="cn=config" by users read
access to dn.subtree="cn=config" filter="(olcSuffix=*)" by users read
access to * by * none`
    await using slapd = await startSlapd({ globalConfig })
    await using port = open(slapd)
    expect((await look(port)).lock.effective.is).toBe('unknown')
  })
})

function reasonOf({ lock }: ObservedState): string {
  return lock.effective.is === 'yes' ? '' : lock.effective.reason
}

describe('an account that must not be locked', () => {
  it('is told by its DN, in any spelling, by a filter, and for the bind account itself', async () => {
    await using slapd = await startSlapd()
    const protect = protecting({ filters: ['(uidNumber=10002)'], dns: ['UID=u1 , OU=People,dc=example,dc=org'] })
    await using port = open(slapd, { protect })
    expect((await look(port, 'u1')).protectedBy).toContain('guards.protect.dns')
    expect((await look(port, 'u2')).protectedBy).toContain('guards.protect.filter')
    expect((await look(port, 'u3')).protectedBy).toBeNull()
    await using services = open(slapd, {
      base: asDn('dc=example,dc=org'),
      userFilter: '(cn={login})',
      loginAttribute: 'cn',
    })
    expect((await look(services, 'lockstep')).protectedBy).toContain('binds as')
  })
})

describe('the serial attribute', () => {
  it('is known to take one value only, by the schema, and the serials share it', async () => {
    const rules =
      'access to attrs=displayName by dn.exact="cn=lockstep,ou=services,dc=example,dc=org" write by users read'
    await using slapd = await startSlapd({ accessRules: rules })
    await using port = open(slapd, { serialAttribute: 'DisplayName', serialFormat: 'pi:{serial}' })
    await slapd.ldapmodify(`dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: displayName\ndisplayName: Ada L.\n`)
    const first = await look(port)
    expect([first.serialAttributeMultiValued, first.serialValues]).toEqual([false, ['Ada L.']])
    const second = await port.apply(changeFor(desired({ serials: [T1] }), first))
    expect(second.serialValues).toEqual(['Ada L. pi:T1'])
    const both = await port.apply(changeFor(desired({ serials: [T1, serialOf('T2')] }), second))
    expect(both.serialValues).toEqual(['Ada L. pi:T1 pi:T2'])
    expect((await port.findBySerial(T1)).map((each) => each.login)).toEqual(['u1'])
    expect(await port.findBySerial(serialOf('T'))).toEqual([])
    await port.apply(changeFor(desired({ gone: [serialOf('T2')] }), both))
    expect(await valuesAt(slapd, 'u1', 'displayName')).toEqual(['Ada L. pi:T1'])
    const walked = []
    for await (const each of port.walkMarked(CORP)) walked.push(each.dn)
    expect(walked).toEqual([slapd.userDn('u1')])
  })

  it('keeps values that are not UTF-8, and a byte order mark, as they are', async () => {
    const globalConfig =
      "attributetype ( 1.3.6.1.4.1.4203.666.1.99 NAME 'octets' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )"
    const rules = 'access to attrs=octets by dn.exact="cn=lockstep,ou=services,dc=example,dc=org" write by users read'
    await using slapd = await startSlapd({ accessRules: rules, globalConfig })
    const lock = [{ dn: null, op: 'set' as const, attribute: 'octets', values: ['locked'] }]
    await using port = open(slapd, { type: 'custom', lock })
    const values = { u1: Buffer.from([0xff, 0x00, 0xfe, 0x41]), u2: Buffer.from('\ufeffnote'), u3: Buffer.from('ä\0') }
    for (const [login, value] of Object.entries(values)) {
      const dn = slapd.userDn(login)
      const add = `add: objectClass\nobjectClass: extensibleObject\n-\nadd: octets\noctets:: ${value.toString('base64')}\n`
      await slapd.ldapmodify(`dn: ${dn}\nchangetype: modify\n${add}`)
      const before = await slapd.ldapsearch('-b', dn, '-s', 'base', 'octets')
      const change = changeFor(heldBy(T1), await look(port, login))
      const locked = await port.apply(change)
      expect([locked.lock.state, locked.lock.slots[0]?.current]).toEqual(['as-ours', ['locked']])
      const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
      await port.apply(changeFor(desired(), locked, ours))
      expect(await slapd.ldapsearch('-b', dn, '-s', 'base', 'octets')).toBe(before)
    }
  })
})

it('walks on one connection that takes one operation at a time', async () => {
  await using slapd = await startSlapd({ pwdLockout: false })
  await using port = open(slapd, { connectionsMax: 1, inFlightMax: 1, protect: protecting({ filters: ['(uid=u1)'] }) })
  await slapd.ldapmodify(
    `dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:T1\n`,
  )
  const walked = []
  for await (const each of port.walkMarked(CORP)) walked.push([each.dn, each.protectedBy !== null])
  expect(walked).toEqual([[slapd.userDn('u1'), true]])
})

it('finds a serial among many longer ones that begin alike, where serials share one value', async () => {
  await using slapd = await startSlapd({ users: 40 })
  const edits = Array.from({ length: 40 }, (_, index) => {
    return `dn: ${slapd.userDn(`u${index + 1}`)}\nchangetype: modify\nadd: displayName\ndisplayName: pi:T${100 - index}\n`
  })
  expect(
    (
      await slapd.ldapmodify(
        `${edits.join('\n')}\ndn: ${slapd.userDn('u40')}\nchangetype: modify\nreplace: displayName\ndisplayName: pi:T pi:X\n`,
      )
    ).code,
  ).toBe(0)
  await using port = open(slapd, { serialAttribute: 'displayName', serialFormat: 'pi:{serial}' })
  expect((await port.findBySerial(serialOf('T'))).map((each) => each.login)).toEqual(['u40'])
  const { key } = await port.findByLogin(loginOf('u1'), null)
  const observed = await port.observe(key, [serialOf('T')], 0)
  expect(observed.carriedElsewhere['T']?.map((each) => each.dn)).toEqual([slapd.userDn('u40')])
})

it('tells an administrator who looks for an unknown user what to run', async () => {
  await using slapd = await startSlapd()
  await using port = open(slapd)
  const error = await errorOf(port.findByLogin(loginOf("o'brien*"), null))
  expect(error.code).toBe('unknown-user')
  const command = error.hint.slice(error.hint.indexOf('ldapsearch')).replace(' -W ', ` -w ${slapd.servicePassword} `)
  const { code, stdout } = await runTool('sh', ['-c', `${command} dn`])
  expect([code, stdout.trim()]).toEqual([0, ''])
  const found = await runTool('sh', ['-c', `${command.replace("o'\\''brien\\2a", 'u1')} dn`])
  expect(found.stdout.trim()).toBe(`dn: ${slapd.userDn('u1')}`)
})

it('walks over more accounts than one page or the server’s size limit holds', async () => {
  await using slapd = await startSlapd({ users: 1300, dbNoSync: true })
  await using port = open(slapd)
  const edits = Array.from({ length: 1300 }, (_, index) => {
    return `dn: ${slapd.userDn(`u${index + 1}`)}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:W${index}\n`
  })
  expect((await slapd.ldapmodify(edits.join('\n'))).code).toBe(0)
  const walked = new Set<string>()
  for await (const observed of port.walkMarked(CORP)) walked.add(observed.key)
  expect(walked.size).toBe(1300)
})

describe('a server that returns so many entries at most', () => {
  const marks = (slapd: Slapd, count: number) =>
    Array.from({ length: count }, (_, index) => {
      return `dn: ${slapd.userDn(`u${index + 1}`)}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:W${index}\n`
    }).join('\n')
  const walk = async (port: DirectoryPort) => {
    const walked: string[] = []
    for await (const observed of port.walkMarked(CORP)) walked.push(observed.dn)
    return walked
  }

  it('is walked over in parts: everybody comes, and once', async () => {
    await using slapd = await startSlapd({ users: 60, databaseConfig: 'sizelimit 20' })
    await using port = open(slapd)
    expect((await slapd.ldapmodify(marks(slapd, 60))).code).toBe(0)
    const walked = await walk(port)
    expect([walked.length, new Set(walked).size]).toEqual([60, 60])
  })

  it('ends the walk with an error where the parts cannot be made small enough, and never with a part', async () => {
    await using slapd = await startSlapd({ users: 12, databaseConfig: 'sizelimit 5' })
    await using port = open(slapd, { loginAttribute: 'sn' })
    const same = Array.from({ length: 12 }, (_, index) => {
      return `dn: ${slapd.userDn(`u${index + 1}`)}\nchangetype: modify\nreplace: sn\nsn: Smithers\n`
    })
    expect((await slapd.ldapmodify(same.join('\n'))).code).toBe(0)
    expect((await slapd.ldapmodify(marks(slapd, 12))).code).toBe(0)
    const error = await errorOf(walk(port))
    expect([error.code, error.hint]).toEqual(['directory-cut', expect.stringContaining('olcLimits')])
  })

  it('is asked for many users, and for their locks, by halves', async () => {
    await using slapd = await startSlapd({ users: 30, databaseConfig: 'sizelimit 4' })
    await using port = open(slapd)
    const realm = parseRealm('r')
    if (realm === null) throw new Error('no realm')
    const logins = Array.from({ length: 30 }, (_, index) => `u${index + 1}`)
    const found = await port.findByUsers(logins.map((login) => ({ login: loginOf(login), realm, userId: login })))
    const keys = found.map((each) => ('key' in each ? each.key : null))
    expect(new Set(keys).size).toBe(30)
    expect(keys).not.toContain(null)
    const [reading] = await port.readLocks(
      CORP,
      keys.filter((key) => key !== null),
    )
    expect([reading?.error, reading?.locks.size]).toEqual([null, 30])
  })

  it('does not make one account of several: what is cut off is not taken for absent', async () => {
    await using slapd = await startSlapd({ databaseConfig: 'sizelimit 1' })
    await using port = open(slapd, { userFilter: '(|(uid={login})(uid=u2)(uid=u3))' })
    expect(await codeOf(port.findByLogin(loginOf('u1'), null))).toBe('directory-cut')
  })
})

it('says ambiguous-match when the filter finds two accounts', async () => {
  await using slapd = await startSlapd()
  await using port = open(slapd, { userFilter: '(|(uid={login})(uid=u2)(uid=u3))' })
  expect(await codeOf(port.findByLogin(loginOf('u1'), null))).toBe('ambiguous-match')
})

it('lets exactly one of two daemons lock, in a hundred rounds', async () => {
  await using slapd = await startSlapd({ dbNoSync: true })
  await using one = open(slapd)
  await using two = open(slapd)
  let observed = await look(one)
  for (let round = 0; round < 100; round++) {
    const change = changeFor(heldBy(T1), observed)
    const codes = await codesOf([one.apply(change), two.apply(change)])
    expect(codes).toEqual(['done', 'write-raced'])
    const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
    observed = await one.apply(changeFor(desired(), await look(one), ours))
  }
  expect(await valuesAt(slapd, 'u1', 'pwdAccountLockedTime')).toEqual([])
})

it('maps realms to directories, and never guesses one', async () => {
  await using slapd = await startSlapd()
  const corp = directorySettings(slapd)
  const lab = directorySettings(slapd, { name: nameOfDirectory('lab'), base: asDn('ou=services,dc=example,dc=org') })
  const realm = (text: string) => parseRealm(text) ?? expect.fail('a realm')
  await using port = openDirectories({ directories: [corp, lab], realms: { [realm('example')]: [CORP] } }, systemClock)
  expect((await port.findByLogin(loginOf('u1'), realm('example'))).key).toMatch(/^corp\//)
  expect(await codeOf(port.findByLogin(loginOf('u1'), realm('other')))).toBe('realm-unmapped')
  expect(await codeOf(port.findByLogin(loginOf('u1'), null))).toBe('realm-unmapped')
})

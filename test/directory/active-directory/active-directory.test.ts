import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { writeChangeLdif, headerOf } from '../../../src/core/ldif.ts'
import { asDn, parseRealm, type AccountKey, type Login, type Realm } from '../../../src/core/names.ts'
import { plan } from '../../../src/core/account/plan.ts'
import { releaseOf } from '../../../src/core/account/slot.ts'
import { isOpen, NOTHING_OF_OURS, type ObservedState, type OurRecord } from '../../../src/core/account/state.ts'
import type { DirectorySettings } from '../../../src/core/settings/settings.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import { eventually } from '../../servers/eventually.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { changeFor, codeOf, desired, errorOf, heldBy, lockedIn, loginOf, serialOf } from '../contract.ts'
import { sambaSettings } from './samba-world.ts'

/** What is Active Directory's own, on a real Samba, as the service with the rights of the manual. */

const S1 = serialOf('TOTP0001')
const RESPECT = { onForeignUnlock: 'respect' } as const
let samba: Samba
let users = 0
const open: DirectoryPort[] = []

beforeAll(async () => {
  samba = await startSamba()
}, SAMBA_TIMEOUT_MS)
afterEach(async () => {
  for (const port of open.splice(0)) await port[Symbol.asyncDispose]()
})
afterAll(async () => {
  await samba?.[Symbol.asyncDispose]()
})

function portOf(change: Partial<DirectorySettings> = {}): DirectoryPort {
  const port = openDirectories({ directories: [sambaSettings(samba, change)], realms: {} }, systemClock)
  open.push(port)
  return port
}

function realmOf(text: string): Realm {
  const realm = parseRealm(text)
  if (realm === null) throw new RangeError(`"${text}" is no realm`)
  return realm
}

function newLogin(): Login {
  return loginOf(`u${++users}`)
}

async function edit(dn: string, lines: string): Promise<void> {
  const { code, stderr } = await samba.ldapmodify(`dn: ${dn}\nchangetype: modify\n${lines}\n`)
  if (code !== 0) throw new Error(`ldapmodify: ${code} ${stderr}`)
}

const replace = (attribute: string, value: string) => `replace: ${attribute}\n${attribute}: ${value}`
const keyOf = async (port: DirectoryPort, login: Login): Promise<AccountKey> => {
  return (await port.findByLogin(login, null)).key
}
const look = (port: DirectoryPort, key: AccountKey): Promise<ObservedState> => port.observe(key, [], 0)
const canBind = (login: string) => samba.bind(samba.userDn(login), samba.userPassword)

async function lock(port: DirectoryPort, key: AccountKey): Promise<OurRecord> {
  const change = changeFor(heldBy(S1), await look(port, key))
  await port.apply(change)
  return { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
}

async function unlock(port: DirectoryPort, key: AccountKey, ours: OurRecord): Promise<void> {
  await port.apply(changeFor(desired(), await look(port, key), ours))
}

/** Locks the account out as anybody can: by wrong passwords. */
async function lockOut(login: Login): Promise<void> {
  await eventually('locked out', async () => (await samba.bind(samba.userDn(login), 'wrong')).includes('data 775'))
}

const lockoutPolicy = (threshold: number, seconds: number) => {
  const span = `-${seconds * 10_000_000}`
  const lines = [
    replace('lockoutDuration', span),
    replace('lockOutObservationWindow', span),
    replace('lockoutThreshold', `${threshold}`),
  ]
  return edit(samba.base, lines.join('\n-\n'))
}

describe('finding an account', () => {
  it('finds it by sAMAccountName and by userPrincipalName, in any case', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    expect(await keyOf(port, loginOf(`${login}@example.org`))).toBe(key)
    expect(await keyOf(port, loginOf(login.toUpperCase()))).toBe(key)
    expect((await port.findByLogin(loginOf(`${login}@example.org`), null)).login).toBe(login)
  })

  it('knows it by its objectGUID as the tools write it, also when privacyIDEA calls it so', async () => {
    const [port, login] = [portOf(), newLogin()]
    const { key } = await port.findByLogin(login, null)
    const shown = await samba.tool('user', 'show', login, '--attributes=objectGUID')
    expect(key).toBe(`corp/${/objectGUID: (\S+)/.exec(shown)?.[1]}`)
    const realm = realmOf('example')
    const userId = key.slice('corp/'.length)
    expect((await port.findByUser({ login: loginOf('nobody'), realm, userId })).key).toBe(key)
  })

  it('looks below the root of the domain too, where the server refers to other partitions', async () => {
    const port = portOf({ base: asDn(samba.base) })
    const key = await keyOf(port, newLogin())
    expect(isOpen((await look(port, key)).lock)).toBe(true)
    const walked: string[] = []
    for await (const { dn } of port.walkMarked(sambaSettings(samba).name)) walked.push(dn)
    expect(walked).toContain(`CN=krbtgt,CN=Users,${samba.base}`)
  })

  it('walks on where one of many may not be read, as those that are administrators', async () => {
    const [hidden, login] = [newLogin(), newLogin()]
    const port = portOf({ base: asDn(samba.base) })
    const { key } = await port.findByLogin(login, null)
    const dn = `CN=${hidden},CN=Users,${samba.base}`
    const { code } = await samba.ldapmodify(
      `dn: ${samba.userDn(hidden)}\nchangetype: modrdn\nnewrdn: CN=${hidden}\ndeleteoldrdn: 1\nnewsuperior: CN=Users,${samba.base}\n`,
    )
    expect(code).toBe(0)
    await edit(dn, replace('userAccountControl', '514'))
    await edit(samba.userDn(login), replace('userAccountControl', '514'))
    const walked: string[] = []
    for await (const each of port.walkMarked(sambaSettings(samba).name)) walked.push(each.key)
    expect(walked).toContain(key)
    const unreadable = await keyOf(port, hidden)
    expect(await codeOf(look(port, unreadable))).toBe('directory-not-permitted')
    const [reading] = await port.readLocks(sambaSettings(samba).name, [unreadable, key])
    expect(reading?.error).toBeNull()
    expect(reading?.locks.get(key)?.lock.state).toBe('as-ours')
    expect(reading?.unread?.get(unreadable)?.code).toBe('directory-not-permitted')
  })
})

describe('a lock', () => {
  it('is the refusal of a bind with data 533, and the unlock a good one', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    expect(await canBind(login)).toBe('')
    const ours = await lock(port, key)
    expect(await canBind(login)).toContain('data 533')
    await unlock(port, key, ours)
    expect(await canBind(login)).toBe('')
  })

  it('keeps what others change beside it, and its waiting file, applied by ldapmodify, clears the bit alone', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    const ours = await lock(port, key)
    // Password never expires, and a smart card is required.
    await edit(samba.userDn(login), replace('userAccountControl', String(514 | 0x10000 | 0x40000)))
    const planned = plan(heldBy(S1), await look(port, key), ours, RESPECT)
    if (planned.kind !== 'relabel') throw new Error(planned.kind)
    const header = headerOf({
      atMs: 0,
      event: 'unlock',
      actor: '',
      account: key,
      change: '',
      reason: { code: 'no-hold-left', params: {} },
    })
    const file = writeChangeLdif(releaseOf(planned.lock.slots), header)
    const as = { dn: samba.serviceDn, password: samba.servicePassword }
    expect(await samba.ldapmodify(file, as)).toMatchObject({ code: 0 })
    expect(await samba.values(login, 'userAccountControl')).toEqual([String(512 | 0x10000 | 0x40000)])
    expect(plan(desired(), await look(port, key), { lock: planned.lock }, RESPECT).kind).toBe('forget')
  })

  it('that an administrator took away is his unlock; one that he set is neither claimed nor released', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    const ours = await lock(port, key)
    await samba.tool('user', 'enable', login)
    expect(plan(heldBy(S1), await look(port, key), ours, RESPECT).kind).toBe('foreign-unlock')
    await samba.tool('user', 'disable', login)
    const observed = await look(port, key)
    expect(plan(heldBy(S1), observed, NOTHING_OF_OURS, RESPECT).kind).toBe('foreign-lock')
    expect(plan(desired(), observed, NOTHING_OF_OURS, RESPECT).kind).toBe('in-step')
  })

  it('survives a password that an administrator sets, unless his tool enables the account as well', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    const ours = await lock(port, key)
    const quoted = Buffer.from('"An0ther-Passw0rd!"', 'utf16le').toString('base64')
    await edit(samba.userDn(login), `replace: unicodePwd\nunicodePwd:: ${quoted}`)
    expect(plan(heldBy(S1), await look(port, key), ours, RESPECT).kind).toBe('in-step')
    expect(await samba.bind(samba.userDn(login), 'An0ther-Passw0rd!')).toContain('data 533')
    await samba.tool('user', 'setpassword', login, `--newpassword=${samba.userPassword}2`)
    expect(plan(heldBy(S1), await look(port, key), ours, RESPECT).kind).toBe('foreign-unlock')
  })
})

describe('what keeps a user out besides our lock', () => {
  it('a lockout after wrong passwords is somebody else’s until it ends, and nothing is written over it', async () => {
    await lockoutPolicy(3, 3)
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    await lockOut(login)
    const { lock: seen } = await look(port, key)
    expect(seen.other?.is).toBe('locked')
    expect(await lockedIn(port)).toContain(key)
    expect(Math.abs((seen.other?.untilUs ?? 0) / 1000 - Date.now())).toBeLessThan(4000)
    expect(plan(heldBy(S1), await look(port, key), NOTHING_OF_OURS, RESPECT).kind).toBe('foreign-lock')
    await eventually('the lockout is over', async () => isOpen((await look(port, key)).lock))
    expect(await canBind(login)).toBe('')
    await lockoutPolicy(0, 1800)
  })

  it('a lockout by a fine-grained policy is looked at again and again, as its length is not the domain’s', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    const pso = ['domain', 'passwordsettings', 'pso']
    const limits = ['--account-lockout-threshold=2', '--account-lockout-duration=1', '--reset-account-lockout-after=1']
    await samba.tool(...pso, 'create', 'short', '10', ...limits)
    await samba.tool(...pso, 'apply', 'short', login)
    await edit(
      `CN=short,CN=Password Settings Container,CN=System,${samba.base}`,
      'replace: msDS-LockoutDuration\nmsDS-LockoutDuration: -20000000\n-\nreplace: msDS-LockoutObservationWindow\nmsDS-LockoutObservationWindow: -20000000',
    )
    await lockOut(login)
    const { lock: seen } = await look(port, key)
    expect(seen.other?.is).toBe('locked')
    expect((seen.other?.untilUs ?? Infinity) / 1000 - Date.now()).toBeLessThan(10_001)
    await eventually('the lockout is over', async () => isOpen((await look(port, key)).lock))
  })

  it.each([true, false])(
    'an unlock writes the end of such a lockout with it, or not, by policy: %s',
    async (clearLockout) => {
      await lockoutPolicy(3, 1800)
      const [port, login] = [portOf({ clearLockout }), newLogin()]
      const key = await keyOf(port, login)
      const ours = await lock(port, key)
      await eventually('locked out', async () => {
        await samba.bind(samba.userDn(login), 'wrong')
        return (await samba.values(login, 'msDS-User-Account-Control-Computed')).includes('16')
      })
      const both = await look(port, key)
      expect(both.lock).toMatchObject({ state: 'as-ours', other: { is: 'locked', attribute: 'lockoutTime' } })
      expect(plan(heldBy(S1), both, ours, RESPECT).kind).toBe('foreign-lock')
      const change = changeFor(desired(), both, ours)
      const written = change.forward.flatMap((entry) => entry.modifications.map((each) => each.attribute))
      expect(written.includes('lockoutTime')).toBe(clearLockout)
      await port.apply(change)
      // Samba ends a lockout by itself with any write to userAccountControl.
      expect(await canBind(login)).toBe('')
      await lockoutPolicy(0, 1800)
    },
  )

  it('an account that has expired is somebody else’s lock; an expired password is none', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    await edit(samba.userDn(login), replace('accountExpires', '116444736010000000'))
    expect(await canBind(login)).toContain('data 701')
    expect((await look(port, key)).lock.other?.is).toBe('locked')
    expect(await lockedIn(port)).toContain(key)
    // Beside ours as well: written as by a person, since nothing is written over somebody else's.
    await edit(samba.userDn(login), replace('userAccountControl', '514'))
    const theirs = { is: 'locked', cause: 'expired', attribute: 'accountExpires', untilUs: null }
    expect((await look(port, key)).lock).toMatchObject({ state: 'as-ours', other: theirs })
    await edit(samba.userDn(login), replace('userAccountControl', '512'))
    const later = 11_644_473_600_000 + Date.now() + 86_400_000
    await edit(samba.userDn(login), replace('accountExpires', `${later}0000`))
    expect(await lockedIn(port)).not.toContain(key)
    await edit(samba.userDn(login), `${replace('accountExpires', '0')}\n-\n${replace('pwdLastSet', '0')}`)
    expect(await canBind(login)).toContain('data 773')
    expect(isOpen((await look(port, key)).lock)).toBe(true)
  })
})

describe('accounts that are never locked', () => {
  it.each([
    ['Administrator', 'it is the built-in administrator'],
    ['krbtgt', 'it is krbtgt, whose keys the whole domain rests on'],
    ['DC1$', 'it is a computer account'],
    ['web$', 'it is a group managed service account'],
    ['lockstep', 'it is the account that Lockstep binds as'],
    ['u60', null],
  ])('%s: %s', async (login, reason) => {
    if (login === 'web$') await addServiceAccount()
    const port = portOf({ base: asDn(samba.base), userFilter: '(sAMAccountName={login})' })
    expect((await look(port, await keyOf(port, loginOf(login)))).protectedBy).toBe(reason)
  })

  async function addServiceAccount(): Promise<void> {
    const dn = `CN=web,CN=Managed Service Accounts,${samba.base}`
    const lines = `objectClass: msDS-GroupManagedServiceAccount\nsAMAccountName: web$\nuserAccountControl: 4096\nmsDS-ManagedPasswordInterval: 30`
    const { code, stderr } = await samba.ldapmodify(`dn: ${dn}\nchangetype: add\n${lines}\n`)
    if (code !== 0) throw new Error(stderr)
  }
})

describe('serials', () => {
  it.each(['Raum 7  ', 'line 1\r\nline 2\r\n', '  two  blanks  ', '\tTab\t'])(
    'leave blanks and line ends of the text before as they were: %j',
    async (text) => {
      const [port, login] = [portOf(), newLogin()]
      const value = Buffer.from(text).toString('base64')
      await edit(samba.userDn(login), `replace: description\ndescription:: ${value}`)
      const before = await samba.ldapsearch('-b', samba.userDn(login), 'description')
      const key = await keyOf(port, login)
      const twice = desired({ serials: [S1, serialOf('TOTP0002')] })
      for (const want of [twice, twice, desired({ gone: [S1] }), desired({ gone: [serialOf('TOTP0002')] })]) {
        await port.apply(changeFor(want, await look(port, key)))
      }
      expect(await samba.ldapsearch('-b', samba.userDn(login), 'description')).toBe(before)
    },
  )

  it('are not written where description would be too long, and the server’s refusal is named', async () => {
    const [port, login] = [portOf(), newLogin()]
    const key = await keyOf(port, login)
    await edit(samba.userDn(login), replace('description', 'x'.repeat(1020)))
    const observed = await look(port, key)
    const planned = plan(desired({ serials: [S1] }), observed, NOTHING_OF_OURS, RESPECT)
    expect(planned).toMatchObject({ kind: 'conflict', code: 'value-too-long' })
    const unlimited = { ...observed, serialLengthMax: Infinity }
    const error = await errorOf(port.apply(changeFor(desired({ serials: [S1] }), unlimited)))
    expect([error.code, error.message]).toEqual(['value-too-long', expect.stringContaining('too long')])
  })

  it('are words in description, which takes one value, and leave the rest to the letter', async () => {
    const [port, login] = [portOf(), newLogin()]
    await edit(samba.userDn(login), replace('description', 'Büro 7,  works on Tuesdays'.normalize()))
    const key = await keyOf(port, login)
    const before = await samba.ldapsearch('-b', samba.userDn(login), 'description')
    await port.apply(changeFor(desired({ serials: [S1] }), await look(port, key)))
    const found = await port.findBySerial(S1)
    expect(found.map((each) => each.key)).toEqual([key])
    await port.apply(changeFor(desired({ gone: [S1] }), await look(port, key)))
    expect(await samba.ldapsearch('-b', samba.userDn(login), 'description')).toBe(before)
  })

  it('may go to another attribute, here one of several values', async () => {
    const login = newLogin()
    process.env['LOCKSTEP_TEST_AD_ADMIN'] = samba.admin.password
    const port = portOf({
      serialAttribute: 'otherPager',
      bindDn: asDn(samba.admin.dn),
      bindPassword: { env: 'LOCKSTEP_TEST_AD_ADMIN' },
    })
    const key = await keyOf(port, login)
    const want = desired({ serials: [S1, serialOf('HOTP0002')] })
    for (let change = 0; change < 2; change++) await port.apply(changeFor(want, await look(port, key)))
    expect(await samba.values(login, 'otherPager')).toEqual(['privacyIDEA:HOTP0002', 'privacyIDEA:TOTP0001'])
  })
})

describe('the connection', () => {
  it('is secured by StartTLS before the bind', async () => {
    const port = portOf({ urls: [samba.startTlsUrl] })
    expect((await port.findByLogin(loginOf('u60'), null)).login).toBe('u60')
  })

  it('without encryption is refused by the server, and the reason says so', async () => {
    const error = await errorOf(
      portOf({ urls: [samba.startTlsUrl], startTls: 'off' }).findByLogin(loginOf('u60'), null),
    )
    expect(error).toMatchObject({
      code: 'directory-tls',
      message: expect.stringContaining('wants an encrypted connection'),
    })
  })

  it.each([
    ['52e', 'the name or the password is wrong', ''],
    ['533', 'the account is disabled', replace('userAccountControl', '514')],
    ['773', 'must first change its password', replace('pwdLastSet', '0')],
    ['701', 'the account has expired', replace('accountExpires', '116444736010000000')],
  ])('a refused bind tells what data %s means: %s', async (number, text, lines) => {
    const login = newLogin()
    if (lines !== '') await edit(samba.userDn(login), lines)
    process.env['LOCKSTEP_TEST_AD_OTHER'] = lines === '' ? 'wrong' : samba.userPassword
    const bind = { bindDn: asDn(samba.userDn(login)), bindPassword: { env: 'LOCKSTEP_TEST_AD_OTHER' } }
    const error = await errorOf(portOf(bind).findByLogin(loginOf('u60'), null))
    expect(error.code).toBe('directory-bind-refused')
    expect(error.message).toContain(text)
    expect(error.message).toContain(`data ${number}`)
  })

  it('without the rights of the manual is told so, before anything is written', async () => {
    const login = newLogin()
    process.env['LOCKSTEP_TEST_AD_OTHER'] = samba.userPassword
    const port = portOf({ bindDn: asDn(samba.userDn('u60')), bindPassword: { env: 'LOCKSTEP_TEST_AD_OTHER' } })
    const key = await keyOf(port, login)
    const unreadable = await errorOf(look(port, key))
    expect(unreadable.code).toBe('directory-not-permitted')
    expect(unreadable.message).toContain('no userAccountControl that can be read')
    const change = changeFor(heldBy(S1), await look(portOf(), key))
    expect(await codeOf(port.apply(change))).toBe('directory-not-permitted')
    expect(await samba.values(login, 'userAccountControl')).toEqual(['512'])
  })
})

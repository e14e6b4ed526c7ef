import { describe, expect, it } from 'vitest'
import { asDn } from '../../src/core/names.ts'
import type { DirectorySettings } from '../../src/core/settings/settings.ts'
import { bindAs, readRoot } from '../../src/directory/pool/anonymous.ts'
import { openProbe } from '../../src/directory/probe/probe.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { freePort } from '../servers/free-port.ts'
import { startSlapd, type Slapd } from '../servers/ldap/slapd.ts'
import { startTcpProxy } from '../servers/tcp-proxy.ts'
import { codeOf, loginOf } from './contract.ts'
import { directorySettings, protecting } from './directory-settings.ts'

const U1 = loginOf('u1')

const open = (slapd: Slapd, change: Partial<DirectorySettings> = {}) =>
  openProbe(directorySettings(slapd, change), systemClock)

/** All that a user can see of an account, and its lock; not what tells of the writing itself. */
const everything = (slapd: Slapd) =>
  slapd.ldapsearch(
    '-b',
    slapd.userDn('u1'),
    '-s',
    'base',
    '*',
    'pwdAccountLockedTime',
    'pwdFailureTime',
    'pwdChangedTime',
  )

describe('looking at a server before it is used', () => {
  it('tells what anybody may know, without an account', async () => {
    await using slapd = await startSlapd()
    const facts = await readRoot(slapd.ldapsUrl, directorySettings(slapd, { caFile: slapd.caFile }))
    expect(facts).toMatchObject({
      vendor: 'OpenLDAP',
      namingContexts: [slapd.base],
      hasPasswordPolicy: true,
      hasPostRead: true,
      hasAssertion: true,
      hasPaging: true,
      hasStartTls: true,
    })
    await using bare = await startSlapd({ ppolicy: false, tls: false })
    const less = await readRoot(bare.url, directorySettings(bare))
    expect([less.hasPasswordPolicy, less.hasStartTls]).toEqual([false, false])
  })

  it('tells of each URL whether it can be used, and why not', async () => {
    await using slapd = await startSlapd()
    const refused = `ldap://127.0.0.1:${await freePort()}`
    await using probe = open(slapd, {
      urls: [slapd.ldapsUrl, refused, slapd.url],
      startTls: 'off',
      caFile: slapd.caFile,
    })
    const servers = await probe.servers()
    expect(servers.map((server) => [server.security, server.error?.code ?? null, server.identity])).toEqual([
      ['tls', null, `dn:${slapd.serviceDn}`],
      ['plain', 'directory-unreachable', null],
      ['plain', null, `dn:${slapd.serviceDn}`],
    ])
  })

  it('tells a base that is not there from one that is, and knows the attributes', async () => {
    await using slapd = await startSlapd()
    await using probe = open(slapd, { serialAttribute: 'preferredLanguage', loginAttribute: 'nonsense' })
    expect(await probe.hasBase()).toBe(true)
    expect(await probe.attributes()).toEqual([
      { key: 'idAttribute', attribute: 'entryUUID', isKnown: true, isSingleValued: true },
      { key: 'serialAttribute', attribute: 'preferredLanguage', isKnown: true, isSingleValued: true },
      { key: 'loginAttribute', attribute: 'nonsense', isKnown: false, isSingleValued: false },
      { key: 'lock', attribute: 'pwdAccountLockedTime', isKnown: true, isSingleValued: true },
    ])
    await using elsewhere = open(slapd, { base: asDn('ou=nowhere,dc=example,dc=org') })
    expect(await elsewhere.hasBase()).toBe(false)
  })

  it('finds a login, with what would keep a lock from working', async () => {
    await using slapd = await startSlapd({ pwdLockout: false })
    await using probe = open(slapd)
    const { account, observed } = await probe.login(U1, null)
    expect(account.dn).toBe(slapd.userDn('u1'))
    expect(observed.lock.effective).toMatchObject({ is: 'no', reason: expect.stringContaining('pwdLockout: FALSE') })
    expect(await codeOf(probe.login(loginOf('nobody'), null))).toBe('unknown-user')
    const policies = await probe.policies()
    expect([...(policies?.policies.values() ?? [])]).toEqual([
      { dn: slapd.policyDn, lockout: false, lockoutDurationMs: 0 },
    ])
  })

  it('tells which searches have an index, where the configuration may be read', async () => {
    await using plain = await startSlapd({ configReadable: false })
    await using guess = open(plain)
    expect((await guess.indexes()).map((each) => each.hasIndex)).toEqual([null, null, null])
    await using slapd = await startSlapd()
    await using probe = open(slapd, { serialAttribute: 'title' })
    const indexes = await probe.indexes()
    expect(indexes.map((each) => [each.attribute, each.hasIndex])).toEqual([
      ['entryUUID', true],
      ['uid', true],
      ['title', false],
    ])
  })

  it('tries a password', async () => {
    await using slapd = await startSlapd()
    const settings = directorySettings(slapd)
    expect(await bindAs(slapd.url, settings, slapd.userDn('u1'), 'userpw')).toBe('accepted')
    expect(await bindAs(slapd.url, settings, slapd.userDn('u1'), 'wrong')).toBe('refused')
    expect(await codeOf(bindAs(slapd.url, settings, slapd.userDn('u1'), ''))).toBe('usage')
  })
})

describe('trying a lock and a serial on a test account', () => {
  it('sees a bind refused and accepted again, and leaves the account as it was', async () => {
    await using slapd = await startSlapd()
    await slapd.ldapmodify(`dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: description\ndescription: Ada\n`)
    await using probe = open(slapd)
    const { account } = await probe.login(U1, null)
    const before = await everything(slapd)
    const cycle = await probe.cycle(account.key, slapd.userPassword)
    expect(cycle).toEqual({
      lock: { kind: 'done' },
      unlock: { kind: 'done' },
      register: { kind: 'done' },
      unregister: { kind: 'done' },
      bindBefore: 'accepted',
      bindWhileLocked: 'refused',
      bindAfter: 'accepted',
      effective: { is: 'yes' },
      isAsBefore: true,
      left: [],
    })
    expect(await everything(slapd)).toBe(before)
  })

  it('reports a lock that is written and is not enforced', async () => {
    await using slapd = await startSlapd({ ppolicyOverlay: false })
    await using probe = open(slapd)
    const { account } = await probe.login(U1, null)
    const before = await everything(slapd)
    const cycle = await probe.cycle(account.key, slapd.userPassword)
    expect([cycle.lock.kind, cycle.bindWhileLocked, cycle.isAsBefore]).toEqual(['done', 'accepted', true])
    expect(await everything(slapd)).toBe(before)
  })

  it('tells rights that are missing, one by one', async () => {
    const onlyLock = `access to attrs=pwdAccountLockedTime by dn.exact="cn=reader,ou=services,dc=example,dc=org" write by users read`
    await using slapd = await startSlapd({ accessRules: onlyLock })
    await using probe = open(slapd, { bindDn: asDn(slapd.readerDn) })
    const { account } = await probe.login(U1, null)
    const { lock, unlock, register, unregister, bindWhileLocked, isAsBefore } = await probe.cycle(account.key, null)
    expect([lock.kind, unlock.kind, bindWhileLocked, isAsBefore]).toEqual(['done', 'done', 'not-tried', true])
    expect(register).toMatchObject({ kind: 'failed', error: { code: 'directory-not-permitted' } })
    expect(unregister.kind).toBe('skipped')
  })

  it('leaves alone an account that is locked, or protected', async () => {
    await using slapd = await startSlapd()
    await using probe = open(slapd, { protect: protecting({ dns: [slapd.userDn('u2')] }) })
    await slapd.ldapmodify(
      `dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n`,
    )
    const before = await everything(slapd)
    const locked = await probe.cycle((await probe.login(U1, null)).account.key, null)
    expect(locked.lock).toMatchObject({ kind: 'skipped', reason: expect.stringContaining('locked already') })
    expect(await everything(slapd)).toBe(before)
    const protectedOne = await probe.cycle((await probe.login(loginOf('u2'), null)).account.key, null)
    expect(protectedOne.lock).toMatchObject({ kind: 'skipped', reason: expect.stringContaining('protected') })
  })

  it('takes back a lock whose answer was lost on the way', async () => {
    await using slapd = await startSlapd()
    await using proxy = await startTcpProxy(Number(new URL(slapd.url).port))
    await using probe = open(slapd, { urls: [`ldap://127.0.0.1:${proxy.port}`] })
    const { account } = await probe.login(U1, null)
    const before = await everything(slapd)
    proxy.loseAnswerTo('modify')
    const cycle = await probe.cycle(account.key, null)
    expect(cycle.lock).toMatchObject({ kind: 'failed', error: { code: 'outcome-unknown' } })
    expect([cycle.unlock.kind, cycle.isAsBefore]).toEqual(['done', true])
    expect(await everything(slapd)).toBe(before)
  })
})

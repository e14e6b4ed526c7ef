import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { plan } from '../../../src/core/account/plan.ts'
import { isOpen, NOTHING_OF_OURS, type ObservedState } from '../../../src/core/account/state.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { openProbe } from '../../../src/directory/probe/probe.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { startDs389, type Ds389 } from '../../servers/ldap/ds389.ts'
import { startTcpProxy } from '../../servers/tcp-proxy.ts'
import { changeFor, desired, heldBy, lockedIn, loginOf, serialOf, type World } from '../contract.ts'
import { addDisabledRole, disabledRoleDn, ds389Settings, ds389World, valuesAt } from './ds389-world.ts'

/** The foreign locks of 389-DS, and what the lock does, judged by the server's own answers to binds. */

const START_TIMEOUT_MS = 300_000
const INACTIVATED = 53
const RETRY_LIMIT = 19
const S1 = serialOf('TOTP0001')
const RESPECT = { onForeignUnlock: 'respect' } as const

/** A supplier keeps deleted entries as tombstones, under the id that they had. */
function replica(base: string): string {
  return `dn: cn=replica,cn="${base}",cn=mapping tree,cn=config
changetype: add
objectClass: nsds5Replica
cn: replica
nsDS5ReplicaRoot: ${base}
nsDS5ReplicaType: 3
nsDS5ReplicaId: 1
nsDS5Flags: 1
nsDS5ReplicaBindDN: cn=replication manager,cn=config
`
}

describe('account inactivation of 389-DS', () => {
  let ds: Ds389
  let world: World
  beforeAll(async () => {
    ds = await startDs389()
    await addDisabledRole(ds)
    world = ds389World(ds, openDirectories({ directories: [ds389Settings(ds)], realms: {} }, systemClock))
  }, START_TIMEOUT_MS)
  afterAll(async () => {
    await world?.port[Symbol.asyncDispose]()
    await ds?.[Symbol.asyncDispose]()
  })

  const look = async (login: string): Promise<ObservedState> => {
    const { key } = await world.port.findByLogin(loginOf(login), null)
    return world.port.observe(key, [], 0)
  }
  const bind = (login: string, password = ds.userPassword) => ds.bind(ds.userDn(login), password)
  const modify = (login: string, lines: string) => ds.edit(`dn: ${ds.userDn(login)}\nchangetype: modify\n${lines}\n`)
  const lock = async (login: string) => {
    const change = changeFor(heldBy(S1), await look(login))
    const after = await world.port.apply(change)
    return { after, ours: { lock: { slots: change.slots, dn: change.dn, holds: change.holds } } }
  }

  it('keeps a locked user out with "Account inactivated", and lets him in again', async () => {
    const login = await world.newLogin()
    const before = await ds.ldapsearch('-b', ds.userDn(login), '-s', 'base', '*', 'nsAccountLock')
    expect((await bind(login)).code).toBe(0)
    const { after, ours } = await lock(login)
    expect(after.lock).toMatchObject({ state: 'as-ours', effective: { is: 'yes' } })
    for (const password of [ds.userPassword, 'wrong']) {
      expect(await bind(login, password)).toEqual({
        code: INACTIVATED,
        said: expect.stringContaining('Account inactivated'),
      })
    }
    await world.port.apply(changeFor(desired(), await look(login), ours))
    expect((await bind(login)).code).toBe(0)
    expect(await ds.ldapsearch('-b', ds.userDn(login), '-s', 'base', '*', 'nsAccountLock')).toBe(before)
  })

  it.each([
    ['true', 'as-ours', INACTIVATED],
    ['TRUE', 'others', INACTIVATED],
    ['True', 'others', INACTIVATED],
    ['banana', 'open', 0],
    ['false', 'open', 0],
    ['1', 'open', 0],
    ['true|banana', 'others', INACTIVATED],
    ['banana|true', 'open', 0],
    ['FALSE|TRUE', 'open', 0],
  ])('judges nsAccountLock: %s as the server does (%s)', async (values, state, code) => {
    const login = await world.newLogin()
    await modify(
      login,
      `add: nsAccountLock\n${values
        .split('|')
        .map((value) => `nsAccountLock: ${value}`)
        .join('\n')}`,
    )
    const observed = await look(login)
    const other = state === 'others' ? { is: 'locked', untilUs: null } : null
    expect(observed.lock).toMatchObject({
      state: state === 'as-ours' ? 'as-ours' : 'open',
      other,
      effective: { is: 'yes' },
    })
    expect((await bind(login)).code).toBe(code)
    expect(observed.lock.slots[0]?.current).toEqual(values.split('|'))
  })

  it('locks over odd values that lock nobody out, and puts them back in their place', async () => {
    const login = await world.newLogin()
    await modify(login, 'add: nsAccountLock\nnsAccountLock: banana\nnsAccountLock: TRUE')
    const { ours } = await lock(login)
    expect((await bind(login)).code).toBe(INACTIVATED)
    expect(await valuesAt(ds, login, 'nsAccountLock')).toEqual(['true'])
    await world.port.apply(changeFor(desired(), await look(login), ours))
    expect(await valuesAt(ds, login, 'nsAccountLock')).toEqual(['TRUE', 'banana'])
    expect((await bind(login)).code).toBe(0)
  })

  it('takes the lock of a role for somebody else’s, and sees what is stored below it', async () => {
    const login = await world.newLogin()
    await world.lockOtherwise(login)
    expect((await bind(login)).code).toBe(INACTIVATED)
    const observed = await look(login)
    expect(observed.lock).toMatchObject({ state: 'open', other: { is: 'locked', untilUs: null } })
    expect(observed.lock.slots[0]?.current).toEqual([])
    expect(plan(heldBy(S1), observed, NOTHING_OF_OURS, RESPECT).kind).toBe('foreign-lock')
    expect(plan(desired(), observed, NOTHING_OF_OURS, RESPECT).kind).toBe('in-step')
  })

  it('takes its own lock back below the lock of a role, and leaves the role’s', async () => {
    const login = await world.newLogin()
    const { ours } = await lock(login)
    await world.lockOtherwise(login)
    const both = await look(login)
    const theirs = { is: 'locked', cause: 'disabled', attribute: 'nsAccountLock' }
    expect(both.lock).toMatchObject({ state: 'as-ours', other: theirs, effective: { is: 'yes' } })
    expect(plan(heldBy(S1), both, ours, RESPECT).kind).toBe('foreign-lock')
    const after = await world.port.apply(changeFor(desired(), both, ours))
    expect(after.lock.other?.is).toBe('locked')
    expect(after.lock.slots[0]?.current).toEqual([])
    expect((await bind(login)).code).toBe(INACTIVATED)
    await modify(login, `delete: nsRoleDN\nnsRoleDN: ${disabledRoleDn(ds)}`)
    expect((await bind(login)).code).toBe(0)
  })

  it('takes a lockout after wrong passwords for somebody else’s, until it ends', async () => {
    const policy = (lines: string) => ds.edit(`dn: cn=config\nchangetype: modify\n${lines}\n`)
    const set = (name: string, value: string) => `replace: ${name}\n${name}: ${value}\n-`
    const login = await world.newLogin()
    const forGood = await world.newLogin()
    const lockOut = async (who: string) => {
      for (const _ of [1, 2, 3]) await bind(who, 'wrong')
      expect((await bind(who)).code).toBe(RETRY_LIMIT)
    }
    await policy(
      [set('passwordLockout', 'on'), set('passwordMaxFailure', '3'), set('passwordLockoutDuration', '3600')].join('\n'),
    )
    try {
      await lockOut(login)
      const observed = await look(login)
      const leftMs = (observed.lock.other?.untilUs ?? 0) / 1000 - Date.now()
      expect(observed.lock.other?.is).toBe('locked')
      expect(await lockedIn(world.port)).toContain(observed.key)
      expect(leftMs).toBeGreaterThan(3_500_000)
      expect(leftMs).toBeLessThanOrEqual(3_601_000)
      expect(plan(heldBy(S1), observed, NOTHING_OF_OURS, RESPECT)).toMatchObject({
        kind: 'foreign-lock',
        untilUs: observed.lock.other?.untilUs,
      })
      await policy(set('passwordUnlock', 'off'))
      await lockOut(forGood)
      expect((await look(forGood)).lock).toMatchObject({ state: 'open', other: { is: 'locked', untilUs: null } })
      await modify(login, 'replace: passwordRetryCount\npasswordRetryCount: 0\n-\nreplace: accountUnlockTime')
      const ended = await look(login)
      expect(isOpen(ended.lock)).toBe(true)
      expect(await lockedIn(world.port)).not.toContain(ended.key)
      expect((await bind(login)).code).toBe(0)
    } finally {
      await policy(set('passwordLockout', 'off'))
    }
  })

  it(
    'says of a lock that a class of service covers that it is not enforced',
    async () => {
      await using other = await startDs389()
      await addDisabledRole(other, 'false')
      await using port = openDirectories({ directories: [ds389Settings(other)], realms: {} }, systemClock)
      const covered = ds389World(other, port)
      const login = await covered.newLogin()
      await covered.lockOtherwise(login)
      const { key } = await covered.port.findByLogin(login, null)
      const change = changeFor(heldBy(S1), await covered.port.observe(key, [], 0))
      const after = await covered.port.apply(change)
      expect((await other.bind(other.userDn(login), other.userPassword)).code).toBe(0)
      expect(after.lock).toMatchObject({
        state: 'as-ours',
        effective: { is: 'no', reason: expect.stringContaining('class of service') },
      })
      const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
      expect(plan(heldBy(S1), after, ours, RESPECT).kind).toBe('not-effective')
    },
    START_TIMEOUT_MS,
  )

  it('is bound to by StartTLS as well, and tells who one is', async () => {
    await using probe = openProbe(ds389Settings(ds, { urls: [ds.url] }), systemClock)
    expect(await probe.servers()).toMatchObject([
      { security: 'start-tls', identity: `dn: ${ds.serviceDn}`, error: null },
    ])
  })

  it('takes a write back that reached an account which took the name in the very moment', async () => {
    await using proxy = await startTcpProxy(Number(new URL(ds.url).port))
    const settings = ds389Settings(ds, { urls: [`ldap://127.0.0.1:${proxy.port}`], caFile: null })
    await using port = openDirectories({ directories: [settings], realms: {} }, systemClock)
    const [login, other, third] = [await world.newLogin(), await world.newLogin(), await world.newLogin()]
    await world.setLock(other, 'banana')
    const { key } = await port.findByLogin(login, null)
    const change = changeFor(heldBy(S1), await port.observe(key, [], 0))
    proxy.beforeModify(async () => {
      await world.remove(third)
      await world.rename(login, third)
      await world.rename(other, login)
    })
    await expect(port.apply(change)).rejects.toMatchObject({ code: 'write-raced' })
    expect(await valuesAt(ds, login, 'nsAccountLock')).toEqual(['banana'])
    expect(await valuesAt(ds, third, 'nsAccountLock')).toEqual([])
    expect((await port.observe(key, [], 0)).dn).toContain(`uid=${third},`)
  })

  it('does not take a deleted account that the server keeps as a tombstone for the account', async () => {
    await ds.edit(replica(ds.base))
    const login = await world.newLogin()
    const { key } = await look(login)
    await world.remove(login)
    const tombstones = await ds.ldapsearch('-b', ds.base, '(objectClass=nsTombstone)', 'nsUniqueId')
    expect(tombstones).toContain(key.slice('corp/'.length))
    await expect(world.port.observe(key, [], 0)).rejects.toMatchObject({ code: 'entry-not-found' })
  })
})

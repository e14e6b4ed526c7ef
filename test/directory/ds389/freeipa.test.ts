import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { plan } from '../../../src/core/account/plan.ts'
import { isOpen, NOTHING_OF_OURS, type ObservedState } from '../../../src/core/account/state.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { IPA_POLICY_DN } from '../../servers/ldap/ds389-files.ts'
import { startDs389, type Ds389 } from '../../servers/ldap/ds389.ts'
import { heldBy, lockedIn, loginOf, serialOf, type World } from '../contract.ts'
import { ds389Settings, ds389World } from './ds389-world.ts'

/** On a 389-DS with FreeIPA's layout and attributes; FreeIPA's own plugins are not there. */

const START_TIMEOUT_MS = 300_000
const S1 = serialOf('TOTP0001')
const RESPECT = { onForeignUnlock: 'respect' } as const
const MINUTE_MS = 60_000

describe('accounts of FreeIPA', () => {
  let ds: Ds389
  let world: World
  beforeAll(async () => {
    ds = await startDs389({ layout: 'freeipa' })
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
  const modify = (login: string, lines: string) => ds.edit(`dn: ${ds.userDn(login)}\nchangetype: modify\n${lines}\n`)
  const time = (ms: number) => new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  const failed = (login: string, count: number, atMs: number) =>
    modify(
      login,
      `replace: krbLoginFailedCount\nkrbLoginFailedCount: ${count}\n-\nreplace: krbLastFailedAuth\nkrbLastFailedAuth: ${time(atMs)}`,
    )

  it('are keyed by ipaUniqueID', async () => {
    const { key } = await world.port.findByLogin(loginOf('u42'), null)
    expect(key).toBe('corp/c6bf0a2e-0000-11f0-9c3a-000000000042')
  })

  it('are locked by somebody else while FreeIPA’s lockout lasts, and until when', async () => {
    const login = await world.newLogin()
    const atMs = Math.floor(Date.now() / 1000) * 1000 - MINUTE_MS
    await failed(login, 6, atMs)
    const observed = await look(login)
    expect(await lockedIn(world.port)).toContain(observed.key)
    expect(observed.lock).toMatchObject({
      state: 'open',
      other: { is: 'locked', untilUs: (atMs + 10 * MINUTE_MS) * 1000 },
    })
    expect(plan(heldBy(S1), observed, NOTHING_OF_OURS, RESPECT).kind).toBe('foreign-lock')
  })

  it('end with the lockout time that their policy has now, also in the minute after it was changed', async () => {
    const login = await world.newLogin()
    const atMs = Math.floor(Date.now() / 1000) * 1000
    expect(isOpen((await look(login)).lock)).toBe(true)
    await ds.edit(
      `dn: ${IPA_POLICY_DN}\nchangetype: modify\nreplace: krbPwdLockoutDuration\nkrbPwdLockoutDuration: 90\n`,
    )
    try {
      await failed(login, 6, atMs)
      expect((await look(login)).lock.other?.untilUs).toBe((atMs + 90_000) * 1000)
    } finally {
      await ds.edit(
        `dn: ${IPA_POLICY_DN}\nchangetype: modify\nreplace: krbPwdLockoutDuration\nkrbPwdLockoutDuration: 600\n`,
      )
    }
  })

  it.each([
    ['fewer failures than the policy allows', 5, MINUTE_MS, null],
    ['its time has passed', 6, 11 * MINUTE_MS, null],
    ['an administrator unlocked it afterwards', 6, MINUTE_MS, 0],
  ])('are open where %s', async (_why, count, agoMs, unlockedAgoMs) => {
    const login = await world.newLogin()
    await failed(login, count, Date.now() - agoMs)
    if (unlockedAgoMs !== null)
      await modify(login, `add: krbLastAdminUnlock\nkrbLastAdminUnlock: ${time(Date.now() - unlockedAgoMs)}`)
    expect(isOpen((await look(login)).lock)).toBe(true)
  })

  it('are locked again by failures after an administrator’s unlock', async () => {
    const login = await world.newLogin()
    await failed(login, 6, Date.now() - MINUTE_MS)
    await modify(login, `add: krbLastAdminUnlock\nkrbLastAdminUnlock: ${time(Date.now() - 2 * MINUTE_MS)}`)
    expect((await look(login)).lock.other?.is).toBe('locked')
  })

  it('follow the policy that they name, and one of 0 failures locks nobody', async () => {
    const login = await world.newLogin()
    const own = IPA_POLICY_DN.replace('global_policy', 'mild')
    await ds.edit(
      `dn: ${own}\nchangetype: add\nobjectClass: nsContainer\nobjectClass: krbPwdPolicy\nobjectClass: lockoutOfTests\ncn: mild\nkrbPwdMaxFailure: 0\n`,
    )
    await failed(login, 6, Date.now() - MINUTE_MS)
    await modify(login, `add: krbPwdPolicyReference\nkrbPwdPolicyReference: ${own}`)
    await using port = openDirectories({ directories: [ds389Settings(ds)], realms: {} }, systemClock)
    const { key } = await port.findByLogin(login, null)
    expect(isOpen((await port.observe(key, [], 0)).lock)).toBe(true)
  })

  it('are locked by somebody else once their principal expired', async () => {
    const login = await world.newLogin()
    await modify(login, `add: krbPrincipalExpiration\nkrbPrincipalExpiration: ${time(Date.now() - MINUTE_MS)}`)
    const { key, lock } = await look(login)
    const theirs = { is: 'locked', cause: 'expired', attribute: 'krbPrincipalExpiration', untilUs: null }
    expect(lock).toMatchObject({ state: 'open', other: theirs })
    await modify(login, 'add: nsAccountLock\nnsAccountLock: TRUE')
    expect((await look(login)).lock).toMatchObject({ state: 'as-ours', other: theirs })
    expect(await lockedIn(world.port)).toContain(key)
  })

  it('are gone once they were preserved, and the same ones when they come back', async () => {
    const login = await world.newLogin()
    const { key } = await look(login)
    const preserved = `cn=deleted users,cn=accounts,cn=provisioning,${ds.base}`
    const move = (from: string, to: string) =>
      ds.edit(
        `dn: uid=${login},${from}\nchangetype: modrdn\nnewrdn: uid=${login}\ndeleteoldrdn: 0\nnewsuperior: ${to}\n`,
      )
    await move(ds.peopleDn, preserved)
    await expect(world.port.observe(key, [], 0)).rejects.toMatchObject({ code: 'entry-not-found' })
    await expect(world.port.findByLogin(login, null)).rejects.toMatchObject({ code: 'unknown-user' })
    await move(preserved, ds.peopleDn)
    expect((await look(login)).key).toBe(key)
  })
})

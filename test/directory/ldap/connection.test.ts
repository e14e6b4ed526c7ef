import { describe, expect, it } from 'vitest'
import type { DirectorySettings } from '../../../src/core/settings/settings.ts'
import { asDn } from '../../../src/core/names.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { POOL_TIMES } from '../../../src/directory/pool/pool.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { freePort } from '../../servers/free-port.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { startTcpProxy } from '../../servers/tcp-proxy.ts'
import { changeFor, codeOf, codesOf, errorOf, heldBy, loginOf, serialOf, LOCKED } from '../contract.ts'
import { directorySettings } from '../directory-settings.ts'
import { valuesAt } from '../slapd-world.ts'

const U1 = loginOf('u1')
/** Nothing here may take longer, on a busy machine either. */
const QUICK_MS = 1500
const EVENTUALLY_MS = 10_000

const open = (slapd: Slapd, change: Partial<DirectorySettings> = {}, times = POOL_TIMES) =>
  openDirectories({ directories: [directorySettings(slapd, change)], realms: {} }, systemClock, null, times)

async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await call()
  return performance.now() - startedMs
}

/** Port of an ldap:// URL. */
const portOf = (url: string): number => Number(new URL(url).port)

describe('one connection for all', () => {
  it('opens a single connection for five first operations at the same time', async () => {
    await using slapd = await startSlapd()
    await using proxy = await startTcpProxy(portOf(slapd.url))
    await using port = open(slapd, { urls: [`ldap://127.0.0.1:${proxy.port}`] })
    const logins = ['u1', 'u2', 'u3', 'u4', 'u5'].map(loginOf)
    const found = await Promise.all(logins.map((login) => port.findByLogin(login, null)))
    expect(found.map((each) => each.login)).toEqual(logins)
    expect(proxy.connections).toBe(1)
  })

  it('opens no more than connectionsMax, however much is asked, and answers all of it', async () => {
    await using slapd = await startSlapd()
    await using proxy = await startTcpProxy(portOf(slapd.url))
    await using port = open(slapd, { urls: [`ldap://127.0.0.1:${proxy.port}`], connectionsMax: 2, inFlightMax: 3 })
    const asked = Array.from({ length: 500 }, (_, index) => loginOf(`u${(index % 25) + 1}`))
    const found = await Promise.all(asked.map((login) => port.findByLogin(login, null)))
    expect(found.map((each) => each.login)).toEqual(asked)
    expect(proxy.connections).toBe(2)
  })

  it('says directory-busy when more waits than is sane', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    const asked = Array.from({ length: 6000 }, () => port.findByLogin(U1, null))
    expect(new Set(await codesOf(asked))).toEqual(new Set(['done', 'directory-busy']))
  })

  it('closes every socket when it is disposed', async () => {
    await using slapd = await startSlapd()
    await using proxy = await startTcpProxy(portOf(slapd.url))
    const port = open(slapd, { urls: [`ldap://127.0.0.1:${proxy.port}`] })
    await port.findByLogin(U1, null)
    await port[Symbol.asyncDispose]()
    await expect.poll(() => proxy.open, { timeout: EVENTUALLY_MS }).toBe(0)
    expect(await codeOf(port.findByLogin(U1, null))).toBe('directory-unreachable')
  })
})

describe('a server that goes away', () => {
  it('is told at once, and is used again by itself when it is back', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd)
    await port.findByLogin(U1, null)
    await slapd.stop()
    const tookMs = await timeOf(async () => {
      expect(await codeOf(port.findByLogin(U1, null))).toBe('directory-unreachable')
      expect(await codeOf(port.findByLogin(U1, null))).toBe('directory-unreachable')
    })
    expect(tookMs).toBeLessThan(QUICK_MS)
    await slapd.start()
    const back = () =>
      port.findByLogin(U1, null).then(
        (found) => found.login,
        () => null,
      )
    await expect.poll(back, { timeout: EVENTUALLY_MS }).toBe(U1)
  })

  it('goes unnoticed by a read when only the connection broke', async () => {
    await using slapd = await startSlapd()
    await using proxy = await startTcpProxy(portOf(slapd.url))
    await using port = open(slapd, { urls: [`ldap://127.0.0.1:${proxy.port}`] })
    await port.findByLogin(U1, null)
    proxy.loseNextAnswer()
    expect((await port.findByLogin(U1, null)).login).toBe(U1)
    proxy.cut()
    expect((await port.findByLogin(loginOf('u2'), null)).login).toBe('u2')
  })

  it('leaves the outcome of a write unknown when the answer was lost, and the write stands', async () => {
    await using slapd = await startSlapd()
    await using proxy = await startTcpProxy(portOf(slapd.url))
    await using port = open(slapd, { urls: [`ldap://127.0.0.1:${proxy.port}`] })
    const { key } = await port.findByLogin(U1, null)
    const change = changeFor(heldBy(serialOf('T1')), await port.observe(key, [], 0))
    proxy.loseNextAnswer()
    expect(await codeOf(port.apply(change))).toBe('outcome-unknown')
    expect((await port.observe(key, [], 60_000)).lock.state).toBe('as-ours')
    expect(await valuesAt(slapd, 'u1', 'pwdAccountLockedTime')).toEqual([LOCKED])
  })

  it('times out, within bounds, when it is there and answers nothing', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd, { operationTimeoutMs: 300, connectTimeoutMs: 300 })
    const { key } = await port.findByLogin(U1, null)
    const change = changeFor(heldBy(serialOf('T1')), await port.observe(key, [], 0))
    slapd.pause()
    const tookMs = await timeOf(async () => {
      const codes = await Promise.all([
        codeOf(port.findByLogin(U1, null)),
        codeOf(port.observe(key, [], 0)),
        codeOf(port.apply(change)),
      ])
      expect(codes).toEqual(['directory-timeout', 'directory-timeout', 'outcome-unknown'])
      expect(await codeOf(port.findByLogin(U1, null))).toBe('directory-timeout')
    })
    expect(tookMs).toBeLessThan(QUICK_MS)
    slapd.resume()
    const back = () =>
      port.findByLogin(U1, null).then(
        (found) => found.login,
        () => null,
      )
    await expect.poll(back, { timeout: EVENTUALLY_MS }).toBe(U1)
  })

  it('is replaced by the next of urls, and returned to later', async () => {
    await using first = await startSlapd()
    await using second = await startSlapd()
    await using proxy = await startTcpProxy(portOf(first.url))
    const urls = [`ldap://127.0.0.1:${proxy.port}`, second.url]
    await using port = open(first, { urls }, { ...POOL_TIMES, failbackMs: 50 })
    const onFirst = (await port.findByLogin(U1, null)).key
    await first.stop()
    const onSecond = (await port.findByLogin(U1, null)).key
    expect(onSecond).not.toBe(onFirst)
    await first.start()
    const keyNow = async () => (await port.findByLogin(U1, null)).key
    await expect.poll(keyNow, { timeout: EVENTUALLY_MS }).toBe(onFirst)
  })

  it('names every server it tried', async () => {
    await using slapd = await startSlapd()
    const urls = [`ldap://127.0.0.1:${await freePort()}`, `ldap://127.0.0.1:${await freePort()}`]
    await using port = open(slapd, { urls })
    const error = await errorOf(port.findByLogin(U1, null))
    expect(error.code).toBe('directory-unreachable')
    for (const url of urls) expect(error.message).toContain(url)
  })
})

describe('an identity that is lost on the way', () => {
  it('never turns into an unknown user or a missing account', async () => {
    await using slapd = await startSlapd({ accessRules: 'access to dn.base="ou=people,dc=example,dc=org" by * read' })
    await using proxy = await startTcpProxy(portOf(slapd.url))
    const settings = { urls: [`ldap://127.0.0.1:${proxy.port}`], connectionsMax: 1 }
    await using port = open(slapd, settings)
    const { key } = await port.findByLogin(U1, null)
    proxy.forgetIdentities()
    expect(await codeOf(port.findByLogin(U1, null))).toBe('directory-identity-lost')
    await port.findByLogin(U1, null)
    proxy.forgetIdentities()
    expect(await codeOf(port.observe(key, [], 0))).toBe('directory-identity-lost')
    await port.findByLogin(U1, null)
    proxy.forgetIdentities()
    expect(await codeOf(port.findBySerial(serialOf('T1')))).toBe('directory-identity-lost')
    expect((await port.findByLogin(U1, null)).key).toBe(key)
  })

  it('is refused from the start: an empty password would bind as nobody', async () => {
    await using slapd = await startSlapd()
    process.env['LOCKSTEP_TEST_EMPTY'] = ''
    await using port = open(slapd, { bindPassword: { env: 'LOCKSTEP_TEST_EMPTY' } })
    expect(await codeOf(port.findByLogin(U1, null))).toBe('directory-bind-refused')
  })
})

describe('what the configuration gets wrong', () => {
  it('tells a wrong password, without the password, and does not hammer', async () => {
    await using slapd = await startSlapd()
    await using proxy = await startTcpProxy(portOf(slapd.url))
    process.env['LOCKSTEP_TEST_WRONG'] = 'not-the-password'
    const settings = { urls: [`ldap://127.0.0.1:${proxy.port}`], bindPassword: { env: 'LOCKSTEP_TEST_WRONG' } }
    await using port = open(slapd, settings)
    const error = await errorOf(port.findByLogin(U1, null))
    expect(error.code).toBe('directory-bind-refused')
    expect(error.message + error.hint).not.toContain('not-the-password')
    for (let tries = 0; tries < 20; tries++) await errorOf(port.findByLogin(U1, null))
    expect(proxy.connections).toBe(1)
  })

  it('tells a password file that is not there', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd, { bindPassword: { file: `${slapd.dir}/none` } })
    const error = await errorOf(port.findByLogin(U1, null))
    expect(error.code).toBe('directory-bind-refused')
    expect(error.message).toContain(`${slapd.dir}/none`)
  })

  it('tells a base that is not there, instead of an unknown user', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd, { base: asDn('ou=nowhere,dc=example,dc=org') })
    const error = await errorOf(port.findByLogin(U1, null))
    expect(error.code).toBe('directory-refused')
    expect(error.message).toContain('ou=nowhere')
  })

  it('tells a right that is missing, and the attribute', async () => {
    await using slapd = await startSlapd()
    await using port = open(slapd, { bindDn: asDn(slapd.readerDn) })
    const { key } = await port.findByLogin(U1, null)
    const change = changeFor(heldBy(serialOf('T1')), await port.observe(key, [], 0))
    const error = await errorOf(port.apply(change))
    expect(error.code).toBe('directory-not-permitted')
    expect(error.message).toContain('pwdAccountLockedTime')
    expect(error.hint).toContain('olcAccess')
  })
})

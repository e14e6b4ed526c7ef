import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startReplicas, type Replica, type Replicas } from '../../servers/ldap/slapd-replicas.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { valuesAt } from '../../directory/slapd-world.ts'
import { LOCKED } from '../../directory/contract.ts'
import { createLockstep, startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** The daemon and a directory of three servers that replicate. */

const EVENTUALLY_MS = 20_000
/** Quick, so that a server that hangs is noticed soon. */
const LIMITS = 'connectTimeout: 1s\n    operationTimeout: 1s'

interface VerificationJson {
  readonly wanted: string
  readonly written: string
  readonly effective: string
  readonly verified: number
  readonly of: number
  readonly servers: readonly { readonly url: string; readonly stands: string }[]
  readonly problem: { readonly code: string; readonly text: string; readonly fix: string } | null
}

interface AccountJson {
  readonly key: string
  readonly standing: string
  readonly lockedByUs: boolean
  readonly holds: readonly { readonly serial: string | null }[]
  readonly verification: VerificationJson | null
}

interface StatusJson {
  readonly health: string
  readonly healthReasons: readonly { readonly text: string }[]
  readonly servers: readonly { readonly servers: readonly { url: string; is: string; since: string }[] }[]
  readonly lockFindings: readonly { readonly login: string; readonly code: string; readonly fix: string }[]
}

async function shown(lockstep: Lockstep, login: string): Promise<AccountJson | undefined> {
  const { accounts } = await lockstep.json<{ accounts: { account: AccountJson }[] }>('show', login)
  return accounts[0]?.account
}

async function verificationOf(lockstep: Lockstep, login: string): Promise<VerificationJson | null> {
  return (await shown(lockstep, login))?.verification ?? null
}

const lockAt = (replica: Replica, login: string) => valuesAt(replica.slapd, login, 'pwdAccountLockedTime')

async function conditions(lockstep: Lockstep): Promise<string[]> {
  const { servers } = await lockstep.json<StatusJson>('status')
  return servers.flatMap((each) => each.servers.map(({ is }) => is))
}

describe('a directory of three servers', () => {
  let replicas: Replicas
  let first: Replica
  let second: Replica
  let third: Replica
  let lockstep: Lockstep
  beforeAll(async () => {
    replicas = await startReplicas(['provider', 'provider', 'provider'], () => ({ users: 12, dbNoSync: true }))
    ;[first, second, third] = replicas.all as [Replica, Replica, Replica]
    lockstep = await createLockstep(first.slapd, { urls: replicas.urls, directory: LIMITS })
  }, 60_000)
  afterAll(async () => {
    await lockstep?.[Symbol.asyncDispose]()
    await replicas?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    for (const { slapd, proxy, letCatchUp } of replicas.all) {
      await slapd.start()
      proxy.letGo()
      letCatchUp()
    }
    if (lockstep.pid === 0) await lockstep.serve()
  })

  const lock = async (login: string): Promise<void> => {
    await lockstep.shim('lock', asNobody(null, login))
    await lockstep.settled()
  }

  /** As if the write had been made so long ago, and were looked at again now. */
  const age = (login: string, ms: number): void => {
    const database = new DatabaseSync(lockstep.storeFile, { timeout: 5_000 })
    database
      .prepare(
        `update verification set written_ms = written_ms - ?, due_ms = 0
           where account_key = (select key from account where login = ?)`,
      )
      .run(ms, login)
    database.close()
  }

  test('a lock is shown as written, effective, and verified on each of them', async () => {
    await lock('u1')
    await expect
      .poll(() => verificationOf(lockstep, 'u1'), { timeout: EVENTUALLY_MS })
      .toMatchObject({ wanted: 'locked', written: 'yes', effective: 'yes', verified: 3, of: 3, problem: null })
    expect((await lockstep.cli('show', 'u1')).stdout).toMatch(
      /\n {2}proof {5}written: yes, effective: yes, 3 of 3, seen /,
    )
    expect((await lockstep.cli('accounts', '--locked')).stdout).toMatch(/3 of 3/)
    expect(await conditions(lockstep)).toEqual(['up', 'up', 'up'])
  })

  test('a lock that does not arrive at one is told, after a time, with what to do; and no longer once it has', async () => {
    third.lag()
    await lock('u2')
    await expect
      .poll(() => verificationOf(lockstep, 'u2'), { timeout: EVENTUALLY_MS })
      .toMatchObject({ written: 'yes', effective: 'yes', verified: 2, of: 3, problem: null })
    expect((await lockstep.json<StatusJson>('status')).lockFindings).toEqual([])
    age('u2', 120_000)
    await expect
      .poll(() => verificationOf(lockstep, 'u2'), { timeout: EVENTUALLY_MS })
      .toMatchObject({
        verified: 2,
        problem: { code: 'missing', text: expect.stringContaining(third.url) as string },
      })
    const status = await lockstep.json<StatusJson>('status')
    expect(status.health).toBe('attention')
    expect(status.lockFindings).toMatchObject([
      { login: 'u2', code: 'missing', fix: expect.stringContaining('replication') as string },
    ])
    expect((await lockstep.cli('doctor', '--json')).json<{ findings: object[] }>().findings).toContainEqual(
      expect.objectContaining({ check: 'locks', status: 'fail' }),
    )
    expect(lockstep.log().match(/a lock is missing/g)).toHaveLength(1)
    third.letCatchUp()
    await eventually('the lock arrives', async () => (await lockAt(third, 'u2')).length > 0)
    age('u2', 0)
    await expect
      .poll(() => verificationOf(lockstep, 'u2'), { timeout: EVENTUALLY_MS })
      .toMatchObject({ verified: 3, problem: null })
    expect(await shown(lockstep, 'u2')).toMatchObject({ standing: 'in-step', lockedByUs: true })
  })

  test('a password that an administrator sets anew removes the lock, which is seen on a look and told as that', async () => {
    await lock('u3')
    await expect.poll(() => verificationOf(lockstep, 'u3'), { timeout: EVENTUALLY_MS }).toMatchObject({ verified: 3 })
    const change = `dn: ${second.slapd.userDn('u3')}\nchangetype: modify\nreplace: userPassword\nuserPassword: another\n`
    expect((await second.slapd.ldapmodify(change)).code).toBe(0)
    await eventually('the lock is gone everywhere', async () => (await lockAt(first, 'u3')).length === 0)
    age('u3', 0)
    await expect
      .poll(() => verificationOf(lockstep, 'u3'), { timeout: EVENTUALLY_MS })
      .toMatchObject({
        wanted: 'removed',
        problem: { code: 'removed', text: expect.stringMatching(/^a new password, set at /) as string },
      })
    expect(await shown(lockstep, 'u3')).toMatchObject({ lockedByUs: false, holds: [] })
    expect((await lockstep.json<StatusJson>('status')).lockFindings).toMatchObject([{ login: 'u3', code: 'removed' }])
    expect(lockstep.log()).toMatch(/our lock was removed .*a new password/)
    await lock('u3')
    expect((await lockstep.json<StatusJson>('status')).lockFindings).toEqual([])
  })

  test('one that is down or hangs is told with since when, and the work goes on at the others', async () => {
    const startedMs = Date.now()
    await first.slapd.stop()
    third.proxy.hold()
    await lock('u4')
    expect(await lockAt(second, 'u4')).toEqual([LOCKED])
    await expect
      .poll(() => verificationOf(lockstep, 'u4'), { timeout: EVENTUALLY_MS })
      .toMatchObject({ written: 'yes', effective: 'yes', verified: 1, of: 3, problem: null })
    await expect.poll(() => conditions(lockstep), { timeout: EVENTUALLY_MS }).toEqual(['down', 'up', 'slow'])
    const { health, healthReasons, servers } = await lockstep.json<StatusJson>('status')
    expect(health).toBe('attention')
    expect(healthReasons.map(({ text }) => text).join('\n')).toContain(`${first.url} is down for `)
    expect(Date.parse(servers[0]?.servers[0]?.since ?? '')).toBeGreaterThanOrEqual(startedMs)
    await first.slapd.start()
    third.proxy.letGo()
    await expect
      .poll(() => verificationOf(lockstep, 'u4'), { timeout: EVENTUALLY_MS })
      .toMatchObject({ verified: 3, of: 3 })
  })

  test('a lock that only the server which died had is written again, and is no unlock by somebody', async () => {
    second.lag()
    third.lag()
    await lock('u5')
    expect(await lockAt(first, 'u5')).toEqual([LOCKED])
    await lockstep.kill9()
    await first.slapd.stop()
    await lockstep.serve()
    await expect.poll(() => lockAt(second, 'u5'), { timeout: EVENTUALLY_MS }).toEqual([LOCKED])
    await lockstep.settled()
    const account = await shown(lockstep, 'u5')
    expect(account).toMatchObject({ standing: 'in-step', lockedByUs: true })
    expect(account?.holds).toHaveLength(1)
  })

  test('a replica that is behind is not believed that a lock is gone; the server that took it is asked', async () => {
    // The first is away while the second takes the lock, and comes back without it before the daemon starts anew.
    await first.slapd.stop()
    first.lag()
    await lock('u6')
    expect(await lockAt(second, 'u6')).toEqual([LOCKED])
    await lockstep.stop()
    await first.slapd.start()
    expect(await lockAt(first, 'u6')).toEqual([])
    await lockstep.serve()
    await lockstep.settled()
    expect(await shown(lockstep, 'u6')).toMatchObject({ standing: 'in-step', lockedByUs: true, holds: [{}] })
    const { key } = (await shown(lockstep, 'u6')) ?? { key: 'none' }
    const warnings = lockstep
      .log()
      .split('\n')
      .filter((line) => /^(?:warn|error) /.test(line))
    expect(warnings.filter((line) => line.includes(key))).toEqual([])
    // It is released where it stands.
    await lockstep.json('unlock', 'u6', '--reason', 'x')
    expect(await lockAt(second, 'u6')).toEqual([])
    first.letCatchUp()
  })
})

test('a lock that is not enforced on one server is a finding at once, with that server and its reason', async () => {
  await using replicas = await startReplicas(['provider', 'consumer'], (index) => {
    return { users: 3, dbNoSync: true, ppolicyOverlay: index === 0 }
  })
  const [first, second] = replicas.all as [Replica, Replica]
  await using lockstep = await startLockstep(first.slapd, { urls: replicas.urls })
  await lockstep.json('lock', 'u1', '--reason', 'x')
  await eventually('the lock arrives', async () => (await lockAt(second, 'u1')).length > 0)
  await expect
    .poll(() => verificationOf(lockstep, 'u1'), { timeout: EVENTUALLY_MS })
    .toMatchObject({
      written: 'yes',
      effective: 'no',
      verified: 1,
      of: 2,
      problem: { code: 'not-effective', text: expect.stringContaining(second.url) as string },
    })
  expect((await lockstep.cli('doctor', '--json')).json<{ findings: object[] }>().findings).toContainEqual(
    expect.objectContaining({
      check: 'ppolicy-overlay',
      status: 'fail',
      what: expect.stringContaining(`${second.url}: the password policy overlay is not active`) as string,
    }),
  )
})

test('a server that holds other data is not used, and named; with the others the work goes on', async () => {
  await using replicas = await startReplicas(['provider', 'provider'], () => ({ users: 3, dbNoSync: true }))
  await using stranger = await startSlapd({ users: 3, dbNoSync: true })
  const [first, second] = replicas.all as [Replica, Replica]
  const urls = [first.url, stranger.url, second.url]
  await using lockstep = await startLockstep(first.slapd, { urls })
  await lockstep.json('lock', 'u1', '--reason', 'x')
  await expect.poll(() => conditions(lockstep), { timeout: EVENTUALLY_MS }).toEqual(['up', 'other-identity', 'up'])
  await first.slapd.stop()
  await lockstep.json('lock', 'u2', '--reason', 'x')
  expect(await lockAt(second, 'u2')).toEqual([LOCKED])
  expect(await valuesAt(stranger, 'u2', 'pwdAccountLockedTime')).toEqual([])
  const { healthReasons } = await lockstep.json<StatusJson>('status')
  expect(healthReasons.map(({ text }) => text).join('\n')).toContain(`${stranger.url} is other-identity for `)
})

test('without a daemon a drain looks at the servers, and at what it wrote on each of them', async () => {
  await using replicas = await startReplicas(['provider', 'provider'], () => ({ users: 3, dbNoSync: true }))
  const [first, second] = replicas.all as [Replica, Replica]
  await using lockstep = await createLockstep(first.slapd, { urls: replicas.urls })
  await lockstep.shim('lock', asNobody(null, 'u1'))
  expect((await lockstep.drain()).code).toBe(0)
  expect(await verificationOf(lockstep, 'u1')).toMatchObject({ verified: 2, of: 2, problem: null })
  await second.slapd.stop()
  expect((await lockstep.drain()).code).toBe(0)
  expect(await conditions(lockstep)).toEqual(['up', 'down'])
})

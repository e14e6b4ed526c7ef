import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startHttpsFront, type HttpsFront } from '../../servers/https-front.ts'
import { INSTALL_TIMEOUT_MS, type ReleaseName } from '../../servers/privacyidea/privacyidea.ts'
import { makeCertificates, type TestCertificates } from '../../servers/test-certificates.ts'
import {
  createApiLockstep,
  FAILURES_MAX,
  serveSwept,
  startApiServers,
  type ApiServers,
} from '../../support/api-servers.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { isChosen, isEveryReleaseChosen, releaseOfRun } from '../../support/privacyidea-world.ts'

/**
 * What stands between Lockstep and the truth breaks, on real servers: privacyIDEA itself, its web server, and the user store
 * below it. Nobody's account follows from silence, the state is shown, and all is caught up with by itself.
 */

const SOURCE_TIMEOUT_MS = 5_000
/** A run over all tokens ends in that time though each owner costs the server seconds: two requests that time out, and slack. */
const RUN_ENDS_MS = 30_000
const LONG_MS = 240_000
/** A scan has two or three, and is made once in a second at most, in which half a login's life passes. */
const LIVES_REQUESTS = 20

interface Outage {
  readonly name: string
  /** What status says of it. */
  readonly shown: RegExp
  breakIt(): Promise<void> | void
  mend(): Promise<void> | void
}

interface World {
  readonly servers: ApiServers
  readonly front: HttpsFront
  readonly good: TestCertificates
  readonly expired: TestCertificates
  readonly lockstep: Lockstep
}

const release = releaseOfRun()

describe.skipIf(!isChosen(release))(`outages with privacyIDEA ${release}`, () => {
  let world: World
  const stack = new AsyncDisposableStack()
  beforeAll(async () => {
    world = await openWorld(release, stack)
  }, INSTALL_TIMEOUT_MS)
  afterAll(() => stack.disposeAsync())
  // What lies between Lockstep and privacyIDEA is the same for all of them.
  if (release === '3.14' || isEveryReleaseChosen()) sourceTests(() => world)
  userStoreTests(() => world)
})

/** Lockstep trusts both authorities, so that an expired certificate is refused for being expired. */
async function openWorld(release: ReleaseName, stack: AsyncDisposableStack): Promise<World> {
  const servers = stack.use(await startApiServers(release))
  const folders = ['good', 'expired'].map((name) => join(servers.pi.dir, name))
  await Promise.all(folders.map((folder) => mkdir(folder)))
  const [good, expired] = await Promise.all([
    makeCertificates(folders[0] ?? '', 'good'),
    makeCertificates(folders[1] ?? '', 'expired'),
  ])
  const caFile = join(servers.pi.dir, 'ca.pem')
  writeFileSync(caFile, [good, expired].map((each) => readFileSync(each.caFile, 'utf8')).join(''))
  const front = stack.use(await startHttpsFront(servers.pi.url, good))
  await lockstepPolicy(servers, RIGHTS)
  await adminPolicy(servers)
  await servers.newToken('Z1', servers.newUser())
  const lockstep = stack.use(await createApiLockstep(servers, { url: front.url, source: `, ca: ${caFile}` }))
  await serveSwept(lockstep)
  return { servers, front, good, expired, lockstep }
}

const RIGHTS = 'tokenlist, userlist, auditlog'

/** The run-time account has a policy of its own, which can be taken away. */
async function lockstepPolicy({ pi, release }: ApiServers, rights: string): Promise<void> {
  const action = release === '3.14' ? `${rights}, user_lock_read, authentication_log_read` : rights
  const policy = { scope: 'admin', active: true, realm: '', adminuser: 'lockstep', action }
  await pi.ask('POST', '/policy/runtime', policy)
}

/** What the administrator of the tests may do is for him alone. */
async function adminPolicy({ pi }: ApiServers): Promise<void> {
  const [standing] = (await pi.ask('GET', '/policy/admin')) as { action: Readonly<Record<string, unknown>> }[]
  const action = Object.keys(standing?.action ?? {}).join(', ')
  await pi.ask('POST', '/policy/admin', { scope: 'admin', active: true, realm: '', adminuser: 'admin', action })
}

async function statusOf(lockstep: Lockstep): Promise<string> {
  return (await lockstep.cli('status')).stdout
}

/** Two users: one whose full token will be reset meanwhile, and one whose token will be full. */
async function twoUsers({ servers }: World): Promise<{ users: [string, string]; serials: [string, string] }> {
  const users: [string, string] = [servers.newUser(), servers.newUser()]
  const serials: [string, string] = [`F${users[0]}`, `S${users[1]}`]
  await servers.newToken(serials[0], users[0])
  await servers.newToken(serials[1], users[1])
  await servers.fail({ serial: serials[0] })
  await servers.becomes(users[0], 'locked')
  return { users, serials }
}

function sourceTests(world: () => World): void {
  const outages: Outage[] = [
    {
      name: 'its certificate has expired',
      shown: /privacyIDEA could not be read for .*certificate has expired/,
      breakIt: () => world().front.show(world().expired),
      mend: () => world().front.show(world().good),
    },
    {
      name: 'it answers with pages of HTML',
      shown: /privacyIDEA could not be read for .*text\/html instead of JSON/,
      breakIt: () => world().front.breakIt({ htmlStatus: 500 }),
      mend: () => world().front.mend(),
    },
    {
      name: 'it answers too slowly',
      shown: /privacyIDEA could not be read for .*no answer within/,
      breakIt: () => world().front.breakIt({ slowMs: 2 * SOURCE_TIMEOUT_MS }),
      mend: () => world().front.mend(),
    },
    {
      name: 'the right to see tokens is taken away',
      shown: /privacyIDEA could not be read for .*(?:tokenlist|no token shows)/,
      breakIt: () => lockstepPolicy(world().servers, 'userlist, auditlog'),
      mend: () => lockstepPolicy(world().servers, RIGHTS),
    },
  ]

  test.each(outages)(
    '$name: nobody changes, status says so, and all is caught up with',
    { timeout: LONG_MS },
    async (outage) => {
      const { servers, lockstep, front } = world()
      const { users, serials } = await twoUsers(world())
      const states = (): Promise<string[]> => Promise.all(users.map((user) => servers.state(user)))
      const before = await states()
      await outage.breakIt()
      await servers.pi.ask('POST', '/token/reset', { serial: serials[0] })
      await servers.fail({ serial: serials[1] })
      await lockstep.shim('unlock', ['--serial', serials[0], '--user', users[0], '--realm', 'r1'])
      await lockstep.shim('lock', ['--serial', serials[1], '--user', users[1], '--realm', 'r1'])
      await lockstep.shim('unregister', ['--serial', serials[0], '--user', 'none', '--realm', 'r1'])
      await eventually('status shows it', async () => outage.shown.test(await statusOf(lockstep)))
      const asked = front.requests
      expect(await lockstep.cli('resync')).not.toMatchObject({ code: 0 })
      if (!/certificate/.test(outage.name)) expect(front.requests).toBeGreaterThan(asked)
      expect(await states()).toEqual(before)
      await outage.mend()
      await servers.becomes(users[0], 'open')
      await servers.becomes(users[1], 'locked')
      await eventually('status is content', async () => !/could not be read/.test(await statusOf(lockstep)))
    },
  )

  test('with no lock held, a right that was taken away shows all the same', { timeout: LONG_MS }, async () => {
    const { servers, lockstep } = world()
    const { accounts } = await lockstep.json<{ accounts: { login: string }[] }>('accounts', '--locked')
    for (const account of accounts) {
      await servers.pi.ask('POST', '/token/reset', { serial: `S${account.login}` })
      await servers.becomes(account.login, 'open')
    }
    await lockstepPolicy(servers, 'userlist, auditlog')
    await eventually('status shows it', async () => /could not be read/.test(await statusOf(lockstep)))
    await lockstepPolicy(servers, RIGHTS)
    await eventually('status is content', async () => !/could not be read/.test(await statusOf(lockstep)))
  })

  test('slow answers are waited for, and asked for less often', { timeout: LONG_MS }, async () => {
    const { servers, front } = world()
    const user = servers.newUser()
    await servers.newToken(`V${user}`, user)
    front.breakIt({ slowMs: 700 })
    await servers.fail({ user, realm: 'r1' })
    await servers.becomes(user, 'locked')
    front.mend()
    await servers.pi.ask('POST', '/token/reset', { serial: `V${user}` })
    await servers.becomes(user, 'open')
  })

  test(
    'a login that ends in the middle, and one whose key is gone, are renewed by themselves',
    { timeout: LONG_MS },
    async () => {
      const { servers, lockstep } = world()
      const { pi } = servers
      const user = servers.newUser()
      await servers.newToken(`J${user}`, user)
      await pi.ask('POST', '/policy/jwt', { scope: 'webui', active: true, realm: '', action: 'jwt_validity=2' })
      const before = world().front.requests
      // With another key every login that was given is refused at the next request.
      await pi.stop()
      const config = join(pi.dir, 'pi.cfg')
      writeFileSync(config, readFileSync(config, 'utf8').replace('0123456789abcdef', 'fedcba9876543210'))
      await pi.start()
      await servers.fail({ user, realm: 'r1' })
      await servers.becomes(user, 'locked')
      // Several lives of a login.
      await eventually('it went on asking', () => world().front.requests > before + LIVES_REQUESTS, LONG_MS)
      await pi.ask('POST', '/token/reset', { serial: `J${user}` })
      await servers.becomes(user, 'open')
      expect(await statusOf(lockstep)).not.toMatch(/could not be read/)
      await pi.ask('DELETE', '/policy/jwt')
    },
  )
}

/** What privacyIDEA itself knows in the end, by a reading of its own. */
async function snapshotOf({ pi }: ApiServers, user: string, serial: string): Promise<string> {
  const { tokens } = (await pi.ask('GET', '/token/', { serial })) as {
    tokens: { failcount: number; username: string }[]
  }
  const [token] = tokens
  if (token?.username !== user) return 'open'
  return `${token.failcount >= FAILURES_MAX ? 'locked' : 'open'} ${serial}`
}

function userStoreTests(world: () => World): void {
  afterEach(() => world().servers.userStore.mend())

  test.each(['refused', 'hung'] as const)(
    'the user store below privacyIDEA is %s while tokens are reset and unassigned: nothing is guessed',
    { timeout: LONG_MS },
    async (how) => {
      const { servers, lockstep } = world()
      const { pi, userStore } = servers
      const { users, serials } = await twoUsers(world())
      const [third, fourth] = [servers.newUser(), servers.newUser()]
      await servers.newToken(`T${third}`, third)
      await servers.newToken(`U${fourth}`, fourth)
      await servers.fail({ serial: `T${third}` })
      await servers.becomes(third, 'locked')
      await lockstep.json('resync')
      await lockstep.settled()
      await servers.carries(fourth, `U${fourth}`)
      const everybody: [string, string][] = [
        [users[0], serials[0]],
        [users[1], serials[1]],
        [third, `T${third}`],
        [fourth, `U${fourth}`],
      ]
      const states = (): Promise<string[]> => Promise.all(everybody.map(([user]) => servers.state(user)))
      await servers.carries(users[1], serials[1])
      const before = await states()
      await (how === 'refused' ? userStore.refuse() : userStore.hold())
      // 3.14 does these, and its events name nobody; before, they are refused.
      for (const [path, serial] of [
        ['/token/reset', serials[0]],
        ['/token/unassign', `T${third}`],
        ['/token/unassign', `U${fourth}`],
      ]) {
        await pi.ask('POST', path ?? '', { serial }).catch(() => undefined)
        const kind = path === '/token/reset' ? 'unlock' : 'unregister'
        await lockstep.shim(kind, ['--serial', serial ?? '', '--user', 'none', '--realm', 'r1'])
      }
      await lockstep.shim('unregister', ['--serial', serials[1], '--user', users[1], '--realm', 'r1'])
      await eventually(
        'status shows it',
        async () => /could not be (?:read|asked)/.test(await statusOf(lockstep)),
        LONG_MS,
      )
      const ran = await lockstep.cli('resync')
      expect(ran.code, ran.stdout).not.toBe(0)
      expect(ran.ms).toBeLessThan(RUN_ENDS_MS)
      const meanwhile = await states()
      await userStore.mend()
      for (const [index, [user, serial]] of everybody.entries()) {
        const expected = await snapshotOf(servers, user, serial)
        // 3.14 did what it was asked to, and says so of a token without an owner even then.
        expect([before[index], expected]).toContain(meanwhile[index])
        await eventually(`${user} is ${expected}`, async () => (await servers.state(user)) === expected, LONG_MS)
      }
      await lockstep.json('resync')
      await lockstep.settled()
      expect(await lockstep.json('resync', '--dry-run')).toMatchObject({ differences: 0 })
    },
  )
}

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseLogin, parseRealm, parseResolverName, parseSerial, parseUserId } from '../../src/core/names.ts'
import type { UserOfSource } from '../../src/core/source/token.ts'
import { systemClock } from '../../src/ports/clock.ts'
import type { PrivacyIdeaPort } from '../../src/ports/privacyidea.ts'
import { openPrivacyIdea } from '../../src/privacyidea/open-privacyidea.ts'
import { codeOf } from '../directory/contract.ts'
import { RELEASE_NAMES } from '../releases.ts'
import { INSTALL_TIMEOUT_MS, startPrivacyIdea, type ReleaseName } from '../servers/privacyidea/privacyidea.ts'
import { startSlapd } from '../servers/ldap/slapd.ts'
import { must } from '../simulation/world.ts'
import { startSimulator } from './simulator/simulator.ts'
import { sourceSettings } from './source-settings.ts'

/** One login in two resolvers of one realm, ids with any character, and a resolver that is gone: who is asked about whom. */

/** Ids that are DNs, with what a DN may hold; the last is as long as the column. */
const ODD_CNS = ['a*b', 'a&b%20c', '100% x', 'line\nend', 'Żółć 😀', 'q"+<>;\\=#,']

interface OwnerWorld extends AsyncDisposable {
  readonly port: PrivacyIdeaPort
  /** `u1` of the resolvers `first` (with the token TWOA) and `second` (with TWOB), both in the realm `two`. */
  readonly users: readonly [UserOfSource, UserOfSource]
  /** Each with the token `ODD<number>`, in the realm `odd`. */
  readonly odd: readonly UserOfSource[]
  /** Takes `second` out of its realm, and deletes it. */
  removeSecond(): Promise<void>
}

function userOf(login: string, realm: string, resolver: string, userId: string): UserOfSource {
  return {
    login: must(parseLogin(login)),
    realm: must(parseRealm(realm)),
    resolver: must(parseResolverName(resolver)),
    userId: must(parseUserId(userId)),
  }
}

function portOf(url: string, admin: string): PrivacyIdeaPort {
  const login = { kind: 'password', user: admin, realm: null, password: { env: 'X' } } as const
  return openPrivacyIdea(sourceSettings(url, { login, timeoutMs: 30_000 }), () => `${admin}-secret`, systemClock)
}

async function simulated(version: ReleaseName): Promise<OwnerWorld> {
  const simulator = await startSimulator({ version })
  const { world } = simulator
  world.admins.set('lockstep', 'lockstep-secret')
  world.policies.set('run', { active: true, admins: ['lockstep'], actions: ['tokenlist', 'userlist'], body: {} })
  world.realms.set('two', ['first', 'second']).set('odd', ['dns'])
  world.stock.addToken('PROOF')
  world.stock.addToken('TWOA', { userId: world.stock.addUser('u1', 'id-1', 'first', 'two').userId })
  world.stock.addToken('TWOB', { userId: world.stock.addUser('u1', 'uid=u1,dc=x', 'second', 'two').userId })
  const odd = ODD_CNS.map((cn, index) => {
    const { userId } = world.stock.addUser(`odd${index}`, `cn=${cn},dc=x`, 'dns', 'odd')
    world.stock.addToken(`ODD${index}`, { userId })
    return userOf(`odd${index}`, 'odd', 'dns', userId)
  })
  const port = portOf(simulator.url, 'lockstep')
  return {
    port,
    users: [userOf('u1', 'two', 'first', 'id-1'), userOf('u1', 'two', 'second', 'uid=u1,dc=x')],
    odd,
    removeSecond: async () => void world.realms.set('two', ['first']),
    async [Symbol.asyncDispose]() {
      await port[Symbol.asyncDispose]()
      await simulator[Symbol.asyncDispose]()
    },
  }
}

async function real(release: ReleaseName): Promise<OwnerWorld> {
  await using stack = new AsyncDisposableStack()
  const slapd = stack.use(await startSlapd({ users: 2, dbNoSync: true }))
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  for (const [index, cn] of ODD_CNS.entries()) {
    const escaped = cn.replaceAll(/[\\"+<>;=#,\n]/g, (each) => `\\${each.charCodeAt(0).toString(16).padStart(2, '0')}`)
    const entry = `dn:: ${base64(`cn=${escaped},${slapd.peopleDn}`)}\nobjectClass: inetOrgPerson\nsn: x\nuid: odd${index}\n`
    const { code, stderr } = await slapd.ldapmodify(entry, slapd.admin, ['-a'])
    if (code !== 0) throw new Error(stderr)
  }
  const pi = stack.use(await startPrivacyIdea({ release, userStore: slapd }))
  const resolver = {
    ...{ type: 'ldapresolver', LDAPURI: slapd.url, LDAPBASE: slapd.peopleDn, AUTHTYPE: 'Simple' },
    ...{ BINDDN: slapd.adminDn, BINDPW: slapd.adminPassword, LOGINNAMEATTRIBUTE: 'uid' },
    LDAPSEARCHFILTER: '(uid=*)(objectClass=inetOrgPerson)',
    USERINFO: JSON.stringify({ username: 'uid', surname: 'sn', givenname: 'cn', email: 'mail' }),
    ...{ CACHE_TIMEOUT: '0', TIMEOUT: '5', NOREFERRALS: true },
  }
  await pi.ask('POST', '/resolver/first', { ...resolver, UIDTYPE: 'entryUUID' })
  await pi.ask('POST', '/resolver/second', { ...resolver, UIDTYPE: 'DN' })
  await pi.ask('POST', '/resolver/dns', { ...resolver, UIDTYPE: 'DN' })
  const order = { 'priority.first': 1, 'priority.second': 2 }
  await pi.ask('POST', '/realm/two', { resolvers: 'first,second', ...order })
  await pi.ask('POST', '/realm/odd', { resolvers: 'dns' })
  const init = (serial: string, user: string, realm: string, of: string): Promise<unknown> =>
    pi.ask('POST', '/token/init', { type: 'hotp', genkey: 1, serial, user, realm, resolver: of, pin: '1' })
  await init('TWOA', 'u1', 'two', 'first')
  await init('TWOB', 'u1', 'two', 'second')
  for (const index of ODD_CNS.keys()) await init(`ODD${index}`, `odd${index}`, 'odd', 'dns')
  const list = (await pi.ask('GET', '/token/', { pagesize: 100 })) as {
    tokens: { serial: string; username: string; user_realm: string; resolver: string; user_id: string }[]
  }
  const ownerOf = (serial: string): UserOfSource => {
    const row = list.tokens.find((each) => each.serial === serial)
    if (row === undefined) throw new Error(`no token ${serial}`)
    return userOf(row.username, row.user_realm, row.resolver, row.user_id)
  }
  await pi.ask('POST', '/policy/deleting', {
    ...{ scope: 'admin', active: true, realm: '', adminuser: 'admin', action: 'resolverdelete' },
  })
  const port = stack.use(portOf(pi.url, 'lockstep'))
  const owned = stack.move()
  return {
    port,
    users: [ownerOf('TWOA'), ownerOf('TWOB')],
    odd: ODD_CNS.map((_, index) => ownerOf(`ODD${index}`)),
    removeSecond: async () => {
      await pi.ask('POST', '/realm/two', { resolvers: 'first' })
      await pi.ask('DELETE', '/resolver/second')
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const CHOSEN = (process.env['LOCKSTEP_PRIVACYIDEA'] ?? '3.13 3.14').split(/[ ,]+/)
const isReal = (release: ReleaseName): boolean => CHOSEN.includes(release) || CHOSEN.includes('all')

describe.each(
  RELEASE_NAMES.flatMap((release) => [
    { name: `the simulator of privacyIDEA ${release}`, isMeant: true, start: () => simulated(release) },
    { name: `privacyIDEA ${release}`, isMeant: isReal(release), start: () => real(release) },
  ]),
)('$name', ({ isMeant, start }) => {
  describe.skipIf(!isMeant)('owners', () => {
    let world: OwnerWorld
    beforeAll(async () => {
      world = await start()
    }, INSTALL_TIMEOUT_MS)
    afterAll(async () => world?.[Symbol.asyncDispose]())

    const serialsOf = async (owner: Parameters<PrivacyIdeaPort['tokensOfOwner']>[0]): Promise<string[]> =>
      (await world.port.tokensOfOwner(owner)).map(({ serial }) => serial)

    test('of one login in two resolvers have their own tokens each, by id and without it', async () => {
      const [first, second] = world.users
      expect(await serialsOf(first)).toEqual(['TWOA'])
      expect(await serialsOf(second)).toEqual(['TWOB'])
      expect(await serialsOf({ ...second, userId: null })).toEqual(['TWOB'])
    })

    test('of one login in two resolvers are found as the one who is meant, with their own mail', async () => {
      for (const user of world.users) {
        expect(await world.port.findUser(user.login, user.realm, user.resolver)).toEqual(user)
        expect(await world.port.userDetails(user)).toMatchObject({ mail: 'u1@example.org' })
      }
      const [first, second] = world.users
      expect(await world.port.userDetails({ ...first, userId: second.userId })).toBeNull()
    })

    test('whose id is not that of the login any more have none of its tokens', async () => {
      const [first, second] = world.users
      const other = { ...second, userId: first.userId }
      const answer = await serialsOf(other).catch((error: { code: string }) => error.code)
      expect([[], 'unknown-user']).toContainEqual(answer)
    })

    test('are read and listed whatever characters their ids have', async () => {
      for (const [index, user] of world.odd.entries()) {
        expect([user.userId, await serialsOf(user)]).toEqual([user.userId, [`ODD${index}`]])
      }
    })

    test('of a resolver that is gone are named as such, and a walk over all tokens goes on', async () => {
      await world.removeSecond()
      const [first, second] = world.users
      expect(await world.port.isResolverGone(first.resolver)).toBe(false)
      await expect.poll(() => world.port.isResolverGone(second.resolver), { timeout: 30_000 }).toBe(true)
      expect(await codeOf(world.port.tokensOfOwner(second))).toBe('source-resolver-gone')
      const seen: string[] = []
      for await (const { tokens } of world.port.walkTokens()) seen.push(...tokens.map(({ serial }) => serial))
      expect(seen).toEqual(expect.arrayContaining(['TWOA', 'ODD0']))
      expect((await world.port.tokensBySerial([must(parseSerial('TWOA'))])).map(({ owner }) => owner.kind)).toEqual([
        'user',
      ])
    })
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import {
  asked,
  INSTALL_TIMEOUT_MS,
  startPrivacyIdea,
  type PrivacyIdea,
  type ReleaseName,
} from '../../servers/privacyidea/privacyidea.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { createApiLockstep, serveSwept } from '../../support/api-servers.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asAdmin } from '../../support/privacyidea-arguments.ts'
import { isChosen } from '../../support/privacyidea-world.ts'

/**
 * A real privacyIDEA whose users come from two real directories: one login in two resolvers of one realm, ids that are DNs
 * with odd characters, a directory that is down, a resolver that is gone, and a realm that nobody mapped.
 */

const WITHIN_MS = 120_000
const TEST_MS = 240_000
const FAILURES_MAX = 3
const KEY = Buffer.from('12345678901234567890').toString('hex')
const ODD_CN = 'Żółć, a*b+"c" %20\n😀'

const RELEASES = (['3.13', '3.14'] as const).filter((release) => release === '3.14' || isChosen(release))

describe.each(RELEASES)('owners of privacyIDEA %s', (release: ReleaseName) => {
  let stack: AsyncDisposableStack
  let corp: Slapd
  let legacy: Slapd
  let pi: PrivacyIdea
  let lockstep: Lockstep
  const dnOf = { twinA: '', twinB: '', odd: '' }

  beforeAll(async () => {
    stack = new AsyncDisposableStack()
    ;[corp, legacy] = await Promise.all([
      startSlapd({ users: 6, dbNoSync: true }),
      startSlapd({ users: 3, dbNoSync: true }),
    ])
    stack.use(corp)
    stack.use(legacy)
    const escaped = ODD_CN.replaceAll(
      /[\\"+<>;=#,\n]/g,
      (each) => `\\${each.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
    const [a, b] = [`ou=a,${corp.peopleDn}`, `ou=b,${corp.peopleDn}`]
    Object.assign(dnOf, { twinA: `cn=twin,${a}`, twinB: `cn=twin,${b}`, odd: `cn=${escaped},${b}` })
    const person = (dn: string, uid: string): string => {
      const entry = `dn:: ${Buffer.from(dn).toString('base64')}\nobjectClass: inetOrgPerson\nuid: ${uid}\nsn: x\n`
      return `${entry}userPassword: ${corp.userPassword}\n`
    }
    const unit = (dn: string, name: string): string => `dn: ${dn}\nobjectClass: organizationalUnit\nou: ${name}\n`
    const entries = [
      unit(a, 'a'),
      unit(b, 'b'),
      person(dnOf.twinA, 'twin'),
      person(dnOf.twinB, 'twin'),
      person(dnOf.odd, 'odd'),
    ]
    const added = await corp.ldapmodify(entries.join('\n'), corp.admin, ['-a'])
    if (added.code !== 0) throw new Error(added.stderr)
    pi = stack.use(await startPrivacyIdea({ release, userStore: corp }))
    const resolver = (server: Slapd, base: string, uidType: string) => ({
      ...{ type: 'ldapresolver', LDAPURI: server.url, LDAPBASE: base, AUTHTYPE: 'Simple', UIDTYPE: uidType },
      ...{ BINDDN: server.adminDn, BINDPW: server.adminPassword, LOGINNAMEATTRIBUTE: 'uid' },
      LDAPSEARCHFILTER: '(uid=*)(objectClass=inetOrgPerson)',
      USERINFO: JSON.stringify({ username: 'uid', surname: 'sn', givenname: 'cn', email: 'mail' }),
      ...{ CACHE_TIMEOUT: '0', TIMEOUT: '2', NOREFERRALS: true },
    })
    await pi.ask('POST', '/resolver/resa', resolver(corp, a, 'DN'))
    await pi.ask('POST', '/resolver/resb', resolver(corp, b, 'DN'))
    await pi.ask('POST', '/resolver/resl', resolver(legacy, legacy.peopleDn, 'entryUUID'))
    await pi.ask('POST', '/realm/two', { resolvers: 'resa,resb', 'priority.resa': 1, 'priority.resb': 2 })
    await pi.ask('POST', '/realm/old', { resolvers: 'resl' })
    await pi.ask('POST', '/realm/far', { resolvers: 'ldap1' })
    await pi.ask('POST', '/policy/deleting', {
      ...{ scope: 'admin', active: true, realm: '', adminuser: 'admin', action: 'resolverdelete' },
    })
    await newToken('TWA', 'twin', 'two', 'resa')
    await newToken('TWB', 'twin', 'two', 'resb')
    await newToken('ODD', 'odd', 'two', 'resb')
    await newToken('OLD', 'u1', 'old', 'resl')
    await newToken('FAR', 'u5', 'far', 'ldap1')
    const realms = '{ two: corp, r1: corp, old: legacy }'
    lockstep = stack.use(await createApiLockstep({ slapd: corp, pi }, { legacy, realms }))
    await serveSwept(lockstep)
  }, INSTALL_TIMEOUT_MS)
  afterAll(async () => stack?.disposeAsync())

  async function newToken(serial: string, user: string, realm: string, resolver: string): Promise<void> {
    const body = { type: 'hotp', serial, otpkey: KEY, genkey: 0, user, realm, resolver, pin: '1234' }
    await pi.ask('POST', '/token/init', body)
    await pi.ask('POST', '/token/set', { serial, max_failcount: FAILURES_MAX })
  }

  async function fill(serial: string): Promise<void> {
    for (let count = 0; count < FAILURES_MAX; count++) {
      await asked(pi.url, 'POST', '/validate/check', { serial, pass: '1234999999' })
    }
  }

  /** `open` or `locked`, and the serials that stand at the entry. */
  async function stateOf(server: Slapd, dn: string): Promise<string> {
    const found = await server.ldapsearch('-b', dn, '-s', 'base', 'pwdAccountLockedTime', 'description')
    const serials = [...found.matchAll(/^description: privacyIDEA:(.*)$/gm)].map(([, serial]) => serial ?? '')
    return [found.includes('pwdAccountLockedTime: ') ? 'locked' : 'open', ...serials.toSorted()].join(' ')
  }

  const becomes = (server: Slapd, dn: string, state: string): Promise<unknown> =>
    eventually(`${dn} is ${state}`, async () => (await stateOf(server, dn)) === state, WITHIN_MS)

  interface Status {
    readonly health: string
    readonly unplaced: readonly { readonly cause: string; readonly full: number; readonly names: readonly string[] }[]
    readonly findings: readonly { readonly code: string; readonly subject: string }[]
  }
  const status = (): Promise<Status> => lockstep.json<Status>('status')

  test(
    'of one login in two resolvers are two accounts, found by the DNs that are their ids',
    async () => {
      await becomes(corp, dnOf.twinA, 'open TWA')
      await becomes(corp, dnOf.twinB, 'open TWB')
      await fill('TWB')
      await becomes(corp, dnOf.twinB, 'locked TWB')
      expect(await stateOf(corp, dnOf.twinA)).toBe('open TWA')
      await pi.ask('POST', '/token/reset', { serial: 'TWB' })
      await becomes(corp, dnOf.twinB, 'open TWB')
    },
    TEST_MS,
  )

  test(
    'whose id is a DN with odd characters are locked and unlocked',
    async () => {
      await becomes(corp, dnOf.odd, 'open ODD')
      await fill('ODD')
      await becomes(corp, dnOf.odd, 'locked ODD')
      await pi.ask('POST', '/token/reset', { serial: 'ODD' })
      await becomes(corp, dnOf.odd, 'open ODD')
    },
    TEST_MS,
  )

  test(
    'of a realm that nobody mapped are said, and all is not well once their token is full',
    async () => {
      await eventually('the unmapped realm is said', async () => (await status()).unplaced.length > 0, WITHIN_MS)
      expect((await status()).unplaced).toMatchObject([{ cause: 'realm-unmapped', full: 0, names: ['FAR (u5@far)'] }])
      expect((await status()).health).toBe('ok')
      await fill('FAR')
      await eventually('all is not well', async () => (await status()).health === 'attention', WITHIN_MS)
      expect((await status()).findings).toMatchObject([{ code: 'owners-unplaced-full', subject: 'realm-unmapped' }])
      const listed = await lockstep.json<{ tokens: unknown[] }>('owners', '--unplaced')
      expect(listed.tokens).toMatchObject([{ serial: 'FAR', login: 'u5', realm: 'far', isFull: true }])
      await pi.ask('POST', '/token/reset', { serial: 'FAR' })
      await eventually('all is well again', async () => (await status()).health === 'ok', WITHIN_MS)
    },
    TEST_MS,
  )

  test(
    'get their serials while the other directory is down',
    async () => {
      await legacy.stop()
      const dn = corp.userDn('u2')
      await newToken('NEW', 'u2', 'r1', 'ldap1')
      await lockstep.shim('register', asAdmin('NEW', 'u2', 'r1'))
      await becomes(corp, dn, 'open NEW')
      await fill('NEW')
      await becomes(corp, dn, 'locked NEW')
      await legacy.start()
      await becomes(legacy, legacy.userDn('u1'), 'open OLD')
    },
    TEST_MS,
  )

  test(
    'of a resolver that was deleted are said with their serials, stay as they are, and hold nobody up',
    async () => {
      await fill('TWB')
      await becomes(corp, dnOf.twinB, 'locked TWB')
      await pi.ask('POST', '/realm/two', { resolvers: 'resa' })
      await pi.ask('DELETE', '/resolver/resb')
      await fill('TWA')
      await becomes(corp, dnOf.twinA, 'locked TWA')
      const gone = async (): Promise<boolean> => {
        const { code } = await lockstep.cli('resync')
        const group = (await status()).unplaced.find(({ cause }) => cause === 'resolver-gone')
        return code === 0 && group?.names.some((name) => name.startsWith('TWB')) === true
      }
      await eventually('the resolver is said to be gone', gone, WITHIN_MS)
      expect((await status()).findings.map(({ code }) => code)).toContain('owners-unplaced-full')
      expect(await stateOf(corp, dnOf.twinB)).toBe('locked TWB')
      expect(await stateOf(corp, dnOf.odd)).toBe('open ODD')
    },
    TEST_MS,
  )
})

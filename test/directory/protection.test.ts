import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ProtectSettings } from '../../src/core/settings/settings.ts'
import type { ObservedState } from '../../src/core/account/state.ts'
import { openProbe } from '../../src/directory/probe/probe.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { parseLogin } from '../../src/core/names.ts'
import { systemClock } from '../../src/ports/clock.ts'
import type { DirectoryPort } from '../../src/ports/directory.ts'
import { startSlapd, type Slapd } from '../servers/ldap/slapd.ts'
import { directorySettings, protecting } from './directory-settings.ts'

/** Who is never locked, on a real server. */

const GROUPS = 'ou=groups,dc=example,dc=org'
const people = (...logins: string[]): string[] => logins.map((login) => `uid=${login},ou=people,dc=example,dc=org`)

function group(cn: string, members: readonly string[]): string {
  return `dn: cn=${cn},${GROUPS}\nobjectClass: groupOfNames\ncn: ${cn}\n${members.map((dn) => `member: ${dn}\n`).join('')}`
}

/** Admins hold u1 and the group of helpers; those hold u2 and the admins again, in a circle. */
const EXTRA = [
  group('admins', [...people('u1'), `cn=helpers,${GROUPS}`, 'cn=nobody,dc=example,dc=org']),
  group('helpers', [
    ...people('u2').map((dn) => dn.replace('u2', 'U2 ').replace(',', ' , ')),
    `cn=admins,${GROUPS}`,
    `cn=unix,${GROUPS}`,
  ]),
  `dn: cn=unix,${GROUPS}\nobjectClass: posixGroup\ncn: unix\ngidNumber: 5\nmemberUid: u3\n`,
  `dn: cn=unique,${GROUPS}\nobjectClass: groupOfUniqueNames\ncn: unique\nuniqueMember: ${people('u4')[0]}#'0101'B\n`,
  group('hidden', people('u5')),
  group('everybody', [...strangers(10_001), ...people('u1'), `cn=nested,${GROUPS}`]),
  group('nested', [...people('u2'), `cn=deeper,${GROUPS}`]),
  group('deeper', [...people('u4'), `cn=everybody,${GROUPS}`]),
  group('concealed', [...strangers(10_001), ...people('u5')]),
  `dn: cn=unixes,${GROUPS}\nobjectClass: posixGroup\ncn: unixes\ngidNumber: 6\n${strangers(10_001)
    .map((_, at) => `memberUid: x${at}\n`)
    .join('')}memberUid: u3\n`,
  group('roof', [`cn=everybody,${GROUPS}`, `cn=unixes,${GROUPS}`]),
].join('\n')

/** Members of whom there is no entry, so that the server is quick to start. */
function strangers(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `uid=x${at},ou=people,dc=example,dc=org`)
}

let slapd: Slapd
const opened: AsyncDisposable[] = []

beforeAll(async () => {
  const accessRules = ['hidden', 'concealed']
    .map((cn) => `access to dn.base="cn=${cn},${GROUPS}" attrs=member by * none`)
    .join('\n')
  slapd = await startSlapd({ users: 7, dbNoSync: true, extraLdif: EXTRA, accessRules })
})
afterAll(() => slapd[Symbol.asyncDispose]())
afterEach(async () => {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
})

function open(protect: ProtectSettings): DirectoryPort {
  const port = openDirectories({ directories: [directorySettings(slapd, { protect })], realms: {} }, systemClock)
  opened.push(port)
  return port
}

async function look(port: DirectoryPort, text: string): Promise<ObservedState> {
  const login = parseLogin(text)
  if (login === null) throw new RangeError('no login')
  return port.observe((await port.findByLogin(login, null)).key, [], 0)
}

async function protectedOf(port: DirectoryPort, ...logins: string[]): Promise<(string | null)[]> {
  const all = []
  for (const login of logins) all.push((await look(port, login)).protectedBy)
  return all
}

describe('an account is protected', () => {
  test('as a member of a group, of one in it however deep, by DN or login, and nobody else is', async () => {
    const port = open(protecting({ groups: [`cn=admins,${GROUPS}`] }))
    const why = `it is a member of cn=admins,${GROUPS} of guards.protect.groups`
    expect(await protectedOf(port, 'u1', 'u2', 'u3', 'u4')).toEqual([why, why, why, null])
    expect((await look(port, 'u4')).protectionUnread).toBeUndefined()
  })

  test('as a unique member that carries a bit string', async () => {
    const port = open(protecting({ groups: [`cn=unique,${GROUPS}`] }))
    expect(await protectedOf(port, 'u3', 'u4')).toEqual([null, expect.stringContaining('cn=unique')])
  })

  test('below a subtree, and not beside one that is called alike', async () => {
    const below = open(protecting({ subtrees: ['OU=People, dc=example,dc=org'] }))
    expect(await protectedOf(below, 'u1')).toEqual([expect.stringContaining('guards.protect.subtrees')])
    const beside = open(protecting({ subtrees: ['ou=ople,dc=example,dc=org', 'uid=u2,ou=people,dc=example,dc=org'] }))
    expect(await protectedOf(beside, 'u1', 'u2')).toEqual([null, expect.stringContaining('uid=u2')])
  })

  test('by a value of an attribute, one of several filters, and each with its own reason', async () => {
    const attributes = [{ attribute: 'uidNumber', values: ['10001', '10002'] }]
    const port = open(protecting({ attributes, filters: ['(uid=u3)', '(uid=u4)'] }))
    expect(await protectedOf(port, 'u1', 'u3', 'u4', 'u5')).toEqual([
      'its uidNumber has a value of guards.protect.attributes',
      'it matches guards.protect.filter',
      'it matches guards.protect.filter',
      null,
    ])
  })
})

describe('of a group with more than 10,000 members', () => {
  test('whoever is a member is protected, directly or by groups in groups, and nobody else is', async () => {
    const port = open(protecting({ groups: [`cn=everybody,${GROUPS}`] }))
    const why = `it is a member of cn=everybody,${GROUPS} of guards.protect.groups`
    expect(await protectedOf(port, 'u1', 'u2', 'u4', 'u3', 'u6')).toEqual([why, why, why, null, null])
    expect((await look(port, 'u6')).protectionUnread).toBeUndefined()
  })

  test('by login as well, and where it is in a small group itself', async () => {
    const port = open(protecting({ groups: [`cn=roof,${GROUPS}`] }))
    const why = `it is a member of cn=roof,${GROUPS} of guards.protect.groups`
    expect(await protectedOf(port, 'u1', 'u2', 'u3', 'u4', 'u7')).toEqual([why, why, why, why, null])
  })

  test('whose members may not be searched, nobody knows', async () => {
    const port = open(protecting({ groups: [`cn=concealed,${GROUPS}`] }))
    expect((await look(port, 'u6')).protectionUnread?.reason).toContain('may not be')
  })
})

describe('nobody knows whether an account is protected', () => {
  test('while a group is not there, or hides its members; whoever is known to be is', async () => {
    const missing = open(protecting({ groups: [`cn=gone,${GROUPS}`, `cn=admins,${GROUPS}`] }))
    expect(await protectedOf(missing, 'u1')).toEqual([expect.stringContaining('cn=admins')])
    const { protectedBy, protectionUnread } = await look(missing, 'u6')
    expect(protectedBy).toBeNull()
    expect(protectionUnread?.reason).toContain(`the group cn=gone,${GROUPS} of guards.protect.groups cannot be read`)

    await using probe = openProbe(
      directorySettings(slapd, { protect: protecting({ groups: [`cn=gone,${GROUPS}`, `cn=admins,${GROUPS}`] }) }),
      systemClock,
    )
    const { count, unread } = await probe.protectedGroups()
    expect([count, unread?.hint]).toEqual([2, expect.stringContaining('Correct the DN')])

    const hidden = open(protecting({ groups: [`cn=hidden,${GROUPS}`] }))
    expect((await look(hidden, 'u6')).protectionUnread?.reason).toContain('its members may not be read')
  })
})

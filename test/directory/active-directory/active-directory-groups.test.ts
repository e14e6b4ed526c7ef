import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accountIdOf, parseRealm } from '../../../src/core/names.ts'
import { AppError } from '../../../src/core/error.ts'
import { LargeGroups } from '../../../src/directory/protection/large-groups.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { Pool } from '../../../src/directory/pool/pool.ts'
import { sidText } from '../../../src/directory/protocol/sid.ts'
import { FactsReader } from '../../../src/directory/pool/server-facts.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { loginOf } from '../contract.ts'
import { nameOfDirectory, protecting } from '../directory-settings.ts'
import { sambaSettings } from './samba-world.ts'

/** Groups of Active Directory on a real Samba: in a circle, with nobody, and by primary group. */

let samba: Samba
const CORP = nameOfDirectory('corp')
const dnOf = (group: string) => `CN=${group},OU=services,${samba.base}`

beforeAll(async () => {
  samba = await startSamba()
  const domainControllers = `CN=DC1,OU=Domain Controllers,${samba.base}`
  for (const name of ['clerks', 'nobody', 'inner', 'staff'])
    await change(dnOf(name), ['add', `objectClass: group\nsAMAccountName: ${name}`])
  await add('inner', ['u2', 'u3'].map(samba.userDn))
  await add('clerks', ['u4'].map(samba.userDn))
  await add('staff', [...['u1', 'u2'].map(samba.userDn), ...['inner', 'nobody', 'clerks'].map(dnOf), domainControllers])
  await add('inner', [dnOf('staff')])
  const shown = await samba.tool('group', 'show', 'clerks', '--attributes=objectSid')
  const id = /objectSid: \S+-(\d+)/.exec(shown)?.[1] ?? ''
  await change(samba.userDn('u4'), ['modify', `replace: primaryGroupID\nprimaryGroupID: ${id}`])
}, SAMBA_TIMEOUT_MS)
afterAll(async () => {
  await samba?.[Symbol.asyncDispose]()
})

async function change(dn: string, [kind, lines]: [string, string]): Promise<void> {
  const { code, stderr } = await samba.ldapmodify(`dn: ${dn}\nchangetype: ${kind}\n${lines}\n`)
  if (code !== 0) throw new Error(`ldapmodify of ${dn}: ${code} ${stderr}`)
}

const add = (group: string, dns: readonly string[]) =>
  change(dnOf(group), ['modify', `add: member\n${dns.map((dn) => `member: ${dn}`).join('\n')}`])
const portOf = (groups: readonly string[] = []) =>
  openDirectories({ directories: [sambaSettings(samba, { protect: protecting({ groups }) })], realms: {} }, systemClock)

describe('the people of a group', () => {
  it('are those in it, in groups in it and by primary group, and neither groups of nobody nor computers', async () => {
    await using port = portOf()
    expect((await port.loginsOfGroup(CORP, dnOf('staff'))).toSorted()).toEqual(['u1', 'u2', 'u3', 'u4'])
  })

  it('are all users below base where it is Domain Users, which lists none', async () => {
    await using port = portOf()
    const found = await port.loginsOfGroup(CORP, `CN=Domain Users,CN=Users,${samba.base}`)
    expect(found).toEqual(expect.arrayContaining(['u1', 'u60']))
    expect(found).toHaveLength(60)
  })
})

describe('a protected group', () => {
  it.each([
    ['u1', true],
    ['u3', true],
    ['u4', true],
    ['u5', false],
  ])('protects who is in it, in one in it, or has one in it as primary group: %s %s', async (login, isProtected) => {
    await using port = portOf([dnOf('staff')])
    const { key } = await port.findByLogin(loginOf(login), null)
    const { protectedBy, protectionUnread } = await port.observe(key, [], 0)
    expect(protectionUnread).toBeUndefined()
    expect(protectedBy ?? '').toMatch(isProtected ? /^it is a member of/ : /^$/)
  })
})

describe('a group whose members are too many to be read', () => {
  it.each([
    ['u1', true],
    ['u3', true],
    ['u5', false],
  ])('is asked for the one account, in it or in one in it: %s %s', async (login, isMember) => {
    await using at = await askedOf()
    const group = { dn: dnOf('staff'), top: 'staff' }
    const account = { dn: samba.userDn(login), login }
    expect(await at.large.groupOf(account, [group])).toEqual(isMember ? group : null)
  })

  it('shows the SIDs of the groups in it, for those whose primary group they are, and that it may be searched', async () => {
    await using at = await askedOf()
    const found: string[] = []
    for await (const sid of at.large.nestedSids(dnOf('staff'))) found.push(sidText(sid) ?? '')
    const groups = ['inner', 'nobody', 'clerks'].map((name) =>
      samba.tool('group', 'show', name, '--attributes=objectSid'),
    )
    const shown = (await Promise.all(groups)).map((text) => /objectSid: (\S+)/.exec(text)?.[1] ?? '')
    expect(found).toEqual(expect.arrayContaining(shown))
    const users = ['u1', 'u2', 'u3'].map((name) => samba.tool('user', 'show', name, '--attributes=objectSid'))
    for (const text of await Promise.all(users)) expect(found).not.toContain(/objectSid: (\S+)/.exec(text)?.[1])
    expect(await at.large.hasSearchableMembers(dnOf('staff'))).toBe(true)
    expect(await at.large.hasSearchableMembers(dnOf('nobody'))).toBe(false)
  })
})

async function askedOf(): Promise<AsyncDisposable & { readonly large: LargeGroups }> {
  const settings = sambaSettings(samba)
  const pool = new Pool(settings, systemClock)
  const facts = await new FactsReader(pool, systemClock, []).read()
  return { large: new LargeGroups(settings, pool, facts), [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]() }
}

it('a protected group that may not be read holds every lock back', async () => {
  await change(dnOf('secret'), ['add', 'objectClass: group\nsAMAccountName: secret'])
  await samba.tool('dsacl', 'set', `--objectdn=${dnOf('secret')}`, '--action=deny', '--sddl=(D;;RP;;;AU)')
  await using port = portOf([dnOf('secret')])
  const { key } = await port.findByLogin(loginOf('u5'), null)
  const { protectedBy, protectionUnread } = await port.observe(key, [], 0)
  expect(protectedBy).toBeNull()
  expect(protectionUnread?.reason).toContain('cannot be read')
})

it('many users are found at once by objectGUID, as privacyIDEA’s resolver writes it, or by login', async () => {
  await using port = portOf()
  const realm = parseRealm('example')
  if (realm === null) throw new Error('realm')
  const logins = Array.from({ length: 60 }, (_, at) => loginOf(`u${at + 1}`))
  const accounts = await Promise.all(logins.map((login) => port.findByLogin(login, null)))
  const byId = accounts.map(({ key }) => ({ login: loginOf('renamed'), realm, userId: accountIdOf(key) }))
  const byLogin = logins.map((login) => ({ login, realm, userId: '' }))
  const found = await port.findByUsers([...byId, ...byLogin])
  const keys = accounts.map(({ key }) => key)
  expect(found.map((each) => (each instanceof AppError ? each.code : each.key))).toEqual([...keys, ...keys])
})

import { afterAll, beforeAll, expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import { asDn, parseLogin, parseRealm } from '../../../src/core/names.ts'
import type { Settings } from '../../../src/core/settings/settings.ts'
import { furtherAccountsOf } from '../../../src/operations/accounts/further-accounts.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { must } from '../../simulation/world.ts'
import { directorySettings, nameOfDirectory } from '../directory-settings.ts'

/** One realm whose users are in two directories: `u1` is in both, `u2` in the first alone, `late` in the second alone. */

const R1 = must(parseRealm('r1'))
const [CORP, LAB] = [nameOfDirectory('corp'), nameOfDirectory('lab')]
const LAB_BASE = 'ou=lab,dc=example,dc=org'

let slapd: Slapd
beforeAll(async () => {
  slapd = await startSlapd({ users: 2 })
  const person = (uid: string): string =>
    `dn: uid=${uid},${LAB_BASE}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: Lab\n\n`
  const added = `dn: ${LAB_BASE}\nobjectClass: organizationalUnit\nou: lab\n\n${person('u1')}${person('late')}`
  expect((await slapd.ldapmodify(added, slapd.admin, ['-a'])).code).toBe(0)
}, 60_000)
afterAll(() => slapd[Symbol.asyncDispose]())

const DOWN = ['ldap://127.0.0.1:1']

function settingsOf(down: 'none' | 'corp' | 'lab'): Pick<Settings, 'directories' | 'realms'> {
  const corp = directorySettings(slapd, { name: CORP, ...(down === 'corp' ? { urls: DOWN } : {}) })
  const lab = directorySettings(slapd, { name: LAB, base: asDn(LAB_BASE), ...(down === 'lab' ? { urls: DOWN } : {}) })
  return { directories: [corp, lab], realms: { [R1]: [CORP, LAB] } }
}

const open = (down: 'none' | 'corp' | 'lab' = 'none') => openDirectories(settingsOf(down), systemClock)
const user = (login: string, userId = 'no-id') => ({ login: must(parseLogin(login)), realm: R1, userId })

type Port = ReturnType<typeof openDirectories>

/** One at a time and many at a time have to say the same. */
async function placesOf(port: Port, users: readonly ReturnType<typeof user>[]): Promise<string[]> {
  const many = (await port.findByUsers(users)).map((each) => (each instanceof AppError ? each.code : String(each.dn)))
  const alone: string[] = []
  for (const each of users) {
    alone.push(
      await port.findByUser(each).then(
        ({ dn }) => String(dn),
        (thrown: AppError) => thrown.code,
      ),
    )
  }
  expect(many).toEqual(alone)
  return many
}

async function idOf(port: Port, login: string): Promise<string> {
  return (await port.findByUser(user(login))).key.replace(/^[^/]*\//, '')
}

test('the id of the resolver decides, in whichever directory it is; else the first that has the login', async () => {
  await using port = open()
  const inLab = (await port.findElsewhere((await port.findByUser(user('u1'))).key, must(parseLogin('u1')), R1))[0]
    ?.found
  if (inLab === null || inLab === undefined || inLab instanceof AppError) throw new Error('u1 is not in lab')
  const labId = inLab.key.slice('lab/'.length)
  const places = await placesOf(port, [
    user('u1'),
    user('u1', labId),
    user('renamed', labId.toUpperCase()),
    user('u2'),
    user('late'),
    user('nobody'),
  ])
  expect(places).toEqual([
    slapd.userDn('u1'),
    `uid=u1,${LAB_BASE}`,
    `uid=u1,${LAB_BASE}`,
    slapd.userDn('u2'),
    `uid=late,${LAB_BASE}`,
    'unknown-user',
  ])
  expect(await port.findByLogin(must(parseLogin('late')), R1)).toMatchObject({ dn: `uid=late,${LAB_BASE}` })
})

test('a directory that does not answer is not passed over for one that comes after it, where it may have the user', async () => {
  await using all = open()
  const [first, second] = [await idOf(all, 'u2'), await idOf(all, 'late')]
  await using port = open('corp')
  expect(await placesOf(port, [user('late', second), user('late'), user('u1')])).toEqual([
    `uid=late,${LAB_BASE}`,
    'directory-unreachable',
    'directory-unreachable',
  ])
  await using other = open('lab')
  expect(await placesOf(other, [user('u2', first), user('u2'), user('u2', second), user('late')])).toEqual([
    slapd.userDn('u2'),
    slapd.userDn('u2'),
    'directory-unreachable',
    'directory-unreachable',
  ])
})

test('show names the account of the same login in the further directory, and says where one could not be asked', async () => {
  await using port = open()
  const { key } = await port.findByUser(user('u1'))
  const account = { key, login: 'u1', realm: 'r1' }
  const base = { directory: 'lab', code: null, reason: '' }
  const settings = (down: 'none' | 'lab') => settingsOf(down) as Settings
  expect(await furtherAccountsOf(settings('none'), account)).toEqual([{ ...base, dn: `uid=u1,${LAB_BASE}` }])
  expect(await furtherAccountsOf(settings('none'), { ...account, login: 'u2' })).toEqual([])
  expect(await furtherAccountsOf(settings('lab'), account)).toMatchObject([
    { directory: 'lab', dn: null, code: 'directory-unreachable' },
  ])
})

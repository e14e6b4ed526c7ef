import { afterAll, beforeAll, expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import { parseLogin, parseRealm } from '../../../src/core/names.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { must } from '../../simulation/world.ts'
import { directorySettings, nameOfDirectory } from '../directory-settings.ts'

/** Many users at a time: each is found as he is alone, and none takes anything away from the others. */

const R1 = must(parseRealm('r1'))
const R2 = must(parseRealm('r2'))
const USERS = 250

let slapd: Slapd
beforeAll(async () => {
  slapd = await startSlapd({ users: USERS })
}, 60_000)
afterAll(() => slapd[Symbol.asyncDispose]())

const open = (realms: Record<string, string> = {}, userFilter = '(uid={login})'): DirectoryPort => {
  const named = Object.fromEntries(Object.entries(realms).map(([realm, name]) => [realm, [nameOfDirectory(name)]]))
  const down = directorySettings(slapd, { name: nameOfDirectory('lab'), urls: ['ldap://127.0.0.1:1'] })
  return openDirectories({ directories: [directorySettings(slapd, { userFilter }), down], realms: named }, systemClock)
}

const user = (login: string, userId = 'none', realm = R1) => ({ login: must(parseLogin(login)), realm, userId })
const shown = (found: readonly unknown[]) =>
  found.map((each) => (each instanceof AppError ? each.code : (each as { login: string }).login))

test('by id, by login in any case, and who is not there', async () => {
  await using port = open({ r1: 'corp' })
  const logins = Array.from({ length: USERS }, (_, index) => `u${index + 1}`)
  const found = await port.findByUsers([...logins.map((login) => user(login)), user('U7'), user('nobody')])
  expect(shown(found)).toEqual([...logins, 'u7', 'unknown-user'])
  const ids = found.slice(0, USERS).map((each) => (each instanceof AppError ? '' : each.key.slice('corp/'.length)))
  // Whatever he is called now: his id is the directory's own.
  expect(shown(await port.findByUsers(ids.map((id, index) => user(`former${index}`, id.toUpperCase()))))).toEqual(
    logins,
  )
})

test('a login that finds several, another realm and a directory that is down: each for itself', async () => {
  await using port = open({ r1: 'corp', r2: 'lab' }, '(|(uid={login})(cn={login}))')
  const realm = must(parseRealm('elsewhere'))
  const twice = 'dn: cn=u9,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\ncn: u9\nsn: Twice\nuid: other\n'
  expect((await slapd.ldapmodify(twice, slapd.admin, ['-a'])).code).toBe(0)
  const users = [user('u1'), user('u9'), user('u2', 'none', R2), user('u3', 'none', realm), user('User 4'), user('u5')]
  const found = await port.findByUsers(users)
  expect(shown(found)).toEqual(['u1', 'ambiguous-match', 'directory-unreachable', 'realm-unmapped', 'u4', 'u5'])
})

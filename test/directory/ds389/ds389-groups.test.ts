import { expect, it } from 'vitest'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { startDs389 } from '../../servers/ldap/ds389.ts'
import { loginOf } from '../contract.ts'
import { nameOfDirectory, protecting } from '../directory-settings.ts'
import { ds389Settings } from './ds389-world.ts'

/** Groups of 389-DS: of DNs, of unique members and of logins, in a circle. */

it('a group in a group, in a circle, of DNs or logins, protects its people, and a roll-out goes to the same ones', async () => {
  await using ds = await startDs389()
  const dnOf = (group: string) => `cn=${group},${ds.base}`
  const group = (cn: string, lines: string) => `dn: ${dnOf(cn)}\nchangetype: add\ncn: ${cn}\n${lines}\n\n`
  const [inner, outer, unix] = ['inner', 'outer', 'unix'].map(dnOf)
  const mayRead = `(targetattr="*")(targetfilter="(cn=*)")(version 3.0; acl "groups"; allow (read,search,compare) userdn="ldap:///${ds.serviceDn}";)`
  await ds.edit(
    [
      group('inner', `objectClass: groupOfUniqueNames\nuniqueMember: ${ds.userDn('u2')}\nuniqueMember: ${outer}`),
      group('unix', 'objectClass: posixGroup\ngidNumber: 7\nmemberUid: u3'),
      group(
        'outer',
        `objectClass: groupOfNames\nmember: ${ds.userDn('u1')}\nmember: ${inner}\nmember: ${unix}\naci: ${mayRead}`,
      ),
      ...[inner, unix].map((dn) => `dn: ${dn}\nchangetype: modify\nadd: aci\naci: ${mayRead}\n\n`),
    ].join(''),
  )
  const settings = ds389Settings(ds, { protect: protecting({ groups: [dnOf('outer')] }) })
  await using port = openDirectories({ directories: [settings], realms: {} }, systemClock)
  const reasonOf = async (login: string) => {
    const { key } = await port.findByLogin(loginOf(login), null)
    const { protectedBy, protectionUnread } = await port.observe(key, [], 0)
    return protectionUnread?.reason ?? protectedBy
  }
  const why = `it is a member of ${outer} of guards.protect.groups`
  expect(await Promise.all(['u1', 'u2', 'u3', 'u4'].map(reasonOf))).toEqual([why, why, why, null])
  expect((await port.loginsOfGroup(nameOfDirectory('corp'), dnOf('outer'))).toSorted()).toEqual(['u1', 'u2', 'u3'])
})

import type { DirectorySettings } from '../../../src/core/settings/settings.ts'
import { asDn } from '../../../src/core/names.ts'
import { TYPE_DEFAULTS } from '../../../src/core/settings/directory-type.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import { USERS } from '../../servers/ldap/ds389-files.ts'
import { eventually } from '../../servers/eventually.ts'
import type { Ds389 } from '../../servers/ldap/ds389.ts'
import { loginOf, type LockExamples, type World } from '../contract.ts'
import { directorySettings } from '../directory-settings.ts'

const INACTIVATION_LOCK: LockExamples = {
  untouched: [],
  ours: 'true',
  harmless: 'banana',
  oursOverHarmless: 'true',
  changed: 'TRUE',
  reportsTheLoser: true,
  writesById: false,
}

/** `ipa user-enable` leaves FALSE behind. */
const IPA_LOCK: LockExamples = {
  ...INACTIVATION_LOCK,
  ours: 'TRUE',
  oursOverHarmless: 'TRUE',
  harmless: 'FALSE',
  changed: 'true',
}

/** Over TLS, with the defaults of the server's type. */
export function ds389Settings(ds: Ds389, change: Partial<DirectorySettings> = {}): DirectorySettings {
  const type = ds.layout === 'freeipa' ? 'freeipa' : '389ds'
  const { userFilter, loginAttribute, idAttribute, serialAttribute } = TYPE_DEFAULTS[type]
  return {
    ...directorySettings(ds),
    type,
    urls: [ds.ldapsUrl],
    caFile: ds.caFile,
    userFilter,
    loginAttribute,
    idAttribute,
    serialAttribute,
    bindDn: asDn(ds.serviceDn),
    ...change,
  }
}

/** Makes the role and waits until it locks: the server learns of a new class of service a moment later, by itself. */
export async function addDisabledRole(ds: Ds389, value = 'true'): Promise<void> {
  await ds.edit(disabledRole(ds.base, value))
  const member = (op: 'add' | 'delete') =>
    ds.edit(`dn: ${ds.userDn(`u${USERS}`)}\nchangetype: modify\n${op}: nsRoleDN\nnsRoleDN: ${disabledRoleDn(ds)}\n`)
  await member('add')
  await eventually('the role gives nsAccountLock to its members', async () => {
    return (await valuesAt(ds, `u${USERS}`, 'nsAccountLock'))[0] === value
  })
  await member('delete')
}

export function disabledRoleDn(ds: Ds389): string {
  return `cn=nsManagedDisabledRole,${ds.base}`
}

/** A role that locks who is in it, as 389-DS's own tools made it, and the class of service that does so. */
function disabledRole(base: string, value: string): string {
  const role = `cn=nsManagedDisabledRole,${base}`
  const templates = `cn=nsAccountInactivationTmp,${base}`
  return `dn: ${role}
changetype: add
objectClass: LdapSubEntry
objectClass: nsRoleDefinition
objectClass: nsSimpleRoleDefinition
objectClass: nsManagedRoleDefinition
cn: nsManagedDisabledRole

dn: cn=nsDisabledRole,${base}
changetype: add
objectClass: LdapSubEntry
objectClass: nsRoleDefinition
objectClass: nsComplexRoleDefinition
objectClass: nsNestedRoleDefinition
cn: nsDisabledRole
nsRoleDN: ${role}

dn: ${templates}
changetype: add
objectClass: nsContainer
cn: nsAccountInactivationTmp

dn: cn="cn=nsDisabledRole,${base}",${templates}
changetype: add
objectClass: extensibleObject
objectClass: costemplate
objectClass: ldapsubentry
cosPriority: 1
nsAccountLock: ${value}
cn: cn=nsDisabledRole,${base}

dn: cn=nsAccountInactivation_cos,${base}
changetype: add
objectClass: LdapSubEntry
objectClass: cosSuperDefinition
objectClass: cosClassicDefinition
cn: nsAccountInactivation_cos
cosTemplateDn: ${templates}
cosSpecifier: nsRole
cosAttribute: nsAccountLock operational

`
}

/** A test server as the contract sees it: other people's edits by the stock tools, as the administrator. */
export function ds389World(ds: Ds389, port: DirectoryPort): World {
  let users = 0
  const modify = (login: string, lines: string) => ds.edit(`dn: ${ds.userDn(login)}\nchangetype: modify\n${lines}\n`)
  return {
    port,
    lock: ds.layout === 'freeipa' ? IPA_LOCK : INACTIVATION_LOCK,
    newLogin: async () => loginOf(`u${++users}`),
    serialValues: (login) => valuesAt(ds, login, 'description'),
    lockValues: (login) => valuesAt(ds, login, 'nsAccountLock'),
    addSerialValue: (login, value) => modify(login, `add: description\ndescription: ${value}`),
    setLock: (login, value) => {
      const line = value === null ? '' : `\nnsAccountLock: ${value}`
      return modify(login, `replace: nsAccountLock${line}`)
    },
    lockOtherwise: (login) => modify(login, `add: nsRoleDN\nnsRoleDN: ${disabledRoleDn(ds)}`),
    rdn: (login) => `uid=${login}`,
    rename: (login, to) => ds.edit(`dn: ${ds.userDn(login)}\nchangetype: modrdn\nnewrdn: uid=${to}\ndeleteoldrdn: 1\n`),
    remove: (login) => ds.edit(`dn: ${ds.userDn(login)}\nchangetype: delete\n`),
  }
}

/** As the server shows them, in its order. */
export async function valuesAt(ds: Ds389, login: string, attribute: string): Promise<string[]> {
  const ldif = await ds.ldapsearch('-b', ds.userDn(login), '-s', 'base', '(objectClass=*)', attribute)
  const lines = ldif.split('\n').filter((line) => line.startsWith(`${attribute}: `))
  return lines.map((line) => line.slice(attribute.length + 2)).toSorted()
}
